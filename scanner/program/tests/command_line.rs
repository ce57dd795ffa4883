//! The program as its users run it: what goes where, and how it ends.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// How a run ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// The program, far from any AWS configuration of this machine.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentless-scanner"));
    command.args(arguments).env_clear();
    command.env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Ran {
    ended(program(arguments).output().unwrap())
}

fn ended(output: Output) -> Ran {
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
fn each_format_is_written_and_a_folder_gets_a_list_for_each_system() {
    let root = system(BASH);
    let folder = tempfile::tempdir().unwrap();
    for (format, start) in [
        ("cyclonedx-json", "{\n  \"$schema\""),
        ("cyclonedx-protobuf", "\n\u{3}1.4"),
        ("spdx-json", "{\n  \"spdxVersion\""),
    ] {
        let lists = folder.path().join("new").join(format);
        let ran = run(&[
            "scan",
            text(root.path()),
            "-f",
            format,
            "--output-folder",
            text(&lists),
            "--sandbox",
            "required",
        ]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""), "{ran:?}");
        let files: Vec<_> = fs::read_dir(&lists).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let name = root.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.');
        assert!(files[0].to_str().unwrap().starts_with(name), "{files:?}");
        let list = fs::read(lists.join(&files[0])).unwrap();
        assert!(list.starts_with(start.as_bytes()), "{:?}", String::from_utf8_lossy(&list));
        // There is one system, so that the folder has the list of the whole target.
        let whole = program(&["scan", text(root.path()), "-f", format]).output().unwrap();
        assert!(whole.stdout.starts_with(start.as_bytes()) && whole.stdout.len() == list.len(), "{format}");
    }
    let message = refused_with(2, &["scan", text(root.path()), "--output-folder", text(folder.path())]);
    assert!(message.starts_with("--output-folder needs one of --format"), "{message}");
    let message =
        refused(&["scan", text(root.path()), "-f", "spdx-json", "--output-folder", "/dev/null/lists"]);
    assert!(message.starts_with("could not use the folder /dev/null/lists"), "{message}");
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
        &["scan", "x", "--output", "a", "--output-folder", "b"],
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
fn a_configuration_is_checked_and_printed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    fs::write(&config, "region: eu-west-1\nsinks:\n  https:\n    url: https://example.com/\n    authorization: Bearer hunter2\n").unwrap();
    let checked = run(&["config", "check", "--config", text(&config)]);
    assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "{checked:?}");
    assert_eq!(checked.out, "ok: agentless-scanner scans hosts of 1 account in eu-west-1; to https\n");
    let printed = program(&["config", "print", "--config", text(&config), "--set", "queue.workers=8"])
        .env("AGENTLESS_SCANNER_LOG_LEVEL", "debug")
        .output()
        .unwrap();
    let printed = ended(printed);
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""), "{printed:?}");
    for line in [
        &format!("region: eu-west-1  # {}:1:9", text(&config)),
        "  workers: 8  # --set",
        "log_level: debug  # AGENTLESS_SCANNER_LOG_LEVEL",
    ] {
        assert!(printed.out.lines().any(|printed| printed == line), "{line}: {}", printed.out);
    }
    assert!(!printed.out.contains("hunter2"), "{}", printed.out);

    fs::write(&config, "regin: eu-west-1\nqueue:\n  workers: 0\n").unwrap();
    for verb in ["check", "print"] {
        let wrong = run(&["config", verb, "--config", text(&config)]);
        assert_eq!((wrong.code, wrong.out.as_str()), (Some(2), ""), "{wrong:?}");
        let name = text(&config);
        let expected = [
            format!("error: {name}:1:1: regin: unknown key, did you mean region?"),
            format!(
                "error: {name}:3:12: queue.workers: must be a whole number from 1 to 64, without quotes, not 0"
            ),
        ];
        assert_eq!(wrong.err.lines().collect::<Vec<_>>(), expected);
    }
}

/// A configuration with these limits.
fn configuration(folder: &Path, limits: &str) -> PathBuf {
    let path = folder.join("config.json");
    fs::write(&path, format!("{{\"sandbox\": \"required\", \"limits\": {{{limits}}}}}")).unwrap();
    path
}

#[test]
fn limits_of_the_configuration_end_an_analysis_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let [root, var] = machine(folder.path());
    for (limits, expected) in [
        (r#""analyser_memory": 1000000"#, "more memory than the limit allows (`analyser_memory`;"),
        (r#""messages": 3"#, "more than 3 messages, which is the limit (`messages`;"),
        (r#""message_bytes": 500"#, "more than 500 bytes of messages, which is the limit (`message_bytes`;"),
        (
            r#""analyser_seconds": 1, "messages_per_second": 1"#,
            "not finished after 1 s, which is the limit (`analyser_seconds`;",
        ),
        (r#""steps": 10"#, "the work for one filesystem (`steps`) exceeds the limit of 10"),
    ] {
        let config = configuration(folder.path(), limits);
        let message = refused(&["scan", text(&root), "--disk", text(&var), "--config", text(&config)]);
        assert!(message.contains(expected) && message.contains(text(&root)), "{message}");
    }
    let config = configuration(folder.path(), r#""file_bytes": 10"#);
    let ran = run(&["scan", text(&root), "--disk", text(&var), "--config", text(&config)]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("the size of a file (`file_bytes`) exceeds the limit of 10"), "{ran:?}");
}

#[test]
fn wrong_configurations_are_named_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let message = refused_with(2, &["scan", "i-0123456789abcdef0", "--config", text(&config)]);
    assert!(message.starts_with("could not read the configuration /"), "{message}");
    for (content, expected) in [
        ("{\"sanbox\": \"required\"}", ":1:2: sanbox: unknown key, did you mean sandbox?"),
        ("limits:\n  stps: 1\n", ":2:3: limits.stps: unknown key, did you mean steps?"),
        ("{\"limits\": {\"steps\": 0}}", "limits.steps: must be a whole number, at least 1,"),
        (
            "{\"limits\": {\"steps\": \"many\"}}",
            "limits.steps: must be a whole number, at least 1, without quotes, not \"many\"",
        ),
    ] {
        fs::write(&config, content).unwrap();
        let named = program(&["inspect", "i-0123456789abcdef0"])
            .env("AGENTLESS_SCANNER_CONFIG", &config)
            .output()
            .unwrap();
        for ran in [run(&["scan", "i-0123456789abcdef0", "--config", text(&config)]), ended(named)] {
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.err.contains(expected) && ran.err.contains(text(&config)), "{ran:?}");
        }
    }
}

#[test]
fn every_limit_is_listed_with_its_default() {
    let ran = run(&["list", "limits"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert!(
        ran.out.contains("\nanalyser_memory = 2147483648 bytes (2.0 GiB)\n    Bytes of memory"),
        "{ran:?}"
    );
    // What is listed is what a configuration may say.
    let limits: Vec<_> = ran
        .out
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| format!("\"{name}\": {}", value.split(' ').next().unwrap()))
        .collect();
    let (root, folder) = (system(BASH), tempfile::tempdir().unwrap());
    let config = configuration(folder.path(), &limits.join(","));
    assert_eq!(run(&["scan", text(root.path()), "--config", text(&config)]).code, Some(0));
}

/// This needs a kernel with Landlock, and fails where a process cannot be confined.
#[test]
fn required_protection_is_there_for_every_kind_of_local_target() {
    let folder = tempfile::tempdir().unwrap();
    let [root, var] = machine(folder.path());
    let directory = system(BASH);
    let list = folder.path().join("list.txt");
    for target in [&["scan", text(directory.path())][..], &["scan", text(&root), "--disk", text(&var)]] {
        let arguments = [target, &["--sandbox", "required", "--output", text(&list)]].concat();
        let ran = run(&arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        // Nothing is missing, so nothing is said about it.
        assert!(ran.err.starts_with("Target "), "{ran:?}");
        assert!(fs::read_to_string(&list).unwrap().contains("bash"));
        let ran = run(&[&arguments[..], &["-vv"]].concat());
        for part in
            ["scanner's own confinement part=restricted file system: enforced", "analyser's confinement"]
        {
            assert!(ran.err.contains(part), "{part}: {ran:?}");
        }
    }
}

/// The field of `/proc/PID/status` with this name, of a process that may be gone.
fn status(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// The process that `parent` started, once it has given up its power.
fn analyser_of(parent: u32) -> u32 {
    // The scanner's own filter is that of the process too from which it makes the analyser.
    let filters = |pid| status(pid, "Seccomp_filters")?.parse::<u32>().ok();
    loop {
        for entry in fs::read_dir("/proc").unwrap() {
            let pid = entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok());
            let Some(pid) = pid else { continue };
            let is_child = status(pid, "PPid").is_some_and(|found| found == parent.to_string());
            if is_child && filters(pid) > filters(parent) {
                return pid;
            }
        }
        std::thread::yield_now();
    }
}

#[test]
fn an_analyser_has_no_environment_and_its_death_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let [root, var] = machine(folder.path());
    // So slow that it is still there when it is looked for.
    let config = configuration(folder.path(), r#""messages_per_second": 1"#);
    let scanner = program(&["scan", text(&root), "--disk", text(&var), "--config", text(&config)])
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let analyser = analyser_of(scanner.id());
    match fs::read(format!("/proc/{analyser}/environ")) {
        Ok(environment) => assert_eq!(environment, b""),
        // Only root may look into a process that forbids it.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
    // The one that has the secret can gain nothing, and leaves nothing behind when it crashes.
    assert_eq!(status(scanner.id(), "NoNewPrivs").as_deref(), Some("1"));
    let limits = fs::read_to_string(format!("/proc/{}/limits", scanner.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"], "{core}");

    let killed = Command::new("sh").args(["-c", &format!("kill -9 {analyser}")]).status().unwrap();
    assert!(killed.success());
    let ran = ended(scanner.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let expected =
        format!("error: {} was not analysed: the analyser was ended: it was killed", root.display());
    assert!(ran.err.starts_with(&expected), "{ran:?}");
}

#[test]
fn programs_are_executed_only_if_the_aws_configuration_names_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("aws");
    let scan = |content: &str| {
        fs::write(&config, content).unwrap();
        let arguments = ["scan", "i-0123456789abcdef0", "--region", "eu-central-1", "-vv"];
        ended(program(&arguments).env("AWS_CONFIG_FILE", &config).env("PATH", "/bin").output().unwrap())
    };
    let executed = "missing: other programs may be executed, as the configuration asks for";
    let ran = scan("[default]\ncredential_process = echo none of it >&2; exit 5\n");
    assert!(ran.err.contains(executed) && ran.err.contains("none of it"), "{ran:?}");
    let ran = scan("[default]\n");
    assert!(!ran.err.contains(executed) && ran.err.contains("restricted execution: enforced"), "{ran:?}");
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
        ("discover", &["discover", "--help"]),
        ("run", &["run", "--help"]),
        ("status", &["status", "--help"]),
        ("cleanup", &["cleanup", "--help"]),
        ("permissions", &["permissions", "--help"]),
        ("image", &["image", "--help"]),
        ("image-publish", &["image", "publish", "--help"]),
        ("image-promote", &["image", "promote", "--help"]),
        ("image-rollback", &["image", "rollback", "--help"]),
        ("image-status", &["image", "status", "--help"]),
        ("image-prune", &["image", "prune", "--help"]),
        ("config", &["config", "--help"]),
        ("config-check", &["config", "check", "--help"]),
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
