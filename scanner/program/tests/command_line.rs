//! The program as its users run it: what goes where, and how it ends.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// How a run ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the program far from any AWS configuration of this machine.
fn run(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_agentless-scanner"))
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run that failed with one message and nothing else.
fn refused(arguments: &[&str]) -> String {
    refused_with(1, arguments)
}

fn refused_with(code: i32, arguments: &[&str]) -> String {
    let ran = run(arguments);
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert_eq!(ran.out, "", "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    ran.err.trim_end().strip_prefix("error: ").unwrap().to_owned()
}

/// The root directory of a small system.
fn system(status: &str) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("var/lib/dpkg")).unwrap();
    fs::create_dir_all(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    fs::write(root.path().join("var/lib/dpkg/status"), status).unwrap();
    root
}

const BASH: &str =
    "Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2+b8\nArchitecture: amd64\n\n";

/// A filesystem with these files, made by `mke2fs`, with this label.
fn image(folder: &Path, label: &str, files: &[(&str, &str)]) -> PathBuf {
    let (root, image) = (folder.join(format!("{label}.files")), folder.join(format!("{label}.img")));
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    // On Debian, /usr/sbin is not on the path of who is not root.
    let made = ["mke2fs", "/usr/sbin/mke2fs"].iter().any(|program| {
        let mut command = Command::new(program);
        command.args(["-q", "-t", "ext4", "-L", label, "-d"]).args([&root, &image]).arg("4m");
        command.output().is_ok_and(|output| output.status.success())
    });
    assert!(made, "mke2fs makes the disks of this test (Debian and Ubuntu: apt-get install e2fsprogs)");
    image
}

/// A machine with a root, and with `/var` on a disk of its own.
fn machine(folder: &Path) -> [PathBuf; 2] {
    let fstab = "LABEL=root / ext4 defaults 0 1\nLABEL=var /var ext4 defaults 0 2\n";
    let root =
        [("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"), ("etc/fstab", fstab), ("var/hidden", "")];
    [
        image(folder, "root", &root),
        image(folder, "var", &[("lib/dpkg/status", BASH), ("escape", "a\u{1b}[2J\n")]),
    ]
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_whole_list_goes_to_standard_output_and_ends_with_zero() {
    let root = system(BASH);
    let ran = run(&["scan", text(root.path())]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, "NAME  VERSION      ARCHITECTURE  TYPE\nbash  5.2.15-2+b8  amd64         deb\n");
    assert!(ran.err.contains("Packages  1 deb\n"), "{ran:?}");
    assert_eq!(run(&["scan", text(root.path()), "--quiet"]).err, "");
}

#[test]
fn a_list_with_gaps_ends_with_three_and_names_them() {
    let root = system(&format!("{BASH}Package: broken\nStatus: install ok installed\n\n"));
    let ran = run(&["scan", text(root.path())]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(ran.out.lines().count(), 2, "{ran:?}");
    let gap = "/var/lib/dpkg/status: the stanza at line 6 (package \"broken\") has no Version";
    assert!(ran.err.contains(gap), "{ran:?}");
}

#[test]
fn the_disks_of_a_machine_are_scanned_together() {
    let folder = tempfile::tempdir().unwrap();
    let [root, var] = machine(folder.path());
    let ran = run(&["scan", text(&root), "--disk", text(&var)]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("\nbash  5.2.15-2+b8"), "{ran:?}");
    assert!(ran.err.contains(&format!("\n  /var is {}\n", var.display())), "{ran:?}");
    // Without the second one the list is incomplete, and says what is missing.
    let message = refused(&["scan", text(&root)]);
    assert!(message.contains("/var: /etc/fstab mounts LABEL=var there"), "{message}");
    let message = refused_with(2, &["scan", text(folder.path()), "--disk", text(&var)]);
    assert!(message.contains("--disk adds a disk"), "{message}");
}

#[test]
fn disks_are_shown_with_what_is_joined() {
    let folder = tempfile::tempdir().unwrap();
    let [root, var] = machine(folder.path());
    let ran = run(&["inspect", text(&root), "--disk", text(&var)]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let system = format!("System 1: debian, 12\n  / is {}\n  /var is {}\n", root.display(), var.display());
    assert!(ran.out.contains("label \"root\"") && ran.out.ends_with(&system), "{}", ran.out);

    let ran = run(&["inspect", text(&root), "--json"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown["devices"][0]["content"]["format"], "ext4");
    assert_eq!(shown["trees"][0]["operating_system"]["id"], "debian");
    assert_eq!(shown["unknowns"][0]["path"], "/var");
}

#[test]
fn single_files_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let [root, var] = machine(folder.path());
    let inspect =
        |arguments: &[&str]| run(&[&["inspect", text(&root), "--disk", text(&var)][..], arguments].concat());
    let ran = inspect(&["cat", "/var/lib/dpkg/status"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), BASH), "{ran:?}");
    // What is no terminal gets the bytes as they are.
    assert_eq!(inspect(&["cat", "/var/escape"]).out, "a\u{1b}[2J\n");
    let ran = inspect(&["ls", "/var"]);
    assert!(
        ran.out.contains(" escape\n") && ran.out.starts_with("-rw") && !ran.out.contains("hidden"),
        "{ran:?}"
    );
    assert!(inspect(&["ls", "/var", "--device", "root"]).out.contains(" hidden\n"));
    let ran = inspect(&["stat", "/var/lib"]);
    assert!(ran.out.contains("\nType      directory\n") && ran.out.contains("ext4 on"), "{ran:?}");

    for (arguments, expected) in [
        (&["cat", "/nothing"][..], "/nothing does not exist"),
        (&["cat", "/etc"], "/etc could not be read: not a regular file"),
        (&["ls", "/", "--system", "2"], "there is no system 2, only 1 in all"),
        (&["ls", "/", "--device", "x"], "no filesystem that can be read goes by \"x\""),
    ] {
        let ran = inspect(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.starts_with(&format!("error: {expected}")), "{ran:?}");
    }
}

#[test]
fn files_take_the_place_of_standard_output() {
    let root = system(BASH);
    let folder = tempfile::tempdir().unwrap();
    let (list, figures) = (folder.path().join("list.json"), folder.path().join("figures.json"));
    let arguments = ["-f", "cyclonedx-json", "-o", text(&list), "--summary", text(&figures)];
    let ran = run(&[&["scan", text(root.path())][..], &arguments].concat());
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:?}");
    let list: Value = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
    assert_eq!(
        list["components"][1]["purl"],
        "pkg:deb/debian/bash@5.2.15-2%2Bb8?arch=amd64&distro=debian-12"
    );
    let figures: Value = serde_json::from_slice(&fs::read(figures).unwrap()).unwrap();
    assert_eq!((&figures["packages"]["deb"], &figures["complete"]), (&Value::from(1), &Value::from(true)));
}

#[test]
fn bad_targets_get_one_message_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let noise: Vec<u8> = (0..4_u32 << 20).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let (random, superblock) = (folder.path().join("random.img"), folder.path().join("superblock.img"));
    fs::write(&random, &noise).unwrap();
    // An ext4 superblock (at byte 1024, with its magic number at its byte 56) whose other bytes are random.
    let mut disk = vec![0; 16 << 20];
    disk[1024..2048].copy_from_slice(&noise[..1024]);
    disk[1080..1082].copy_from_slice(&[0x53, 0xef]);
    fs::write(&superblock, &disk).unwrap();

    for (target, expected) in [
        ("/no/such/disk.img", "or the path of a raw disk image"),
        (text(folder.path()), "Is it the root of a system?"),
        (text(&random), "A target must be a whole disk or a filesystem"),
        (text(&superblock), "ext4"),
        ("/dev/null", "neither a disk image nor a block device"),
    ] {
        let message = refused(&["scan", target]);
        assert!(message.contains(expected) && message.contains(target), "{message}");
    }
}

#[test]
fn what_looks_like_an_id_and_is_none_is_a_wrong_command_line() {
    for target in ["i-", "i-123", "vol-0123456789ABCDEF0", "snap-xyz"] {
        let message = refused_with(2, &["scan", target]);
        assert!(message.contains("is not an AWS id") && message.contains(target), "{message}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_found_before_the_work() {
    let message = refused(&["scan", "i-0123456789abcdef0", "--output", "/no/such/folder/list.json"]);
    assert!(message.starts_with("could not write /no/such/folder/list.json"), "{message}");
}

#[test]
fn missing_region_and_credentials_say_where_to_put_them() {
    assert!(refused(&["scan", "i-0123456789abcdef0"]).contains("--region"));
    let message = refused(&["scan", "i-0123456789abcdef0", "--region", "eu-central-1"]);
    assert!(message.contains("AWS_ACCESS_KEY_ID"), "{message}");
}

#[test]
fn a_wrong_command_line_ends_with_two_and_help_with_zero() {
    for arguments in [
        &["scan"][..],
        &["scan", "x", "--format", "xml"],
        &["inspect", "x", "ls"],
        &["inspect", "x", "rm", "/"],
        &["inspect", "x", "--system", "1"],
        &["inspect", "x", "ls", "/", "--json"],
        &["fly"],
        &[],
    ] {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    }
    for arguments in [&["--help"][..], &["scan", "--help"], &["inspect", "--help"], &["--version"], &["list"]]
    {
        let ran = run(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let root = system(BASH);
    let mut child = Command::new(env!("CARGO_BIN_EXE_agentless-scanner"))
        .args(["scan", text(root.path()), "-vv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The help is part of the interface: a change of it shows in a review. `UPDATE_GOLDEN=1` writes the files anew.
#[test]
fn help_is_that_of_the_golden_files() {
    for (verb, arguments) in [
        ("main", &["--help"][..]),
        ("scan", &["scan", "--help"]),
        ("inspect", &["inspect", "--help"]),
        ("list", &["list", "--help"]),
    ] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/help/{verb}.txt"));
        let help = run(arguments).out;
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &help).unwrap();
        }
        assert_eq!(help, fs::read_to_string(&golden).unwrap(), "{verb}: see the test's comment");
        let longest = help.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(120), "{verb}: {longest:?} characters");
    }
}
