//! What `.ci/release` packs, and that Terraform installs the provider from a filesystem mirror.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]

mod scanner;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agentless_tests::local_aws::{LocalAws, Options};
use agentless_tests::programs;
use agentless_tests::terraform::{SOURCE, Terraform, package};
use serde_json::{Value, json};

const NAME: &str = "terraform-provider-datadog-agentless";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const ROLE: &str = "resource \"datadog_agentless_scanner_role\" \"this\" {\n  name = \"scanner\"\n}";

#[tokio::test]
async fn terraform_installs_the_package_and_checks_it() {
    let folder = tempfile::tempdir().unwrap();
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    packed(&programs::provider().unwrap(), &target, folder.path());
    let zip = zips(folder.path()).remove(0);

    // A mirror may hold packages as they are, or unpacked.
    let mirror = folder.path().join("zipped");
    fs::create_dir_all(mirror.join(SOURCE)).unwrap();
    fs::copy(&zip, mirror.join(SOURCE).join(zip.file_name().unwrap())).unwrap();
    let aws = LocalAws::start(Options::default()).await.unwrap();
    let terraform = Terraform::with_config(&aws, ROLE).unwrap();
    terraform.set_mirror(&mirror).unwrap();
    terraform.init().await.unwrap();
    let plan = terraform.plan().await.unwrap();
    plan.expect_actions("datadog_agentless_scanner_role.this", &["create"]).unwrap();
    let lock_path = terraform.directory().join(".terraform.lock.hcl");
    let lock = fs::read_to_string(&lock_path).unwrap();
    assert!(lock.contains(&format!("provider \"{SOURCE}\"")), "{lock}");
    assert!(lock.contains(&format!("version = \"{VERSION}\"")) && lock.contains("\"h1:"), "{lock}");

    let mirror = folder.path().join("unpacked");
    let package = package(&mirror, SOURCE, VERSION);
    fs::create_dir_all(&package).unwrap();
    run(Command::new("unzip").arg("-q").arg(&zip).arg("-d").arg(&package));
    terraform.set_mirror(&mirror).unwrap();
    install_anew(&terraform).await;
    assert_eq!(fs::read_to_string(&lock_path).unwrap(), lock, "the same package");

    let program = package.join(format!("{NAME}_v{VERSION}"));
    let mut bytes = fs::read(&program).unwrap();
    bytes.push(0);
    fs::write(&program, bytes).unwrap();
    fs::remove_dir_all(terraform.directory().join(".terraform")).unwrap();
    let refused = terraform.run(&["init", "-no-color"]).await.unwrap().failure().unwrap();
    assert!(refused.stderr.contains("checksums"), "{}", refused.stderr);
}

#[test]
fn the_files_are_those_that_the_registry_takes() {
    let folder = tempfile::tempdir().unwrap();
    let program = small_program(folder.path(), X86_64);
    let release = folder.path().join("release");
    for target in ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "aarch64-apple-darwin"] {
        packed(&program, target, &release);
    }
    let expected = ["darwin_arm64.zip", "linux_amd64.zip", "linux_arm64.zip", "manifest.json", "SHA256SUMS"];
    let mut expected = expected.map(|rest| format!("{NAME}_{VERSION}_{rest}"));
    expected.sort();
    assert_eq!(names(&release), expected);

    let manifest = fs::read(release.join(format!("{NAME}_{VERSION}_manifest.json"))).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest, json!({"version": 1, "metadata": {"protocol_versions": ["6.0"]}}));

    let sums = format!("{NAME}_{VERSION}_SHA256SUMS");
    assert_eq!(fs::read_to_string(release.join(&sums)).unwrap().lines().count(), 4);
    run(Command::new("sha256sum").args(["--check", "--strict", "--quiet", &sums]).current_dir(&release));
    for zip in zips(&release) {
        let listed = run(Command::new("unzip").arg("-Z1").arg(&zip));
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), format!("{NAME}_v{VERSION}\n"));
    }
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let program = small_program(folder.path(), X86_64);
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    packed(&program, "x86_64-unknown-linux-musl", &first);
    // Another time, zone and mode.
    let copy = folder.path().join("copy");
    fs::copy(&program, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).unwrap();
    run(Command::new("touch").args(["-d", "2001-02-03T04:05:06"]).arg(&copy));
    let mut command = release(&copy, "x86_64-unknown-linux-musl", &second);
    run(command.env("TZ", "Asia/Tokyo"));
    assert_eq!(names(&first), names(&second));
    for name in names(&first) {
        assert_eq!(fs::read(first.join(&name)).unwrap(), fs::read(second.join(&name)).unwrap(), "{name}");
    }
}

#[test]
fn what_would_not_run_everywhere_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let shell = Path::new("/bin/sh");
    for (program, target, why) in [
        (shell, "x86_64-unknown-linux-musl", "is not static"),
        (shell, "x86_64-pc-windows-msvc", "no package is made for the system"),
        (shell, "riscv64gc-unknown-linux-gnu", "no package is made for the architecture"),
        (Path::new("/none/such"), "x86_64-unknown-linux-musl", "is not a program"),
    ] {
        let output = release(program, target, folder.path()).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && message.contains(why), "{target}: {message}");
        assert!(names(folder.path()).is_empty());
    }
}

/// Machines by their numbers in ELF (`e_machine` of the System V ABI).
const X86_64: u8 = 62;
const AARCH64: u8 = 183;

/// An ELF program without a dynamic loader: its header, and nothing else. It is packed, not run.
fn small_program(folder: &Path, machine: u8) -> PathBuf {
    let mut header = vec![0_u8; 64];
    // 64 bits, little endian, version 1; an executable (ELF-64 Object File Format, "ELF header").
    header.splice(0..7, *b"\x7fELF\x02\x01\x01");
    header.splice(16..24, [2, 0, machine, 0, 1, 0, 0, 0]);
    header.splice(52..54, [64, 0]);
    let path = folder.join("program");
    fs::write(&path, header).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    path
}

fn release(program: &Path, target: &str, folder: &Path) -> Command {
    let mut command = script();
    command.arg("--binary").arg(program).args(["--target", target]).arg("--folder").arg(folder);
    command
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/release"))
}

fn packed(program: &Path, target: &str, folder: &Path) {
    run(&mut release(program, target, folder));
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Sorted.
fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        files.map(|entry| entry.expect("a file").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

fn zips(folder: &Path) -> Vec<PathBuf> {
    let paths = names(folder).into_iter().map(|name| folder.join(name));
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "zip")).collect()
}

async fn install_anew(terraform: &Terraform) {
    fs::remove_dir_all(terraform.directory().join(".terraform")).expect("what was installed");
    terraform.init().await.expect("the package of the lock file");
}
