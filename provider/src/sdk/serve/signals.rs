//! When to end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::sdk::server::Stop;

/// How often to look whether Terraform still lives.
const PARENT_INTERVAL: Duration = Duration::from_secs(1);

/// As a plug-in: Ctrl-C is for Terraform, which gets it at the same time and then asks the provider to stop; a provider
/// that ended by itself would take with it the state of what it is making. The order to terminate, and the end of
/// Terraform, stop what is under way and then the server.
pub(super) fn watch_as_plugin(stop: Arc<Stop>, shutdown: CancellationToken) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let parent = std::os::unix::process::parent_id();
    tokio::spawn(async move {
        let mut look = tokio::time::interval(PARENT_INTERVAL);
        loop {
            tokio::select! {
                _ = interrupt.recv() => tracing::debug!("left the interrupt to Terraform"),
                _ = terminate.recv() => break,
                _ = look.tick() => if std::os::unix::process::parent_id() != parent { break },
            }
        }
        tracing::info!("terminated, or Terraform is gone");
        stop.stop();
        shutdown.cancel();
    });
    Ok(())
}

/// Under a debugger: Ctrl-C is for the provider, as is the order to terminate.
pub(super) fn watch_in_debug(stop: Arc<Stop>, shutdown: CancellationToken) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.stop();
        shutdown.cancel();
    });
    Ok(())
}
