//! A system as it is before the scripts make an image of it: Ubuntu as its archive has it, with what Canonical's images have that
//! must go. Kept as an archive below cargo's target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::{outcome, run, tell, written};

/// What an image is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct System {
    /// The release's name.
    pub(crate) codename: &'static str,
    sources: &'static [(&'static str, &'static str)],
    components: &'static str,
    /// Of the archive, among the tests' sources or where Debian has it.
    keyring: &'static str,
    packages: &'static [&'static str],
}

const NOBLE: System = System {
    codename: "noble",
    sources: &[
        ("https://archive.ubuntu.com/ubuntu", "noble noble-updates"),
        ("https://security.ubuntu.com/ubuntu", "noble-security"),
    ],
    components: "main universe",
    keyring: "image/ubuntu-archive-2018.asc",
    packages: &["chrony", "ec2-instance-connect", "netplan.io", "snapd", "systemd-resolved"],
};

const JAMMY: System = System {
    codename: "jammy",
    sources: &[
        ("https://archive.ubuntu.com/ubuntu", "jammy jammy-updates"),
        ("https://security.ubuntu.com/ubuntu", "jammy-security"),
    ],
    packages: &["chrony", "ec2-instance-connect", "netplan.io", "snapd"],
    ..NOBLE
};

const BOOKWORM: System = System {
    codename: "bookworm",
    sources: &[
        ("https://deb.debian.org/debian", "bookworm bookworm-updates"),
        ("https://deb.debian.org/debian-security", "bookworm-security"),
    ],
    components: "main",
    keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
    packages: &["chrony"],
};

/// In every one of them.
const PACKAGES: &[&str] = &[
    "apt",
    "ca-certificates",
    "cloud-init",
    "cron",
    "dbus",
    "iproute2",
    "kmod",
    "openssh-server",
    "procps",
    "python3",
    "rsyslog",
    "sudo",
    "systemd",
    "systemd-sysv",
    "udev",
    "unattended-upgrades",
];

impl System {
    /// Unpacks the system into a new directory. It is Ubuntu 24.04; where Ubuntu's archive cannot be reached, Debian 12, and that
    /// is said. `AGENTLESS_IMAGE_SYSTEM` chooses: `noble`, `jammy`, `bookworm`.
    pub(crate) fn unpacked(root: &Path) -> Self {
        let chosen = std::env::var("AGENTLESS_IMAGE_SYSTEM").ok();
        let wanted: &[Self] = match chosen.as_deref() {
            None => &[NOBLE, BOOKWORM],
            Some("noble") => &[NOBLE],
            Some("jammy") => &[JAMMY],
            Some("bookworm") => &[BOOKWORM],
            Some(other) => panic!("AGENTLESS_IMAGE_SYSTEM={other}: it is noble, jammy or bookworm"),
        };
        for system in wanted {
            match system.archive() {
                Ok(archive) => {
                    fs::create_dir_all(root).expect("a directory");
                    let mut tar = Command::new("tar");
                    tar.args(["--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--file"]);
                    run(tar.arg(archive).arg("--directory").arg(root));
                    system.as_in_a_cloud(root);
                    return *system;
                }
                Err(why) => tell(&format!("WARNING: {} CANNOT BE HAD HERE: {why}", system.codename)),
            }
        }
        panic!("no system to make an image of: is there a network?");
    }

    /// The archive of the system, which the first to ask makes. Others wait for it.
    fn archive(&self) -> Result<PathBuf, String> {
        let sources = self.apt_sources();
        let mut packages = [PACKAGES, self.packages].concat();
        packages.sort_unstable();
        let packages = packages.join(",");
        let key = Sha256::digest(format!("{:?} {} {packages}", self.sources, self.components));
        let key = key.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image-systems");
        fs::create_dir_all(&folder).expect("a directory");
        let name = format!("{}-{key}", self.codename);
        let lock = File::create(folder.join(format!("{name}.lock"))).expect("a lock");
        lock.lock().expect("the lock");
        let archive = folder.join(format!("{name}.tar"));
        if !archive.exists() {
            let list = folder.join(format!("{name}.sources"));
            fs::write(&list, sources).expect("a file");
            let unfinished = folder.join(format!("{name}.unfinished.tar"));
            // What it mounts goes with it, however it ends.
            let mut mmdebstrap = Command::new("unshare");
            mmdebstrap.args([
                "--mount",
                "--propagation=private",
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
            ]);
            // Packages that look into it keep it busy.
            mmdebstrap.args(["--skip=chroot/mount/sys", &format!("--include={packages}"), self.codename]);
            let output = outcome(mmdebstrap.arg(&unfinished).arg(&list));
            if !output.status.success() {
                return Err(written(&output));
            }
            fs::rename(unfinished, &archive).expect("the archive");
        }
        Ok(archive)
    }

    fn apt_sources(&self) -> String {
        let keyring = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(self.keyring);
        let source = |(site, suites): &(&str, &str)| {
            format!(
                "Types: deb\nURIs: {site}\nSuites: {suites}\nComponents: {}\nSigned-By: {}\n\n",
                self.components,
                keyring.display()
            )
        };
        self.sources.iter().map(source).collect()
    }

    /// What the first start of a cloud's image adds: a user who logs in by a key, and becomes root.
    #[expect(clippy::unused_self, reason = "it is done to this system")]
    fn as_in_a_cloud(self, root: &Path) {
        let useradd = ["--create-home", "--shell", "/bin/bash", "--groups", "sudo", "ubuntu"];
        run(Command::new("chroot").arg(root).arg("useradd").args(useradd));
        let files = [
            ("home/ubuntu/.ssh/authorized_keys", "ssh-ed25519 AAAA somebody\n"),
            ("root/.ssh/authorized_keys", "ssh-ed25519 AAAA somebody\n"),
            ("etc/sudoers.d/90-cloud-init-users", "ubuntu ALL=(ALL) NOPASSWD:ALL\n"),
            ("root/.bash_history", "echo secret\n"),
        ];
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
    }
}
