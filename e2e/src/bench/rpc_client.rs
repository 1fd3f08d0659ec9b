//! Calls of a daemon over gRPC, without the plugin's process in between.

use std::path::Path;

use anyhow::{Context, Result};
use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::{AllocateRequest, DeallocateRequest, IpamMetadata, IpamParameters, StatusRequest};
use tonic::transport::{Channel, Endpoint};

use super::container::Container;

/// One connection, on which any number of calls may be under way. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct RpcClient {
    service: IpamServiceClient<Channel>,
    pool: String,
}

impl RpcClient {
    /// Connects to the daemon's socket, for addresses of the IPPool `pool`.
    pub(super) async fn connect(socket: &Path, pool: &str) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("unix://{}", socket.display()))?
            .connect()
            .await
            .with_context(|| format!("no daemon answers at {}", socket.display()))?;
        Ok(Self {
            service: IpamServiceClient::new(channel),
            pool: pool.to_owned(),
        })
    }

    /// ADD: an address for the container's `eth0`.
    pub(super) async fn add(&self, container: &Container) -> Result<()> {
        let message = AllocateRequest {
            parameters: Some(self.parameters(container)),
        };
        let mut service = self.service.clone();
        let answer = service.allocate(message).await;
        answer
            .map(drop)
            .with_context(|| format!("ADD of {}", container.pod))
    }

    /// DEL.
    pub(super) async fn del(&self, container: &Container) -> Result<()> {
        let message = DeallocateRequest {
            parameters: Some(self.parameters(container)),
        };
        let mut service = self.service.clone();
        let answer = service.deallocate(message).await;
        answer
            .map(drop)
            .with_context(|| format!("DEL of {}", container.pod))
    }

    /// STATUS: an error unless an ADD could be served.
    pub(super) async fn status(&self) -> Result<()> {
        let mut service = self.service.clone();
        service.status(StatusRequest {}).await.context("STATUS")?;
        Ok(())
    }

    /// What the plugin sends, except for a deadline: whoever waits for a benchmark waits.
    fn parameters(&self, container: &Container) -> IpamParameters {
        IpamParameters {
            pools: vec![self.pool.clone()],
            cni_containerid: container.id.clone(),
            cni_ifname: "eth0".to_owned(),
            metadata: Some(IpamMetadata {
                k8s_pod_name: container.pod.clone(),
                k8s_pod_namespace: "default".to_owned(),
                k8s_pod_uid: container.uid.clone(),
                device_id: String::new(),
            }),
            network_name: "bench".to_owned(),
            ..IpamParameters::default()
        }
    }
}
