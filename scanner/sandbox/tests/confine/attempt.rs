//! What a confined child tries.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, abort};
use std::thread;
use std::time::Instant;

use agentless_sandbox::confine::{ChildLimits, child};
use memmap2::MmapMut;
use nix::sys::ptrace;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Resource, Rlimit, Signal, Uid, getpid, getppid, kill_process, setrlimit};
use rustix::thread::set_thread_uid;
use sha2::{Digest as _, Sha256};

/// The limits of every child here.
pub(crate) const LIMITS: ChildLimits = ChildLimits { memory: 256 << 20, processor_seconds: 1 };

/// What an attempt that was not stopped exits with.
pub(crate) const NOT_STOPPED: u8 = 99;

/// Confines this process, sends the report as one line, and tries something.
pub(crate) fn run(what: &str) -> ExitCode {
    // None in a PID namespace without it.
    let parent = getppid();
    let report = child(&LIMITS);
    send(&format!("{}\n", serde_json::to_string(&report).unwrap()));
    match what {
        "nothing" => return ExitCode::SUCCESS,
        "echo" => {
            while let Some(bytes) = receive() {
                send(&String::from_utf8(bytes).unwrap());
            }
            return ExitCode::SUCCESS;
        }
        "compute" => {
            send(&compute());
            return ExitCode::SUCCESS;
        }
        "open" => tried(File::open("/etc/passwd")),
        "create" => tried(File::create("/tmp/confined")),
        "environment of the parent" => tried(File::open(format!("/proc/{}/environ", parent.unwrap()))),
        "list" => tried(fs::read_dir("/")),
        "connect" => tried(TcpStream::connect(("127.0.0.1", 80))),
        "metadata service" => tried(TcpStream::connect(("169.254.169.254", 80))),
        "datagram" => tried(UdpSocket::bind(("127.0.0.1", 0))),
        "socket" => tried(socket(AddressFamily::UNIX, SocketType::STREAM, None)),
        "execute" => tried(Err::<(), _>(Command::new("/bin/true").exec())),
        "start a process" => tried(Command::new("/bin/true").spawn()),
        "start a thread" => tried(thread::Builder::new().spawn(|| {})),
        "trace the parent" => tried(ptrace::attach(nix::unistd::getppid())),
        "be traced" => tried(ptrace::traceme()),
        "kill the parent" => tried(kill_process(parent.unwrap(), Signal::TERM)),
        "kill itself" => tried(kill_process(getpid(), Signal::TERM)),
        "duplicate a descriptor" => tried(rustix::io::dup(io::stdin())),
        "raise a limit" => tried(setrlimit(Resource::As, Rlimit { current: None, maximum: None })),
        "become root" => tried(set_thread_uid(Uid::ROOT)),
        "executable memory" => tried(MmapMut::map_anon(4096).unwrap().make_exec()),
        "much memory" => drop(black_box(vec![1_u8; 1 << 30])),
        "much memory in pieces" => {
            let mut pieces = Vec::new();
            loop {
                pieces.push(black_box(vec![1_u8; 4096]));
            }
        }
        "endless loop" => loop {
            black_box(());
        },
        "endless recursion" => {
            black_box(recurse(1));
        }
        "abort" => abort(),
        "panic" => panic!("said on standard error"),
        _ => panic!("no such attempt: {what}"),
    }
    ExitCode::from(NOT_STOPPED)
}

/// Says what came of it. Nobody comes here who is confined in full.
fn tried<T, E: Display>(outcome: Result<T, E>) {
    match outcome {
        Ok(_) => send("permitted"),
        Err(error) => send(&error.to_string()),
    }
}

#[expect(unconditional_recursion, reason = "what happens then is what is tried")]
fn recurse(depth: u64) -> u64 {
    let block = black_box([depth; 64]);
    recurse(depth.wrapping_add(1)).wrapping_add(block[0])
}

fn send(text: &str) {
    let mut bytes = text.as_bytes();
    while !bytes.is_empty() {
        let length = rustix::io::write(io::stdin(), bytes).unwrap();
        bytes = &bytes[length..];
    }
}

/// Some bytes from the socket; nothing at its end.
fn receive() -> Option<Vec<u8>> {
    let mut buffer = [0; 4096];
    let length = rustix::io::read(io::stdin(), &mut buffer).unwrap();
    (length > 0).then(|| buffer[..length].to_vec())
}

/// What a parser does: it grows vectors, fills tables, hashes, asks what time it is, catches panics.
fn compute() -> String {
    let start = Instant::now();
    let mut large = Vec::new();
    for number in 0..4_000_000_u64 {
        large.push(number);
    }
    let mut table: HashMap<String, Vec<u8>> = HashMap::new();
    for number in 0..20_000_usize {
        table.insert(number.to_string(), vec![0; number % 5000]);
    }
    table.retain(|name, _| name.ends_with('7'));
    table.shrink_to_fit();
    drop(large);
    let caught = std::panic::catch_unwind(|| {
        let none: [u8; 0] = [];
        none[black_box(0)]
    });
    assert!(caught.is_err());
    io::stderr().flush().unwrap();
    assert!(start.elapsed().as_nanos() > 0);
    let mut hash = Sha256::new();
    for chunk in vec![7_u8; 1 << 20].chunks(4096) {
        hash.update(chunk);
    }
    let digest: Vec<_> = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {}", table.len(), digest.concat())
}
