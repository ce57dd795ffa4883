//! Ctrl-C: the first asks for an orderly end, and a second one would kill the programs under way.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a program that SIGINT ended, as shells report it.
pub const INTERRUPTED: u8 = 130;

/// Whether the user wants it to end. Copies share what they know.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    first: CancellationToken,
    second: CancellationToken,
}

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on. They no longer end the process by themselves.
    pub fn listen() -> std::io::Result<Self> {
        let interrupt = Self::default();
        let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .map(signal)
            .into_iter()
            .collect::<std::io::Result<Vec<_>>>()?;
        let heard = interrupt.clone();
        tokio::spawn(async move {
            loop {
                let next = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
                futures_util::future::select_all(next).await;
                heard.signalled();
            }
        });
        Ok(interrupt)
    }

    /// Takes note of a signal.
    pub fn signalled(&self) {
        if self.first.is_cancelled() {
            self.second.cancel();
        }
        self.first.cancel();
    }

    /// Whether the first signal came.
    pub fn happened(&self) -> bool {
        self.first.is_cancelled()
    }

    /// Cancelled by the first signal.
    pub fn token(&self) -> CancellationToken {
        self.first.clone()
    }

    /// Waits for the first signal.
    pub async fn wait(&self) {
        self.first.cancelled().await;
    }

    /// Waits for the second: the user does not want to wait for an orderly end.
    pub async fn wait_for_impatience(&self) {
        self.second.cancelled().await;
    }
}
