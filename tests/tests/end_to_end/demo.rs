//! The demo keeps what the README promises, and cleans up whenever it is interrupted.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use agentless_tests::demo::{self, Interrupt, Options};
use agentless_tests::judge::KeyValue;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

#[tokio::test]
async fn the_demo_finds_every_package_with_exactly_the_permissions_of_its_role() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { keep: false, port: None, folder: folder.path().to_owned() };
    let outcome = demo::run(&options, Box::new(std::io::sink()), &Interrupt::default()).await.unwrap();

    assert_eq!(outcome.problems(), [""; 0]);
    // The comparisons have something to compare.
    assert!(outcome.packages > 50, "{}", outcome.packages);
    assert!(outcome.image.system_bytes + outcome.image.filler_bytes >= 1_000_000_000);
    assert!(outcome.summary.bytes_allocated >= 1_000_000_000, "{}", outcome.summary.bytes_allocated);
    assert!(
        outcome.verdict.authorizations.len() > outcome.verdict.calls,
        "a call can need several permissions"
    );
    let mut actions = outcome.policy.actions();
    // A scan by hand needs nothing of what only the service sends.
    actions.retain(|action| !scanner_policy::actions::SERVICE.iter().any(|of| of.name == *action));
    let used: Vec<&str> = outcome.verdict.authorizations.iter().map(|it| it.action.as_str()).collect();
    assert!(actions.iter().all(|action| used.contains(&action.as_str())), "{actions:?} against {used:?}");

    // A snapshot that is not tagged as a scanner's, or tagged as something else's, is out of reach.
    let on_snapshots: Vec<_> = outcome
        .verdict
        .authorizations
        .iter()
        .filter(|it| it.context.contains_key("aws:ResourceTag/DatadogAgentlessScanner"))
        .filter(|it| it.resource.contains(":snapshot/"))
        .collect();
    assert!(on_snapshots.len() >= 3, "list, get and delete at least: {on_snapshots:?}");
    for authorization in on_snapshots {
        let mut foreign = authorization.clone();
        foreign
            .context
            .insert("aws:ResourceTag/DatadogAgentlessScanner".to_owned(), KeyValue::One("no".to_owned()));
        assert!(!outcome.policy.allows(&foreign).unwrap(), "{foreign}");
        let mut untagged = authorization.clone();
        untagged.context = BTreeMap::new();
        assert!(!outcome.policy.allows(&untagged).unwrap(), "{untagged}");
    }
    // Nor can it make a snapshot without its tag, or of a volume whose owner opted out.
    let creations = outcome.verdict.authorizations.iter().filter(|it| it.action == "ec2:CreateSnapshot");
    for authorization in creations {
        let mut changed = authorization.clone();
        if authorization.resource.contains(":volume/") {
            let opted_out = KeyValue::One("false".to_owned());
            changed.context.insert("aws:ResourceTag/DatadogAgentlessScanner".to_owned(), opted_out);
        } else {
            changed.context.remove("aws:RequestTag/DatadogAgentlessScanner");
        }
        assert!(!outcome.policy.allows(&changed).unwrap(), "{changed}");
    }
}

#[test]
fn an_interrupt_in_any_step_leaves_nothing_behind() {
    for step in 2..=9 {
        let scratch = tempfile::tempdir().unwrap();
        let mut demo = Demo::start(scratch.path(), &[]);
        let told = demo.until(&format!("[{step}/"));
        demo.interrupt();
        let code = demo.end();
        // The last step may be over before the signal arrives.
        assert!(code == Some(130) || (step == 9 && code == Some(0)), "interrupted in {told:?}: {code:?}");
        assert_nothing_runs_or_lies_in(scratch.path(), &told);
    }
}

#[test]
fn a_kept_local_aws_ends_with_an_interrupt() {
    let scratch = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(scratch.path(), &["--keep"]);
    let told = demo.until("export AWS_ENDPOINT_URL=");
    let address = told.trim().trim_start_matches("export AWS_ENDPOINT_URL=http://").to_owned();
    std::net::TcpStream::connect(&address).unwrap();
    demo.interrupt();
    assert_eq!(demo.end(), Some(0));
    assert!(std::net::TcpStream::connect(&address).is_err());
    assert_nothing_runs_or_lies_in(scratch.path(), "--keep");
}

#[test]
fn options_reach_the_demo_as_the_readme_writes_them() {
    let shown = Command::new(env!("CARGO")).args(["demo", "--", "--help"]).output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("--keep"));
}

/// The demo as a process, in a process group of its own.
struct Demo {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Demo {
    fn start(scratch: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(arguments)
            .arg("--folder")
            .arg(scratch.join("demo"))
            .env("TMPDIR", scratch)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { process, output }
    }

    /// Reads up to the line that contains `text`, and returns that line.
    fn until(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("its output");
            assert!(read > 0, "no {text:?} in:\n{all}");
            all.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ctrl-C: SIGINT to the whole group.
    fn interrupt(&self) {
        killpg(self.group(), Signal::SIGINT).expect("it still runs");
    }

    /// Reads to the end and returns the exit code. No process of the group is left.
    fn end(mut self) -> Option<i32> {
        let group = self.group();
        for line in self.output.lines() {
            line.expect("its output");
        }
        let status = self.process.wait().expect("its end");
        assert_eq!(killpg(group, None), Err(nix::errno::Errno::ESRCH), "the process group still has members");
        status.code()
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.id()).expect("a process id"))
    }
}

/// No process has its working directory below `scratch` or names it, and no file is left but the demo's results.
fn assert_nothing_runs_or_lies_in(scratch: &Path, told: &str) {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path());
    for process in processes.filter(|path| path.join("cmdline").exists()) {
        let directory = std::fs::read_link(process.join("cwd")).unwrap_or_default();
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        let names_it = directory.starts_with(scratch) || command.contains(&*scratch.to_string_lossy());
        assert!(!names_it, "after {told:?} there still runs {command:?} in {}", directory.display());
    }
    let mut left = Vec::new();
    for folder in [scratch.to_owned(), scratch.join("demo")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    }
    left.retain(|name| !["demo", "packages.cdx.json", "summary.json"].contains(&name.as_str()));
    assert!(left.is_empty(), "after {told:?} there are still {left:?}");
}
