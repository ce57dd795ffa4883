//! What it says to the scanner beside its report, and when.

use std::collections::BTreeMap;
use std::ops::Range;

use agentless_core::fs::Inode;
use agentless_sandbox::confine::{Confinement, Role};
use agentless_sandbox::protocol::frame::Frame;
use agentless_sandbox::protocol::message::{
    DirectoryAnswer, DirectoryRequest, FromChild, LogLevel, StartSource, ToChild, VERSION,
};

use super::{Hijacked, send_frame, send_raw};

/// What clears a terminal, changes its title, and turns the direction of writing.
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}";

/// Makes an attempt; nothing if this is not one of them. What is said stands for the refusal, which did not come.
pub(super) fn attempt(attempt: &str, hijacked: &mut Hijacked) -> Option<String> {
    let read = FromChild::Read { volume: 0, piece: 0 };
    match attempt {
        "silent" => hijacked.wait_for_the_end(),
        "silent-after-a-read" => hijacked.send(&read),
        "never-reading" => loop {
            hijacked.send(&read);
        },
        "drip" => {
            let log = FromChild::Log { level: LogLevel::Trace, text: "drop".to_owned() };
            let message = rmp_serde::to_vec(&log).unwrap();
            let length = u8::try_from(message.len()).unwrap();
            let frame = [&[0, length, 0, 0, 0], message.as_slice()].concat();
            for byte in frame.iter().cycle() {
                if !send_raw(&[*byte]) {
                    break;
                }
            }
        }
        "endless-reads" => {
            for piece in (0..8).cycle() {
                hijacked.send(&FromChild::Read { volume: 0, piece });
                if hijacked.receive().is_err() {
                    break;
                }
            }
        }
        "volume-not-given" => hijacked.send(&FromChild::Read { volume: 2, piece: 0 }),
        "volume-not-open" => hijacked.send(&FromChild::Read { volume: 1, piece: 0 }),
        "piece-beyond-the-end" => hijacked.send(&FromChild::Read { volume: 0, piece: 9 }),
        "piece-beyond-numbers" => hijacked.send(&FromChild::Read { volume: 0, piece: u64::MAX }),
        "directory" => hijacked.send(&FromChild::Directory(DirectoryRequest::Entries(Inode(0)))),
        "descriptors" => {
            // To close one is to know of it.
            let open = (3..1024).find(|&number| nix::unistd::close(number).is_ok());
            if let Some(number) = open {
                return Some(format!("descriptor {number} was open"));
            }
            hijacked.report_honestly();
        }
        "environment-by-the-scanner" => return Some(hijacked.look_at_environment()),
        "absurd-hints" => {
            // The end before the start, too.
            let absurd = [(u64::MAX - 1, u64::MAX), (u64::MAX, 0), (7, 3)];
            let mut pieces: Vec<_> = absurd.map(|(start, end)| Range { start, end }).into();
            pieces.resize(8_000, 0..u64::MAX);
            for _ in 0..5 {
                hijacked.send(&FromChild::Prefetch { volume: 0, pieces: pieces.clone() });
            }
            hijacked.report_honestly();
        }
        "hints-not-given" => {
            hijacked.send(&FromChild::Prefetch { volume: 3, pieces: vec![0..1, 1..2] });
        }
        "huge-frame" => drop(send_raw(&[0, 0xff, 0xff, 0xff, 0xff])),
        "kind-of-frame" => drop(send_frame(9, &[])),
        "unknown-message" => {
            hijacked.send(&BTreeMap::from([(format!("{ESCAPES}{}", "x".repeat(200_000)), 1)]));
        }
        "nested-message" => drop(send_frame(0, &vec![0x91; 250_000])),
        "ready-again" => {
            let confinement = Confinement { role: Role::Child, parts: Vec::new() };
            hijacked.send(&FromChild::Ready { version: VERSION, confinement });
        }
        "bytes" => drop(send_frame(1, ESCAPES.as_bytes())),
        "print" => {
            send_frame(1, ESCAPES.as_bytes());
            hijacked.report_honestly();
        }
        "log-escapes" => {
            hijacked.send(&FromChild::Log { level: LogLevel::Error, text: ESCAPES.to_owned() });
            hijacked.report_honestly();
        }
        "log-flood" => {
            let text = format!("flood{}", "x".repeat(100_000));
            let message = rmp_serde::to_vec(&FromChild::Log { level: LogLevel::Error, text }).unwrap();
            while send_frame(0, &message) {}
        }
        "reason" => {
            let reason = format!("{ESCAPES}{}", "x".repeat(200_000));
            hijacked.send(&FromChild::Failed { reason });
        }
        _ => return None,
    }
    hijacked.wait_for_the_end();
    Some("it was let go on".to_owned())
}

impl Hijacked {
    /// Has the scanner read its own environment, as a file of the directory that it was asked to scan.
    fn look_at_environment(&mut self) -> String {
        let mut here = match self.start.source {
            StartSource::Directory(root) => root,
            StartSource::Disks(_) | StartSource::Function(_) => return "no directory".to_owned(),
        };
        for name in ["proc", &self.parent.to_string(), "environ"] {
            self.send(&FromChild::Directory(DirectoryRequest::Lookup(here, name.into())));
            match self.receive() {
                Ok(Frame::Message(ToChild::Directory(DirectoryAnswer::Found(Some(found))))) => here = found,
                Ok(Frame::Message(ToChild::Directory(DirectoryAnswer::Found(None)))) => {
                    return format!("there is no {name}");
                }
                answer => return format!("{answer:?}"),
            }
        }
        self.send(&FromChild::Directory(DirectoryRequest::Read { inode: here, offset: 0, length: 4096 }));
        format!("read: {:?}", self.receive())
    }
}
