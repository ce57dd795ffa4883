//! A panic that an analyser contains ends nothing, and is told to whoever reads the log.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "the helpers of tests fail as tests do")]

use std::io::{self, Write};
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use agentless_core::limits::Limits;
use agentless_core::report::StorageReport;
use agentless_core::source::Source;
use agentless_core::task::{Scope, Task};
use agentless_sandbox::child::{self, Given};
use agentless_sandbox::parent::{Job, Mode, Program, Sandbox, Stop};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(limits) = child::wanted(arguments.clone()) {
        return child::run(limits, stumble);
    }
    if !arguments.iter().any(|argument| argument == "--list") {
        a_contained_panic_is_logged();
        println!("test a_contained_panic_is_logged ... ok");
    }
    ExitCode::SUCCESS
}

/// The work of the analyser.
fn stumble(_: Given<'_>) -> Result<StorageReport, io::Error> {
    catch_unwind(|| panic!("over a stone")).or_else(|_| Ok(StorageReport::default()))
}

fn a_contained_panic_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();

    let program = Program::at(std::env::current_exe().unwrap());
    let sandbox = Sandbox { program, mode: Mode::BestEffort, limits: Limits::default() };
    let job = Job { task: Task::Packages(Scope::default()), id: "target", source: Source::Disks(&[]) };
    let report = sandbox.run(job, &mut io::sink(), &Stop::default()).unwrap();
    assert_eq!(report, StorageReport::default());

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = text.lines().find(|line| line.contains("over a stone")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains("ERROR analyser: ") && line.contains(file!()), "{line}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
