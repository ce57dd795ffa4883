//! Frames: how bytes on the socket are divided.
//!
//! One byte that says what the frame holds, its length as 32 bits, little-endian, and as many bytes. A message is
//! `MessagePack`; bytes are bytes, so that a block of a disk is neither encoded nor decoded.

use std::io::{self, BufReader, IoSlice, Read, Write};

use agentless_core::number::{to_u64, to_usize};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes that a frame of bytes may have behind its head: twice a block of an EBS snapshot.
pub const MOST_BYTES: usize = 1 << 20;
/// The most bytes that a message may have. What a message becomes in memory can be some sixty times larger, as an empty
/// text is one byte of a message and 24 of memory.
pub const MOST_MESSAGE_BYTES: usize = 256 << 10;

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

    /// What it speaks over.
    #[cfg(test)]
    pub(crate) fn into_inner(self) -> S {
        self.stream.into_inner()
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
        if kind == MESSAGE { Ok(Frame::Message(decode(&payload)?)) } else { Ok(Frame::Bytes(payload)) }
    }

    fn receive_head(&mut self) -> Result<(u8, usize), WireError> {
        let mut head = [0; HEAD];
        self.stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = to_usize(u32::from_le_bytes(length));
        check_length(kind, length)?;
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
    check_length(kind, length)?;
    let length = u32::try_from(length).map_err(|_| too_long(length, MOST_BYTES))?;
    let [a, b, c, d] = length.to_le_bytes();
    Ok([kind, a, b, c, d])
}

/// Checks the kind and the length of a frame, before there is memory for it.
fn check_length(kind: u8, length: usize) -> Result<(), WireError> {
    let most = match kind {
        MESSAGE => MOST_MESSAGE_BYTES,
        BYTES => MOST_BYTES,
        _ => return Err(WireError::protocol(format!("a frame of kind {kind}"))),
    };
    if length > most { Err(too_long(length, most)) } else { Ok(()) }
}

fn too_long(length: usize, most: usize) -> WireError {
    WireError::protocol(format!("a frame of {length} bytes, more than the {most} that one may have"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::message::{DirectoryAnswer, FromChild, LogLevel, ToChild};
    use super::*;

    /// What is heard when these bytes are all that comes.
    fn hear(bytes: &[u8]) -> Result<Frame<FromChild>, WireError> {
        Connection::new(Cursor::new(bytes.to_vec())).receive()
    }

    fn problem(bytes: &[u8]) -> String {
        match hear(bytes).unwrap_err() {
            WireError::Protocol { problem } => problem,
            other => panic!("{other:?}"),
        }
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        [&[kind], &length[..], payload].concat()
    }

    #[test]
    fn messages_and_bytes_come_as_they_were_sent() {
        let mut wire = Connection::new(Cursor::new(Vec::new()));
        let message = FromChild::Log { level: LogLevel::Info, text: "é".to_owned() };
        wire.send(&message).unwrap();
        wire.send_bytes(&vec![0; MOST_BYTES]).unwrap();
        wire.send(&FromChild::Done).unwrap();
        let mut wire = Connection::new(Cursor::new(wire.into_inner().into_inner()));
        assert_eq!(wire.receive::<FromChild>().unwrap(), Frame::Message(message));
        assert_eq!(wire.receive::<FromChild>().unwrap(), Frame::Bytes(vec![0; MOST_BYTES]));
        let before = wire.received();
        assert_eq!(wire.receive::<FromChild>().unwrap(), Frame::Message(FromChild::Done));
        assert_eq!(wire.received() - before, 5);
        assert!(matches!(wire.receive::<FromChild>(), Err(WireError::Closed)));
    }

    #[test]
    fn a_frame_that_ends_early_is_a_closed_connection() {
        let whole = frame(BYTES, b"bytes");
        for end in 0..whole.len() {
            assert!(matches!(hear(&whole[..end]), Err(WireError::Closed)), "{end}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_head_alone_and_not_sent() {
        let head = |kind, length: usize| {
            let length = u32::try_from(length).unwrap().to_le_bytes();
            [&[kind], &length[..]].concat()
        };
        let too_long =
            |length, most| format!("a frame of {length} bytes, more than the {most} that one may have");
        for (kind, most) in [(MESSAGE, MOST_MESSAGE_BYTES), (BYTES, MOST_BYTES)] {
            assert_eq!(problem(&head(kind, most + 1)), too_long(most + 1, most));
            let all = usize::try_from(u32::MAX).unwrap();
            assert_eq!(problem(&head(kind, all)), too_long(all, most));
            assert!(matches!(hear(&head(kind, most)), Err(WireError::Closed)));
        }
        let mut wire = Connection::new(Cursor::new(Vec::new()));
        assert!(wire.send_bytes(&vec![0; MOST_BYTES + 1]).is_err());
        assert!(wire.send(&FromChild::Failed { reason: "r".repeat(MOST_MESSAGE_BYTES) }).is_err());
        assert!(wire.into_inner().into_inner().is_empty(), "nothing is sent of what is refused");
    }

    #[test]
    fn a_frame_of_another_kind_is_refused() {
        assert_eq!(problem(&frame(2, b"")), "a frame of kind 2");
        assert_eq!(problem(b"HTTP/1.1 400"), "a frame of kind 72");
    }

    #[test]
    fn a_message_is_all_of_its_frame() {
        let done = rmp_serde::to_vec_named(&FromChild::Done).unwrap();
        assert_eq!(hear(&frame(MESSAGE, &done)).unwrap(), Frame::Message(FromChild::Done));
        assert_eq!(problem(&frame(MESSAGE, &[&done[..], &[0xc0; 3]].concat())), "3 bytes behind a message");
        for bad in [&done[..2], b"", b"\xc1", b"\xa4None", b"\x82\xa4Done\xc0\xa4Done\xc0"] {
            let problem = problem(&frame(MESSAGE, bad));
            assert!(problem.starts_with("a message that cannot be read: "), "{problem}");
        }
    }

    /// Lists in lists, for which the reader of a message would go down until its stack ends.
    #[test]
    fn deep_nesting_is_refused() {
        let lists = vec![0x91; MOST_MESSAGE_BYTES - 100];
        // {"Part": {"Devices": [[name, {"is": "disk", "x": [[[[…
        let head = b"\x81\xa4Part\x81\xa7Devices\x91\x99\xa0\x82\xa2is\xa4disk\xa1x";
        let devices = [&head[..], &lists].concat();
        for payload in [lists, devices] {
            let problem = problem(&frame(MESSAGE, &payload));
            assert!(problem.starts_with("a message that cannot be read: "), "{problem}");
        }
    }

    #[test]
    fn names_that_are_no_text_come_as_they_were_sent() {
        let answer = ToChild::Directory(DirectoryAnswer::Link((0..=255).collect()));
        let payload = rmp_serde::to_vec_named(&answer).unwrap();
        assert_eq!(decode::<ToChild>(&payload).unwrap(), answer);
    }
}
