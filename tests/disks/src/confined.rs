//! What an analyser does in the benchmark of the sandbox: what the scanner's does, and works that no scan needs yet.

use std::rc::Rc;

use agentless_analyser::analyse;
use agentless_analyser::files::FileError;
use agentless_analyser::fs;
use agentless_core::report::{StorageReport, VolumeReport, VolumeState};
use agentless_core::source::{DiskState, Source};
use agentless_core::task::{FileAction, FileTask, Task, TreeChoice};
use agentless_sandbox::child::Given;

use crate::work::Work;

/// Asks for a work in the only task that may print something: a file, of a path that no file has.
pub fn task(work: Work) -> Task {
    let path = work.title().as_bytes().to_vec();
    Task::File(FileTask { action: FileAction::Content, path, tree: TreeChoice::System(0) })
}

/// Does what is asked. Of a work that is the one of [`task`], what was seen is printed.
///
/// # Errors
///
/// Those of a scan; a work that fails is a panic.
pub fn perform(given: Given<'_>) -> Result<StorageReport, FileError> {
    let Some(work) = Work::ALL.into_iter().find(|&work| *given.task == task(work)) else {
        return analyse::perform(given.task, given.id, given.source, given.limits, given.out);
    };
    let file_system = match given.source {
        Source::Directory(directory) => directory,
        Source::Disks(disks) => match &disks[0].state {
            DiskState::Open(volume) => fs::open(volume.clone(), given.limits).unwrap(),
            state => panic!("{state:?}"),
        },
        Source::Function(archives) => panic!("{archives:?}"),
    };
    write!(given.out, "{:?}", work.by_us(Rc::from(file_system))).unwrap();
    // One that is about the disk or the directory that was given, as it must be.
    let volume = VolumeReport { id: given.id.to_owned(), device: None, size: None, state: VolumeState::Read };
    Ok(StorageReport { volumes: vec![volume], ..StorageReport::default() })
}
