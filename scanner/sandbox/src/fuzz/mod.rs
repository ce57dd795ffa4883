//! The bodies of the fuzz targets: one side of the protocol, with any bytes in the place of the other.

mod script;
pub(crate) mod target;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use agentless_core::fs::FileSystem;
use agentless_core::limits::Limits;
use agentless_core::report::StorageReport;
use agentless_core::source::{DiskState, Source};
use agentless_core::task::{FileAction, FileTask, Scope, Task, TreeChoice};

use self::script::Script;
use crate::child::link::Link;
use crate::child::{self, Given};
use crate::confine::{Confinement, Role};
use crate::parent::serve::Server;
use crate::parent::{Job, Mode, Program, Sandbox, SandboxError};
use crate::protocol::assembly::Assembly;
use crate::protocol::frame::{Connection, WireError};
use crate::protocol::part::parts;

/// Serves an analyser that says these bytes, as the scanner does: the first of them chooses what it is given, two disks, a
/// directory or a function, and whether it may print a file.
///
/// # Errors
///
/// [`SandboxError`] if this is no conversation with a report at its end.
///
/// # Panics
///
/// If a report was accepted that would not be accepted again, or that cannot be read.
pub fn from_analyser(encoded: &[u8]) -> Result<StorageReport, SandboxError> {
    let (choice, bytes) = encoded.split_first().unwrap_or((&0, &[]));
    let (disks, archives) = (target::disks(), target::archives());
    let source = || match choice & 5 {
        0 => Source::Disks(&disks),
        4 => Source::Function(&archives),
        _ => target::directory(),
    };
    let task = if choice & 2 == 0 { Task::Packages(Scope::default()) } else { print_a_file() };
    let program = Program::at("nothing is started");
    let sandbox = Sandbox { program, mode: Mode::BestEffort, limits: limits() };
    let mut out = io::sink();
    let server = Server::new(&sandbox, Connection::new(Script::new(bytes)), Instant::now(), &mut out);
    let report = server.serve(Job { task, id: "target", source: source() })?;
    check(&report, &source());
    Ok(report)
}

/// Analyses for a scanner that says these bytes, as the analyser does.
///
/// # Errors
///
/// [`WireError`] if this is no conversation that can come to its end.
pub fn to_analyser(bytes: &[u8]) -> Result<(), WireError> {
    let link = Arc::new(Link::new(Script::new(bytes)));
    let start = child::begin(&link, Confinement { role: Role::Child, parts: Vec::new() })?;
    child::perform(&link, &start, |given| {
        read(given);
        Ok::<_, Infallible>(StorageReport::default())
    })
}

/// Limits so small that whatever is accepted is read at once.
fn limits() -> Limits {
    Limits {
        devices: 8,
        filesystems: 8,
        systems: 4,
        mounts: 8,
        packages: 1000,
        notes: 1000,
        messages: 1000,
        ..Limits::default()
    }
}

fn print_a_file() -> Task {
    let tree = TreeChoice::System(1);
    Task::File(FileTask { action: FileAction::Content, path: b"/file".to_vec(), tree })
}

/// Reads a report that was accepted in all the ways there are.
fn check(report: &StorageReport, source: &Source<'_>) {
    let _ = report.unknowns();
    for index in 0..=report.filesystems.len() {
        let _ = report.place_of(index);
    }
    for index in 0..=report.devices.len() {
        let _ = (report.volumes_of(index), report.above(index).count());
    }
    let mut again = Assembly::new("target", source, &limits());
    let taken = parts(report.clone()).try_for_each(|part| again.add(part));
    assert!(taken.is_ok(), "{taken:?}");
    assert!(again.finish().is_ok_and(|again| again == *report));
}

/// A small analysis, which asks for everything that one can be asked for.
fn read(given: Given<'_>) {
    match given.source {
        Source::Disks(disks) => disks.iter().take(8).for_each(|disk| read_volume(&disk.state)),
        Source::Function(archives) => archives.iter().take(8).for_each(|archive| read_volume(&archive.state)),
        Source::Directory(directory) => read_directory(&*directory),
    }
    if matches!(given.task, Task::File(_)) {
        // Who does not listen ends the conversation elsewhere.
        let _ = given.out.write_all(b"content");
    }
}

fn read_volume(state: &DiskState) {
    let DiskState::Open(volume) = state else { return };
    volume.prefetch(&[0..1, 1..volume.size()]);
    let mut buffer = [0; 1000];
    for offset in [0, 1000, volume.size() / 2, volume.size().saturating_sub(1000)] {
        // What cannot be read is what is looked for.
        let _ = volume.read_at(offset, &mut buffer);
    }
}

fn read_directory(directory: &dyn FileSystem) {
    let (root, mut entries) = (directory.root(), Vec::new());
    let _ = directory.read_dir(root, &mut |entry| {
        entries.push((entry.name.to_vec(), entry.inode));
        if entries.len() < 8 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    for (name, inode) in entries {
        let _ = directory.lookup(root, &name);
        let _ = directory.stat(inode);
        let _ = directory.read_link(inode);
        let _ = directory.xattrs(inode, &mut |_| ControlFlow::Continue(()));
        let _ = directory.read(inode, 0, &mut [0; 1000]);
    }
}
