//! Connections, encrypted or (under a debugger) not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::tls::Identity;

/// How long a client may take to prove who it is.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// One client.
#[derive(Debug)]
pub(super) enum Connection {
    /// Terraform, by its certificate.
    Tls(Box<TlsStream<UnixStream>>),
    /// Whoever may open the socket: only with `-debug`.
    Plain(UnixStream),
}

/// Every client that proves to be the one of `identity`; without an identity, every client. Ends with `shutdown`.
pub(super) fn accept(
    listener: UnixListener,
    identity: Option<Identity>,
    shutdown: CancellationToken,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(1);
    let acceptor = identity.map(|identity| TlsAcceptor::from(identity.config()));
    tokio::spawn(async move {
        while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
            match accepted {
                // In a task of its own: a client that does not speak must not keep out one that does.
                Ok((stream, _)) => drop(tokio::spawn(greet(stream, acceptor.clone(), sender.clone()))),
                Err(error) => tracing::warn!(%error, "could not accept a connection"),
            }
        }
    });
    ReceiverStream::new(receiver)
}

async fn greet(
    stream: UnixStream,
    acceptor: Option<TlsAcceptor>,
    sender: mpsc::Sender<io::Result<Connection>>,
) {
    let connection = match acceptor {
        None => Connection::Plain(stream),
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Connection::Tls(Box::new(stream)),
            Ok(Err(error)) => return tracing::warn!(%error, "refused a client"),
            Err(_) => return tracing::warn!("refused a client that did not prove who it is"),
        },
    };
    // Nobody receives any more once the server has shut down.
    let _ = sender.send(Ok(connection)).await;
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
