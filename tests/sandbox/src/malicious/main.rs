//! An analyser that somebody took over.
//!
//! The scanner starts it as it starts the real one. It gives up its power by the product's own code, as the real one has
//! done when the first byte of a disk reaches it, takes its task, and then does the worst it can: the one attempt that the
//! id of the target names.
//!
//! The name of the program's file says where it differs before that: see [`beginning`].

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod beginning;
mod process;
mod report;
mod speech;
mod system;

use std::io::{self, Read, Write};
use std::process::ExitCode;

use agentless_sandbox::child;
use agentless_sandbox::protocol::frame::{Connection, Frame, WireError};
use agentless_sandbox::protocol::message::{FromChild, Start, ToChild};
use rustix::process::Pid;
use serde::Serialize;

fn main() -> ExitCode {
    let Some(limits) = child::wanted(std::env::args_os()) else { return ExitCode::from(2) };
    // Whom to attack could be guessed as well.
    let parent = rustix::process::getppid().unwrap();
    let mut connection = Connection::new(Socket);
    let first = beginning::first_message(&limits);
    connection.send(&first).unwrap();
    let Ok(Frame::Message(ToChild::Start(start))) = connection.receive() else { return ExitCode::FAILURE };

    let mut hijacked = Hijacked { connection, start, parent };
    let id = hijacked.start.id.clone();
    let (attempt, argument) = id.split_once(' ').unwrap_or((&id, ""));
    let said = system::attempt(attempt, argument, parent)
        .or_else(|| process::attempt(attempt))
        .or_else(|| report::attempt(attempt, &mut hijacked))
        .or_else(|| speech::attempt(attempt, &mut hijacked))
        .unwrap_or_else(|| format!("no such attempt: {attempt}"));
    // Nobody who was stopped comes here.
    hijacked.send(&FromChild::Failed { reason: said });
    hijacked.wait_for_the_end();
    ExitCode::SUCCESS
}

/// The socket to the scanner, where the real analyser has it.
#[derive(Debug)]
struct Socket;

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(rustix::stdio::stdin(), buffer)?)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stdin(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The process in the hands of whoever wrote the disk.
struct Hijacked {
    connection: Connection<Socket>,
    start: Box<Start>,
    parent: Pid,
}

impl Hijacked {
    /// Sends a message. Where the scanner no longer listens, the end comes with the next one that waits.
    fn send(&mut self, message: &impl Serialize) {
        let _ = self.connection.send(message);
    }

    fn receive(&mut self) -> Result<Frame<ToChild>, WireError> {
        self.connection.receive()
    }

    /// Listens until the scanner hangs up.
    fn wait_for_the_end(&mut self) {
        while self.receive().is_ok() {}
    }
}

/// Sends bytes as they are; whether somebody still takes them.
fn send_raw(bytes: &[u8]) -> bool {
    Socket.write_all(bytes).is_ok()
}

/// Sends a frame that may be none.
fn send_frame(kind: u8, payload: &[u8]) -> bool {
    let mut frame = vec![kind];
    frame.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    frame.extend(payload);
    send_raw(&frame)
}
