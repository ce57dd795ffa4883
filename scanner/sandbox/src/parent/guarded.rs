//! A socket that nobody can be kept waiting at.

use std::io::{self, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A socket whose reads and writes end at a point in time, however slowly the other side reads and writes.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: UnixStream,
    end: Instant,
    /// The socket's timeout, once it was set.
    timeout: Option<Duration>,
}

/// How long to wait at a time, until less is left: so the socket's timeout is set once and not for each message.
const WAIT: Duration = Duration::from_secs(1);

impl Guarded {
    pub(super) fn new(stream: UnixStream, end: Instant) -> Self {
        Self { stream, end, timeout: None }
    }

    /// Reads or writes, as often as the socket's timeout ends it before the time is over.
    fn until_end<T>(&mut self, mut act: impl FnMut(&mut UnixStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            // A timeout of zero would mean none.
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let timeout = Some(left.min(WAIT));
            if self.timeout != timeout {
                self.stream.set_read_timeout(timeout)?;
                self.stream.set_write_timeout(timeout)?;
                self.timeout = timeout;
            }
            match act(&mut self.stream) {
                // The operating system has two names for a timeout.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                done => return done,
            }
        }
    }
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.until_end(|stream| stream.read(buffer))
    }
}

impl Write for Guarded {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.until_end(|stream| stream.write(buffer))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.until_end(|stream| stream.write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_neither_writes_nor_reads_is_waited_for_until_the_end() {
        for wait in [Duration::from_millis(30), WAIT + Duration::from_millis(30)] {
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let end = Instant::now() + wait;
            let mut guarded = Guarded::new(ours, end);
            // Fills the socket first.
            let error = guarded.write_all(&vec![0; 1 << 24]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(Instant::now() >= end);
            assert_eq!(guarded.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let end = Instant::now() + Duration::from_millis(30);
        let error = Guarded::new(ours, end).read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(Instant::now() >= end);
    }
}
