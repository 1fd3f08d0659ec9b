//! What goes over the wire, byte by byte: a plugin and a daemon of different versions, or of the Go implementation,
//! understand each other (contract B.11, gRPC).
//!
//! The bytes are written by hand from the field numbers of the Go implementation, and of our additions: whoever
//! changes a number or a type has to change them here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::convert::Infallible;
use std::fmt::{Debug, Write};
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use prost::Message;
use rpc::v1::ipam_service_client::IpamServiceClient;
use rpc::v1::*;
use tonic::body::Body;
use tonic::codegen::{Service, http};

/// Asserts that `message` is these bytes, and these bytes are `message`. White space in `hex` counts for nothing.
fn golden<M: Message + Default + PartialEq + Debug>(message: &M, hex: &str) {
    let bytes = message.encode_to_vec();
    let written = bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    let expected: String = hex.split_whitespace().collect();
    assert_eq!(written, expected, "{message:?}");
    assert_eq!(&M::decode(&*bytes).unwrap(), message);
}

fn parameters() -> IpamParameters {
    IpamParameters {
        pools: vec!["a".to_owned(), "b".to_owned()],
        cni_containerid: "c".to_owned(),
        cni_ifname: "n".to_owned(),
        metadata: Some(IpamMetadata {
            k8s_pod_name: "p".to_owned(),
            k8s_pod_namespace: "s".to_owned(),
            k8s_pod_uid: "u".to_owned(),
            device_id: "d".to_owned(),
        }),
        pool_type: PoolType::Cidrpool.into(),
        requested_ips: vec!["x".to_owned(), "y".to_owned()],
        features: Some(IpamFeatures {
            allocate_default_gateway: true,
            allocate_ip_with_index: Some(5),
        }),
        network_name: "m".to_owned(),
    }
}

/// pools, container, interface; metadata; pool type, static addresses; features; the network's name, field 1000.
const PARAMETERS: &str = "0a0161 0a0162 120163 1a016e
    220c 0a0170 120173 1a0175 220164
    2802 320178 320179
    3a04 0801 1005
    c23e016d";

#[test]
fn the_parameters_of_every_call() {
    golden(&parameters(), PARAMETERS);
    let request = format!("0a2c {PARAMETERS}");
    let parameters = Some(parameters());
    golden(
        &AllocateRequest {
            parameters: parameters.clone(),
        },
        &request,
    );
    golden(
        &IsAllocatedRequest {
            parameters: parameters.clone(),
        },
        &request,
    );
    golden(&DeallocateRequest { parameters }, &request);
}

#[test]
fn an_index_of_zero_is_not_no_index() {
    let index = |index| IpamFeatures {
        allocate_default_gateway: false,
        allocate_ip_with_index: index,
    };
    golden(&index(None), "");
    golden(&index(Some(0)), "1000");
    golden(&index(Some(i32::MAX)), "10 ffffffff07");
    golden(&index(Some(-1)), "10 ffffffffffffffffff01");
}

#[test]
fn what_an_interface_got() {
    let route = |dest: &str| Route {
        dest: dest.to_owned(),
    };
    let allocation = AllocationInfo {
        pool: "a".to_owned(),
        ip: "i".to_owned(),
        gateway: "g".to_owned(),
        pool_type: PoolType::Ippool.into(),
        routes: vec![route("r"), route("t")],
    };
    let bytes = "0a0161 120169 1a0167 2001 2a030a0172 2a030a0174";
    golden(&allocation, bytes);
    golden(
        &AllocateResponse {
            allocations: vec![allocation, AllocationInfo::default()],
        },
        &format!("0a15 {bytes} 0a00"),
    );
}

#[test]
fn the_types_of_pools() {
    for (pool_type, number, name) in [
        (PoolType::Unspecified, 0, "POOL_TYPE_UNSPECIFIED"),
        (PoolType::Ippool, 1, "POOL_TYPE_IPPOOL"),
        (PoolType::Cidrpool, 2, "POOL_TYPE_CIDRPOOL"),
    ] {
        assert_eq!((i32::from(pool_type), pool_type.as_str_name()), (number, name));
    }
}

#[test]
fn answers_without_content() {
    golden(&IsAllocatedResponse {}, "");
    golden(&DeallocateResponse {}, "");
    golden(&StatusRequest {}, "");
    golden(&StatusResponse {}, "");
}

#[test]
fn a_collection_of_garbage() {
    let attachment = |container: &str, interface: &str| Attachment {
        cni_containerid: container.to_owned(),
        cni_ifname: interface.to_owned(),
    };
    golden(
        &CollectGarbageRequest {
            network_name: "m".to_owned(),
            live: vec![attachment("c", "n"), attachment("e", "o")],
            began: Some(Stamp {
                boot_id: "b".to_owned(),
                boottime_ns: 300,
            }),
        },
        "0a016d 1206 0a0163 12016e 1206 0a0165 12016f 1a06 0a0162 10ac02",
    );
    golden(&CollectGarbageResponse { released: 300 }, "08ac02");
}

#[test]
fn what_a_later_version_adds_is_passed_over() {
    // Field 15, of two bytes, and field 1001, a number.
    let bytes = [0x7a, 0x02, 0x01, 0x02, 0xc8, 0x3e, 0x07];
    assert_eq!(
        AllocationInfo::decode(&bytes[..]).unwrap(),
        AllocationInfo::default()
    );
}

/// Answers nothing, and keeps the paths that were asked for.
#[derive(Clone, Default)]
struct Paths(Arc<Mutex<Vec<String>>>);

impl Service<http::Request<Body>> for Paths {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.lock().unwrap().push(request.uri().path().to_owned());
        ready(Ok(http::Response::default()))
    }
}

#[tokio::test]
async fn the_paths_of_the_methods() {
    let paths = Paths::default();
    let mut client = IpamServiceClient::new(paths.clone());
    // What comes back is no answer of a daemon.
    client.allocate(AllocateRequest::default()).await.unwrap_err();
    client
        .is_allocated(IsAllocatedRequest::default())
        .await
        .unwrap_err();
    client.deallocate(DeallocateRequest::default()).await.unwrap_err();
    client.status(StatusRequest {}).await.unwrap_err();
    client
        .collect_garbage(CollectGarbageRequest::default())
        .await
        .unwrap_err();
    let methods = [
        "Allocate",
        "IsAllocated",
        "Deallocate",
        "Status",
        "CollectGarbage",
    ];
    let expected = methods.map(|method| format!("/nvidia.ipam.node.v1.IPAMService/{method}"));
    assert_eq!(*paths.0.lock().unwrap(), expected);
}
