//! The image, made by the very scripts that Packer runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_tests::programs;
use tokio::sync::OnceCell;

use crate::system::System;
use crate::{outcome, run, written};

/// A directory tree with the image, and what it was made with.
#[derive(Debug)]
pub(crate) struct Image {
    root: PathBuf,
}

impl Image {
    /// The image, which the first test to ask makes.
    pub(crate) async fn made() -> &'static Self {
        static IMAGE: OnceCell<Image> = OnceCell::const_new();
        let make =
            || async { tokio::task::spawn_blocking(|| Self::make(&folder("made"))).await.expect("an image") };
        IMAGE.get_or_init(make).await
    }

    /// A tree to boot, with its own copy of everything.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let root = folder(name);
        run(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(&self.root).arg(&root));
        root
    }

    fn make(root: &Path) -> Self {
        System::unpacked(root);
        let work = root.join("tmp/agentless-image");
        let release = work.join("release");
        fs::create_dir_all(&release).expect("a directory");
        for folder in ["files", "scripts"] {
            run(Command::new("cp").arg("--recursive").arg(packer().join(folder)).arg(&work));
        }
        let key = signed_release(&release);
        let output = provision(root, &key);
        assert!(output.status.success(), "provision.sh ended with {}:\n{}", output.status, written(&output));
        assert!(!work.exists(), "the build leaves its files");
        for file in TEST_ONLY {
            fs::remove_file(root.join(file.0)).expect("a file of the test");
        }
        Self { root: root.to_owned() }
    }
}

/// An empty place for a tree below the target directory: what a run that was killed left there is removed.
pub(crate) fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image").join(name);
    if root.exists() {
        fs::remove_dir_all(&root).expect("to remove what an earlier run left");
    }
    fs::create_dir_all(root.parent().expect("a parent")).expect("a directory");
    root
}

/// `packer/` of the repository.
pub(crate) fn packer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packer")
}

/// The program of this run as a release, signed with a key that is thrown away. The public key.
fn signed_release(folder: &Path) -> String {
    let program = programs::scanner().expect("the scanner builds");
    let architecture = run(Command::new("dpkg").arg("--print-architecture"));
    let name = format!("agentless-scanner_{VERSION}_linux_{}", architecture.trim());
    fs::copy(program, folder.join(&name)).expect("the program");
    let checksum = run(Command::new("sha256sum").arg(&name).current_dir(folder));
    fs::write(folder.join(format!("{name}.sha256")), checksum).expect("a checksum");

    let keys = tempfile::tempdir().expect("a directory");
    let [public, secret] = ["public", "secret"].map(|name| keys.path().join(name));
    run(Command::new("minisign").args(["-G", "-W", "-p"]).arg(&public).arg("-s").arg(&secret));
    run(Command::new("minisign").args(["-S", "-W", "-m", &name, "-s"]).arg(&secret).current_dir(folder));
    let public = fs::read_to_string(public).expect("a public key");
    public.lines().last().expect("its second line").to_owned()
}

/// Runs `provision.sh` in a container that has this machine's network.
fn provision(root: &Path, public_key: &str) -> std::process::Output {
    for (path, content) in TEST_ONLY {
        fs::write(root.join(path), content).expect("a file");
    }
    let environment = [
        ("SCANNER_VERSION", VERSION),
        ("RELEASE_PUBLIC_KEY", public_key),
        ("SOURCE_IMAGE", "ami-0123456789abcdef0"),
        ("SOURCE_IMAGE_NAME", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260101"),
        ("GIT_COMMIT", "0123456789abcdef0123456789abcdef01234567"),
        ("BUILT_AT", "2026-01-01T00:00:00Z"),
    ];
    let mut nspawn = Command::new("systemd-nspawn");
    nspawn.args(["--quiet", "--register=no", "--keep-unit", "--as-pid2", "--resolv-conf=off"]);
    // The files are below /tmp, where there would be a file system of the container's own.
    nspawn.env("SYSTEMD_NSPAWN_TMPFS_TMP", "0");
    nspawn.args(["--console=pipe", "--machine=agentless-image-build"]);
    nspawn.args(trust());
    nspawn.arg("--bind-ro=/etc/resolv.conf:/run/systemd/resolve/stub-resolv.conf");
    nspawn.args(environment.map(|(name, value)| format!("--setenv={name}={value}")));
    nspawn.arg("--directory").arg(root).args(["/bin/bash", "/tmp/agentless-image/scripts/provision.sh"]);
    outcome(&mut nspawn)
}

/// Whom this machine trusts for https, its proxies included.
pub(crate) fn trust() -> [&'static str; 1] {
    ["--bind-ro=/etc/ssl/certs/ca-certificates.crt:/run/trusted-here.crt"]
}

/// What apt needs where a proxy ends https, and what the systems' resolver is.
pub(crate) const TEST_ONLY: [(&str, &str); 1] =
    [("etc/apt/apt.conf.d/00test", "Acquire::https::CaInfo \"/run/trusted-here.crt\";\n")];

const VERSION: &str = env!("CARGO_PKG_VERSION");
