//! Descriptors that a process was left with.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use super::report::State;

/// The last of standard input, output and error.
const STANDARD: RawFd = 2;

/// Closes every descriptor but standard input, output and error, and looks whether there are others still.
///
/// Nothing else in the process may own one: it must have just started.
pub(super) fn close_others() -> State {
    match list() {
        Err(error) => State::missing(format!("listing the open descriptors: {error}")),
        Ok(open) => {
            for descriptor in open.into_iter().filter(|descriptor| *descriptor > STANDARD) {
                // The descriptor that listed them is closed already and among them; a second look shows any other failure.
                let _ = nix::unistd::close(descriptor);
            }
            check()
        }
    }
}

fn check() -> State {
    match list() {
        Err(error) => State::missing(format!("listing the open descriptors: {error}")),
        // The lowest number that is free is the one that the listing itself takes.
        Ok(open) => match open.into_iter().find(|descriptor| *descriptor > STANDARD.saturating_add(1)) {
            Some(descriptor) => State::missing(format!("descriptor {descriptor} is still open")),
            None => State::Enforced,
        },
    }
}

fn list() -> io::Result<Vec<RawFd>> {
    fs::read_dir("/proc/self/fd")?
        .map(|entry| {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            number.ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{} is no number", name.display()))
            })
        })
        .collect()
}
