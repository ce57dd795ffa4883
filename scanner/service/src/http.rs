//! The one place where the scanner's HTTP clients are made: of sinks, and of batches of tasks.
//!
//! TLS 1.2 or newer. The system's certificate authorities, and those of `ca_file` besides. Proxies as `HTTPS_PROXY`,
//! `HTTP_PROXY` and `NO_PROXY` say. AWS is spoken to by its own SDK.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, Url};

/// What is the same for every client.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Further certificate authorities, in PEM.
    pub ca_file: Option<PathBuf>,
}

/// What a client does with an answer that names another address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redirects {
    /// It hands the answer out. For what is sent: most redirections would send it again without a body.
    Refused,
    /// It goes there when scheme, host and port are the same: credentials and batches never come from, or go to, a host
    /// that nobody configured.
    SameHost,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The file of certificate authorities cannot be read.
    #[error(
        "the certificate authorities in `ca_file` {path} cannot be read: check the path and its permissions"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of certificate authorities has none.
    #[error("`ca_file` {path} has no usable certificate: it must be PEM, with `-----BEGIN CERTIFICATE-----`")]
    NoCertificates {
        /// The file.
        path: PathBuf,
    },
    /// The client cannot be made.
    #[error(
        "no HTTPS client could be made: check `ca_file`, and that the system has certificate authorities"
    )]
    Client(#[source] reqwest::Error),
    /// An address that is none.
    #[error("{url:?} is not an address: {problem}")]
    Url {
        /// What was given, without its password.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A client. It is cheap to clone; clones share their connections.
pub fn client(network: &Network, redirects: Redirects) -> Result<Client, HttpError> {
    // The same library as the AWS SDK's. An error means that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authorities = network.ca_file.as_deref().map_or(Ok(Vec::new()), authorities)?;
    let policy = match redirects {
        Redirects::Refused => Policy::none(),
        Redirects::SameHost => Policy::custom(|attempt: Attempt<'_>| {
            let is_same =
                attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
            if is_same && attempt.previous().len() <= MOST_REDIRECTS {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }),
    };
    Client::builder()
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .tls_certs_merge(authorities)
        .user_agent(USER_AGENT)
        .redirect(policy)
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build()
        .map_err(HttpError::Client)
}

/// An address to send to: HTTPS, or HTTP to this machine itself.
pub fn endpoint(text: &str) -> Result<Url, HttpError> {
    let failed = |problem| HttpError::Url { url: without_password(text), problem };
    let url = Url::parse(text).map_err(|_| failed("it must be like https://host/path"))?;
    let host = url.host_str().unwrap_or_default();
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    match url.scheme() {
        "https" if !host.is_empty() => Ok(url),
        "http" if is_local => Ok(url),
        "http" => Err(failed("only https is encrypted; http is for this machine itself")),
        _ => Err(failed("it must begin with https://")),
    }
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, HttpError> {
    let unreadable = |source| HttpError::Unreadable { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > LONGEST_CA_FILE {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    let pem = std::fs::read(path).map_err(unreadable)?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(HttpError::NoCertificates { path: path.to_owned() }),
    }
}

fn without_password(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else { return text.to_owned() };
    let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
    if scheme.is_empty() { format!("********@{after}") } else { format!("{scheme}://********@{after}") }
}

const USER_AGENT: &str = concat!("agentless-scanner/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_mins(1);
/// Shorter than the proxies and load balancers on the way are patient.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const MOST_REDIRECTS: usize = 5;
/// All the authorities that browsers know are 250 KB.
const LONGEST_CA_FILE: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::sink::test_server::Server;

    /// A server with its own certificate, which answers every request alike.
    async fn tls_server() -> (u16, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let Ok(mut connection) = acceptor.accept(connection).await else { continue };
                let _ = connection.read(&mut [0; 4096]).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _ = connection.write_all(answer).await;
                let _ = connection.shutdown().await;
            }
        });
        (port, cert.pem())
    }

    #[tokio::test]
    async fn only_known_authorities_are_trusted_and_ca_file_adds_to_them() {
        let (port, pem) = tls_server().await;
        let url = format!("https://localhost:{port}/");
        let stranger = client(&Network::default(), Redirects::Refused).unwrap();
        assert!(stranger.get(&url).send().await.unwrap_err().is_connect());

        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, pem).unwrap();
        let network = Network { ca_file: Some(ca_file) };
        let answer = client(&network, Redirects::Refused).unwrap().get(&url).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "ok");
    }

    #[test]
    fn a_ca_file_that_is_none_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let made = |path: &Path| client(&Network { ca_file: Some(path.to_owned()) }, Redirects::Refused);
        assert!(matches!(made(&path), Err(HttpError::Unreadable { .. })));
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(made(&path), Err(HttpError::NoCertificates { .. })));
    }

    #[tokio::test]
    async fn redirections_stay_on_the_host() {
        let (here, elsewhere) = (Server::start().await, Server::start().await);
        let client = client(&Network::default(), Redirects::SameHost).unwrap();
        here.answer(302, &[("location", "/other")], "");
        let answer = client.get(here.url("/")).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.url().path()), (202, "/other"));

        let away: &'static str = elsewhere.url("/").to_string().leak();
        here.answer(302, &[("location", away)], "");
        let answer = client.get(here.url("/")).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        assert!(elsewhere.requests().is_empty());
    }

    #[test]
    fn addresses_are_https_or_of_this_machine() {
        for good in ["https://example.com/x", "http://127.0.0.1:80/", "http://localhost/", "http://[::1]:9/"]
        {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in
            ["", "example.com", "http://example.com", "ftp://example.com", "http://127.0.0.1.example.com/"]
        {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        let error = endpoint("http://me:secret@example.com/").unwrap_err().to_string();
        assert!(error.contains("example.com") && !error.contains("secret"), "{error}");
    }
}
