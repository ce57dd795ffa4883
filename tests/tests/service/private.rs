//! What leaves the machine, and who can come in.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use agentless_service::board::Outcome;
use agentless_service::status::client::{Client, ClientError};
use agentless_tests::intake::{self, Intake};
use agentless_tests::service::eventually;

use crate::everything::{make_bucket, s3};
use crate::scene::{Scene, copy_of_image, only_list};

/// What must not leave. It stands where a scanner does not look, and in files that it reads.
const SECRET: &str = "do-not-tell-anybody-7c1d";
const BUCKET: &str = "lists-and-nothing-else";

#[tokio::test]
async fn promise_1_nothing_but_package_lists_leaves_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    copy_of_image(&disk).await;
    let hidden = [
        ("/root/.ssh/id_ed25519", format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n")),
        ("/etc/app.env", format!("TOKEN={SECRET}\n")),
        ("/var/log/app.log", format!("{SECRET}\n")),
        (
            "/usr/lib/python3/dist-packages/quiet-1.0.dist-info/METADATA",
            format!("Metadata-Version: 2.1\nName: quiet\nVersion: 1.0\nX-Token: {SECRET}\n\n{SECRET}\n"),
        ),
        (
            "/usr/lib/node_modules/quiet-too/package.json",
            format!(
                r#"{{"name": "quiet-too", "version": "2.0.0", "config": {{"token": "{SECRET}"}}, "scripts": {{"x": "{SECRET}"}}}}"#
            ),
        ),
    ];
    write_into(&disk, folder.path(), &hidden);
    let on_disk = Command::new("grep").args(["-aoc", SECRET]).arg(&disk).output().unwrap();
    assert!(String::from_utf8_lossy(&on_disk.stdout).trim() != "0", "the secret is on the disk");

    let scene = Scene::with_disk("me-south-1", &disk).await;
    make_bucket(&scene.aws, BUCKET, "me-south-1").await;
    let intake = Intake::start().await.unwrap();
    let machine = scene.machine(&format!(
        "sinks:\n  s3: {{bucket: {BUCKET}}}\n  datadog: {{api_key: {}, url: \"{}\"}}\n  \
         https: {{url: \"{}\", authorization: \"{}\"}}\n",
        intake::API_KEY,
        intake.url(),
        intake.lists_url(),
        intake::AUTHORIZATION,
    ));
    let service = machine.ready().await.unwrap();
    let (service, last) = service.scan(&scene.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let arrived = || async {
        let stored = stored(&scene).await;
        (only_list(&machine).is_some() && stored.len() == 1 && intake.received().len() == 2).then_some(stored)
    };
    let stored = eventually("every sink has the list", arrived).await.unwrap();
    let finished = service.end().await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);

    // The files with the secret were read, or the rest says nothing.
    let document = only_list(&machine).unwrap().to_string();
    assert!(
        document.contains("pkg:pypi/quiet@1.0") && document.contains("pkg:npm/quiet-too@2.0.0"),
        "{document}"
    );
    let mut left: Vec<String> = vec![document, finished.stderr];
    left.extend(stored);
    left.extend(intake.received().iter().map(|request| format!("{:?} {}", request.headers, request.body)));
    let calls = scene.aws.calls();
    left.extend(calls.iter().map(|call| format!("{} {:?}", call.permission(), call.parameters)));
    assert!(left.iter().all(|text| !text.contains(SECRET)));
    // Requests to AWS say what is asked for. Nothing but lists is sent there.
    let services: BTreeSet<&str> = calls.iter().map(|call| call.service.as_str()).collect();
    assert_eq!(services, ["ebs", "ec2", "s3", "sts"].into());
    let sent: Vec<_> = calls.iter().filter(|call| call.service == "s3").map(|call| &call.action).collect();
    assert_eq!(sent, ["PutObject"]);
}

#[tokio::test]
async fn promise_2_nothing_listens_but_the_status_interface_and_that_takes_a_token() {
    let scene = Scene::new("af-south-1").await;
    let machine = scene.machine("");
    let service = machine.ready().await.unwrap();
    let (service, last) = service.scan(&scene.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let listening = listening(service.id().as_raw());
    assert!(matches!(&listening[..], [only] if only.starts_with("0100007F:")), "{listening:?}");

    // Who does not know the token learns nothing.
    let run = machine.path("run");
    let stranger = machine.path("stranger");
    let copied = Command::new("cp").arg("-r").args([&run, &stranger]).status().unwrap();
    assert!(copied.success());
    let token = std::fs::read_to_string(run.join(TOKEN)).unwrap();
    std::fs::write(stranger.join(TOKEN), token.chars().rev().collect::<String>()).unwrap();
    let refused = Client::new(stranger).status().await.map(drop);
    assert!(matches!(&refused, Err(ClientError::Refused { status: 403, .. })), "{refused:?}");
    assert_eq!(service.end().await.unwrap().code, Some(0));
}

/// Puts files onto a disk image, with the tools of its filesystem.
fn write_into(disk: &Path, scratch: &Path, files: &[(&str, String)]) {
    let mut commands = String::new();
    for (number, (path, content)) in files.iter().enumerate() {
        let source = scratch.join(number.to_string());
        std::fs::write(&source, content).expect("a file");
        let parents = Path::new(path).ancestors().skip(1).collect::<Vec<_>>();
        for parent in parents.iter().rev().filter(|parent| parent.parent().is_some()) {
            // One that is there already stays.
            writeln!(commands, "mkdir {}", parent.display()).expect("a text");
        }
        writeln!(commands, "write {} {path}", source.display()).expect("a text");
    }
    let script = scratch.join("commands");
    std::fs::write(&script, commands).expect("a file");
    // The root filesystem begins at 4 MiB.
    let root = format!("{}?offset={}", disk.display(), 4 << 20);
    let output = Command::new("debugfs").args(["-w", "-f"]).arg(&script).arg(root).output().expect("debugfs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The objects of the bucket.
async fn stored(scene: &Scene) -> Vec<String> {
    let s3 = s3(&scene.aws);
    let listed = s3.list_objects_v2().bucket(BUCKET).send().await.expect("objects");
    let mut stored = Vec::new();
    for key in listed.contents().iter().filter_map(|object| object.key()) {
        let object = s3.get_object().bucket(BUCKET).key(key).send().await.expect("an object");
        let body = object.body.collect().await.expect("its body").into_bytes();
        stored.push(format!("{key} {:?} {}", object.metadata, String::from_utf8_lossy(&body)));
    }
    stored
}

/// Where a process listens, as `/proc/net` writes addresses: those of its sockets that wait for connections or datagrams.
fn listening(process: i32) -> Vec<String> {
    let sockets: BTreeSet<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .expect("its descriptors")
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut found = Vec::new();
    for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
        let text = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, is, _, _, _, _, _, inode, ..] = fields[..]
                && is == state
                && sockets.contains(inode)
            {
                found.push(local.to_owned());
            }
        }
    }
    found
}

/// The file with the token of the status interface, in the runtime directory.
const TOKEN: &str = "status-token";
