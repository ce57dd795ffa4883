//! Who may ask: the token, the certificate, and the files in which those find them who may.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};

/// The token, 64 hexadecimal digits.
pub(super) const TOKEN: &str = "status-token";
/// The certificate, in PEM.
pub(super) const CERTIFICATE: &str = "status-certificate.pem";
/// The address and port.
pub(super) const ADDRESS: &str = "status-address";
/// For whom the certificate is.
pub(super) const SERVER_NAME: &str = "localhost";

/// The files cannot be written, or what is in them cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The directory is not there and cannot be made.
    #[error(
        "cannot make the directory {path:?}: choose another runtime_directory, or set RuntimeDirectory= in the unit"
    )]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path:?}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("no random numbers for a token")]
    Random,
    /// No certificate can be made.
    #[error("no certificate could be made")]
    Certificate(#[source] rcgen::Error),
    /// The TLS library does not take it.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
}

/// The files. They are removed when this is dropped: without the service they open nothing.
pub(super) struct Access {
    token: Token,
    files: [PathBuf; 3],
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Access {
    /// Makes a token and a certificate, and writes them.
    pub(super) fn new(
        directory: &Path,
        address: SocketAddr,
    ) -> Result<(Self, Arc<ServerConfig>), AccessError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut random = [0; 32];
        provider.secure_random.fill(&mut random).map_err(|_| AccessError::Random)?;
        let secret = hexadecimal(random);
        let (certificate, tls) = certificate(provider, address)?;

        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| AccessError::Directory { path: directory.to_owned(), source })?;
        let files = [directory.join(TOKEN), directory.join(CERTIFICATE), directory.join(ADDRESS)];
        let access = Self { token: Token::new(&secret), files };
        for (path, content) in access.files.iter().zip([&secret, &certificate, &address.to_string()]) {
            write(directory, path, content)
                .map_err(|source| AccessError::Write { path: path.clone(), source })?;
        }
        Ok((access, tls))
    }

    pub(super) const fn token(&self) -> Token {
        self.token
    }

    pub(super) fn token_file(&self) -> &Path {
        let [token, _, _] = &self.files;
        token
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        for file in &self.files {
            // The directory is systemd's, which empties it anyway.
            let _ = fs::remove_file(file);
        }
    }
}

/// What a token is known by: its hash. Nobody can find one that begins like another, so how long a comparison takes tells
/// nothing of the token.
#[derive(Clone, Copy)]
pub(super) struct Token([u8; 32]);

impl Token {
    pub(super) fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether this is the token. All of it is looked at in any case.
    pub(super) fn is(self, given: &str) -> bool {
        let Self(given) = Self::new(given);
        let Self(own) = self;
        own.iter().zip(given).fold(0, |differing, (one, other)| differing | (one ^ other)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

fn hexadecimal(bytes: [u8; 32]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// A certificate, and what serves with it. Its key is nowhere else.
///
/// It is valid at any time: whoever has the file trusts exactly it, and a clock that is wrong must not hide the status.
fn certificate(
    provider: Arc<CryptoProvider>,
    address: SocketAddr,
) -> Result<(String, Arc<ServerConfig>), AccessError> {
    let names = [SERVER_NAME.to_owned(), address.ip().to_string()];
    let mut parameters = CertificateParams::new(names).map_err(AccessError::Certificate)?;
    parameters.distinguished_name.push(DnType::CommonName, "agentless-scanner status");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(AccessError::Certificate)?;
    let certificate = parameters.self_signed(&key).map_err(AccessError::Certificate)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(AccessError::Tls)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .map_err(AccessError::Tls)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Every request has a connection of its own, and nothing is kept of one.
    tls.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok((certificate.pem(), Arc::new(tls)))
}

/// Writes a file that appears whole, and that nobody else could ever read.
fn write(directory: &Path, path: &Path, content: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".status-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(content.as_bytes())?;
    file.write_all(if content.ends_with('\n') { b"" } else { b"\n" })?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_for_their_owner_and_go_with_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        let address = "127.0.0.1:5009".parse().unwrap();
        let (access, _) = Access::new(&path, address).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(access.files.each_ref().map(|file| mode(file)), [0o600; 3]);
        let token = fs::read_to_string(path.join(TOKEN)).unwrap();
        let token = token.trim_end();
        assert_eq!((token.len(), token.chars().all(|c| c.is_ascii_hexdigit())), (64, true));
        assert!(!format!("{access:?} {:?}", access.token).contains(token));

        // Another start, after a crash.
        let (again, _) = Access::new(&path, address).unwrap();
        assert!(!again.token.is(token));
        drop((access, again));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn only_the_token_is_the_token() {
        let token = Token::new("0123");
        assert!(token.is("0123"));
        for other in ["", "012", "01234", "0124", "1123"] {
            assert!(!token.is(other), "{other}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_is_named() {
        let error = Access::new(Path::new("/proc/none"), "127.0.0.1:1".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("/proc/none"), "{error}");
    }
}
