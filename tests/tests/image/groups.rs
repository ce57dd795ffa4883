//! Control groups of a container's own. Where the machine that runs the tests has no systemd to make them, each container would
//! take the services of the others for its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One in each hierarchy that systemd keeps its services in, below the test's own. Removed with this value.
#[derive(Debug)]
pub(crate) struct Groups {
    paths: Vec<PathBuf>,
}

impl Groups {
    pub(crate) fn new(name: &str) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").expect("this process's control groups");
        let paths = own.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let all = Path::new("/sys/fs/cgroup");
            let root = match controllers {
                // Beside those of version 1, which systemd calls hybrid, or alone.
                "" => Some(all.join("unified")).filter(|it| it.exists()).unwrap_or_else(|| all.to_owned()),
                "name=systemd" => all.join("systemd"),
                _ => return None,
            };
            Some(root.join(path.trim_start_matches('/')).join(name))
        });
        let groups = Self { paths: paths.collect() };
        groups.remove();
        for path in &groups.paths {
            fs::create_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        groups
    }

    /// Has the program that the rest of the arguments name run in them.
    pub(crate) fn enter(&self, command: &mut Command) {
        let paths: Vec<_> = self.paths.iter().map(|path| path.to_string_lossy()).collect();
        command.args(["bash", "-c", ENTER, "bash", &paths.join(" ")]);
    }

    fn remove(&self) {
        for path in &self.paths {
            // Its processes have ended; the kernel may still be at it.
            for _ in 0..20 {
                match remove(path) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    _ => break,
                }
            }
        }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A group and those in it. Their files are the kernel's.
fn remove(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

const ENTER: &str = r#"
for group in $1; do echo $$ >"$group/cgroup.procs" || exit; done
shift
exec "$@"
"#;
