//! The scanner as the build of the machine image takes it: a program with its checksum and its signature.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{AARCH64, VERSION, X86_64, names, run, script, small_program};

const AMD64: &str = "x86_64-unknown-linux-musl";
const ARM64: &str = "aarch64-unknown-linux-musl";

#[test]
fn the_files_are_those_that_the_image_is_built_from() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::new(folder.path());
    let release = folder.path().join("release");
    for (machine, target) in [(X86_64, AMD64), (AARCH64, ARM64)] {
        let program = small_program(folder.path(), machine);
        run(command(&program, target, &release).arg("--key").arg(&keys.secret));
    }
    let files = ["amd64", "arm64"].map(|it| format!("agentless-scanner_{VERSION}_linux_{it}"));
    let expected: Vec<_> = files
        .iter()
        .flat_map(|it| ["", ".minisig", ".sha256"].map(|suffix| format!("{it}{suffix}")))
        .collect();
    assert_eq!(names(&release), expected);
    for file in &files {
        let sums = format!("{file}.sha256");
        run(Command::new("sha256sum").args(["--check", "--strict", "--quiet", &sums]).current_dir(&release));
        let told = run(&mut keys.verify(&release.join(file)));
        // What was signed says for which file, so that a signature does for no other.
        assert_eq!(String::from_utf8(told.stdout).unwrap(), format!("file:{file}\n"));
        let mode = fs::metadata(release.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}

#[test]
fn a_changed_byte_another_program_and_another_key_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, others) = (Keys::new(folder.path()), Keys::new(folder.path()));
    let release = folder.path().join("release");
    let program = small_program(folder.path(), X86_64);
    run(command(&program, AMD64, &release).arg("--key").arg(&keys.secret));
    let file = release.join(format!("agentless-scanner_{VERSION}_linux_amd64"));
    let check = || {
        let sums = format!("{}.sha256", file.display());
        let mut command = Command::new("sha256sum");
        command.args(["--check", "--strict", "--quiet", &sums]).current_dir(&release);
        command.output().unwrap()
    };
    let good = fs::read(&file).unwrap();
    assert!(check().status.success() && keys.verify(&file).output().unwrap().status.success());
    assert_refused(&others.verify(&file).output().unwrap());

    let mut bytes = good.clone();
    bytes[40] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert_refused(&check());
    assert_refused(&keys.verify(&file).output().unwrap());
    // Whoever changes the program can change the checksum beside it, but not the signature.
    let sums = run(Command::new("sha256sum").arg(file.file_name().unwrap()).current_dir(&release));
    fs::write(format!("{}.sha256", file.display()), sums.stdout).unwrap();
    assert!(check().status.success());
    assert_refused(&keys.verify(&file).output().unwrap());

    // A program that is packed without a key takes the signature of the one before it away.
    run(&mut command(&program, AMD64, &release));
    assert_eq!(fs::read(&file).unwrap(), good);
    assert_eq!(names(&release).len(), 2);
}

#[test]
fn the_same_program_gives_the_same_bytes_and_signature() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::new(folder.path());
    let program = small_program(folder.path(), X86_64);
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    run(command(&program, AMD64, &first).arg("--key").arg(&keys.secret));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    run(Command::new("touch").args(["-d", "2001-02-03T04:05:06"]).arg(&program));
    run(command(&program, AMD64, &second).env("TZ", "Asia/Tokyo").arg("--key").arg(&keys.secret));
    for name in names(&first) {
        assert_eq!(fs::read(first.join(&name)).unwrap(), fs::read(second.join(&name)).unwrap(), "{name}");
    }
}

#[test]
fn what_the_image_could_not_start_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let program = small_program(folder.path(), X86_64);
    let text = folder.path().join("text");
    fs::write(&text, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
    let release = folder.path().join("release");
    for (program, target, why) in [
        (Path::new("/bin/sh"), AMD64, "is not static"),
        (&program, ARM64, "is not a program for arm64"),
        (&text, AMD64, "is not a program for Linux"),
        (&program, "x86_64-unknown-linux-gnu", "is released as a static program for Linux"),
        (&program, "aarch64-apple-darwin", "is released as a static program for Linux"),
    ] {
        assert_failed(&mut command(program, target, &release), why);
    }
    // Signing is the last thing that can fail, and then nothing is there either.
    let none = folder.path().join("none.key");
    assert_failed(command(&program, AMD64, &release).arg("--key").arg(&none), "cannot be read");
    fs::write(&none, "no key").unwrap();
    assert_failed(command(&program, AMD64, &release).arg("--key").arg(&none), "minisign did not sign");
    assert!(names(&release).is_empty());
    assert_failed(script().args(["provider", "--key"]).arg(&none), "--key signs the scanner");
}

/// A pair of keys, made by minisign without a password.
struct Keys {
    secret: PathBuf,
    public: PathBuf,
}

impl Keys {
    fn new(folder: &Path) -> Self {
        let of = |kind: &str| folder.join(format!("{}.{kind}", uuid::Uuid::new_v4()));
        let keys = Self { secret: of("key"), public: of("pub") };
        let mut made = Command::new("minisign");
        run(made.args(["-G", "-W", "-s"]).arg(&keys.secret).arg("-p").arg(&keys.public));
        keys
    }

    /// Prints what the signature says of its file.
    fn verify(&self, file: &Path) -> Command {
        let mut command = Command::new("minisign");
        command.args(["-V", "-Q", "-p"]).arg(&self.public).arg("-m").arg(file);
        command
    }
}

fn command(program: &Path, target: &str, folder: &Path) -> Command {
    let mut command = script();
    command
        .arg("scanner")
        .arg("--binary")
        .arg(program)
        .args(["--target", target])
        .arg("--folder")
        .arg(folder);
    command
}

fn assert_refused(output: &Output) {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn assert_failed(command: &mut Command, why: &str) {
    let output = command.output().expect("it starts");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && message.contains(why), "{message}");
}
