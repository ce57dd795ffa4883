use std::io::Read as _;

use super::*;
use crate::http::{Network, Redirects, client};
use crate::report::Subject;
use crate::sink::test_reports::{NOW, list, listed, report, target};
use crate::sink::test_server::Server;
use crate::target::Kind;
use proto::{SbomEntity, SourceType};

fn sink(server: &Server, directory: &std::path::Path) -> Datadog {
    let settings = Settings {
        url: server.url("/api/v2/sbom"),
        api_key: Credential::fixed("0123456789abcdef0123456789abcdef".to_owned()),
        env: Some("staging".to_owned()),
        host: "i-scanner".to_owned(),
        directory: directory.join("heartbeats"),
    };
    Datadog::new(client(&Network::default(), Redirects::Refused).unwrap(), settings)
}

#[expect(clippy::disallowed_methods, reason = "our own payload")]
fn decoded(payload: &Payload) -> SbomPayload {
    let mut plain = Vec::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(payload.body.as_ref()).unwrap();
    decoder.read_to_end(&mut plain).unwrap();
    SbomPayload::decode(plain.as_slice()).unwrap()
}

fn entity(payload: &Payload) -> SbomEntity {
    decoded(payload).entities.remove(0)
}

#[tokio::test]
async fn a_list_goes_as_the_intake_wants_it() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let sink = sink(&server, directory.path());
    let payload = sink.render(&listed("i-1"), NOW).remove(0);
    sink.send(&payload).await.unwrap();
    let request = server.requests().remove(0);
    for (name, value) in [
        ("dd-api-key", "0123456789abcdef0123456789abcdef"),
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "zstd"),
        ("dd-evp-origin", "agentless-scanner"),
        ("dd-evp-origin-version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    assert_eq!(request.body, payload.body);

    let message = decoded(&payload);
    assert_eq!((message.version, message.source.as_str()), (1, "agentless-scanner"));
    assert_eq!((message.host.as_str(), message.dd_env.as_deref()), ("i-scanner", Some("staging")));
    let entity = entity(&payload);
    assert_eq!((entity.kind(), entity.id.as_str()), (SourceType::HostFileSystem, "i-1"));
    assert_eq!((entity.status(), entity.heartbeat, entity.in_use), (Status::Success, false, true));
    assert_eq!(entity.hash, "aa".repeat(32));
    assert_eq!(entity.sbom, Some(Sbom::Cyclonedx(list("host").protobuf)));
    let generated = entity.generated_at.unwrap();
    assert_eq!((generated.seconds, generated.nanos), (NOW.unix_timestamp() + 2, 500_000_000));
    assert_eq!(
        entity.dd_tags,
        ["account_id:111111111111", "agentless_scanner_host:i-scanner", "region:eu-central-1", "env:prod"]
    );
}

#[tokio::test]
async fn each_kind_has_its_entity() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let sink = sink(&server, directory.path());
    let function = "arn:aws:lambda:eu-central-1:111111111111:function:orders";
    for (kind, id, source, name) in [
        (Kind::Instance, "i-1", SourceType::HostFileSystem, "i-1"),
        (Kind::Volume, "vol-1", SourceType::HostFileSystem, "vol-1"),
        (Kind::Image, "ami-1", SourceType::HostImage, "ami-1"),
        (Kind::Function, &format!("{function}:$LATEST"), SourceType::ServerlessFunction, function),
        (Kind::Function, &format!("{function}:7"), SourceType::ServerlessFunction, &format!("{function}:7")),
    ] {
        let report = Report { target: target(kind, id), ..listed("") };
        let entity = entity(&sink.render(&report, NOW)[0]);
        assert_eq!((entity.kind(), entity.id.as_str()), (source, name));
    }
    let image = "registry.example:5000/shop/nginx:1.25@sha256:abcd";
    let mut container = list("nginx");
    container.subject = Subject::Container { image: image.to_owned() };
    let payloads = sink.render(&report("i-1", Outcome::Listed(vec![list("host"), container])), NOW);
    assert_eq!(payloads.len(), 2, "one entity a request");
    let entity = entity(&payloads[1]);
    assert_eq!((entity.kind(), entity.id.as_str()), (SourceType::ContainerImageLayers, image));
    assert_eq!(entity.repo_tags, ["1.25"]);
    assert_eq!(entity.repo_digests, ["registry.example:5000/shop/nginx@sha256:abcd"]);
}

#[tokio::test]
async fn an_unchanged_list_is_a_heartbeat_once_it_was_accepted() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let first = sink(&server, directory.path());
    let full = first.render(&listed("i-1"), NOW).remove(0);
    server.answer(500, &[], "");
    first.send(&full).await.unwrap_err();
    assert!(!entity(&first.render(&listed("i-1"), NOW)[0]).heartbeat, "nothing was accepted");

    let full = first.render(&listed("i-1"), NOW).remove(0);
    first.send(&full).await.unwrap();
    // The memory outlives a restart.
    let second = sink(&server, directory.path());
    let heartbeat = entity(&second.render(&listed("i-1"), NOW)[0]);
    assert!(heartbeat.heartbeat);
    assert_eq!((heartbeat.hash, heartbeat.sbom), ("aa".repeat(32), None));

    let mut changed = list("host");
    changed.hash = "bb".repeat(32);
    let changed = report("i-1", Outcome::Listed(vec![changed]));
    assert!(!entity(&second.render(&changed, NOW)[0]).heartbeat);
    assert!(!entity(&second.render(&listed("i-1"), NOW)[0]).heartbeat, "the changed one is on its way");

    let tomorrow = Report { started: NOW + time::Duration::DAY, ..listed("i-1") };
    assert!(!entity(&sink(&server, directory.path()).render(&tomorrow, NOW)[0]).heartbeat);
}

#[tokio::test]
async fn a_failure_has_its_reason_and_ends_heartbeats() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let sink = sink(&server, directory.path());
    let full = sink.render(&listed("i-1"), NOW).remove(0);
    sink.send(&full).await.unwrap();
    let failed = report("i-1", Outcome::Failed("kms:Decrypt is not allowed".to_owned()));
    let failed = entity(&sink.render(&failed, NOW)[0]);
    assert_eq!(failed.status(), Status::Failed);
    assert_eq!(failed.sbom, Some(Sbom::Error("kms:Decrypt is not allowed".to_owned())));
    assert!(!entity(&sink.render(&listed("i-1"), NOW)[0]).heartbeat);
}

#[tokio::test]
async fn answers_are_sorted_by_what_is_to_be_done() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let sink = sink(&server, directory.path());
    let payload = sink.render(&listed("i-1"), NOW).remove(0);
    for (status, is_about_payload) in [(400, true), (413, true), (401, false), (403, false), (301, false)] {
        server.answer(status, &[], "");
        let error = sink.send(&payload).await.unwrap_err();
        let SendError::Permanent { is_about_payload: about, .. } = error else { panic!("{error:?}") };
        assert_eq!(about, is_about_payload, "{status}");
    }
    for status in [404, 408, 429, 500, 503] {
        server.answer(status, &[], "");
        let error = sink.send(&payload).await.unwrap_err();
        assert!(matches!(error, SendError::Passing { .. }), "{status}: {error:?}");
    }
}

#[test]
fn long_lists_survive_compression() {
    let repetitive: Vec<u8> = b"pkg:deb/debian/libc6@2.36-9".iter().copied().cycle().take(3 << 20).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = (0..300_000).map(|_| random.u8(..)).collect();
    for plain in [repetitive, noise, Vec::new()] {
        let packed = compress_to_vec(plain.as_slice(), CompressionLevel::Fastest);
        let mut unpacked = Vec::new();
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(packed.as_slice()).unwrap();
        std::io::copy(&mut decoder, &mut unpacked).unwrap();
        assert!(unpacked == plain);
    }
}
