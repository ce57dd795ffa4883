//! Frames: how bytes on the socket are divided.
//!
//! One byte that says what the frame holds, its length as 32 bits, little-endian, and as many bytes. A message is
//! `MessagePack`; bytes are bytes, so that a block of a disk is neither encoded nor decoded.

use std::io::{self, BufReader, IoSlice, Read, Write};

use agentless_core::number::{to_u64, to_usize};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes that a frame may have behind its head: twice a block of an EBS snapshot.
pub const MOST_BYTES: usize = 1 << 20;

const MESSAGE: u8 = 0;
const BYTES: u8 = 1;
/// The kind and the length.
const HEAD: usize = 5;

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<M> {
    /// A message.
    Message(M),
    /// Bytes that the message before them announced, or that are an answer by themselves.
    Bytes(Vec<u8>),
}

/// Why nothing more can be said over a connection.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side is gone.
    #[error("the connection was closed")]
    Closed,
    /// The socket fails, or the time is over.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// The other side does not keep to the protocol.
    #[error("the other process does not keep to the protocol: {problem}")]
    Protocol {
        /// What it did.
        problem: String,
    },
}

impl WireError {
    /// Something that the protocol does not allow.
    pub fn protocol(problem: impl Into<String>) -> Self {
        Self::Protocol { problem: problem.into() }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Closed
            }
            _ => Self::Io(error),
        }
    }
}

/// One end of a socket, divided into frames.
#[derive(Debug)]
pub struct Connection<S: Read + Write> {
    stream: BufReader<S>,
    received: u64,
}

impl<S: Read + Write> Connection<S> {
    /// Speaks over `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream), received: 0 }
    }

    /// How many bytes came so far, without the heads of their frames.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`WireError`] if it cannot be sent, or is larger than a frame.
    pub fn send(&mut self, message: &impl Serialize) -> Result<(), WireError> {
        let mut frame = vec![0; HEAD];
        rmp_serde::encode::write_named(&mut frame, message)
            .map_err(|error| WireError::protocol(format!("a message that cannot be written: {error}")))?;
        let length = frame.len().saturating_sub(HEAD);
        for (place, byte) in frame.iter_mut().zip(head(MESSAGE, length)?) {
            *place = byte;
        }
        Ok(self.stream.get_mut().write_all(&frame)?)
    }

    /// Sends bytes: at most [`MOST_BYTES`].
    ///
    /// # Errors
    ///
    /// [`WireError`] if they cannot be sent.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let head = head(BYTES, bytes.len())?;
        let stream = self.stream.get_mut();
        // Together: whoever waits is woken once.
        let sent = stream.write_vectored(&[IoSlice::new(&head), IoSlice::new(bytes)])?;
        stream.write_all(head.get(sent..).unwrap_or_default())?;
        Ok(stream.write_all(bytes.get(sent.saturating_sub(HEAD)..).unwrap_or_default())?)
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    ///
    /// [`WireError`] if there is none, or it is none.
    pub fn receive<M: DeserializeOwned>(&mut self) -> Result<Frame<M>, WireError> {
        let (kind, length) = self.receive_head()?;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        self.received = self.received.saturating_add(to_u64(length));
        match kind {
            MESSAGE => Ok(Frame::Message(decode(&payload)?)),
            BYTES => Ok(Frame::Bytes(payload)),
            _ => Err(WireError::protocol(format!("a frame of kind {kind}"))),
        }
    }

    fn receive_head(&mut self) -> Result<(u8, usize), WireError> {
        let mut head = [0; HEAD];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = to_usize(u32::from_le_bytes(length));
        if length > MOST_BYTES {
            return Err(WireError::protocol(format!(
                "a frame of {length} bytes, more than the {MOST_BYTES} that one may have"
            )));
        }
        Ok((kind, length))
    }
}

/// Reads a message that is all of `payload`.
///
/// # Errors
///
/// [`WireError::Protocol`] if it is none.
pub fn decode<M: DeserializeOwned>(payload: &[u8]) -> Result<M, WireError> {
    let mut decoder = rmp_serde::Deserializer::new(io::Cursor::new(payload));
    // The messages are a few levels deep. Against nesting that a parser follows until its stack ends.
    decoder.set_max_depth(32);
    let message = M::deserialize(&mut decoder)
        .map_err(|error| WireError::protocol(format!("a message that cannot be read: {error}")))?;
    let end = decoder.position();
    if end != to_u64(payload.len()) {
        return Err(WireError::protocol(format!(
            "{} bytes behind a message",
            to_u64(payload.len()).saturating_sub(end)
        )));
    }
    Ok(message)
}

fn head(kind: u8, length: usize) -> Result<[u8; HEAD], WireError> {
    let fits = u32::try_from(length).ok().filter(|_| length <= MOST_BYTES);
    let length = fits.ok_or_else(|| {
        WireError::protocol(format!(
            "a frame of {length} bytes, more than the {MOST_BYTES} that one may have"
        ))
    })?;
    let [a, b, c, d] = length.to_le_bytes();
    Ok([kind, a, b, c, d])
}
