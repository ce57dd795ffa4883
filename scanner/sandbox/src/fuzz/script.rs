//! The other side of a connection, with all that it says written down before.

use std::io::{self, Cursor, Read, Write};

/// Says what is written down, whatever it is told.
#[derive(Debug)]
pub(super) struct Script(Cursor<Vec<u8>>);

impl Script {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(Cursor::new(bytes.to_vec()))
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
