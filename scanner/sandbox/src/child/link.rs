//! The one connection of an analyser.

use std::fmt::Debug;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::frame::{Connection, Frame, MOST_BYTES, WireError};
use crate::protocol::message::{FromChild, ToChild};

/// The socket that the process was started with, in the place of standard input. It is used under its number: there is no
/// room for a second one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket;

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdin(), bytes)?)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(rustix::stdio::stdin(), parts)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a connection goes over: the socket, or what stands for it in a test.
pub(crate) trait Stream: Read + Write + Debug + Send {}

impl<S: Read + Write + Debug + Send> Stream for S {}

/// The connection, for all that read through it.
#[derive(Debug)]
pub(crate) struct Link(Mutex<Connection<Box<dyn Stream>>>);

impl Link {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self(Mutex::new(Connection::new(Box::new(stream))))
    }

    /// Says something that has no answer.
    pub(super) fn send(&self, message: &FromChild) -> Result<(), WireError> {
        self.lock().send(message)
    }

    /// Says something that has no answer, unless an answer is waited for right now.
    pub(super) fn try_send(&self, message: &FromChild) {
        if let Ok(mut connection) = self.0.try_lock() {
            // A log that nobody takes is no reason to end.
            let _ = connection.send(message);
        }
    }

    /// Asks for something.
    pub(super) fn ask(&self, message: &FromChild) -> Result<Frame<ToChild>, WireError> {
        let mut connection = self.lock();
        connection.send(message)?;
        connection.receive()
    }

    /// Waits for a further part of an answer.
    pub(super) fn more(&self) -> Result<Frame<ToChild>, WireError> {
        self.lock().receive()
    }

    fn send_bytes(&self, bytes: &[u8]) -> Result<(), WireError> {
        self.lock().send_bytes(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Connection<Box<dyn Stream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is printed of a file.
#[derive(Debug)]
pub(super) struct Output(Arc<Link>);

impl Output {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self(link)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = bytes.get(..MOST_BYTES).unwrap_or(bytes);
        self.0.send_bytes(part).map_err(io::Error::other)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
