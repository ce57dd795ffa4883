//! What there is to attack, and who watches it.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentless_core::limits::Limits;
use agentless_core::report::StorageReport;
use agentless_core::source::{Disk, DiskState, Source};
use agentless_core::text::write_lines;
use agentless_sandbox::parent::{Job, Program, Sandbox, SandboxError, Stop};
use agentless_sandbox::protocol::frame::WireError;
use agentless_sandbox_tests::recorded::Recorded;
use agentless_sandbox_tests::{captured_log, memory, processes};
use tempfile::TempDir;

use super::rows::{Attempt, Stopped};

/// Sockets that nobody may reach, and a directory that nobody may change.
pub(crate) struct World {
    directory: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    named: UnixListener,
    /// A second descriptor of a socket, which a process that is started inherits.
    _inherited: OwnedFd,
    name: String,
    /// What every analyser here may use, and is known by.
    memory: u64,
    /// The volume of another scan, which no analyser was given.
    other: Arc<Recorded>,
}

/// The program, as cargo built it.
pub(crate) const BUILT: &str = env!("CARGO_BIN_EXE_malicious-analyser");
/// The variable that names another copy of it, for whoever does not reach that one.
pub(crate) const PROGRAM: &str = "AGENTLESS_TESTS_MALICIOUS_ANALYSER";

/// The names of the program: see `malicious/beginning.rs`.
const PROGRAMS: [&str; 7] =
    ["malicious", "boastful", "insufficient", "early", "stranger", "without-filter", "without-landlock"];

impl World {
    pub(crate) fn new() -> Self {
        captured_log::start();
        let directory = tempfile::tempdir().unwrap();
        // For whoever an analyser becomes.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(directory.path().join("precious"), "precious").unwrap();
        let original = directory.path().join(PROGRAMS[0]);
        let program = std::env::var_os(PROGRAM);
        fs::copy(program.unwrap_or_else(|| BUILT.into()), &original).unwrap();
        for name in &PROGRAMS[1..] {
            fs::hard_link(&original, directory.path().join(name)).unwrap();
        }
        let name = format!("agentless-attempts-{}", std::process::id());
        let named = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        for outcome in [tcp.set_nonblocking(true), udp.set_nonblocking(true), named.set_nonblocking(true)] {
            outcome.unwrap();
        }
        let inherited = rustix::io::dup(&tcp).unwrap();
        let memory = processes::own_limit_of_memory(128 << 20);
        let other = Arc::new(Recorded::new(1 << 20, None));
        Self { directory, tcp, udp, named, _inherited: inherited, name, memory, other }
    }

    /// The program under one of its names.
    pub(crate) fn program(&self, name: &str) -> Program {
        Program::at(self.directory.path().join(name))
    }

    /// The limits of every analyser here, by which it is known.
    pub(crate) fn limits(&self) -> Limits {
        Limits { analyser_memory: self.memory, ..Limits::default() }
    }

    /// What to write behind the name of an attempt.
    pub(crate) fn target(&self, attempt: &str) -> String {
        match attempt {
            "connect" => format!("connect {}", self.tcp.local_addr().unwrap()),
            "datagram" => format!("datagram {}", self.udp.local_addr().unwrap()),
            "abstract-socket" => format!("abstract-socket {}", self.name),
            "create" => format!("create {}", self.directory.path().join("created").display()),
            "remove" => format!("remove {}", self.directory.path().join("precious").display()),
            "metadata" => "connect 169.254.169.254:80".to_owned(),
            other => other.to_owned(),
        }
    }

    /// Has an analyser make an attempt.
    pub(crate) fn make(&self, attempt: &Attempt) -> Made {
        captured_log::take();
        let mut limits = self.limits();
        (attempt.limits)(&mut limits);
        let rate = u64::from(limits.messages_per_second);
        let seconds = limits.analyser_seconds;
        let sandbox = Sandbox { program: self.program(attempt.program), mode: attempt.mode, limits };
        // The last piece is shorter.
        let volume = Arc::new(Recorded::new((1 << 20) + 100, None));
        let disk = |number: u32, state| Disk { id: format!("vol-{number}"), device: None, state };
        let disks = [
            disk(0, DiskState::Open(volume.clone())),
            disk(1, DiskState::Unread { reason: "locked".to_owned() }),
        ];
        let mut printed = Terminal(Vec::new());
        let id = self.target(attempt.id);
        let started = Instant::now();
        let (result, growth) = memory::growth_during(|| {
            let job = Job { task: attempt.task.task(), id: &id, source: Source::Disks(&disks) };
            sandbox.run(job, &mut printed, &Stop::default())
        });
        let time = started.elapsed();
        Made {
            result,
            time,
            growth,
            reads: (volume.reads(), rate.saturating_mul(seconds.saturating_add(1))),
            hints_fit: volume.hints().iter().all(|hint| hint.end <= 1_048_676),
            printed: printed.0,
            logged: captured_log::take(),
            left_over: processes::left_over(self.memory),
        }
    }

    /// Whether anything is other than before.
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(self.tcp.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "a connection came");
        assert_eq!(self.named.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "a connection came");
        let received = self.udp.recv(&mut [0; 16]);
        assert_eq!(received.unwrap_err().kind(), io::ErrorKind::WouldBlock, "a datagram came");
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        let mut expected: Vec<_> = PROGRAMS.into_iter().chain(["precious"]).collect();
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(self.other.reads(), 0, "the volume of another scan was read");
    }
}

/// Where the command line prints a listing, and as it does.
struct Terminal(Vec<u8>);

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_lines(bytes, &mut self.0)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What came of an attempt.
pub(crate) struct Made {
    pub(crate) result: Result<StorageReport, SandboxError>,
    time: Duration,
    growth: u64,
    /// How often the volume was read, and how often it might have been.
    reads: (u64, u64),
    hints_fit: bool,
    printed: Vec<u8>,
    logged: Vec<u8>,
    left_over: Vec<String>,
}

impl Made {
    /// What the user is told, but for the words with which it begins.
    pub(crate) fn essence(&self) -> String {
        match &self.result {
            Err(SandboxError::Protocol(WireError::Protocol { problem })) => problem.clone(),
            Err(SandboxError::Died(cause)) => cause.to_string(),
            _ => self.told(),
        }
    }

    /// What the user is told.
    fn told(&self) -> String {
        match &self.result {
            Ok(report) => format!(
                "a report of {} packages",
                report.trees.iter().map(|tree| tree.findings.packages.len()).sum::<usize>()
            ),
            Err(error) => agentless_core::chain(error),
        }
    }

    pub(crate) fn seconds(&self) -> String {
        format!("{:.3} s", self.time.as_secs_f64())
    }

    /// What is not as it should be.
    pub(crate) fn problems(&self, attempt: &Attempt) -> Vec<String> {
        /// More than any outcome should take from the parent, at the limits of the attempts.
        const MOST_MEMORY: u64 = 100 << 20;
        /// A few screens.
        const MOST_TEXT: usize = 9 << 10;
        const MOST_LOG: usize = 18 << 20;

        let Self { result, time, growth, reads, hints_fit, printed, logged, left_over } = self;
        let shown = self.told();
        let mut problems = Vec::new();
        let mut check = |is_right: bool, problem: String| {
            if !is_right {
                problems.push(problem);
            }
        };
        let stopped = Stopped::of(result);
        check(stopped == attempt.stopped, format!("stopped by {} ({shown})", stopped.by()));
        check(shown.contains(attempt.says), format!("{shown} does not say {:?}", attempt.says));
        check(shown.len() <= MOST_TEXT, format!("an outcome of {} bytes", shown.len()));
        check(*growth <= MOST_MEMORY, format!("{} MiB of memory", growth >> 20));
        // On a machine that does other things as well.
        check(*time <= Duration::from_secs(30), format!("took {time:?}"));
        check(reads.0 <= reads.1, format!("{} reads, of {} at most", reads.0, reads.1));
        check(*hints_fit, "hints beyond the end of the volume were passed on".to_owned());
        check(logged.len() <= MOST_LOG, format!("{} bytes of log", logged.len()));
        check(left_over.is_empty(), format!("processes are left: {left_over:?}"));
        for (what, text) in [("outcome", shown.as_bytes()), ("log", logged), ("listing", printed)] {
            let text = String::from_utf8_lossy(text);
            let acts =
                |character: char| character != '\n' && (character.is_control() || character == '\u{202e}');
            check(!text.contains(acts), format!("the {what} acts on a terminal"));
        }
        problems
    }
}
