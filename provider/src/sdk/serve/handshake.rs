//! What Terraform says in the environment, and the line that answers it.
//!
//! The names are those of go-plugin, the library with which Terraform starts plugins.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use thiserror::Error;

/// The variable by which Terraform shows that it is the one who starts the process, and its value. Not a secret: it
/// tells a plug-in from a program that someone runs by mistake.
const COOKIE: (&str, &str) =
    ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2");

/// The version of go-plugin's own handshake.
const CORE_VERSION: u32 = 1;

/// The version of Terraform's protocol that is spoken here.
const PROTOCOL_VERSION: u32 = 6;

/// What Terraform says when it starts the process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    /// The certificate of the one client that may connect, in PEM.
    pub(super) client_certificate: String,
}

/// Why there is nothing to answer.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum HandshakeError {
    #[error("this program is started by Terraform, not by hand")]
    ByHand,
    #[error(
        "this provider speaks version {PROTOCOL_VERSION} of Terraform's protocol, and the program that started it \
         only {0}. Terraform 1.0 or later is needed"
    )]
    Version(String),
    #[error(
        "the program that started this provider offers no certificate (PLUGIN_CLIENT_CERT), and the provider does \
         not serve unencrypted. Is TF_DISABLE_PLUGIN_TLS set?"
    )]
    Plaintext,
}

impl Handshake {
    /// Reads the environment by way of `variable`.
    pub(super) fn from_environment(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, HandshakeError> {
        if variable(COOKIE.0).as_deref() != Some(COOKIE.1) {
            return Err(HandshakeError::ByHand);
        }
        if let Some(offered) = variable("PLUGIN_PROTOCOL_VERSIONS") {
            let ours = PROTOCOL_VERSION.to_string();
            if !offered.split(',').any(|version| version.trim() == ours) {
                return Err(HandshakeError::Version(offered));
            }
        }
        let client_certificate = variable("PLUGIN_CLIENT_CERT").filter(|certificate| !certificate.is_empty());
        Ok(Self { client_certificate: client_certificate.ok_or(HandshakeError::Plaintext)? })
    }
}

/// The line that tells Terraform where the server is and by which certificate to know it.
pub(super) fn line(socket: &Path, certificate: &CertificateDer<'_>) -> String {
    let certificate = STANDARD_NO_PAD.encode(certificate);
    format!("{CORE_VERSION}|{PROTOCOL_VERSION}|unix|{}|grpc|{certificate}\n", socket.display())
}

/// What to set so that Terraform uses a provider that is already running.
pub(super) fn reattach(address: &str, socket: &Path) -> String {
    let attach = json!({
        address: {
            "Protocol": "grpc",
            "ProtocolVersion": PROTOCOL_VERSION,
            "Pid": std::process::id(),
            // Says that Terraform must not end the process.
            "Test": true,
            "Addr": {"Network": "unix", "String": socket},
        }
    });
    format!(
        "Provider started. To make Terraform use it, set this in the shell where you run Terraform, and end it with \
         Ctrl-C:\n\n    export TF_REATTACH_PROVIDERS='{attach}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(variables: &[(&str, &str)]) -> Result<Handshake, HandshakeError> {
        Handshake::from_environment(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const CERTIFICATE: (&str, &str) = ("PLUGIN_CLIENT_CERT", "pem");

    #[test]
    fn terraform_is_known_by_cookie_version_and_certificate() {
        let versions = ("PLUGIN_PROTOCOL_VERSIONS", "5,6");
        assert_eq!(
            handshake(&[COOKIE, versions, CERTIFICATE]),
            Ok(Handshake { client_certificate: "pem".to_owned() })
        );
        assert_eq!(handshake(&[versions, CERTIFICATE]), Err(HandshakeError::ByHand));
        assert_eq!(handshake(&[(COOKIE.0, "x"), versions, CERTIFICATE]), Err(HandshakeError::ByHand));
        assert_eq!(handshake(&[COOKIE, versions]), Err(HandshakeError::Plaintext));
        assert_eq!(
            handshake(&[COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", "4,5"), CERTIFICATE]),
            Err(HandshakeError::Version("4,5".to_owned()))
        );
    }

    #[test]
    fn the_line_has_six_fields() {
        let line = line(Path::new("/run/p/s"), &CertificateDer::from(vec![0xfb, 0xff]));
        assert_eq!(line, "1|6|unix|/run/p/s|grpc|+/8\n");
    }
}
