//! Trees of Debian packages: a real system, and one of packages that are made here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{kept, tool};

/// A Debian system as `debootstrap` installs it, from the first source of this machine's apt that has one.
pub fn system() -> PathBuf {
    kept::tree("debian-minbase", |folder| install(&[], &folder.join("root"))).join("root")
}

/// What brings packages of every language into a Debian system, a kernel, and programs of Go and Rust.
const LANGUAGES: [&str; 22] = [
    "docker.io",
    "libjackson2-databind-java",
    "liblog4j2-java",
    "libmaven3-core-java",
    "libspring-web-java",
    "libtomcat9-java",
    "linux-image-cloud-amd64",
    "nginx",
    "npm",
    "openssh-server",
    "phpunit",
    "postgresql-client",
    "python3",
    "python3-boto3",
    "python3-cryptography",
    "python3-django",
    "python3-flask",
    "python3-numpy",
    "python3-pip",
    "rclone",
    "ripgrep",
    "ruby-rails",
];

/// A Debian system with hundreds of packages, with all languages among them.
pub fn with_languages() -> PathBuf {
    kept::tree("debian-languages-2", |folder| install(&LANGUAGES, &folder.join("root"))).join("root")
}

/// Installs a minimal system and these packages into `root`.
fn install(packages: &[&str], root: &Path) {
    let targets = tool::run(Command::new("apt-get").args([
        "indextargets",
        "--format=$(SITE) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ]));
    let known = |release: &str| Path::new("/usr/share/debootstrap/scripts").join(release).exists();
    let source = targets.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [site, release, "main"] if known(release) => Some((site.to_owned(), release.to_owned())),
        _ => None,
    });
    let (site, release) =
        source.unwrap_or_else(|| panic!("debootstrap can install from none of these sources\n{targets}"));
    tool::run(Command::new("debootstrap").args(["--variant=minbase", &release]).arg(root).arg(site));
    if !packages.is_empty() {
        add(packages, root);
    }
    // A package's archive is no part of what it installed.
    fs::remove_dir_all(root.join("var/cache/apt/archives")).unwrap();
}

/// Installs packages with the system's own apt: debootstrap knows no virtual packages, and leaves unconfigured what needs one.
fn add(packages: &[&str], root: &Path) {
    // No service is started in there (invoke-rc.d(8)).
    let policy = root.join("usr/sbin/policy-rc.d");
    fs::write(&policy, "#!/bin/sh\nexit 101\n").unwrap();
    fs::set_permissions(&policy, fs::Permissions::from_mode(0o755)).unwrap();
    let apt = || {
        let mut chroot = Command::new("chroot");
        chroot.arg(root).args(["apt-get", "-q", "--yes"]).env("DEBIAN_FRONTEND", "noninteractive");
        chroot
    };
    tool::run(apt().arg("update"));
    tool::run(apt().args(["--no-install-recommends", "install"]).args(packages));
    fs::remove_file(policy).unwrap();
}

/// Packages that are made here, installed with dpkg in a tree of its own.
#[derive(Debug)]
pub struct Made<'a> {
    root: &'a Path,
}

impl<'a> Made<'a> {
    /// An empty system in `root`, for the architectures amd64 and i386.
    pub fn new(root: &'a Path) -> Self {
        for folder in
            ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "usr/lib", "usr/bin"]
        {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        fs::write(root.join("var/lib/dpkg/arch"), "amd64\ni386\n").unwrap();
        Self { root }
    }

    /// Builds and installs a package of these control fields and files, whose content is their path.
    pub fn install(&self, control: &str, files: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        for (path, content) in files.iter().map(|path| (*path, *path)).chain([("DEBIAN/control", control)]) {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let configured = files.iter().filter(|path| path.starts_with("etc/"));
        let configured = configured.map(|path| format!("/{path}\n")).collect::<Vec<_>>().concat();
        fs::write(tree.join("DEBIAN/conffiles"), configured).unwrap();
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(tree.join("DEBIAN"), fs::Permissions::from_mode(0o755)).unwrap();
        let package = folder.path().join("package.deb");
        tool::run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&package));
        self.dpkg(&["--install", package.to_str().unwrap()]);
    }

    /// Runs dpkg in the tree.
    pub fn dpkg(&self, arguments: &[&str]) {
        let root = format!("--root={}", self.root.display());
        let force = "--force-not-root,bad-path,architecture,script-chrootless,depends,unsafe-io";
        tool::run(Command::new("dpkg").args([&root, force]).args(arguments));
    }
}
