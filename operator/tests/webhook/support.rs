//! A webhook on loopback, certificates for it as the kubelet mounts them, and a client that trusts one authority.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use operator::webhook::other_pools::OtherPools;
use operator::webhook::review::Context;
use operator::webhook::{Settings, Webhook};
use process::readiness::Readiness;
use process::shutdown::Shutdown;
use prometheus::Registry;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const IPPOOLS: &str = "/validate-nv-ipam-nvidia-com-v1alpha1-ippool";
pub(crate) const CIDRPOOLS: &str = "/validate-nv-ipam-nvidia-com-v1alpha1-cidrpool";

/// What a test waits for takes no longer, even on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const NAME: &str = "webhook.test";

/// An authority, and a certificate of it.
pub(crate) struct Pair {
    authority: CertificateParams,
    authority_key: KeyPair,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn make() -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&authority, &authority_key);
        let certificate = CertificateParams::new(vec![NAME.to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority,
            authority_key,
        }
    }

    /// A client that trusts this authority and no other.
    pub(crate) fn client(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let authority = self.authority.self_signed(&self.authority_key).unwrap();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config).into()
    }
}

/// A folder as the kubelet makes it of a Secret: the files are links through `..data`, which is exchanged as a whole.
pub(crate) struct Mount {
    folder: TempDir,
    generation: u32,
}

impl Mount {
    pub(crate) fn empty() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            generation: 0,
        }
    }

    pub(crate) fn with(pair: &Pair) -> Self {
        let mut mount = Self::empty();
        mount.exchange(&pair.certificate, &pair.key);
        mount
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn exchange(&mut self, certificate: &str, key: &str) {
        self.generation += 1;
        let (root, data) = (self.folder.path(), format!("..{}", self.generation));
        fs::create_dir(root.join(&data)).unwrap();
        fs::write(root.join(&data).join("tls.crt"), certificate).unwrap();
        fs::write(root.join(&data).join("tls.key"), key).unwrap();
        std::os::unix::fs::symlink(&data, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            let _ = std::os::unix::fs::symlink(format!("..data/{name}"), root.join(name));
        }
    }
}

/// A webhook that serves.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) readiness: Readiness,
    pub(crate) other_pools: OtherPools,
    pub(crate) registry: Registry,
    pub(crate) shutdown: Shutdown,
    pub(crate) ended: JoinHandle<io::Result<()>>,
}

impl Served {
    pub(crate) async fn start(folder: PathBuf) -> Self {
        let (readiness, registry, shutdown) = (Readiness::new(), Registry::new(), Shutdown::new());
        let other_pools = OtherPools::new();
        let settings = Settings {
            address: "127.0.0.1:0".to_owned(),
            folder,
            context: Context {
                pools_namespace: "kube-system".to_owned(),
                other_pools: other_pools.clone(),
            },
        };
        let webhook = Webhook::bind(settings, &registry, &readiness)
            .await
            .unwrap()
            .unwrap();
        Self {
            address: webhook.local_addr().unwrap(),
            readiness,
            other_pools,
            registry,
            shutdown: shutdown.clone(),
            ended: tokio::spawn(webhook.serve(shutdown)),
        }
    }

    /// With this certificate, and ready.
    pub(crate) async fn ready(mount: &Mount) -> Self {
        let served = Self::start(mount.path()).await;
        until(async || served.readiness.check().is_ok()).await;
        served
    }

    /// A connection that has shaken hands.
    pub(crate) async fn connect(&self, client: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        // As Go's clients, the API server among them.
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(NAME).unwrap();
        timeout(PATIENCE, client.connect(name, tcp)).await.unwrap()
    }

    /// Status and body of the answer.
    pub(crate) async fn send(&self, client: &TlsConnector, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.connect(client).await.unwrap();
        let head = format!("{head}\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        answer(&mut stream).await
    }

    /// The AdmissionReview that answers one.
    pub(crate) async fn review(&self, client: &TlsConnector, path: &str, request: &Value) -> Value {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/json");
        let (status, body) = self.send(client, &head, request.to_string().as_bytes()).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// Reads an answer to its end, which must be a proper one.
pub(crate) async fn answer(stream: &mut TlsStream<TcpStream>) -> (u16, String) {
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A request to create a pool.
pub(crate) fn creation(kind: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "7", "operation": "CREATE", "userInfo": {}, "name": "pool1", "namespace": "kube-system",
            "kind": {"group": "nv-ipam.nvidia.com", "version": "v1alpha1", "kind": kind},
            "resource": {"group": "nv-ipam.nvidia.com", "version": "v1alpha1", "resource": "pools"},
            "object": {
                "apiVersion": "nv-ipam.nvidia.com/v1alpha1", "kind": kind,
                "metadata": {"name": "pool1", "namespace": "kube-system"}, "spec": spec,
            },
            "oldObject": null, "dryRun": false,
        },
    })
}

/// Waits until `holds`.
pub(crate) async fn until(holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}
