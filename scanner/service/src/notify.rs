//! What systemd is told: that the service is ready, what it does, that it stops, and that it is alive.
//!
//! The crate `sd-notify` knows the messages. They are sent from here, to an address that is looked up once: nothing
//! changes the environment, and a test listens without doing so either.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

/// The service manager, if there is one.
///
/// Nothing of it fails: a service that cannot tell how it is still works, and the log says so.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// The one that the environment names. Nobody is told anything where it names none.
    pub fn from_env() -> Self {
        let watchdog = sd_notify::watchdog_enabled();
        match env::var_os("NOTIFY_SOCKET").map(|name| Self::new(&name, watchdog)) {
            Some(Ok(notifier)) => notifier,
            Some(Err(error)) => {
                warn!(%error, "systemd cannot be told that the service is ready");
                Self::default()
            }
            None => Self::default(),
        }
    }

    /// The one that listens at a path or, after `@`, under a name.
    fn new(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes().split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not read must not hold up the service.
        socket.set_nonblocking(true)?;
        Ok(Self { to: Some((socket, address)), watchdog })
    }

    /// The service takes work.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
    }

    /// What the service does, in one line.
    pub fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(&line(status))]);
    }

    /// The configuration is read again. [`ready`](Self::ready) ends that.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => debug!(%error, "systemd was not told of the reload"),
        }
    }

    /// The service stops, and needs at most as long.
    pub fn stopping(&self, within: Duration) {
        // The unit's own limit is for a service that has nothing to finish.
        let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
        self.send(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(within),
            NotifyState::Status("finishing, delivering and cleaning up"),
        ]);
    }

    /// Says that the service is alive for as long as it is, at least twice in the time that the unit's watchdog leaves.
    ///
    /// Never returns; ends at once where there is no watchdog. To be spawned, so that it depends on `is_alive` alone.
    pub async fn watch(&self, is_alive: impl Fn() -> bool) {
        let Some(watchdog) = self.watchdog.filter(|watchdog| !watchdog.is_zero()) else { return };
        let mut ticks = tokio::time::interval((watchdog / 3).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_alive = true;
        loop {
            ticks.tick().await;
            let is_alive = is_alive();
            if is_alive {
                self.send(&[NotifyState::Watchdog]);
            } else if was_alive {
                warn!("the main loop does not move; systemd restarts the service if it stays so");
            }
            was_alive = is_alive;
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some((socket, address)) = &self.to else { return };
        let lines: Vec<_> = states.iter().map(ToString::to_string).collect();
        let message = format!("{}\n", lines.join("\n"));
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            debug!(%error, "systemd was not told");
        }
    }
}

/// One line: what follows another would be another message.
fn line(status: &str) -> String {
    status.chars().map(|character| if character.is_control() { ' ' } else { character }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// What systemd would read, and the directory of its socket.
    struct Systemd {
        socket: UnixDatagram,
        _directory: tempfile::TempDir,
    }

    impl Systemd {
        fn new(watchdog: Option<Duration>) -> (Self, Notifier) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            let notifier = Notifier::new(path.as_os_str(), watchdog).unwrap();
            (Self { socket, _directory: directory }, notifier)
        }

        fn read(&self) -> Option<String> {
            let mut message = [0; 4_096];
            let length = self.socket.recv(&mut message).ok()?;
            Some(String::from_utf8(message[..length].to_vec()).unwrap())
        }
    }

    #[test]
    fn states_are_told() {
        let (systemd, notifier) = Systemd::new(None);
        notifier.ready("12 targets");
        assert_eq!(systemd.read().unwrap(), "READY=1\nSTATUS=12 targets\n");
        notifier.status("reading\nWATCHDOG=trigger");
        assert_eq!(systemd.read().unwrap(), "STATUS=reading WATCHDOG=trigger\n");
        notifier.reloading();
        assert!(systemd.read().unwrap().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        notifier.stopping(Duration::from_secs(90));
        assert!(systemd.read().unwrap().starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000\n"));
        drop(systemd);
        notifier.status("nobody listens");
    }

    #[test]
    fn abstract_names_are_names() {
        let name = format!("@agentless-test-{}", uuid::Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Notifier::new(name.as_ref(), None).unwrap().status("here");
        let mut message = [0; 64];
        assert_eq!(socket.recv(&mut message).unwrap(), "STATUS=here\n".len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watchdog_hears_of_the_living_only() {
        let (systemd, notifier) = Systemd::new(Some(Duration::from_secs(30)));
        let is_alive = AtomicBool::new(true);
        let watch = notifier.watch(|| is_alive.load(Ordering::Relaxed));
        let story = async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            let heard = std::iter::from_fn(|| systemd.read()).collect::<Vec<_>>();
            assert_eq!(heard, ["WATCHDOG=1\n"; 3]);
            is_alive.store(false, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(systemd.read(), None);
            is_alive.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(systemd.read().unwrap(), "WATCHDOG=1\n");
        };
        tokio::select! {
            () = watch => panic!("the watch ended"),
            () = story => {}
        }
    }

    #[tokio::test]
    async fn without_systemd_nothing_happens() {
        let nobody = Notifier::default();
        nobody.ready("ready");
        nobody.watch(|| true).await;
    }
}
