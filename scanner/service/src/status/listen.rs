//! The socket of the status interface: from systemd, or opened by the service.
//!
//! A unit with `StandardInput=socket` gives it as standard input, which has an owner and can be copied. One without gives it as a
//! number, by which it is only reached with a system call for debuggers (`pidfd_getfd`): systemd's `@system-service` does not
//! allow that.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::sockopt;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// There is no socket to answer on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// What systemd says of the sockets that it passes is not understood.
    #[error("the environment variables LISTEN_PID and LISTEN_FDS, as systemd sets them, cannot be read")]
    Environment(#[source] io::Error),
    /// A socket that was passed cannot be taken.
    #[error(
        "the socket that systemd passed cannot be taken (file descriptor {descriptor}): set StandardInput=socket in the .service unit"
    )]
    Take {
        /// Which.
        descriptor: i32,
        /// Why.
        source: io::Error,
    },
    /// There are more sockets than one.
    #[error(
        "systemd passed {count} sockets, and the status interface has one: leave one ListenStream= in the .socket unit"
    )]
    Several {
        /// How many.
        count: usize,
    },
    /// A socket that was passed is not one to listen on.
    #[error(
        "what systemd passed is not a TCP socket that listens: the .socket unit needs ListenStream=127.0.0.1:5009"
    )]
    NotListening,
    /// A socket that was passed can be reached from outside.
    #[error(
        "systemd passed a socket on {address}, and the status interface is on loopback only: the .socket unit needs ListenStream=127.0.0.1:5009"
    )]
    Outside {
        /// Where it is.
        address: SocketAddr,
    },
    /// The port cannot be opened.
    #[error(
        "the status interface cannot listen on {address}: choose another status.port, or switch it off with status.enabled: false"
    )]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The socket that systemd passed, if it did.
///
/// To be called once, before the process confines itself. The copy that it makes, and the original, are closed in every
/// process that is started from here.
pub fn passed() -> Result<Option<TcpListener>, ListenError> {
    // This also has them closed in other processes.
    let mut descriptors = sd_notify::listen_fds().map_err(ListenError::Environment)?;
    if let Some(socket) = standard_input(io::stdin())? {
        return Ok(Some(socket));
    }
    match (descriptors.next(), descriptors.len()) {
        (None, _) => Ok(None),
        (Some(descriptor), 0) => {
            let socket = take(descriptor).map_err(|source| ListenError::Take { descriptor, source })?;
            checked(socket).map(Some)
        }
        (Some(_), others) => Err(ListenError::Several { count: others.saturating_add(1) }),
    }
}

/// Opens a port on loopback; any free one for 0.
pub fn bind(port: u16) -> Result<TcpListener, ListenError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).map_err(|source| ListenError::Bind { address, source })
}

/// The socket, if this is one to listen on.
fn standard_input(stdin: impl AsFd) -> Result<Option<TcpListener>, ListenError> {
    if !is_listening(&stdin) {
        return Ok(None);
    }
    let socket = stdin.as_fd().try_clone_to_owned();
    checked(socket.map_err(|source| ListenError::Take { descriptor: 0, source })?).map(Some)
}

/// A descriptor that is only known by its number.
///
/// Nothing says that the number is nobody else's, so owning it would need unsafe code. A copy, made by the kernel, is ours.
fn take(descriptor: i32) -> io::Result<OwnedFd> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(this, descriptor, PidfdGetfdFlags::empty())?)
}

/// Whether somebody may connect to this. What is no socket is not listening either.
fn is_listening(socket: impl AsFd) -> bool {
    sockopt::socket_acceptconn(socket).unwrap_or(false)
}

fn checked(socket: OwnedFd) -> Result<TcpListener, ListenError> {
    if !is_listening(&socket) {
        return Err(ListenError::NotListening);
    }
    let listener = TcpListener::from(socket);
    // One of another family has no such address.
    let address = listener.local_addr().map_err(|_| ListenError::NotListening)?;
    if !address.ip().is_loopback() {
        return Err(ListenError::Outside { address });
    }
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_socket_is_taken_by_its_number() {
        let original = bind(0).unwrap();
        let address = original.local_addr().unwrap();
        let taken = checked(take(original.as_raw_fd()).unwrap()).unwrap();
        drop(original);
        assert_eq!(taken.local_addr().unwrap(), address);
        let _client = std::net::TcpStream::connect(address).unwrap();
        taken.accept().unwrap();
        assert!(rustix::io::fcntl_getfd(&taken).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert!(take(1_000_000).is_err());
    }

    #[test]
    fn a_socket_may_be_standard_input() {
        let original = bind(0).unwrap();
        let taken = standard_input(&original).unwrap().unwrap();
        assert_eq!(taken.local_addr().unwrap(), original.local_addr().unwrap());
        assert!(standard_input(std::fs::File::open("/dev/null").unwrap()).unwrap().is_none());
        let outside = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        assert!(matches!(standard_input(outside).unwrap_err(), ListenError::Outside { .. }));
    }

    #[test]
    fn only_loopback_will_do() {
        let outside = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let error = checked(outside.into()).unwrap_err();
        assert!(matches!(error, ListenError::Outside { .. }), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
        assert!(matches!(checked(unix.into()).unwrap_err(), ListenError::NotListening));
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(matches!(checked(file.into()).unwrap_err(), ListenError::NotListening));
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = bind(0).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(bind(port).unwrap_err().to_string().contains(&format!("127.0.0.1:{port}")));
    }

    #[test]
    fn without_systemd_there_is_none() {
        assert!(passed().unwrap().is_none());
    }
}
