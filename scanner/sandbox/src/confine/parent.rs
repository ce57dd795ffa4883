//! The confinement of the process that holds credentials.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::set_no_new_privs;

use super::evidence::{self, Evidence};
use super::landlock::Allowed;
use super::report::{Confinement, Protection, Role, State};
use super::rights::{ConfineError, ParentRights};
use super::{elf, limits};

/// The running program, whatever has become of its path since.
const PROGRAM: &str = "/proc/self/exe";

/// Confines the calling process and all that it starts, for good: files are changed only where `rights` says, no program is
/// executed but its own, nothing gains privileges, and nobody else reads its memory, dumped or alive. Reading files and
/// using the network stay.
///
/// It must be called before the process has a second thread, because Landlock binds the calling thread and those that it
/// starts. The process executes itself as `/proc/self/exe`, which stays the same file when the program is replaced by a
/// newer one.
///
/// # What is left open
///
/// A dynamically linked program is started by way of its interpreter, `ld.so`, so the kernel must be allowed to execute that
/// too, and `ld.so` starts any program that can be read, given as its argument. A statically linked program, as with musl,
/// has no such hole. Code that is loaded into the process itself runs: this part makes it harder to use the tools that a
/// machine has, not to compute. Whatever is executed is bound by the rest.
pub fn parent(rights: &ParentRights) -> Result<Confinement, ConfineError> {
    let mut confinement = Confinement::new(Role::Parent);
    let evidence = Evidence::open();
    let writes = writable(rights)?;

    limits::apply(&[limits::NO_CORE], &mut confinement);
    confinement
        .record(Protection::NoNewPrivileges, State::of("giving up privileges", set_no_new_privs(true)));
    let executes = executable(rights, &mut confinement);
    super::landlock::parent(Allowed { writes, executes }, &mut confinement);
    if confinement.state(Protection::Filesystem).is_some_and(State::is_in_force) {
        confinement.record(Protection::Filesystem, write_is_refused());
    }
    if !rights.executes_others {
        // What others need is not known.
        confinement.record(Protection::SystemCalls, super::refused::restrict());
    }
    // After that check, since this alone takes an ordinary user's own /proc from it.
    let outcome = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    confinement.record(Protection::Inspection, State::of("forbidding inspection", outcome));

    evidence::check(evidence, &[limits::NO_CORE], &mut confinement);
    Ok(confinement)
}

fn writable(rights: &ParentRights) -> Result<Vec<OwnedFd>, ConfineError> {
    /// Where processes that are started write what nobody reads.
    const NOWHERE: &str = "/dev/null";

    let mut writes = Vec::new();
    for path in &rights.writes {
        writes.push(open(path).map_err(|source| ConfineError::Path { path: path.clone(), source })?);
    }
    // A system without it has nobody who opens it.
    writes.extend(open(Path::new(NOWHERE)));
    Ok(writes)
}

/// The files that may be executed, which are all if there are no such files.
fn executable(rights: &ParentRights, confinement: &mut Confinement) -> Option<Vec<OwnedFd>> {
    if rights.executes_others {
        let reason = "other programs may be executed, as the configuration asks for";
        confinement.record(Protection::Execution, State::missing(reason));
        return None;
    }
    match own_program() {
        Ok(Program { file, interpreter: None }) => Some(vec![file]),
        Ok(Program { file, interpreter: Some((path, interpreter)) }) => {
            let gap = format!(
                "the program is linked dynamically, so that {} must be executable, which can start other programs",
                path.display()
            );
            confinement.record(Protection::Execution, State::Partial { gap });
            Some(vec![file, interpreter])
        }
        Err(error) => {
            let reason = format!("finding out what the program itself needs: {error}");
            confinement.record(Protection::Execution, State::missing(reason));
            None
        }
    }
}

/// The running program and, if it is dynamically linked, its interpreter.
#[derive(Debug)]
struct Program {
    file: OwnedFd,
    interpreter: Option<(PathBuf, OwnedFd)>,
}

fn own_program() -> io::Result<Program> {
    let interpreter = match elf::interpreter(&File::open(PROGRAM)?)? {
        None => None,
        Some(path) => Some((path.clone(), open(&path)?)),
    };
    Ok(Program { file: open(Path::new(PROGRAM))?, interpreter })
}

/// A descriptor that names a file and gives no right to it.
fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a file of the process itself for writing, one that it may write to, and writes nothing.
fn write_is_refused() -> State {
    match OpenOptions::new().write(true).open("/proc/self/comm") {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => State::Enforced,
        Err(error) => {
            State::missing(format!("opening a file for writing failed otherwise than by a refusal: {error}"))
        }
        Ok(_) => State::missing("a file that is not among those given could be opened for writing"),
    }
}
