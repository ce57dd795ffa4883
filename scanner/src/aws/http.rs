//! The connections over which requests leave: one pool for every account, region and service.
//!
//! A client of its own for each would read the machine's certificates, and keep a pool, for each.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The connections, shared by all clones.
///
/// Encrypted ones go through the proxies that the environment names. Others never do: there is nothing without encryption
/// but the instance's metadata service, and in tests AWS itself on this machine.
#[derive(Clone, Debug, Default)]
pub struct Http(Arc<Pools>);

#[derive(Debug, Default)]
struct Pools {
    /// Certificate authorities beside those of the machine, in PEM.
    authorities: Option<Vec<u8>>,
    /// Made when it is needed: it reads the certificates that this machine trusts.
    encrypted: OnceLock<SharedHttpConnector>,
    plain: OnceLock<SharedHttpConnector>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate authorities cannot be used: {problem}")]
pub struct AuthoritiesError {
    problem: String,
}

/// A host that does not answer within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The same of what is on this machine or beside it: where there is no metadata service, nothing waits for it.
const NEAR_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The time until an answer begins, and that until it ends.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

impl Http {
    /// `authorities` are certificates in PEM that are trusted beside those of the machine.
    pub fn new(authorities: Option<&[u8]>) -> Result<Self, AuthoritiesError> {
        if let Some(pem) = authorities {
            check(pem)?;
        }
        Ok(Self(Arc::new(Pools { authorities: authorities.map(<[u8]>::to_vec), ..Pools::default() })))
    }

    /// As the SDK takes it.
    pub(super) fn client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    fn encrypted(&self) -> &SharedHttpConnector {
        self.0.encrypted.get_or_init(|| {
            let builder = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .connector_settings(settings(CONNECT_TIMEOUT))
                .proxy_config(ProxyConfig::from_env());
            let trusted = self.0.authorities.as_deref().and_then(|pem| {
                let store = TrustStore::default().with_pem_certificate(pem);
                TlsContext::builder().with_trust_store(store).build().ok()
            });
            SharedHttpConnector::new(match trusted {
                Some(context) => builder.tls_context(context).build(),
                None => builder.build(),
            })
        })
    }

    fn plain(&self) -> &SharedHttpConnector {
        self.0.plain.get_or_init(|| {
            let builder = Connector::builder().connector_settings(settings(NEAR_CONNECT_TIMEOUT));
            SharedHttpConnector::new(builder.build_http())
        })
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_encrypted = request.uri().starts_with("https://");
        let connector = if is_encrypted { self.encrypted() } else { self.plain() };
        connector.call(request)
    }
}

fn settings(connect_timeout: Duration) -> HttpConnectorSettings {
    HttpConnectorSettings::builder().connect_timeout(connect_timeout).read_timeout(READ_TIMEOUT).build()
}

/// The SDK takes certificates unseen, and panics on those that are none.
fn check(pem: &[u8]) -> Result<(), AuthoritiesError> {
    let error = |problem: String| AuthoritiesError { problem };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|problem| error(format!("this is not PEM ({problem})")))?;
        store.add(certificate).map_err(|problem| error(problem.to_string()))?;
    }
    if store.is_empty() { Err(error("there is no certificate in them".to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_certificates_in_pem() {
        assert!(Http::new(None).is_ok());
        for (wrong, problem) in [
            ("", "no certificate"),
            ("text", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n", "not PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
        ] {
            let error = Http::new(Some(wrong.as_bytes())).unwrap_err().to_string();
            assert!(error.contains(problem), "{wrong}: {error}");
        }
    }
}
