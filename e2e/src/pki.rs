//! Certificates and keys of a cluster, written where its programs look for them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// The authority of one cluster, and the folder that its certificates go to.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub certificate_pem: String,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

impl Authority {
    /// Makes an authority and the pair that signs tokens of ServiceAccounts (`sa.key`, `sa.pub`), and writes `ca.crt`.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "nv-ipam-e2e");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate_pem = params.self_signed(&key)?.pem();
        fs::write(folder.join("ca.crt"), &certificate_pem)?;
        let accounts = KeyPair::generate()?;
        fs::write(folder.join("sa.key"), accounts.serialize_pem())?;
        fs::write(folder.join("sa.pub"), accounts.public_key_pem())?;
        Ok(Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(params, key),
            certificate_pem,
        })
    }

    /// A client: `user` and `group` are what the API server will call it.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A server that answers under these names and addresses.
    pub fn server(&self, names: &[&str], addresses: &[Ipv4Addr]) -> Result<Identity> {
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        let first = names.first().copied().unwrap_or("server");
        params.distinguished_name.push(DnType::CommonName, first);
        params.subject_alt_names.extend(
            addresses
                .iter()
                .map(|&address| SanType::IpAddress(IpAddr::V4(address))),
        );
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub fn write(&self, name: &str, identity: &Identity) -> Result<()> {
        fs::write(self.folder.join(format!("{name}.crt")), &identity.certificate_pem)?;
        fs::write(self.folder.join(format!("{name}.key")), &identity.key_pem)?;
        Ok(())
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}
