//! Bad input gets one clear message with what to do, and an exit code that says so.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Output};

use crate::scene::{Scene, image, run_scanner};

/// Failed, with a message on stderr that has all of these, and nothing on stdout.
fn assert_explained(told: &str, code: Option<i32>, stdout: &str, stderr: &str, parts: &[&str]) {
    assert_eq!(code, Some(1), "{told}: {stderr}");
    assert_eq!(stdout, "", "{told}");
    for part in parts {
        assert!(stderr.contains(part), "{told}: no {part:?} in:\n{stderr}");
    }
    let errors = stderr.lines().filter(|line| line.starts_with("error")).count();
    assert_eq!(errors, 1, "{told}: {stderr}");
}

#[tokio::test]
async fn what_cannot_be_scanned_in_aws_is_explained() {
    let scene = Scene::new().await;
    let environment = scene.aws.environment();
    let with = |name: &'static str, value: &str| {
        let mut changed = environment.clone();
        changed.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            changed.push((name, value.to_owned()));
        }
        changed
    };
    let instance = scene.instance.instance_id.as_str();
    let cases = [
        ("an unknown instance", environment.clone(), "i-0123456789abcdef0", vec!["i-0123456789abcdef0"]),
        ("an unknown volume", environment.clone(), "vol-0123456789abcdef0", vec!["vol-0123456789abcdef0"]),
        (
            "an unknown snapshot",
            environment.clone(),
            "snap-0123456789abcdef0",
            vec!["snap-0123456789abcdef0"],
        ),
        ("a wrong secret", with("AWS_SECRET_ACCESS_KEY", "wrong"), instance, vec!["credentials"]),
        ("an unknown key", with("AWS_ACCESS_KEY_ID", "AKIAUNKNOWNUNKNOWN00"), instance, vec!["credentials"]),
        ("no credentials", with("AWS_ACCESS_KEY_ID", ""), instance, vec!["credentials"]),
        ("no region", with("AWS_REGION", ""), instance, vec!["region", "--region"]),
        (
            "no endpoint",
            with("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            instance,
            vec!["AWS_ENDPOINT_URL", "Connection refused"],
        ),
    ];
    for (told, environment, target, parts) in cases {
        let finished = run_scanner(&environment, &["scan", target]).await;
        assert_explained(told, finished.code, &finished.stdout, &finished.stderr, &parts);
    }
    scene.nothing_is_left("bad input").await;
}

#[tokio::test]
async fn what_is_on_a_disk_and_cannot_be_read_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let whole = image().await;

    // Without partitions and without a filesystem: bytes of no known kind.
    std::fs::write(path("noise.img"), vec![0xA5; 1 << 20]).unwrap();
    // Cut short in the middle of the root filesystem.
    copy(whole, &path("short.img"));
    File::options().write(true).open(path("short.img")).unwrap().set_len(40 << 20).unwrap();
    // A superblock of random bytes, with its magic number: 1024 bytes into the partition, which begins at 4 MiB.
    copy(whole, &path("superblock.img"));
    let mut damaged = File::options().write(true).open(path("superblock.img")).unwrap();
    let mut superblock: Vec<u8> = (0..1024u32).map(|n| u8::try_from(n * 167 % 251).unwrap()).collect();
    superblock[0x38..0x3A].copy_from_slice(&0xEF53u16.to_le_bytes());
    damaged.seek(SeekFrom::Start((4 << 20) + 1024)).unwrap();
    damaged.write_all(&superblock).unwrap();
    std::fs::create_dir(path("empty")).unwrap();

    let cases = [
        ("noise.img", vec!["noise.img"]),
        ("short.img", vec!["short.img", "partition 2", "cut short"]),
        ("superblock.img", vec!["superblock.img", "superblock"]),
        ("empty", vec!["empty"]),
        ("missing.img", vec!["missing.img", "there is no"]),
    ];
    for (name, parts) in cases {
        let target = path(name);
        let finished = run_scanner(&[], &["scan", target.to_str().unwrap()]).await;
        let code = finished.code.unwrap_or(-1);
        assert!([1, 3].contains(&code), "{name}: {code}: {}{}", finished.stdout, finished.stderr);
        for part in parts {
            assert!(finished.stderr.contains(part), "{name}: no {part:?} in:\n{}", finished.stderr);
        }
        assert!(!finished.stderr.contains("panicked"), "{name}: {}", finished.stderr);
    }
}

#[tokio::test]
async fn wrong_usage_exits_with_2() {
    for arguments in [&["scan"][..], &["scan", "x", "--format", "xml"], &["frobnicate"], &["scan", "i-"]] {
        let finished = run_scanner(&[], arguments).await;
        assert_eq!(finished.code, Some(2), "{arguments:?}: {}", finished.stderr);
    }
}

#[test]
fn the_demo_says_what_is_missing_before_it_begins() {
    let scratch = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let cases = [
        (
            "no terraform",
            demo(scratch.path(), &[("TERRAFORM", "/nonexistent/terraform")], &[]),
            vec!["TERRAFORM"],
        ),
        ("a port taken", demo(scratch.path(), &[], &["--port", &port]), vec![port.as_str(), "another port"]),
    ];
    for (told, output, parts) in cases {
        let stderr = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert_eq!(output.status.code(), Some(1), "{told}: {stderr}");
        for part in parts {
            assert!(stderr.contains(&part.to_lowercase()), "{told}: no {part:?} in:\n{stderr}");
        }
    }
}

fn demo(scratch: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(arguments)
        .arg("--folder")
        .arg(scratch.join("demo"))
        .env("TMPDIR", scratch)
        .envs(environment.iter().copied())
        .output()
        .expect("the demo starts")
}

/// A copy that is as sparse as the original.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--sparse=always").args([from, to]).status().expect("cp");
    assert!(status.success());
}
