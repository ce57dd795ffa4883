//! The template of the machine image: what it says (`template`), which variables it takes (`variables`), what it makes of a local AWS
//! (`build`), and what it runs on an instance (`instance`); and the pipeline that builds, checks and rolls out images (`pipeline`).
//!
//! The Packer that CI can have is Debian's 1.6.6, which has no plug-ins and does not know some of the arguments. These are between
//! `#modern-begin` and `#modern-end` in the template: `template` reads the whole of it as HCL and looks at what it says, the
//! others run Packer on a copy without. So no test has run current Packer, nor what lies between the marks. A build with its
//! provisioners, over SSH, is the first step of `cargo test --test image`.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]

mod build;
mod instance;
mod pipeline;
mod template;
mod variables;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_tests::image_template::Release;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A release for both architectures, as `.ci/release` packs it. The program is a file's header: it is never run.
fn packed_release() -> Release {
    let release = Release::new();
    for (machine, target) in [(62, "x86_64-unknown-linux-musl"), (183, "aarch64-unknown-linux-musl")] {
        let program = tempfile::NamedTempFile::new().expect("a file");
        fs::write(program.path(), elf_header(machine)).expect("a file");
        fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let mut script = Command::new(repository().join(".ci/release"));
        script.args(["scanner", "--target", target, "--binary"]).arg(program.path());
        run(script.arg("--key").arg(release.secret_key()).arg("--folder").arg(release.folder()));
    }
    release
}

/// The header of a static program for 64 bits (ELF-64 Object File Format, "ELF header").
fn elf_header(machine: u8) -> Vec<u8> {
    let mut header = vec![0; 64];
    header.splice(0..7, *b"\x7fELF\x02\x01\x01");
    header.splice(16..24, [2, 0, machine, 0, 1, 0, 0, 0]);
    header.splice(52..54, [64, 0]);
    header
}

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
