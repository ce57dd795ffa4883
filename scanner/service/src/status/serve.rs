//! Connections: few at a time, each with one request, and each with an end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Limits;

/// The head of a request has at most so many bytes, with its address.
const HEAD: usize = 16 * 1_024;

/// A breath, when the system has no descriptors left.
const BREATH: Duration = Duration::from_millis(200);

/// Answers until the end.
pub(super) async fn serve(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    router: &Router,
    limits: Limits,
    end: &CancellationToken,
) {
    let free = Arc::new(Semaphore::new(limits.connections.max(1)));
    loop {
        let accepted = async {
            // First the room, then the connection: those that wait do so in the kernel.
            let room = Arc::clone(&free).acquire_owned().await.ok()?;
            Some((room, listener.accept().await))
        };
        let accepted = tokio::select! {
            () = end.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Some((room, Ok((stream, _)))) => {
                let (acceptor, router, end) = (acceptor.clone(), router.clone(), end.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = end.cancelled() => {}
                        result = timeout(limits.whole, connection(stream, &acceptor, router, limits)) => {
                            if result.is_err() {
                                debug!("a connection to the status interface took too long");
                            }
                        }
                    }
                    drop(room);
                });
            }
            Some((_, Err(error))) => {
                debug!(%error, "a connection to the status interface was not accepted");
                tokio::time::sleep(BREATH).await;
            }
            // The semaphore is never closed.
            None => return,
        }
    }
}

/// One connection, with one request. What goes wrong is the client's.
async fn connection(stream: TcpStream, acceptor: &TlsAcceptor, router: Router, limits: Limits) {
    let stream = match timeout(limits.start, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "no TLS on the status interface"),
        Err(_) => return debug!("TLS on the status interface took too long"),
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.start)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        debug!(%error, "a request to the status interface was not answered");
    }
}
