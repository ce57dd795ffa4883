//! What it asks of the operating system.

use std::fmt::Display;
use std::fs::{self, File};
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread;

use nix::sys::ptrace;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_current_process_group, kill_process, setrlimit};
use rustix::thread::set_thread_uid;

/// Makes an attempt, and says what came of it; nothing if this is not one of them.
pub(super) fn attempt(attempt: &str, argument: &str, parent: Pid) -> Option<String> {
    let traced = || nix::unistd::Pid::from_raw(parent.as_raw_pid());
    Some(match attempt {
        "environment" => tried(File::open(format!("/proc/{parent}/environ"))),
        "memory" => tried(File::options().read(true).write(true).open(format!("/proc/{parent}/mem"))),
        "open" => tried(File::open("/etc/passwd")),
        "create" => tried(File::create(argument)),
        "remove" => tried(fs::remove_file(argument)),
        "list" => tried(fs::read_dir("/")),
        "connect" => tried(TcpStream::connect(argument)),
        "datagram" => tried(send_datagram(argument)),
        "abstract-socket" => tried(connect_to_name(argument)),
        "execute" => tried(Err::<(), _>(Command::new("/bin/true").exec())),
        "processes" => tried(start_many(|| Command::new("/bin/true").spawn())),
        "threads" => tried(start_many(|| {
            thread::Builder::new().spawn(|| {
                loop {
                    thread::park();
                }
            })
        })),
        "trace" => tried(ptrace::attach(traced())),
        "kill" => tried(kill_process(parent, Signal::TERM)),
        "kill-group" => tried(kill_current_process_group(Signal::TERM)),
        "raise-limit" => tried(setrlimit(Resource::As, Rlimit { current: None, maximum: None })),
        "become-root" => tried(set_thread_uid(rustix::process::Uid::ROOT)),
        _ => return None,
    })
}

fn tried<T, E: Display>(outcome: Result<T, E>) -> String {
    match outcome {
        Ok(_) => "permitted".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn send_datagram(to: &str) -> std::io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(b"secret", to).map(drop)
}

fn connect_to_name(name: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)
}

/// A bomb, of a size that a machine survives.
fn start_many<T>(start: impl Fn() -> std::io::Result<T>) -> std::io::Result<Vec<T>> {
    (0..200).map(|_| start()).collect()
}
