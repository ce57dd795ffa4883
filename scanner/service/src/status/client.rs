//! Asks a service on this machine how it is.
//!
//! What the service wrote into its runtime directory says where it is, by which certificate it is known and what opens it. No
//! other certificate will do, and no proxy is asked.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{ADDRESS, CERTIFICATE, SERVER_NAME, TOKEN};
use super::control::Accepted;
use crate::board::View;

/// No answer, or one that is not what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There are no files of a service.
    #[error(
        "no service is running: there is no {path:?}. See `systemctl status agentless-scanner`; the status interface may \
         also be off (status.enabled) or in another directory (runtime_directory)"
    )]
    NotRunning {
        /// The file.
        path: PathBuf,
    },
    /// The files are for another user.
    #[error("no permission to read {path:?}: run this as root or as the service's user")]
    Permission {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {path:?}, which the service wrote")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what the service writes.
    #[error("{path:?} is not what a service writes; restart the service")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Nobody answers at the address.
    #[error(
        "no service answers at {address}, where one did before. See `systemctl status agentless-scanner`; if it was started \
         just now, try again"
    )]
    Gone {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: reqwest::Error,
    },
    /// The connection failed.
    #[error("the service does not answer as it should")]
    Connection(#[source] reqwest::Error),
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
    /// The answer is too long.
    #[error("the service's answer is longer than {MOST} bytes")]
    Long,
    /// The service refuses.
    #[error("the service answers: {message}")]
    Refused {
        /// With this status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// The answer is of a version that is not known here.
    #[error(
        "the answer is not understood: the service is version {service}, and this program {own}. Restart the service, or use its \
         own program"
    )]
    Version {
        /// Of the service.
        service: String,
        /// Of this program.
        own: &'static str,
        /// What is not understood.
        source: serde_json::Error,
    },
}

/// The most bytes of an answer: what a full board has, several times.
const MOST: usize = 32 * 1_024 * 1_024;

/// The most bytes of a file.
const FILE: u64 = 64 * 1_024;

/// For an answer. The service ends a connection after about as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service on this machine.
#[derive(Debug)]
pub struct Client {
    directory: PathBuf,
}

impl Client {
    /// The service with this runtime directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The whole board, as it came and as it is understood.
    pub async fn status(&self) -> Result<(Value, View), ClientError> {
        understood(self.ask(Method::GET, "/status", None).await?)
    }

    /// Has a target scanned now.
    pub async fn scan(&self, target: &str) -> Result<Accepted, ClientError> {
        self.order("/scan", target).await
    }

    /// Has the scan of a target cancelled.
    pub async fn cancel(&self, target: &str) -> Result<Accepted, ClientError> {
        self.order("/cancel", target).await
    }

    async fn order(&self, path: &str, target: &str) -> Result<Accepted, ClientError> {
        let key = if target.starts_with("arn:") { "arn" } else { "id" };
        let json = self.ask(Method::POST, path, Some(json!({ key: target }))).await?;
        Accepted::deserialize(&json).map_err(|source| other_version("unknown", source))
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, ClientError> {
        // The files are read each time: a service that was restarted has others.
        let door = Door::read(&self.directory)?;
        let url = format!("https://{SERVER_NAME}:{}{path}", door.address.port());
        let mut request = door.client()?.request(method, url).bearer_auth(&door.token).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.map_err(|source| {
            let address = door.address;
            if source.is_connect() {
                ClientError::Gone { address, source }
            } else {
                ClientError::Connection(source)
            }
        })?;
        let status = response.status();
        let body = read(response).await?;
        let json = serde_json::from_slice(&body);
        if status.is_success() {
            return json.map_err(|source| other_version("unknown", source));
        }
        Err(refused(status, json.ok().as_ref()))
    }
}

/// The board in an answer, and the answer.
pub(super) fn understood(json: Value) -> Result<(Value, View), ClientError> {
    match View::deserialize(&json) {
        Ok(view) => Ok((json, view)),
        Err(error) => {
            let version = json.pointer("/identity/version").and_then(Value::as_str);
            Err(other_version(version.unwrap_or("unknown"), error))
        }
    }
}

fn other_version(service: &str, source: serde_json::Error) -> ClientError {
    ClientError::Version { service: service.to_owned(), own: env!("CARGO_PKG_VERSION"), source }
}

fn refused(status: StatusCode, json: Option<&Value>) -> ClientError {
    let message = json.and_then(|json| json.get("error")).and_then(Value::as_str);
    ClientError::Refused { status: status.as_u16(), message: message.unwrap_or(status.as_str()).to_owned() }
}

/// All of an answer that is not too long.
async fn read(mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::Connection)? {
        if body.len().saturating_add(chunk.len()) > MOST {
            return Err(ClientError::Long);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What the service wrote for those who may ask.
struct Door {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    token: String,
}

impl Door {
    fn read(directory: &Path) -> Result<Self, ClientError> {
        let (path, address) = file(directory, ADDRESS)?;
        let address: SocketAddr =
            address.trim().parse().map_err(|_| ClientError::Damaged { path: path.clone() })?;
        // The token is for this machine, whatever the file says.
        if !address.ip().is_loopback() {
            return Err(ClientError::Damaged { path });
        }
        let (path, certificate) = file(directory, CERTIFICATE)?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| ClientError::Damaged { path })?;
        let (path, token) = file(directory, TOKEN)?;
        let token = token.trim().to_owned();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ClientError::Damaged { path });
        }
        Ok(Self { address, certificate, token })
    }

    fn client(&self) -> Result<reqwest::Client, ClientError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(ClientError::Tls)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(ClientError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve(SERVER_NAME, self.address)
            .build()
            .map_err(ClientError::Connection)
    }
}

/// A small file, and where it is.
#[expect(clippy::disallowed_methods, reason = "the length is limited here")]
fn file(directory: &Path, name: &str) -> Result<(PathBuf, String), ClientError> {
    let path = directory.join(name);
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(FILE).read_to_string(&mut text));
    match read {
        Ok(_) => Ok((path, text)),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => ClientError::NotRunning { path },
            io::ErrorKind::PermissionDenied => ClientError::Permission { path },
            io::ErrorKind::InvalidData => ClientError::Damaged { path },
            _ => ClientError::File { path, source: error },
        }),
    }
}
