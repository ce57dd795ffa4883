//! Mutual TLS with exactly one client.
//!
//! Terraform makes a certificate for each run and passes it in the environment; the provider makes another and passes
//! it back in the handshake. Nobody else on the machine may talk to a provider that holds a user's credentials.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use thiserror::Error;

/// The name that Terraform expects in a provider's certificate.
const SERVER_NAME: &str = "localhost";

/// Why there is no secure connection to be had.
#[derive(Debug, Error)]
pub(super) enum TlsError {
    #[error("the client certificate in PLUGIN_CLIENT_CERT is not a PEM certificate")]
    ClientCertificate(#[source] rustls::pki_types::pem::Error),
    #[error("could not make the provider's certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("could not set up TLS")]
    Tls(#[from] rustls::Error),
}

/// The provider's certificate, and the rule whom to let in.
#[derive(Debug)]
pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// A fresh certificate, for the one client whose certificate is `client` (PEM).
    pub(super) fn new(client: &str) -> Result<Self, TlsError> {
        let client =
            CertificateDer::from_pem_slice(client.as_bytes()).map_err(TlsError::ClientCertificate)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateDer::from(parameters()?.self_signed(&key)?);
        // Named, not the default of the process: another library may have set that to something that cannot verify
        // Terraform's P-521 signatures.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(Pinned { client, provider }))
            .with_single_cert(
                vec![certificate.clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { certificate, config: Arc::new(config) })
    }

    /// The certificate by which the client knows this server.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What the TLS library needs.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

fn parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new([SERVER_NAME.to_owned()])?;
    parameters.distinguished_name.push(DnType::CommonName, SERVER_NAME);
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyAgreement,
        KeyUsagePurpose::KeyCertSign,
    ];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}

/// Lets in exactly one certificate.
///
/// The usual verifier cannot: it refuses a certificate authority as a client, and Terraform's certificate is one. Here
/// nothing needs to be derived from a chain of trust; the certificate itself came from Terraform.
#[derive(Debug)]
struct Pinned {
    client: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if *end_entity == self.client {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_certificate_is_let_in() {
        let certificate = || {
            let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
            parameters().unwrap().self_signed(&key).unwrap()
        };
        let (terraform, other) = (certificate(), certificate());
        let pinned =
            Pinned { client: terraform.der().clone(), provider: Arc::new(aws_lc_rs::default_provider()) };
        let verify = |certificate: &rcgen::Certificate| {
            pinned.verify_client_cert(certificate.der(), &[], UnixTime::now()).is_ok()
        };
        assert!(verify(&terraform));
        assert!(!verify(&other));
        assert!(pinned.client_auth_mandatory());
        assert!(pinned.supported_verify_schemes().contains(&SignatureScheme::ECDSA_NISTP521_SHA512));
        assert!(Identity::new(&terraform.pem()).is_ok());
        assert!(matches!(Identity::new("no certificate"), Err(TlsError::ClientCertificate(_))));
    }
}
