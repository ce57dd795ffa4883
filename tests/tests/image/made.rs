//! The image, which Packer makes once for all tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::OnceCell;

use crate::packed::pack;
use crate::run;
use crate::system::System;

/// A directory tree with the image, and what it was made with.
#[derive(Debug)]
pub(crate) struct Image {
    root: PathBuf,
}

impl Image {
    /// The image, which the first test to ask makes.
    pub(crate) async fn made() -> &'static Self {
        static IMAGE: OnceCell<Image> = OnceCell::const_new();
        let make = || async {
            let root = folder("made");
            let system = root.clone();
            let unpacked = tokio::task::spawn_blocking(move || System::unpacked(&system)).await;
            unpacked.expect("a system");
            pack(&root).await;
            Self { root }
        };
        IMAGE.get_or_init(make).await
    }

    /// A tree to boot, with its own copy of everything.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let root = folder(name);
        run(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(&self.root).arg(&root));
        root
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

/// Whom this machine trusts for https, its proxies included.
pub(crate) fn trust() -> [&'static str; 1] {
    ["--bind-ro=/etc/ssl/certs/ca-certificates.crt:/run/trusted-here.crt"]
}

/// What apt needs where a proxy ends https, and what the systems' resolver is.
pub(crate) const TEST_ONLY: [(&str, &str); 1] =
    [("etc/apt/apt.conf.d/00test", "Acquire::https::CaInfo \"/run/trusted-here.crt\";\n")];
