//! The certificate that the webhook shows: read from two files, and read again when they change.
//!
//! The kubelet exchanges the files of a mounted Secret by exchanging a symbolic link, so that watching the files themselves
//! tells nothing. They are small and are simply read every second. A look may fall between the two files' exchange: what
//! can't be used is reported when it is still there at the second look.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use process::readiness::Gate;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::metrics::Metrics;

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// How often the files are read.
const PERIOD: Duration = Duration::from_secs(1);

/// The folder of the files, contract B.11: below the one that `TMPDIR` names, or `/tmp`.
#[must_use]
pub fn usual_folder() -> PathBuf {
    std::env::temp_dir().join("k8s-webhook-server/serving-certs")
}

/// What new connections are shown; nothing before there is a certificate, and they fail then.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps what is shown what the files say.
#[derive(Debug)]
pub(super) struct Certificate {
    folder: PathBuf,
    provider: Arc<CryptoProvider>,
    shown: Shown,
    looks: Looks,
}

impl Certificate {
    pub(super) fn new(folder: PathBuf, provider: Arc<CryptoProvider>) -> (Self, Shown) {
        let shown = Shown::default();
        let certificate = Self {
            folder,
            provider,
            shown: shown.clone(),
            looks: Looks::default(),
        };
        (certificate, shown)
    }

    /// Reads the files for ever. The gate opens with the first certificate, and stays open: a newer one that can't be used
    /// leaves the old one in its place.
    pub(super) async fn keep(mut self, gate: Gate, metrics: Metrics) -> ! {
        loop {
            let folder = self.folder.clone();
            let read = spawn_blocking(move || Files::read(&folder)).await;
            let read = read.unwrap_or_else(|panic| Err(panic.to_string()));
            match self.looks.look(read, &self.provider) {
                Seen::Nothing => {}
                Seen::New(certificate) => {
                    metrics.read_certificate();
                    self.show(certificate);
                    gate.open();
                }
                Seen::Unusable { reason, first: true } => {
                    metrics.failed_to_read_certificate();
                    tracing::warn!(
                        "the webhook waits for its certificate: {reason}; mount the Secret of config/webhook/certificate.yaml at {}, or start without --webhook",
                        self.folder.display()
                    );
                    gate.close(format!("no certificate: {reason}"));
                }
                Seen::Unusable { reason, first: false } => {
                    metrics.failed_to_read_certificate();
                    tracing::warn!(
                        "the webhook keeps the certificate it has, the new one can't be used: {reason}"
                    );
                }
            }
            sleep(PERIOD).await;
        }
    }

    fn show(&self, certificate: CertifiedKey) {
        let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
        if shown.replace(Arc::new(certificate)).is_some() {
            tracing::info!("the webhook has a new certificate, which new connections are shown");
        } else {
            tracing::info!(folder = %self.folder.display(), "the webhook has its certificate and serves");
        }
    }
}

/// Both files, as read in one look.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|error| format!("can't read {}: {error}", path.display()))
        };
        Ok(Self {
            certificate: read(CERTIFICATE)?,
            key: read(KEY)?,
        })
    }

    fn parse(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.map_err(|error| format!("{CERTIFICATE} is no certificate: {error}"))?;
        if chain.is_empty() {
            return Err(format!("{CERTIFICATE} holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| format!("{KEY} is no private key: {error}"))?;
        CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| format!("{CERTIFICATE} and {KEY} don't make a pair: {error}"))
    }
}

/// What the looks at the files have told so far. No IO.
#[derive(Debug, Default)]
struct Looks {
    /// What the shown certificate was read from.
    good: Option<Files>,
    /// Why the last look gave nothing to show, and whether that has been said.
    failing: Option<(String, bool)>,
}

/// What one look tells.
enum Seen {
    Nothing,
    New(CertifiedKey),
    /// `first`: there has been none that could be used.
    Unusable {
        reason: String,
        first: bool,
    },
}

impl Looks {
    fn look(&mut self, read: Result<Files, String>, provider: &CryptoProvider) -> Seen {
        let parsed = read.and_then(|files| {
            if self.good.as_ref() == Some(&files) {
                return Ok(None);
            }
            Ok(Some((files.parse(provider)?, files)))
        });
        match parsed {
            Ok(None) => {
                self.failing = None;
                Seen::Nothing
            }
            Ok(Some((certificate, files))) => {
                self.failing = None;
                self.good = Some(files);
                Seen::New(certificate)
            }
            Err(reason) => self.failed(reason),
        }
    }

    fn failed(&mut self, reason: String) -> Seen {
        let first = self.good.is_none();
        let again = self.failing.as_ref().filter(|(before, _)| *before == reason);
        let (again, said) = (again.is_some(), again.is_some_and(|(_, said)| *said));
        // In the beginning nothing is being exchanged.
        let say = !said && (first || again);
        self.failing = Some((reason.clone(), said || say));
        if say {
            Seen::Unusable { reason, first }
        } else {
            Seen::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> Files {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        Files {
            certificate: made.cert.pem().into_bytes(),
            key: made.signing_key.serialize_pem().into_bytes(),
        }
    }

    fn told(looks: &mut Looks, read: Result<&Files, &str>) -> Option<Result<(), (String, bool)>> {
        let read = read.cloned().map_err(str::to_owned);
        match looks.look(read, &rustls::crypto::ring::default_provider()) {
            Seen::Nothing => None,
            Seen::New(_) => Some(Ok(())),
            Seen::Unusable { reason, first } => Some(Err((reason, first))),
        }
    }

    #[test]
    fn each_certificate_is_new_once() {
        let (a, b, mut looks) = (pair("a"), pair("b"), Looks::default());
        for files in [&a, &b, &a] {
            assert_eq!(told(&mut looks, Ok(files)), Some(Ok(())));
            assert_eq!(told(&mut looks, Ok(files)), None);
        }
    }

    #[test]
    fn that_there_is_none_is_said_at_once_and_once() {
        let mut looks = Looks::default();
        let absent = Err("no such file");
        assert_eq!(
            told(&mut looks, absent),
            Some(Err(("no such file".to_owned(), true)))
        );
        assert_eq!(told(&mut looks, absent), None);
        assert_eq!(
            told(&mut looks, Err("permission denied")),
            Some(Err(("permission denied".to_owned(), true)))
        );
    }

    #[test]
    fn a_look_between_the_exchange_of_the_files_is_not_spoken_of() {
        let (old, new, mut looks) = (pair("a"), pair("a"), Looks::default());
        told(&mut looks, Ok(&old));
        let between = Files {
            certificate: new.certificate.clone(),
            key: old.key.clone(),
        };
        assert_eq!(told(&mut looks, Ok(&between)), None);
        assert_eq!(told(&mut looks, Ok(&new)), Some(Ok(())));
    }

    #[test]
    fn a_pair_that_cannot_be_used_is_said_once_and_leaves_the_old_one() {
        let (good, other) = (pair("a"), pair("b"));
        let cases = [
            (&good.certificate, &other.key, "don't make a pair"),
            (&good.key, &good.key, "tls.crt holds no certificate"),
            (&good.certificate, &good.certificate, "tls.key is no private key"),
        ];
        for (certificate, key, expected) in cases {
            let mut looks = Looks::default();
            told(&mut looks, Ok(&good));
            let bad = Files {
                certificate: certificate.clone(),
                key: key.clone(),
            };
            assert_eq!(told(&mut looks, Ok(&bad)), None);
            let (reason, first) = told(&mut looks, Ok(&bad)).unwrap().unwrap_err();
            assert!(reason.contains(expected) && !first, "{reason}");
            assert_eq!(told(&mut looks, Ok(&bad)), None);
            assert_eq!(told(&mut looks, Ok(&good)), None, "it was shown all the time");
        }
    }
}
