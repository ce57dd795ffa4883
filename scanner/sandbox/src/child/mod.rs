//! The analyser's side: gives up its power, then asks for every byte that it reads.

mod directory;
pub(crate) mod link;
mod log;
mod volume;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use agentless_core::limits::Limits;
use agentless_core::number::{to_u64, to_usize};
use agentless_core::report::StorageReport;
use agentless_core::source::{Archive, Disk, DiskState, Source};
use agentless_core::task::Task;
use agentless_core::text;

use self::directory::RemoteDirectory;
use self::link::{Link, Output, Socket};
use self::volume::RemoteVolume;
use crate::confine::{self, ChildLimits, Confinement};
use crate::protocol::fit::fit;
use crate::protocol::frame::{Frame, WireError};
use crate::protocol::message::{
    FromChild, Start, StartArchive, StartDisk, StartDiskState, StartSource, ToChild, VERSION,
};
use crate::protocol::part::parts;

/// The first argument of a process that is to be an analyser.
pub const VERB: &str = "analyser-process";

/// What an analyser was asked for.
#[expect(missing_debug_implementations, reason = "a writer cannot be shown")]
pub struct Given<'a> {
    /// What is wanted.
    pub task: &'a Task,
    /// The id of the target.
    pub id: &'a str,
    /// Its disks or its directory.
    pub source: Source<'a>,
    /// What it may cost.
    pub limits: &'a Limits,
    /// Where to print a file.
    pub out: &'a mut dyn Write,
}

/// The arguments behind [`VERB`].
pub(crate) fn arguments(limits: ChildLimits) -> [String; 2] {
    [limits.memory.to_string(), limits.processor_seconds.to_string()]
}

/// What an analyser may use up, if the arguments of this process say that it is to be one.
pub fn wanted(arguments: impl IntoIterator<Item = OsString>) -> Option<ChildLimits> {
    let mut arguments = arguments.into_iter().skip(1);
    (arguments.next()? == VERB).then_some(())?;
    let mut number = || arguments.next()?.to_str()?.parse().ok();
    Some(ChildLimits { memory: number()?, processor_seconds: number()? })
}

/// Makes this process an analyser: gives up its power, and then does what it is told by `work`.
///
/// The process must have been started as one, and must not have done anything before. An error of `work` is what the user
/// is told instead of a report.
pub fn run<E: std::error::Error>(
    limits: ChildLimits,
    work: impl FnOnce(Given<'_>) -> Result<StorageReport, E>,
) -> ExitCode {
    // Before anything else: from here on, nothing of this process is worth taking over.
    let confinement = confine::child(&limits);
    log::limit_panics();
    let link = Arc::new(Link::new(Socket));
    let done = begin(&link, confinement).and_then(|start| {
        log::start(&link, start.log);
        perform(&link, &start, work)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever would be told is gone, or did not listen.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says what was given up, and waits for what to do.
pub(crate) fn begin(link: &Link, confinement: Confinement) -> Result<Start, WireError> {
    match link.ask(&FromChild::Ready { version: VERSION, confinement })? {
        Frame::Message(ToChild::Start(start)) => Ok(*start),
        _ => Err(WireError::protocol("another beginning than a scanner's")),
    }
}

/// Does it, and tells what came of it.
pub(crate) fn perform<E: std::error::Error>(
    link: &Arc<Link>,
    start: &Start,
    work: impl FnOnce(Given<'_>) -> Result<StorageReport, E>,
) -> Result<(), WireError> {
    let Start { task, id, source, limits, log: _ } = start;
    let (disks, archives);
    let source = match source {
        StartSource::Disks(list) => {
            disks = open(list, link, limits);
            Source::Disks(&disks)
        }
        StartSource::Function(list) => {
            archives = open_archives(list, link, limits);
            Source::Function(&archives)
        }
        StartSource::Directory(root) => {
            Source::Directory(Box::new(RemoteDirectory::new(Arc::clone(link), *root)))
        }
    };
    let mut out = Output::new(Arc::clone(link));
    let result = work(Given { task, id, source, limits, out: &mut out });
    match result {
        Ok(mut report) => {
            fit(&mut report, limits);
            for part in parts(report) {
                link.send(&FromChild::Part(part))?;
            }
            link.send(&FromChild::Done)
        }
        Err(error) => {
            let mut reason = agentless_core::chain(&error);
            text::cut(&mut reason, to_usize(limits.text_bytes));
            link.send(&FromChild::Failed { reason })
        }
    }
}

fn open(list: &[StartDisk], link: &Arc<Link>, limits: &Limits) -> Vec<Disk> {
    let states = open_states(list.iter().map(|disk| &disk.state), link, limits);
    let disk =
        |(disk, state): (&StartDisk, _)| Disk { id: disk.id.clone(), device: disk.device.clone(), state };
    list.iter().zip(states).map(disk).collect()
}

fn open_archives(list: &[StartArchive], link: &Arc<Link>, limits: &Limits) -> Vec<Archive> {
    let states = open_states(list.iter().map(|archive| &archive.state), link, limits);
    let archive = |(archive, state): (&StartArchive, _)| {
        let StartArchive { id, place, format, state: _ } = archive;
        Archive { id: id.clone(), place: *place, format: *format, state }
    };
    list.iter().zip(states).map(archive).collect()
}

/// What can be read of volumes, each of which is asked for by its place among them.
fn open_states<'a>(
    list: impl Iterator<Item = &'a StartDiskState> + Clone,
    link: &Arc<Link>,
    limits: &Limits,
) -> Vec<DiskState> {
    let open = list.clone().filter(|state| matches!(state, StartDiskState::Open { .. })).count();
    let memory = (limits.analyser_cache_bytes / to_u64(open).max(1), limits.hinted_blocks);
    let states = list.zip(0..).map(|(state, number)| match state {
        &StartDiskState::Open { size, piece } => {
            DiskState::Open(Arc::new(RemoteVolume::new(Arc::clone(link), number, (size, piece), memory)))
        }
        &StartDiskState::Empty { size } => DiskState::Empty { size },
        StartDiskState::Unread { reason } => DiskState::Unread { reason: reason.clone() },
    });
    states.collect()
}
