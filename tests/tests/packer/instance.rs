//! What runs on the build instance (`packer/instance.sh`), with stand-ins for what makes the image and for systemd. In a mount
//! namespace with its own `/tmp`, `/run` and `/dev/shm`, which needs root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use agentless_tests::image_template::folder;
use tempfile::TempDir;

#[test]
fn over_ssh_it_makes_the_image_and_nothing_else() {
    let Some(instance) = Instance::new() else { return };
    let output = instance.run("ssh", "", "");
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(instance.done(), ["provision ssh"]);
}

/// The agent goes after everything was fetched, and only then, and only if it is gone, the instance stops.
#[test]
fn over_session_manager_the_agent_goes_last() {
    const SAID: &str = "touch /dev/shm/agentless-image-downloaded";
    for (said, broken, done) in [
        (SAID, "", &["provision session_manager", "remove-snapd", "poweroff"][..]),
        // Nobody fetched anything, it cannot be removed, it is still there, the image could not be made.
        ("", "", &["provision session_manager"]),
        (SAID, "remove-snapd", &["provision session_manager", "remove-snapd"]),
        (SAID, "snap", &["provision session_manager", "remove-snapd"]),
        (SAID, "provision", &["provision session_manager"]),
    ] {
        let Some(instance) = Instance::new() else { return };
        let output = instance.run("session_manager", said, broken);
        assert_eq!(instance.done(), done, "{said:?} {broken:?}: {}", told(&output));
        assert_eq!(output.status.success(), done.last() == Some(&"poweroff"), "{}", told(&output));
    }
}

/// A folder with the programs that stand in.
struct Instance {
    files: TempDir,
}

impl Instance {
    /// `None` without root, where `AGENTLESS_TESTS_WITHOUT_ROOT=1` allows it.
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            let allowed = std::env::var_os("AGENTLESS_TESTS_WITHOUT_ROOT").is_some_and(|value| value == "1");
            assert!(
                allowed && std::env::var_os("CI").is_none(),
                "this test needs root; AGENTLESS_TESTS_WITHOUT_ROOT=1 leaves it out"
            );
            return None;
        }
        // Not below /tmp, which the script sees another one of.
        let files = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        for (name, text) in [
            (
                "provision.sh",
                "echo \"provision $BUILD_CONNECTION\" >>\"$DONE\"; [ \"$BROKEN\" != provision ]",
            ),
            ("remove-snapd.sh", "echo remove-snapd >>\"$DONE\"; [ \"$BROKEN\" != remove-snapd ]"),
            ("bin/sleep", ""),
            ("bin/pgrep", "exit 1"),
            ("bin/systemctl", "echo \"$1\" >>\"$DONE\""),
            // In the foreground, after what Packer does meanwhile.
            (
                "bin/systemd-run",
                "while [ \"${1#--}\" != \"$1\" ]; do shift; done; eval \"$SAID\"; exec \"$@\"",
            ),
        ] {
            let path = files.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, format!("#!/bin/bash\n{text}\n")).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        Some(Self { files })
    }

    fn run(&self, connection: &str, said: &str, broken: &str) -> Output {
        if broken == "snap" {
            fs::copy(self.files.path().join("bin/sleep"), self.files.path().join("bin/snap"))
                .expect("a copy");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "bash", "-c", SCENE, "bash"]);
        command.arg(folder().join("instance.sh")).arg(self.files.path());
        command.env("PATH", format!("{}:{path}", self.files.path().join("bin").display()));
        command.env("DONE", self.files.path().join("done")).env("BUILD_CONNECTION", connection);
        command.env("SAID", said).env("BROKEN", broken).output().expect("it starts")
    }

    fn done(&self) -> Vec<String> {
        let done = fs::read_to_string(self.files.path().join("done")).unwrap_or_default();
        done.lines().map(str::to_owned).collect()
    }
}

/// What Packer has uploaded by then.
const SCENE: &str = r#"set -e
for folder in /tmp /run /dev/shm; do mount -t tmpfs none "$folder"; done
mkdir -p /tmp/agentless-image/scripts
cp "$1" /tmp/agentless-image/
cp "$2"/*.sh /tmp/agentless-image/scripts/
exec bash /tmp/agentless-image/instance.sh
"#;

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
