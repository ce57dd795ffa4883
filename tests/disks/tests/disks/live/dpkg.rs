//! `dpkg` at work, in a system of its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal};

/// Installs every package again, removes and installs some, and begins anew. `dpkg` says on file descriptor 3 what it
/// does.
const FOR_EVER: &str = r"
set -e
cd /var/cache/apt/archives
while :; do
    for archive in *.deb; do
        dpkg --status-fd 3 --install $archive
    done
    dpkg --status-fd 3 --force-all --purge tzdata logsave gpgv adduser mount
    dpkg --status-fd 3 --install adduser*.deb gpgv*.deb logsave*.deb mount*.deb tzdata*.deb
done 3>&1 >/dev/null
";

/// A process group that goes on until the value ends.
pub(super) struct Running {
    shell: Child,
    states: BufReader<ChildStdout>,
    errors: PathBuf,
}

impl Running {
    /// Starts `dpkg` in the system below `root`.
    pub(super) fn start(root: &Path, errors: &Path) -> Self {
        let mut shell = Command::new("chroot")
            .arg(root)
            .args(["/bin/sh", "-c", FOR_EVER])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(errors).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let states = BufReader::new(shell.stdout.take().unwrap());
        Self { shell, states, errors: errors.to_owned() }
    }

    /// Reads so many changes of state of a package.
    pub(super) fn wait_for(&mut self, count: usize) {
        for _ in 0..count {
            let mut state = String::new();
            let length = self.states.read_line(&mut state).unwrap();
            assert_ne!(length, 0, "dpkg failed: {}", fs::read_to_string(&self.errors).unwrap());
        }
    }
}

/// Ends `dpkg` and everything that it started, in the middle of whatever that does.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        let _ = self.shell.wait();
        // The pipe ends when the last of them is gone, and with it what keeps the system mounted.
        let _ = io::copy(&mut self.states, &mut io::sink());
    }
}
