//! What this process logs, kept instead of written.

use std::io;
use std::sync::Mutex;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Keeps what is logged from here on, from warnings up.
pub fn start() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(|| Captured)
        .finish();
    // The first of several tests in a process starts it for all.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Takes what was logged so far.
pub fn take() -> Vec<u8> {
    std::mem::take(&mut *LOG.lock().unwrap())
}

struct Captured;

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
