//! Ending an analysis from outside.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Ends an analysis that another thread waits for.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    /// Our end of the socket, while an analyser runs.
    socket: Option<UnixStream>,
}

impl Stop {
    /// Ends the analysis, or the next one if none runs.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        if let Some(socket) = &state.socket {
            // Wakes up who waits for the analyser. It may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether the analysis was to end.
    pub fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// An analyser runs that speaks over `socket`.
    pub(super) fn watch(&self, socket: UnixStream) {
        let mut state = self.lock();
        if state.is_stopped {
            // As if it had been stopped right now.
            let _ = socket.shutdown(Shutdown::Both);
        }
        state.socket = Some(socket);
    }

    /// The analyser has ended.
    pub(super) fn forget(&self) {
        self.lock().socket = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
