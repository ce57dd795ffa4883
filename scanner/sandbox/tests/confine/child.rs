//! Attempts of confined children, and how they end.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use agentless_sandbox::confine::{Confinement, Part, Protection, State};
use rustix::process::geteuid;

use super::attempt::LIMITS;
use super::{Test, User};

pub(crate) const TESTS: &[Test] = &[
    ("a_child_is_confined_and_says_so", a_child_is_confined_and_says_so),
    ("the_kernel_shows_the_confinement_to_others", the_kernel_shows_the_confinement_to_others),
    ("a_child_computes_and_talks", a_child_computes_and_talks),
    ("attempts_end_in_the_signal_that_says_why", attempts_end_in_the_signal_that_says_why),
    ("a_panic_is_heard", a_panic_is_heard),
    ("groups_that_cannot_be_dropped_are_named", groups_that_cannot_be_dropped_are_named),
    ("what_was_inherited_is_named_or_closed", what_was_inherited_is_named_or_closed),
    ("a_child_ends_with_its_parent", a_child_ends_with_its_parent),
    ("confinement_takes_milliseconds", confinement_takes_milliseconds),
];

/// Bad system call.
pub(crate) const SIGSYS: i32 = 31;
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;
const SIGXCPU: i32 = 24;

/// A child and the parent's end of its socket.
pub(crate) struct Confined {
    process: Child,
    socket: BufReader<UnixStream>,
    pub(crate) report: Confinement,
}

impl Confined {
    fn start(attempt: &str, user: User) -> Self {
        let mut command = user.command();
        command.args(["confined-child", attempt]).env_clear();
        Self::started_by(command)
    }

    pub(crate) fn started_by(mut command: Command) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
        let process = command.spawn().unwrap();
        // The command holds the child's end until here.
        drop(command);
        let mut socket = BufReader::new(ours);
        let report = read_report(&mut socket);
        Self { process, socket, report }
    }

    /// How it ended, and what it wrote to the socket and to standard error since its report.
    pub(crate) fn end(self) -> (ExitStatus, String, String) {
        self.socket.get_ref().shutdown(Shutdown::Write).unwrap();
        let output = self.process.wait_with_output().unwrap();
        let mut said = Vec::new();
        for byte in self.socket.bytes() {
            said.push(byte.unwrap());
        }
        (output.status, String::from_utf8(said).unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

/// The line with which every child begins.
fn read_report(socket: &mut BufReader<UnixStream>) -> Confinement {
    let mut line = Vec::new();
    socket.read_until(b'\n', &mut line).unwrap();
    serde_json::from_slice(&line)
        .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&line)))
}

/// The parts that are not in force, or only in part.
fn not_enforced(report: &Confinement) -> impl Iterator<Item = &Part> {
    report.parts.iter().filter(|part| part.state != State::Enforced)
}

/// What is missing, but for that which the kernel of this machine does not know.
fn missing(report: &Confinement) -> Vec<Protection> {
    let of_the_kernel = |state: &State| match state {
        State::Partial { gap: text } | State::Missing { reason: text } => {
            text.contains("Landlock of this kernel")
        }
        State::Enforced => false,
    };
    not_enforced(report).filter(|part| !of_the_kernel(&part.state)).map(|part| part.what).collect()
}

fn a_child_is_confined_and_says_so() {
    for user in User::all() {
        let child = Confined::start("nothing", *user);
        for part in not_enforced(&child.report) {
            println!("  {user:?}: {part}");
        }
        assert!(child.report.is_sufficient(), "{:?}", child.report);
        let expected: &[Protection] = match user {
            User::Same if geteuid().is_root() => &[],
            // Only root can empty it.
            _ => &[Protection::BoundingSet],
        };
        assert_eq!(missing(&child.report), expected, "{user:?}");
        let (status, said, heard) = child.end();
        assert_eq!((status.code(), said.as_str(), heard.as_str()), (Some(0), "", ""));
    }
}

fn the_kernel_shows_the_confinement_to_others() {
    for user in User::all() {
        let mut child = Confined::start("echo", *user);
        let directory = format!("/proc/{}", child.process.id());
        let status = fs::read_to_string(format!("{directory}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
        };
        assert_eq!(field("Seccomp"), "2");
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!(field("Threads"), "1");
        assert_eq!(field("Groups"), "");
        for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(name), "0000000000000000", "{name}");
        }
        if geteuid().is_root() {
            let id = if let User::Same = user { "65534".to_owned() } else { User::ID.to_string() };
            for name in ["Uid", "Gid"] {
                assert_eq!(field(name), [id.as_str(); 4].join("\t"), "{name}");
            }
            assert_eq!(field("CapBnd") == "0000000000000000", matches!(user, User::Same));
        }
        let limits = fs::read_to_string(format!("{directory}/limits")).unwrap();
        let limit = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(limit("Max address space"), [LIMITS.memory.to_string(), LIMITS.memory.to_string()]);
        assert_eq!(limit("Max cpu time"), ["1", "2"]);
        assert_eq!(limit("Max open files"), ["3", "3"]);
        for name in ["Max core file size", "Max file size", "Max processes", "Max locked memory"] {
            assert_eq!(limit(name), ["0", "0"], "{name}");
        }
        // Session and process group are its own. The name of the program may hold spaces and parentheses.
        let stat = fs::read_to_string(format!("{directory}/stat")).unwrap();
        let numbers: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let id = child.process.id().to_string();
        assert_eq!(numbers[2..4], [id.as_str(), id.as_str()]);
        if geteuid().is_root() {
            assert_eq!(fs::read(format!("{directory}/environ")).unwrap(), b"");
            let descriptors = fs::read_dir(format!("{directory}/fd")).unwrap();
            let mut descriptors: Vec<_> = descriptors.map(|entry| entry.unwrap().file_name()).collect();
            descriptors.sort();
            assert_eq!(descriptors, ["0", "1", "2"]);
        } else {
            // Not even its own user may look.
            assert!(fs::read_dir(format!("{directory}/fd")).is_err());
        }
        child.socket.get_mut().write_all(b"still there").unwrap();
        let (status, said, _) = child.end();
        assert_eq!((status.code(), said.as_str()), (Some(0), "still there"));
    }
}

fn a_child_computes_and_talks() {
    for user in User::all() {
        let (status, said, heard) = Confined::start("compute", *user).end();
        assert_eq!(status.code(), Some(0), "{status}: {heard}");
        // As `head -c 1048576 /dev/zero | tr '\0' '\7' | sha256sum` says.
        assert_eq!(said, "2000 51b12eb838732b786b4d45c660a974ddf3860ae09084fd293fa6e5df46581a6c");
        assert!(heard.contains("index out of bounds"), "{heard}");
    }
}

/// What is tried, and the signal that ends it.
const ATTEMPTS: &[(&str, i32)] = &[
    ("open", SIGSYS),
    ("create", SIGSYS),
    ("environment of the parent", SIGSYS),
    ("list", SIGSYS),
    ("connect", SIGSYS),
    ("metadata service", SIGSYS),
    ("datagram", SIGSYS),
    ("socket", SIGSYS),
    ("execute", SIGSYS),
    ("start a process", SIGSYS),
    ("start a thread", SIGSYS),
    ("trace the parent", SIGSYS),
    ("be traced", SIGSYS),
    ("kill the parent", SIGSYS),
    ("kill itself", SIGSYS),
    ("duplicate a descriptor", SIGSYS),
    ("raise a limit", SIGSYS),
    ("become root", SIGSYS),
    ("executable memory", SIGSYS),
    ("much memory", SIGABRT),
    ("much memory in pieces", SIGABRT),
    ("endless loop", SIGXCPU),
    // Rust says so and aborts, where the C library tells it how large the stack is.
    ("endless recursion", if cfg!(target_env = "musl") { SIGSEGV } else { SIGABRT }),
    ("abort", SIGABRT),
];

fn attempts_end_in_the_signal_that_says_why() {
    for user in User::all() {
        for (attempt, signal) in ATTEMPTS {
            let (status, said, heard) = Confined::start(attempt, *user).end();
            println!("  {user:?}: {attempt}: {status}");
            assert_eq!(status.signal(), Some(*signal), "{attempt}: {status}, {heard}");
            assert!(!status.core_dumped());
            assert_eq!(said, "");
        }
    }
}

fn a_panic_is_heard() {
    for user in User::all() {
        let (status, _, heard) = Confined::start("panic", *user).end();
        assert_eq!(status.code(), Some(101));
        assert!(heard.contains("said on standard error"), "{heard}");
    }
}

/// An ordinary user cannot leave its groups. Needs root, who can start such a one, and `setpriv` of util-linux.
fn groups_that_cannot_be_dropped_are_named() {
    if !geteuid().is_root() {
        println!("  needs root: left out");
        return;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65533", "--regid=65533", "--groups=65532,65531", "--"]);
    command.arg(std::env::current_exe().unwrap()).args(["confined-child", "open"]).env_clear();
    let child = Confined::started_by(command);
    assert_eq!(missing(&child.report), [Protection::BoundingSet, Protection::Groups]);
    assert!(child.report.is_sufficient());
    let groups =
        not_enforced(&child.report).find(|part| part.what == Protection::Groups).unwrap().to_string();
    assert!(groups.contains("Operation not permitted"), "{groups}");
    assert_eq!(child.end().0.signal(), Some(SIGSYS));
}

/// A descriptor without close-on-exec, and a variable.
fn what_was_inherited_is_named_or_closed() {
    let file = fs::File::open("/etc/passwd").unwrap();
    let none = rustix::io::FdFlags::empty();
    rustix::io::fcntl_setfd(&file, none).unwrap();
    let mut command = Command::new("/proc/self/exe");
    command.args(["confined-child", "echo"]).env_clear().env("AWS_SECRET_ACCESS_KEY", "secret");
    let child = Confined::started_by(command);
    assert!(!child.report.is_sufficient());
    let environment = child.report.missing_essentials().map(|part| part.to_string()).collect::<Vec<_>>();
    assert_eq!(environment, ["empty environment: missing: it has 1 variables"]);
    assert_eq!(child.report.state(Protection::Descriptors), Some(&State::Enforced));
    if geteuid().is_root() {
        let open = fs::read_dir(format!("/proc/{}/fd", child.process.id())).unwrap().count();
        assert_eq!(open, 3);
    }
    assert_eq!(child.end().0.code(), Some(0));
}

/// The socket stays open, so that it is not its end that ends the child.
fn a_child_ends_with_its_parent() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut command = Command::new("/proc/self/exe");
    command.arg("parent-of-a-child").stdin(OwnedFd::from(theirs));
    let mut parent = command.spawn().unwrap();
    drop(command);
    let mut socket = BufReader::new(ours);
    let report = read_report(&mut socket);
    // This process made the socket, not the child's parent.
    assert_eq!(missing(&report).last(), Some(&Protection::ParentDeath));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}

/// Starts a child that has this process's own standard input, and waits for it.
pub(crate) fn start_one() -> ExitCode {
    let mut command = User::Same.command();
    command.args(["confined-child", "echo"]).env_clear().stdout(Stdio::null());
    command.status().unwrap();
    ExitCode::FAILURE
}

fn confinement_takes_milliseconds() {
    let started = median(|| {
        assert!(User::Same.command().arg("itself").status().unwrap().success());
    });
    let confined = median(|| {
        let (status, ..) = Confined::start("nothing", User::Same).end();
        assert!(status.success());
    });
    println!("  from start to end: median {confined:?}; without confinement and socket {started:?}");
    // Generous: the machine may be busy with other things.
    assert!(confined < Duration::from_millis(50));
}

fn median(work: impl Fn()) -> Duration {
    let measure = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..101).map(measure).collect();
    times.sort();
    times[50]
}
