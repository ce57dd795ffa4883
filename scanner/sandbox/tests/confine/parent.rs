//! What a confined parent still can do, and what it no longer can.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use agentless_sandbox::confine::{ConfineError, ParentRights, Protection, State, parent};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{Test, User, child};

pub(crate) const TESTS: &[Test] = &[
    ("a_parent_writes_where_it_may", || in_a_process("writes")),
    ("a_parent_executes_itself", || in_a_process("executes")),
    ("a_parent_starts_confined_children", || in_a_process("children")),
    ("a_parent_may_execute_others_if_it_was_asked_to", || in_a_process("others")),
    ("a_parent_has_no_core_dumps_and_gains_nothing", || in_a_process("privileges")),
    ("a_path_that_is_not_there_is_an_error", || in_a_process("absent")),
];

/// What this program exits with when it was started by itself.
pub(crate) const ITSELF: ExitCode = ExitCode::SUCCESS;

fn in_a_process(what: &str) {
    for user in User::all() {
        let directory = tempfile::tempdir().unwrap();
        let [inside, outside] = ["inside", "outside"].map(|name| directory.path().join(name));
        fs::create_dir(&inside).unwrap();
        fs::write(&outside, "unchanged").unwrap();
        if let User::Ordinary = user {
            // All is its own: nothing but confinement keeps it from writing.
            for path in [directory.path(), &inside, &outside] {
                chown(path, Some(User::ID), Some(User::ID)).unwrap();
            }
        }
        let mut command = user.command();
        let status = command.args(["confined-parent", what]).arg(directory.path()).status().unwrap();
        assert!(status.success(), "{user:?}: {status}");
        assert_eq!(fs::read(outside).unwrap(), b"unchanged");
    }
}

/// Confines this process, and checks one thing.
pub(crate) fn run(what: &str, directory: &Path) -> ExitCode {
    let inside = directory.join("inside");
    let rights = ParentRights { writes: vec![inside.clone()], executes_others: what == "others" };
    match what {
        "writes" => writes(&rights, directory, &inside),
        "executes" => executes(&rights),
        "children" => children(&rights),
        "others" => others(&rights),
        "privileges" => privileges(&rights),
        "absent" => absent(directory),
        _ => panic!("no such check: {what}"),
    }
    ExitCode::SUCCESS
}

fn refused<T: std::fmt::Debug>(outcome: std::io::Result<T>) {
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

fn writes(rights: &ParentRights, directory: &Path, inside: &Path) {
    let confinement = parent(rights).unwrap();
    assert!(confinement.is_sufficient(), "{confinement:?}");
    let both = || {
        fs::write(inside.join("file"), "text").unwrap();
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::rename(inside.join("file"), inside.join("a/b/file")).unwrap();
        fs::remove_dir_all(inside.join("a")).unwrap();
        drop(tempfile::tempfile_in(inside).unwrap());
        fs::write("/dev/null", "nothing").unwrap();

        let outside = directory.join("outside");
        assert_eq!(fs::read(&outside).unwrap(), b"unchanged");
        refused(fs::write(&outside, "changed"));
        refused(File::options().append(true).open(&outside));
        refused(fs::remove_file(&outside));
        refused(fs::rename(&outside, inside.join("outside")));
        refused(File::create(directory.join("new")));
        refused(fs::create_dir(directory.join("new")));
        refused(std::os::unix::fs::symlink("/", directory.join("new")));
        refused(std::os::unix::net::UnixListener::bind(directory.join("new")));
        assert!(fs::read_dir("/").unwrap().count() > 1);
    };
    both();
    // Threads that are started later are bound as well.
    thread::spawn(|| ()).join().unwrap();
    thread::scope(|scope| scope.spawn(both).join().unwrap());
}

fn executes(rights: &ParentRights) {
    let confinement = parent(rights).unwrap();
    assert!(confinement.is_sufficient(), "{confinement:?}");
    assert!(Command::new("/proc/self/exe").arg("itself").status().unwrap().success());
    let path = std::env::current_exe().unwrap();
    // Root always reaches it; an ordinary user does not where the build is in somebody's home directory.
    if geteuid().is_root() || path.exists() {
        assert!(Command::new(path).arg("itself").status().unwrap().success());
    }
    refused(Command::new("/bin/true").status());
    refused(Command::new("/bin/sh").args(["-c", "true"]).status());

    // What the documentation says is left open.
    match confinement.state(Protection::Execution).unwrap() {
        State::Enforced => {}
        State::Partial { gap } => {
            let interpreter = gap.split(' ').find(|word| word.contains("/ld-")).unwrap();
            assert!(Command::new(interpreter).arg("/bin/true").status().unwrap().success());
        }
        State::Missing { reason } => panic!("{reason}"),
    }
    let dynamic = fs::read_to_string("/proc/self/maps").unwrap().contains("/ld-");
    assert_eq!(confinement.state(Protection::Execution) == Some(&State::Enforced), !dynamic);
    // A program in memory, for which Landlock has no name.
    assert_eq!(memfd_create("program", MemfdFlags::empty()).unwrap_err(), Errno::PERM);
    assert_eq!(confinement.state(Protection::SystemCalls), Some(&State::Enforced));
}

fn children(rights: &ParentRights) {
    assert!(parent(rights).unwrap().is_sufficient());
    for (name, test) in child::TESTS {
        // What starts a program other than this one.
        if *name != "groups_that_cannot_be_dropped_are_named" {
            test();
        }
    }
}

fn others(rights: &ParentRights) {
    let confinement = parent(rights).unwrap();
    assert!(confinement.is_sufficient(), "{confinement:?}");
    assert!(matches!(confinement.state(Protection::Execution), Some(State::Missing { .. })));
    assert!(Command::new("/bin/true").status().unwrap().success());
    // They are bound by the rest.
    let outside = rights.writes[0].parent().unwrap().join("outside");
    assert!(!Command::new("rm").arg("-f").arg(outside).status().unwrap().success());
}

fn privileges(rights: &ParentRights) {
    assert!(parent(rights).unwrap().is_sufficient());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
}

fn absent(directory: &Path) {
    let path = directory.join("absent");
    let rights = ParentRights { writes: vec![path.clone()], executes_others: false };
    let ConfineError::Path { path: named, source } = parent(&rights).unwrap_err() else { panic!() };
    assert_eq!((named, source.kind()), (path, ErrorKind::NotFound));
}
