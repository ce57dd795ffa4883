//! The process itself: how it starts, whom it talks to, when it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P521_SHA512};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Workspace, fixture, said};

const COOKIE: (&str, &str) =
    ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2");

/// A certificate as Terraform makes one: P-521, self-signed, an authority of its own.
struct Certificate {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

impl Certificate {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), key }
    }
}

/// A running provider with the socket's directory.
pub(crate) struct Plugin {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    sockets: TempDir,
}

impl Plugin {
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let sockets = tempfile::tempdir().unwrap();
        let mut child = Command::new(fixture())
            .args(arguments)
            .env_remove("TF_LOG")
            .env_remove("TF_LOG_PROVIDER")
            .env("PLUGIN_UNIX_SOCKET_DIR", sockets.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdout, stderr, sockets }
    }

    /// What `TF_REATTACH_PROVIDERS` is to be, as a provider under a debugger prints it.
    pub(crate) fn attach(&mut self) -> String {
        let mut line = String::new();
        while !line.contains("TF_REATTACH_PROVIDERS") {
            line.clear();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "it has ended");
        }
        line.split('\'').nth(1).unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for the end; the socket must be gone then.
    fn ended(mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        assert_eq!(fs::read_dir(self.sockets.path()).unwrap().count(), 0, "the socket is left behind");
        status
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn by_hand(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(fixture());
    command.args(arguments).env_remove(COOKIE.0).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn run_by_hand_it_says_what_it_is() {
    let (code, stdout, stderr) = by_hand(&[], &[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr
            .contains("This is the Terraform provider registry.terraform.io/example/fixture, version 1.2.3")
    );
    assert!(stderr.contains("required_providers"));

    let (code, stdout, _) = by_hand(&["--version"], &[]);
    assert_eq!((code, stdout.as_str()), (Some(0), "registry.terraform.io/example/fixture 1.2.3\n"));
    let (code, _, stderr) = by_hand(&["apply"], &[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("-debug"));
}

#[test]
fn without_a_common_protocol_or_a_certificate_it_does_not_serve() {
    for (variable, expected) in [
        (("PLUGIN_PROTOCOL_VERSIONS", "4,5"), "version 6 of Terraform's protocol, and"),
        (("PLUGIN_PROTOCOL_VERSIONS", "6"), "PLUGIN_CLIENT_CERT"),
        (("PLUGIN_CLIENT_CERT", "nonsense"), "not a PEM certificate"),
    ] {
        let (code, stdout, stderr) = by_hand(&[], &[COOKIE, variable]);
        assert_eq!(code, Some(1));
        assert!(stderr.contains(expected), "{stderr}");
        // The line that Terraform shows, in place of the handshake.
        assert_eq!(stdout, stderr);
    }
}

#[tokio::test]
async fn only_the_client_with_the_certificate_is_served() {
    let (terraform, other) = (Certificate::new(), Certificate::new());
    let variables = [COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", "5,6"), ("PLUGIN_CLIENT_CERT", &terraform.pem)];
    let mut plugin = Plugin::start(&[], &variables);
    let mut line = String::new();
    plugin.stdout.read_line(&mut line).unwrap();
    let fields: Vec<_> = line.trim().split('|').collect();
    let [core, protocol, network, socket, kind, server] = fields[..] else { panic!("{line}") };
    assert_eq!([core, protocol, network, kind], ["1", "6", "unix", "grpc"]);
    let server = CertificateDer::from(STANDARD_NO_PAD.decode(server).unwrap());

    let socket = Path::new(socket);
    assert!(!greeted(socket, &server, None).await, "a client without a certificate");
    assert!(!greeted(socket, &server, Some(&other)).await, "a client with another certificate");
    assert!(!greeted_in_plaintext(socket).await, "a client without encryption");
    assert!(greeted(socket, &server, Some(&terraform)).await, "the client with the certificate");

    // Ctrl-C is for Terraform.
    plugin.signal("-INT");
    assert!(greeted(socket, &server, Some(&terraform)).await, "after an interrupt");
    plugin.signal("-TERM");
    assert!(plugin.ended().success());
}

/// A provider that outlived its Terraform would hold a user's credentials for nobody.
#[test]
fn it_ends_when_terraform_is_gone() {
    let certificate = Certificate::new();
    let sockets = tempfile::tempdir().unwrap();
    let mut terraform = Command::new("sh")
        .args(["-c", "\"$0\" & wait"])
        .arg(fixture())
        .env(COOKIE.0, COOKIE.1)
        .env("PLUGIN_CLIENT_CERT", &certificate.pem)
        .env("PLUGIN_UNIX_SOCKET_DIR", sockets.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(terraform.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("1|6|unix|"), "{line}");
    terraform.kill().unwrap();
    terraform.wait().unwrap();
    // The pipe is the provider's alone now: it closes with it.
    assert_eq!(stdout.read_line(&mut line).unwrap(), 0);
    assert_eq!(fs::read_dir(sockets.path()).unwrap().count(), 0, "the socket is left behind");
}

/// The preface of HTTP/2 and an empty SETTINGS frame (RFC 9113, sections 3.4 and 6.5).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Whether the server answers with a SETTINGS frame of its own, which it does to whom it serves.
async fn greeted(socket: &Path, server: &CertificateDer<'static>, client: Option<&Certificate>) -> bool {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Expecting { server: server.clone(), provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match client {
        None => config.with_no_client_auth(),
        Some(client) => {
            let key = PrivatePkcs8KeyDer::from(client.key.serialize_der());
            config.with_client_auth_cert(vec![client.der.clone()], key.into()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = UnixStream::connect(socket).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    // In TLS 1.3 a client learns of its refusal only when it reads.
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(stream) => is_http2(stream).await,
        Err(_) => false,
    }
}

/// Accepts the very certificate of the handshake line, as Terraform does.
#[derive(Debug)]
struct Expecting {
    server: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Expecting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        assert_eq!(*end_entity, self.server, "the certificate of the handshake line is the server's");
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        panic!("TLS 1.2 is not offered");
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

async fn greeted_in_plaintext(socket: &Path) -> bool {
    is_http2(UnixStream::connect(socket).await.unwrap()).await
}

async fn is_http2(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> bool {
    let mut head = [0; 9];
    let asked = async {
        stream.write_all(PREFACE).await?;
        stream.flush().await?;
        stream.read_exact(&mut head).await
    };
    asked.await.is_ok() && head[3] == 0x04
}

#[test]
fn under_a_debugger_it_serves_until_interrupted() {
    let mut plugin = Plugin::start(&["-debug"], &[]);
    let attach = plugin.attach();

    let config = "resource \"fixture_file\" \"one\" {\n  name = \"one\"\n}\n";
    let mut workspace = Workspace::new(config);
    workspace.set("TF_REATTACH_PROVIDERS", attach);
    // Without this, a run could use the installed provider and pass.
    fs::remove_dir_all(workspace.path("mirror")).unwrap();
    fs::remove_dir_all(workspace.path(".terraform")).unwrap();
    workspace.apply().expect_ok();
    workspace.expect_no_changes();
    // Several runs of Terraform, each of which would have ended a provider of its own.
    workspace.destroy().expect_ok();
    plugin.signal("-INT");
    let mut said = String::new();
    while plugin.stderr.read_line(&mut said).unwrap() > 0 {}
    assert!(plugin.ended().success(), "{said}");
}

#[test]
fn terraform_sees_why_a_provider_does_not_start() {
    let mut workspace = Workspace::new("resource \"fixture_file\" \"one\" {\n  name = \"one\"\n}\n");
    workspace.set("PLUGIN_UNIX_SOCKET_DIR", "/nonexistent/directory");
    let output = workspace.command(&["plan", "-no-color"]).output().unwrap();
    said(&output).expect_error(&["could not open the socket /nonexistent/directory"]);
}
