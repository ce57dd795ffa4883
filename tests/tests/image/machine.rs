//! An image that was booted: systemd is its first process, as on an instance, in a container (`systemd-nspawn`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::groups::Groups;
use crate::made::{TEST_ONLY, trust};
use crate::network::{ARCHIVE, GATEWAY, IMAGE, LINK, Network, SECURITY};
use crate::{outcome, written};

/// Ends with this value, whatever runs in it. If the test's process is killed, it ends too.
#[derive(Debug)]
pub(crate) struct Machine {
    name: String,
    root: PathBuf,
    process: Child,
    /// Closed when this process ends, however that comes.
    alive: Option<ChildStdin>,
    _groups: Groups,
}

impl Machine {
    pub(crate) fn boot(name: &str, root: PathBuf, network: &Network) -> Self {
        for (path, content) in test_only() {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
        let name = format!("agentless-image-{name}");
        let groups = Groups::new(&name);
        let mut nspawn = Command::new("bash");
        nspawn.args(["-c", UNTIL_CLOSED, "bash"]);
        groups.enter(&mut nspawn);
        nspawn.args(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"]);
        nspawn.args(["--console=pipe", "--resolv-conf=off", "--capability=CAP_NET_ADMIN"]);
        nspawn.arg(format!("--machine={name}")).arg(format!("--network-namespace-path={}", network.path()));
        // Of systemd 252, which knows none of it yet.
        nspawn.arg("--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self");
        nspawn.args(trust()).arg("--directory").arg(&root);
        let mut process = nspawn
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("systemd-nspawn");
        let alive = process.stdin.take();
        Self { name, root, process, alive, _groups: groups }
    }

    /// A file of the image.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Runs a program in it, as root.
    pub(crate) fn exec(&self, arguments: &[&str]) -> Output {
        let leader = self.leader().unwrap_or_else(|| panic!("it has ended:\n{}", self.journal()));
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--target={leader}"));
        nsenter.args([
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--root",
            "env",
            "--ignore-environment",
            "--chdir=/",
        ]);
        nsenter.args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]);
        outcome(nsenter.args(arguments))
    }

    /// The same, and it must succeed.
    pub(crate) fn exec_well(&self, arguments: &[&str]) -> String {
        let output = self.exec(arguments);
        assert!(output.status.success(), "{arguments:?} ended with {}:\n{}", output.status, written(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The state of a unit, such as `active`.
    pub(crate) fn state(&self, unit: &str) -> String {
        match self.leader() {
            None => "gone".to_owned(),
            Some(_) => written(&self.exec(&["systemctl", "is-active", unit])).trim().to_owned(),
        }
    }

    /// Waits until the scanner's unit is in a state.
    pub(crate) fn until(&mut self, state: &str) {
        let start = Instant::now();
        while self.state(UNIT) != state {
            assert!(
                start.elapsed() < LONGEST && !self.has_ended(),
                "{UNIT} is {} and not {state} after {:?}:\n{}",
                self.state(UNIT),
                start.elapsed(),
                self.journal()
            );
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until it has switched itself off.
    pub(crate) fn until_off(&mut self, limit: Duration) {
        let start = Instant::now();
        while !self.has_ended() {
            assert!(start.elapsed() < limit, "it is still on after {limit:?}:\n{}", self.journal());
            std::thread::sleep(PAUSE);
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// What it logged, also when it is off.
    pub(crate) fn journal(&self) -> String {
        let mut journalctl = Command::new("journalctl");
        journalctl.args(["--quiet", "--no-pager", "--output=short-monotonic", "--directory"]);
        written(&outcome(journalctl.arg(self.path("/var/log/journal"))))
    }

    /// Its first process, as this machine numbers it.
    fn leader(&self) -> Option<u32> {
        children(self.process.id())
            .into_iter()
            .filter(|id| is("systemd-nspawn", *id))
            .flat_map(children)
            .next()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.alive.take());
        // The shell waits for its end.
        let _ = self.process.wait();
        // Empty, and not removed where systemd-nspawn was killed.
        let _ = fs::remove_dir(Path::new("/run/systemd/nspawn/propagate").join(&self.name));
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Processes that a process has started.
fn children(of: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn is(name: &str, process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/comm"))
        .is_ok_and(|comm| comm.trim() == name.get(..15).unwrap_or(name))
}

/// What the machine needs here and not on an instance: addresses without DHCP, which has nobody to answer it; the local AWS in
/// place of AWS; libraries that can be executed, since the program of a test is not static.
fn test_only() -> Vec<(&'static str, String)> {
    let mut files: Vec<_> = TEST_ONLY.map(|(path, content)| (path, content.to_owned())).to_vec();
    files.push(("etc/cloud/cloud.cfg.d/99-test.cfg", "network: {config: disabled}\n".to_owned()));
    files.push((
        "etc/systemd/network/10-test.network",
        format!(
            "[Match]\nName={LINK}\n[Network]\nAddress={IMAGE}/24\nGateway={GATEWAY}\nLinkLocalAddressing=no\n"
        ),
    ));
    files.push((
        "etc/hosts",
        format!(
            "127.0.0.1 localhost\n{ARCHIVE} archive.ubuntu.com deb.debian.org\n{SECURITY} security.ubuntu.com\n"
        ),
    ));
    files.push((
        "etc/systemd/system/agentless-scanner.service.d/test.conf",
        format!(
            "[Service]\nEnvironment=AWS_ENDPOINT_URL=http://{GATEWAY}:443\n\
             ExecPaths=-/usr/lib -/usr/lib64 -/lib -/lib64\n"
        ),
    ));
    files
}

/// Runs systemd-nspawn until standard input ends. Killed, it would leave its container; asked a second time, it ends it at once.
pub(crate) const UNTIL_CLOSED: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- & child=$!
{ cat <&3 >/dev/null; while kill "$child"; do sleep 0.1; done; } 2>/dev/null & watcher=$!
wait "$child"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"
"#;
/// The scanner's unit.
pub(crate) const UNIT: &str = "agentless-scanner.service";
/// Far above what a start takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(150);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
