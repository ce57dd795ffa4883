//! The status interface: HTTPS on loopback, for whoever may read its token.
//!
//! It shows the [`Board`], and takes two orders: to scan a target now, and to cancel its scan. It has no other, and nothing
//! of a package list.
//!
//! The socket is opened by systemd, or by the service where it may. Either way it is on loopback, which is checked. The
//! certificate is made at each start and its key never leaves the process; certificate, address and token are files that
//! only the service's user can read.

pub mod client;
pub mod listen;

mod access;
mod control;
mod metrics;
mod routes;
mod serve;

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::board::Board;

use self::access::Access;
use self::routes::Shared;

pub use self::access::AccessError;
pub use self::control::{Accepted, Control, Refused};

/// What the interface needs.
#[derive(Debug)]
pub struct Options {
    /// Where its certificate, address and token are written.
    pub runtime_directory: PathBuf,
    /// The socket, of [`listen`].
    pub socket: TcpListener,
    /// What one who asks may take.
    pub limits: Limits,
    /// What time it is.
    pub clock: fn() -> OffsetDateTime,
}

/// What those who ask may take. Nobody who has no token gets further than the first of these.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time. Further ones wait, so that many that do nothing cost no more than a few.
    pub connections: usize,
    /// For TLS to be agreed on, and for the head of a request to come: against those who send a byte a minute.
    pub start: Duration,
    /// For all of a connection, which has one request: against those who do not read the answer.
    pub whole: Duration,
    /// Bytes of a request's body: against those who send without end.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16,
            start: Duration::from_secs(5),
            whole: Duration::from_secs(30),
            body: 8 * 1_024,
        }
    }
}

/// The interface cannot be offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// Its files cannot be written.
    #[error("the status interface cannot be protected")]
    Access(#[from] AccessError),
    /// The socket is not usable.
    #[error("the socket of the status interface cannot be used")]
    Socket(#[source] std::io::Error),
}

/// The interface, ready to answer.
pub struct Server {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    router: axum::Router,
    limits: Limits,
    /// Its files, which go with it.
    access: Access,
}

impl Server {
    /// Writes the files and takes the socket. Answers nobody yet.
    ///
    /// Must be called within a runtime.
    pub fn new(options: Options, board: Arc<Board>, control: Arc<dyn Control>) -> Result<Self, StatusError> {
        let Options { runtime_directory, socket, limits, clock } = options;
        socket.set_nonblocking(true).map_err(StatusError::Socket)?;
        let address = socket.local_addr().map_err(StatusError::Socket)?;
        let listener = tokio::net::TcpListener::from_std(socket).map_err(StatusError::Socket)?;
        let (access, tls) = Access::new(&runtime_directory, address)?;
        let router = routes::router(Shared { board, control, clock, token: access.token() }, limits.body);
        Ok(Self { listener, address, acceptor: TlsAcceptor::from(tls), router, limits, access })
    }

    /// Where it answers.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file with its token.
    pub fn token_file(&self) -> &Path {
        self.access.token_file()
    }

    /// Answers until it is told to end. Then it takes no more connections, and those that it has are closed.
    pub async fn run(self, end: CancellationToken) {
        let Self { listener, address, acceptor, router, limits, access } = self;
        tracing::info!(%address, "the status interface answers");
        serve::serve(&listener, &acceptor, &router, limits, &end).await;
        drop(access);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
