//! The attempts, each with who stops it.

use agentless_core::limits::Limits;
use agentless_core::report::StorageReport;
use agentless_core::task::{FileAction, FileTask, Scope, Task, TreeChoice};
use agentless_sandbox::parent::{Cause, Mode, SandboxError};
use agentless_sandbox::protocol::frame::WireError;

/// Something that a hijacked analyser tries.
pub(crate) struct Attempt {
    /// What, for people.
    pub(crate) what: &'static str,
    /// What, for the analyser.
    pub(crate) id: &'static str,
    /// The name of its program: see `malicious/beginning.rs`.
    pub(crate) program: &'static str,
    pub(crate) mode: Mode,
    pub(crate) task: Wanted,
    pub(crate) limits: fn(&mut Limits),
    pub(crate) stopped: Stopped,
    /// What the user is told, among other things.
    pub(crate) says: &'static str,
}

/// What the analyser was asked for.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    Packages,
    Listing,
}

impl Wanted {
    pub(crate) fn task(self) -> Task {
        let (action, tree) = (FileAction::List, TreeChoice::System(1));
        match self {
            Self::Packages => Task::Packages(Scope::default()),
            Self::Listing => Task::File(FileTask { action, path: b"/".to_vec(), tree }),
        }
    }
}

/// Who stops an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Filter,
    Memory,
    Processor,
    Deadline,
    Fault,
    Scanner,
    Itself,
    Check,
    Refusal,
    Harmless,
    /// The analyser says itself what came of it.
    Told,
    Otherwise,
}

impl Stopped {
    pub(crate) fn of(result: &Result<StorageReport, SandboxError>) -> Self {
        match result {
            Ok(_) => Self::Harmless,
            Err(SandboxError::Died(Cause::SystemCall)) => Self::Filter,
            Err(SandboxError::Died(Cause::Memory)) => Self::Memory,
            Err(SandboxError::Died(Cause::ProcessorTime)) => Self::Processor,
            Err(SandboxError::Died(Cause::Fault { .. })) => Self::Fault,
            // The signal by which the scanner ends an analyser that has left the connection.
            Err(SandboxError::Died(Cause::Ended { status, .. }))
                if status.contains("signal") && status.contains('9') =>
            {
                Self::Scanner
            }
            Err(SandboxError::Died(Cause::Ended { .. })) => Self::Itself,
            Err(SandboxError::Deadline { .. }) => Self::Deadline,
            Err(SandboxError::Protocol(WireError::Protocol { .. })) => Self::Check,
            Err(SandboxError::Insufficient { .. }) => Self::Refusal,
            Err(SandboxError::Task { .. }) => Self::Told,
            Err(_) => Self::Otherwise,
        }
    }

    pub(crate) const fn by(self) -> &'static str {
        match self {
            Self::Filter => "filter of system calls",
            Self::Memory | Self::Fault => "limit of memory",
            Self::Processor => "limit of processor time",
            Self::Deadline => "deadline",
            Self::Scanner => "end of the connection",
            Self::Itself => "it ended itself",
            Self::Check => "check of messages",
            Self::Refusal => "check of the confinement",
            Self::Harmless => "nobody: no harm done",
            Self::Told => "nobody: it is told",
            Self::Otherwise => "something else",
        }
    }
}

const fn attempt(what: &'static str, id: &'static str, stopped: Stopped, says: &'static str) -> Attempt {
    Attempt {
        what,
        id,
        program: "malicious",
        mode: Mode::Required,
        task: Wanted::Packages,
        limits: |_| {},
        stopped,
        says,
    }
}

impl Attempt {
    const fn limits(self, limits: fn(&mut Limits)) -> Self {
        Self { limits, ..self }
    }

    const fn program(self, program: &'static str, mode: Mode) -> Self {
        Self { program, mode, ..self }
    }

    const fn listing(self) -> Self {
        Self { task: Wanted::Listing, ..self }
    }
}

const CALL: &str = "a system call that it may not make";

/// The shortest there is.
fn a_second(limits: &mut Limits) {
    limits.analyser_seconds = 1;
}

/// So much less than the default that reaching the limit takes no time.
fn less(limits: &mut Limits) {
    limits.packages = 50_000;
    limits.package_bytes = 16 << 20;
    limits.notes = 50_000;
    limits.note_bytes = 16 << 20;
}

#[rustfmt::skip]
pub(crate) const ATTEMPTS: &[Attempt] = &[
    // Files.
    attempt("read the environment of the scanner", "environment", Stopped::Filter, CALL),
    attempt("open the memory of the scanner", "memory", Stopped::Filter, CALL),
    attempt("open /etc/passwd", "open", Stopped::Filter, CALL),
    attempt("make a file", "create", Stopped::Filter, CALL),
    attempt("remove a file", "remove", Stopped::Filter, CALL),
    attempt("list /", "list", Stopped::Filter, CALL),
    attempt("use a descriptor that the scanner left open", "descriptors", Stopped::Harmless, "a report of 0 packages"),
    // Network.
    attempt("connect to a TCP port", "connect", Stopped::Filter, CALL),
    attempt("connect to the instance metadata", "metadata", Stopped::Filter, CALL),
    attempt("send a UDP datagram", "datagram", Stopped::Filter, CALL),
    attempt("connect to an abstract socket", "abstract-socket", Stopped::Filter, CALL),
    // Processes.
    attempt("execute /bin/true", "execute", Stopped::Filter, CALL),
    attempt("start processes without end", "processes", Stopped::Filter, CALL),
    attempt("start threads without end", "threads", Stopped::Filter, CALL),
    attempt("trace the scanner", "trace", Stopped::Filter, CALL),
    attempt("end the scanner by a signal", "kill", Stopped::Filter, CALL),
    attempt("signal its group", "kill-group", Stopped::Filter, CALL),
    attempt("raise a limit", "raise-limit", Stopped::Filter, CALL),
    attempt("become root", "become-root", Stopped::Filter, CALL),
    // Resources.
    attempt("allocate 3 GiB", "large-allocation", Stopped::Memory, "analyser_memory"),
    attempt("allocate 4 KiB without end", "small-allocations", Stopped::Memory, "analyser_memory"),
    attempt("compute without end", "compute", Stopped::Processor, "analyser_cpu_seconds").limits(|limits| limits.analyser_cpu_seconds = 1),
    attempt("recurse without end", "recurse", Stopped::Itself, "stack overflow"),
    attempt("a stack that finds no memory", "stack-without-memory", Stopped::Fault, "memory that is not there"),
    // Time.
    attempt("say nothing", "silent", Stopped::Deadline, "analyser_seconds").limits(a_second),
    attempt("ask, and read no answer", "never-reading", Stopped::Deadline, "analyser_seconds").limits(a_second),
    attempt("say one byte at a time", "drip", Stopped::Deadline, "analyser_seconds").limits(a_second),
    attempt("fill standard error", "standard-error", Stopped::Deadline, "analyser_seconds").limits(a_second),
    attempt("ask for blocks without end", "endless-reads", Stopped::Deadline, "analyser_seconds").limits(|limits| limits.analyser_seconds = 2),
    attempt("more blocks than it may", "endless-reads", Stopped::Check, "more than 1000 messages").limits(|limits| limits.messages = 1000),
    // What it may ask for.
    attempt("a block of another scan", "volume-not-given", Stopped::Check, "a request for volume 2, which it was not given"),
    attempt("a block of a volume that is not open", "volume-not-open", Stopped::Check, "a request for volume 1, which it was not given"),
    attempt("a block beyond the end", "piece-beyond-the-end", Stopped::Check, "a request for piece 9 of a volume of 1048676 bytes"),
    attempt("a block beyond all numbers", "piece-beyond-numbers", Stopped::Check, "a request for piece 18446744073709551615"),
    attempt("a directory, where it was given disks", "directory", Stopped::Check, "a request for a directory, which it was not given"),
    attempt("hints without sense", "absurd-hints", Stopped::Harmless, "a report of 0 packages"),
    attempt("hints for a volume of another scan", "hints-not-given", Stopped::Check, "a request for volume 3, which it was not given"),
    // The protocol.
    attempt("a frame of 4 GiB", "huge-frame", Stopped::Check, "a frame of 4294967295 bytes"),
    attempt("a frame of no kind", "kind-of-frame", Stopped::Check, "a frame of kind 9"),
    attempt("a message that does not exist", "unknown-message", Stopped::Check, "a message that cannot be read"),
    attempt("a message in 250,000 layers", "nested-message", Stopped::Check, "a message that cannot be read"),
    attempt("begin a second time", "ready-again", Stopped::Check, "a second beginning"),
    attempt("print where a report was wanted", "bytes", Stopped::Check, "bytes that nobody asked for"),
    // What it says.
    attempt("terminal escapes in a listing", "print", Stopped::Harmless, "a report of 0 packages").listing(),
    attempt("terminal escapes in the log", "log-escapes", Stopped::Harmless, "a report of 0 packages"),
    attempt("terminal escapes in an error", "reason", Stopped::Told, "u{1b}[2J"),
    attempt("terminal escapes in its last words", "last-words", Stopped::Itself, "exit status: 3"),
    attempt("fill the log", "log-flood", Stopped::Check, "more than 33554432 bytes of messages").limits(|limits| limits.message_bytes = 32 << 20),
    // What it reports.
    attempt("a report on a volume that it could not read", "unread-volume", Stopped::Check, "a report on a volume that could not be read"),
    attempt("a report on a directory, where it was given disks", "directory-for-disks", Stopped::Check, "on a directory for disks"),
    attempt("a device on a volume that does not exist", "index-of-volume", Stopped::Check, "volume 7 of 2"),
    attempt("a device on itself", "index-of-device", Stopped::Check, "names 1 of 0 devices"),
    attempt("a filesystem that does not exist", "index-of-filesystem", Stopped::Check, "filesystem 18446744073709551615 of 0"),
    attempt("a mount of one that does not exist", "index-of-mount", Stopped::Check, "filesystem 1 of 1"),
    attempt("a tree without a root", "tree-without-root", Stopped::Check, "a tree without a root"),
    attempt("a name of 200 KB", "long-name", Stopped::Check, "a text of"),
    attempt("a name that claims 4 GiB", "name-of-gigabytes", Stopped::Check, "a message that cannot be read"),
    attempt("a name that is not UTF-8", "name-in-no-encoding", Stopped::Check, "a message that cannot be read"),
    attempt("names of 10 GB in all", "names-without-end", Stopped::Check, "packages, or more text in them, than the limits").limits(less),
    attempt("10 million packages", "packages-without-end", Stopped::Check, "more packages").limits(less),
    attempt("10 million unknowns", "gaps-without-end", Stopped::Check, "more unknowns and notes").limits(less),
//B    attempt("a billion empty notes", "notes-without-end", Stopped::Check, "more unknowns and notes").limits(less),
//B    attempt("a device on a million others", "layers-without-end", Stopped::Check, "more unknowns and notes").limits(less),
    attempt("reasons of 10 GB in all", "reasons-without-end", Stopped::Check, "unknowns and notes, or more text in them, than the limits").limits(less),
    attempt("a billion empty notes", "notes-without-end", Stopped::Check, "unknowns and notes").limits(less),
    attempt("a device on 200,000 others", "layers-without-end", Stopped::Check, "a report that names 200000 of 1 devices at one place").limits(less),
    attempt("10 million trees", "trees-without-end", Stopped::Check, "more than 1272 trees"),
    // The end.
    attempt("end without a report", "exit", Stopped::Itself, "exit status: 0"),
    attempt("abort", "abort", Stopped::Itself, "SIGABRT"),
    attempt("hang up and go on", "hang-up", Stopped::Scanner, "signal"),
    // Before the beginning: these are other programs than ours, and no byte of a disk has reached them.
    attempt("ask before it is confined", "honest", Stopped::Check, "another beginning").program("early", Mode::BestEffort),
    attempt("another version of the protocol", "honest", Stopped::Check, "another beginning").program("stranger", Mode::BestEffort),
    attempt("not confined, and says so", "honest", Stopped::Refusal, "restricted system calls (").program("insufficient", Mode::Required),
    attempt("the same, where that is allowed", "honest", Stopped::Harmless, "a report of 0 packages").program("insufficient", Mode::BestEffort),
    attempt("not confined, and says it were", "honest", Stopped::Harmless, "a report of 0 packages").program("boastful", Mode::Required),
];
