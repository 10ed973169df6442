//! TLS of every door: one certificate, HTTP/1.1 and HTTP/2 by ALPN.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::ServeArgs;
use crate::outcome::usage;

/// What doors speak TLS with; none if no certificate is named.
///
/// # Errors
/// Usage if one of certificate and key is missing; or they cannot be read, or do not belong together.
pub fn acceptor(args: &ServeArgs) -> anyhow::Result<Option<TlsAcceptor>> {
    match (&args.tls_cert, &args.tls_key) {
        (None, None) => Ok(None),
        (Some(certificates), Some(key)) => configure(certificates, key).map(Some),
        _ => Err(usage("--tls-cert and --tls-key go together; one of them is missing")),
    }
}

fn configure(certificates: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let name = certificates.display();
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read certificates (PEM) from {name}"))?;
    if chain.is_empty() {
        return Err(usage(format!("{name} holds no certificate in PEM form")));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a private key (PEM) from {}", key.display()))?;
    let versions = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS has no version to speak")?;
    let mut config = versions
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| format!("certificate {name} and key {} do not go together", key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
