//! Answering one analyser.

use std::io::{Read, Write};
use std::ops::Range;
use std::thread;
use std::time::Instant;

use agentless_core::chain;
use agentless_core::fs::FileSystem;
use agentless_core::number::to_usize;
use agentless_core::report::StorageReport;
use agentless_core::source::{Archive, Disk, DiskState, Source};
use agentless_core::task::Task;
use agentless_core::volume::Volume;
use tracing::level_filters::LevelFilter;

use super::error::SandboxError;
use super::foreign::foreign;
use super::quota::Quota;
use super::{Job, Mode, Sandbox, directory};
use crate::confine::{Confinement, Role};
use crate::protocol::assembly::Assembly;
use crate::protocol::frame::{Connection, Frame, WireError};
use crate::protocol::message::{
    FromChild, LogLevel, Start, StartArchive, StartDisk, StartDiskState, StartSource, ToChild, VERSION,
};

/// Speaks with one analyser, from its first message to its last.
pub(crate) struct Server<'a, S: Read + Write> {
    sandbox: &'a Sandbox,
    connection: Connection<S>,
    started: Instant,
    quota: Quota,
    out: &'a mut dyn Write,
    /// What is sent to the analyser, kept so that each piece does not need memory of its own.
    piece: Vec<u8>,
    /// Bytes that it logged so far.
    logged: usize,
    /// Is told what of the analyser's confinement is in force.
    confined: Option<&'a dyn Fn(&Confinement)>,
}

impl<'a, S: Read + Write> Server<'a, S> {
    pub(crate) fn new(
        sandbox: &'a Sandbox,
        connection: Connection<S>,
        started: Instant,
        out: &'a mut dyn Write,
    ) -> Self {
        let quota = Quota::new(&sandbox.limits);
        Self { sandbox, connection, started, quota, out, piece: Vec::new(), logged: 0, confined: None }
    }

    /// With somebody who is told what of the analyser's confinement is in force.
    pub(super) fn watched(self, confined: &'a dyn Fn(&Confinement)) -> Self {
        Self { confined: Some(confined), ..self }
    }

    /// Gives the analyser its job and answers it until it has a report.
    pub(crate) fn serve(mut self, job: Job<'_>) -> Result<StorageReport, SandboxError> {
        self.wait_until_ready()?;
        let prints = matches!(job.task, Task::File(_));
        let mut assembly = Assembly::new(job.id, &job.source, &self.sandbox.limits);
        let start = Start {
            task: job.task,
            id: job.id.to_owned(),
            source: start_source(&job.source),
            limits: self.sandbox.limits.clone(),
            log: wanted_log(),
        };
        self.connection.send(&ToChild::Start(Box::new(start)))?;
        loop {
            match self.receive()? {
                Frame::Bytes(bytes) if prints => self.out.write_all(&bytes).map_err(SandboxError::Output)?,
                Frame::Bytes(_) => return Err(WireError::protocol("bytes that nobody asked for").into()),
                Frame::Message(message) => match message {
                    FromChild::Ready { .. } => return Err(WireError::protocol("a second beginning").into()),
                    FromChild::Read { volume, piece } => self.answer_read(&job.source, volume, piece)?,
                    FromChild::Prefetch { volume, pieces } => prefetch(&job.source, volume, &pieces)?,
                    FromChild::Directory(request) => {
                        let files = directory(&job.source)?;
                        directory::answer(files, request, &self.sandbox.limits, &mut self.connection)?;
                    }
                    FromChild::Log { level, text } => self.log(level, &text),
                    FromChild::Part(part) => assembly.add(part)?,
                    FromChild::Done => return Ok(assembly.finish()?),
                    FromChild::Failed { reason } => return Err(SandboxError::Task { reason }),
                },
            }
        }
    }

    /// Waits until the analyser has given up its power: no byte of the target reaches it before.
    fn wait_until_ready(&mut self) -> Result<(), SandboxError> {
        match self.receive()? {
            Frame::Message(FromChild::Ready { version: VERSION, confinement })
                if confinement.role == Role::Child =>
            {
                self.check(&confinement)
            }
            _ => Err(WireError::protocol("another beginning than an analyser's").into()),
        }
    }

    /// Decides whether what the system could take from the analyser is enough.
    fn check(&self, confinement: &Confinement) -> Result<(), SandboxError> {
        if !confinement.is_sufficient() && self.sandbox.mode == Mode::Required {
            let missing = confinement.missing_essentials().collect();
            return Err(SandboxError::Insufficient { missing });
        }
        for part in &confinement.parts {
            tracing::debug!(part = foreign(&part.to_string()), "the analyser's confinement");
        }
        if let Some(confined) = self.confined {
            confined(confinement);
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Frame<FromChild>, SandboxError> {
        let before = self.connection.received();
        let frame = self.connection.receive()?;
        let bytes = self.connection.received().saturating_sub(before);
        let wait = self.quota.spend(bytes, self.started.elapsed())?;
        if !wait.is_zero() {
            #[expect(
                clippy::disallowed_methods,
                reason = "this thread belongs to the analyser, which is to wait"
            )]
            thread::sleep(wait);
        }
        Ok(frame)
    }

    fn answer_read(&mut self, source: &Source<'_>, volume: u32, piece: u64) -> Result<(), SandboxError> {
        let volume = open_volume(source, volume)?;
        let length = u64::from(piece_size(volume));
        let offset = piece.checked_mul(length).filter(|&offset| offset < volume.size());
        let Some(offset) = offset else {
            let problem = format!("a request for piece {piece} of a volume of {} bytes", volume.size());
            return Err(WireError::protocol(problem).into());
        };
        let length = length.min(volume.size().saturating_sub(offset));
        self.piece.resize(to_usize(length), 0);
        let read = volume.read_at(offset, &mut self.piece);
        let sent = match read {
            Ok(()) if self.piece.iter().all(|&byte| byte == 0) => self.connection.send(&ToChild::Zeros),
            Ok(()) => self.connection.send_bytes(&self.piece),
            Err(error) => self.connection.send(&ToChild::Failed { reason: chain(&error) }),
        };
        Ok(sent?)
    }

    /// Logs what the analyser has to say, as long as there is room for it. The target says that it is foreign.
    fn log(&mut self, level: LogLevel, text: &str) {
        /// The most bytes that one analysis may add to a log, which somebody keeps. A scan has a thousandth of it to say.
        const MOST: usize = 16 << 20;
        /// Bytes that a line of a log has beside its text: lines without any fill a log too.
        const LINE: usize = 128;

        let text = foreign(text);
        let before = self.logged;
        self.logged = before.saturating_add(text.len()).saturating_add(LINE);
        match level {
            _ if before > MOST => {}
            _ if self.logged > MOST => {
                tracing::warn!(target: "analyser", "more than {MOST} bytes of log: the rest is left out");
            }
            LogLevel::Error => tracing::error!(target: "analyser", "{text}"),
            LogLevel::Warn => tracing::warn!(target: "analyser", "{text}"),
            LogLevel::Info => tracing::info!(target: "analyser", "{text}"),
            LogLevel::Debug => tracing::debug!(target: "analyser", "{text}"),
            LogLevel::Trace => tracing::trace!(target: "analyser", "{text}"),
        }
    }
}

impl From<WireError> for SandboxError {
    fn from(error: WireError) -> Self {
        Self::Protocol(error)
    }
}

/// The size of the pieces in which a volume is read, in bytes.
fn piece_size(volume: &dyn Volume) -> u32 {
    /// A quarter of a snapshot's block, which stays here when it was fetched: copying all of it for the few KiB that are
    /// wanted costs more than another message.
    const MOST: u32 = 128 << 10;

    volume.piece().clamp(512, MOST)
}

fn start_source(source: &Source<'_>) -> StartSource {
    match source {
        Source::Directory(directory) => StartSource::Directory(directory.root()),
        Source::Disks(disks) => StartSource::Disks(disks.iter().map(start_disk).collect()),
        Source::Function(archives) => StartSource::Function(archives.iter().map(start_archive).collect()),
    }
}

fn start_disk(disk: &Disk) -> StartDisk {
    StartDisk { id: disk.id.clone(), device: disk.device.clone(), state: start_state(&disk.state) }
}

fn start_archive(archive: &Archive) -> StartArchive {
    let Archive { id, place, format, state } = archive;
    StartArchive { id: id.clone(), place: *place, format: *format, state: start_state(state) }
}

fn start_state(state: &DiskState) -> StartDiskState {
    match state {
        DiskState::Open(volume) => StartDiskState::Open { size: volume.size(), piece: piece_size(volume) },
        DiskState::Empty { size } => StartDiskState::Empty { size: *size },
        DiskState::Unread { reason } => StartDiskState::Unread { reason: reason.clone() },
    }
}

/// The volume with this number, of those that the analyser was given.
fn open_volume<'a>(source: &Source<'a>, number: u32) -> Result<&'a dyn Volume, WireError> {
    let state = match source {
        Source::Disks(disks) => disks.get(to_usize(number)).map(|disk| &disk.state),
        Source::Function(archives) => archives.get(to_usize(number)).map(|archive| &archive.state),
        Source::Directory(_) => None,
    };
    match state {
        Some(DiskState::Open(volume)) => Ok(volume),
        _ => Err(WireError::protocol(format!("a request for volume {number}, which it was not given"))),
    }
}

fn directory<'a>(source: &'a Source<'_>) -> Result<&'a dyn FileSystem, WireError> {
    match source {
        Source::Directory(directory) => Ok(&**directory),
        Source::Disks(_) | Source::Function(_) => {
            Err(WireError::protocol("a request for a directory, which it was not given"))
        }
    }
}

/// Passes a hint on. One that makes no sense does nothing, as a hint may.
fn prefetch(source: &Source<'_>, volume: u32, pieces: &[Range<u64>]) -> Result<(), WireError> {
    let volume = open_volume(source, volume)?;
    let length = u64::from(piece_size(volume));
    let byte = |piece: u64| piece.saturating_mul(length).min(volume.size());
    let ranges: Vec<_> = pieces.iter().map(|pieces| byte(pieces.start)..byte(pieces.end)).collect();
    volume.prefetch(&ranges);
    Ok(())
}

/// What of the analyser's log anybody here wants.
fn wanted_log() -> Option<LogLevel> {
    LevelFilter::current().into_level().map(LogLevel::of)
}
