//! What the scanner sends, against a stand-in that decodes and checks it as the intake's protocol says.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentless_service::delivery::{Clock, Delivery, Options};
use agentless_service::http::{Network, Redirects, client, endpoint};
use agentless_service::report::{List, Outcome, Report, Subject};
use agentless_service::sink::datadog::proto::{Sbom, SbomPayload};
use agentless_service::sink::datadog::{Datadog, Settings, Site};
use agentless_service::sink::https::Https;
use agentless_service::sink::{Credential, Payload, Sink};
use agentless_service::target::{Kind, Place, Target};
use agentless_tests::intake::{API_KEY, AUTHORIZATION, Answer, Intake, Kind as Entity};
use bytes::Bytes;
use prost::Message as _;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::watch;
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// A golden list of the scanner's own tests, in both forms.
fn list(subject: Subject, hash: &str) -> List {
    let lists = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scanner/tests/data/lists");
    let read = |ending: &str| Bytes::from(std::fs::read(lists.join(format!("target.{ending}"))).unwrap());
    List {
        subject,
        name: "host".to_owned(),
        is_complete: true,
        hash: hash.repeat(32),
        json: read("cdx.json"),
        protobuf: read("cdx.bin"),
    }
}

fn report(kind: Kind, id: &str, started: OffsetDateTime, outcome: Outcome) -> Arc<Report> {
    let target = Target {
        arn: format!("arn:aws:ec2:eu-central-1:111111111111:{}/{id}", kind.name()),
        place: Place { account: "111111111111".to_owned(), region: "eu-central-1".to_owned() },
        kind,
        id: id.to_owned(),
        tags: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
    };
    let duration = Duration::from_secs(30);
    Arc::new(Report {
        target,
        scan: Uuid::from_u128(1),
        scanner: "scanner".to_owned(),
        started,
        duration,
        outcome,
    })
}

fn host(started: OffsetDateTime, hash: &str) -> Arc<Report> {
    report(Kind::Instance, "i-1", started, Outcome::Listed(vec![list(Subject::Target, hash)]))
}

fn datadog(intake: &Intake, directory: &Path, api_key: Credential) -> Arc<dyn Sink> {
    let settings = Settings {
        url: Site::intake_at(&intake.url()).unwrap(),
        api_key,
        env: Some("staging".to_owned()),
        host: "i-scanner".to_owned(),
        directory: directory.join("heartbeats"),
    };
    Arc::new(Datadog::new(client(&Network::default(), Redirects::Refused).unwrap(), settings))
}

fn deliver(directory: &Path, sinks: Vec<Arc<dyn Sink>>) -> Delivery {
    let options =
        Options { directory: directory.join("spool"), limit: 64 << 20, seed: 1, clock: Clock::new(|| NOW) };
    Delivery::start(sinks, &options)
}

async fn submit(delivery: &Delivery, report: Arc<Report>) {
    delivery.submit(report).await.unwrap();
    assert!(delivery.flush(Duration::from_secs(30)).await.is_empty(), "{:?}", delivery.state());
}

#[tokio::test]
async fn every_kind_of_report_is_as_the_protocol_says() {
    let intake = Intake::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let authorization = Credential::fixed(AUTHORIZATION.to_owned());
    let https = client(&Network::default(), Redirects::Refused).unwrap();
    let https = Https::new(https, endpoint(&intake.lists_url()).unwrap(), Some(authorization));
    let datadog = datadog(&intake, directory.path(), Credential::fixed(API_KEY.to_owned()));
    let delivery = deliver(directory.path(), vec![datadog, Arc::new(https)]);

    let image = format!("registry.example:5000/shop:1.2@sha256:{}", "0a".repeat(32));
    let container = list(Subject::Container { image: image.clone() }, "cc");
    let function = "arn:aws:lambda:eu-central-1:111111111111:function:orders";
    let listed = |hash| Outcome::Listed(vec![list(Subject::Target, hash)]);
    let both = Outcome::Listed(vec![list(Subject::Target, "aa"), container]);
    submit(&delivery, report(Kind::Instance, "i-1", NOW, both)).await;
    submit(&delivery, report(Kind::Image, "ami-1", NOW, listed("dd"))).await;
    submit(&delivery, report(Kind::Function, &format!("{function}:$LATEST"), NOW, listed("ee"))).await;
    let denied = Outcome::Failed("kms:Decrypt is not allowed".to_owned());
    submit(&delivery, report(Kind::Volume, "vol-1", NOW, denied)).await;

    assert_eq!(intake.problems(), Vec::<String>::new());
    let known = intake.known();
    let entities: Vec<_> = known.keys().cloned().collect();
    assert_eq!(
        entities,
        [
            (Entity::ContainerImageLayers, image),
            (Entity::HostFileSystem, "i-1".to_owned()),
            (Entity::HostFileSystem, "vol-1".to_owned()),
            (Entity::HostImage, "ami-1".to_owned()),
            (Entity::ServerlessFunction, function.to_owned()),
        ]
    );
    let host = &known[&(Entity::HostFileSystem, "i-1".to_owned())];
    assert!(!host.components.is_empty());
    assert!(host.tags.contains(&"env:prod".to_owned()));
    let failed = &known[&(Entity::HostFileSystem, "vol-1".to_owned())];
    assert_eq!(failed.error.as_deref(), Some("kms:Decrypt is not allowed"));
    assert_eq!(intake.lists().len(), 5);
}

#[tokio::test]
async fn unchanged_lists_are_heartbeats_for_a_day() {
    let intake = Intake::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key = || Credential::fixed(API_KEY.to_owned());
    let delivery = deliver(directory.path(), vec![datadog(&intake, directory.path(), key())]);
    let after = |hours| NOW + time::Duration::hours(hours);
    submit(&delivery, host(after(0), "aa")).await;
    submit(&delivery, host(after(12), "aa")).await;
    // Another process goes on.
    drop(delivery);
    let delivery = deliver(directory.path(), vec![datadog(&intake, directory.path(), key())]);
    submit(&delivery, host(after(23), "aa")).await;
    submit(&delivery, host(after(24), "aa")).await;
    submit(&delivery, host(after(36), "bb")).await;
    let gone = Outcome::Failed("the snapshot is gone".to_owned());
    submit(&delivery, report(Kind::Instance, "i-1", after(48), gone)).await;
    submit(&delivery, host(after(49), "bb")).await;

    let heartbeats: Vec<_> = intake.received().iter().map(|request| request.is_heartbeat).collect();
    assert_eq!(heartbeats, [false, true, true, false, false, false, false]);
    assert_eq!(intake.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_heartbeat_follows_only_what_was_accepted() {
    let intake = Intake::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key = Credential::fixed(API_KEY.to_owned());
    let delivery = deliver(directory.path(), vec![datadog(&intake, directory.path(), key)]);
    intake.answer(Answer::Status(413, None));
    submit(&delivery, host(NOW, "aa")).await;
    submit(&delivery, host(NOW, "aa")).await;
    submit(&delivery, host(NOW, "aa")).await;
    let heartbeats: Vec<_> = intake.received().iter().map(|request| request.is_heartbeat).collect();
    assert_eq!(heartbeats, [false, false, true]);
    assert_eq!(delivery.state()[0].refused, 1);
    assert_eq!(intake.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn each_class_of_error_is_survived() {
    let intake = Intake::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (key, current) = watch::channel("ffffffffffffffffffffffffffffffff".to_owned());
    let datadog = datadog(&intake, directory.path(), Credential::watched(current));
    let delivery = deliver(directory.path(), vec![datadog]);

    // A wrong key keeps everything, until it is changed.
    delivery.submit(host(NOW, "aa")).await.unwrap();
    assert_eq!(delivery.flush(Duration::from_millis(500)).await, [("datadog", 1)]);
    let state = delivery.state().remove(0);
    assert!(state.misconfigured.unwrap().contains("403"));
    key.send_replace(API_KEY.to_owned());
    assert!(delivery.flush(Duration::from_secs(10)).await.is_empty());

    // Errors that pass.
    for answer in [Answer::Status(503, None), Answer::Status(429, Some(1))] {
        intake.answer(answer);
        submit(&delivery, host(NOW, "bb")).await;
    }
    // A payload that is not wanted.
    intake.answer(Answer::Status(400, None));
    submit(&delivery, host(NOW, "cc")).await;

    let state = delivery.state().remove(0);
    assert_eq!((state.waiting, state.refused, state.misconfigured), (0, 1, None));
    assert_eq!(intake.problems(), Vec::<String>::new());
    let known = intake.known();
    assert_eq!(known[&(Entity::HostFileSystem, "i-1".to_owned())].hash, "bb".repeat(32));
}

#[tokio::test]
async fn an_intake_that_is_away_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let intake = Intake::start().await.unwrap();
    intake.answer_always(Some(Answer::Hang));
    let key = || Credential::fixed(API_KEY.to_owned());
    let delivery = deliver(directory.path(), vec![datadog(&intake, directory.path(), key())]);
    for id in ["i-1", "i-2", "i-3"] {
        let outcome = Outcome::Listed(vec![list(Subject::Target, "aa")]);
        delivery.submit(report(Kind::Instance, id, NOW, outcome)).await.unwrap();
    }
    assert_eq!(delivery.flush(Duration::from_millis(200)).await, [("datadog", 3)]);
    // The scanner is replaced, the disk stays.
    drop(delivery);
    intake.answer_always(None);
    let delivery = deliver(directory.path(), vec![datadog(&intake, directory.path(), key())]);
    assert!(delivery.flush(Duration::from_secs(30)).await.is_empty());
    assert_eq!(intake.known().len(), 3);
    assert_eq!(intake.problems(), Vec::<String>::new());
}

/// Makes a good payload a bad one.
type Breach = fn(&mut SbomPayload);

#[tokio::test]
async fn the_stand_in_refuses_what_breaks_the_protocol() {
    let intake = Intake::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let datadog = datadog(&intake, directory.path(), Credential::fixed(API_KEY.to_owned()));
    let good = datadog.render(&host(NOW, "aa"), NOW).remove(0);
    let mut message = Vec::new();
    std::io::copy(&mut StreamingDecoder::new(good.body.as_ref()).unwrap(), &mut message).unwrap();
    let message = SbomPayload::decode(message.as_slice()).unwrap();
    let breaches: [(&str, Breach); 14] = [
        ("of version 2", |it| it.version = 2),
        ("no host", |it| it.host.clear()),
        ("its source", |it| it.source = "agent".to_owned()),
        ("not one entity", |it| it.entities.clear()),
        ("not one entity", |it| it.entities.push(it.entities[0].clone())),
        ("of kind 99", |it| it.entities[0].kind = 99),
        ("has the id", |it| it.entities[0].id = "ami-1".to_owned()),
        ("the tag region:", |it| it.entities[0].dd_tags.retain(|tag| !tag.starts_with("region:"))),
        ("the tag account_id:", |it| it.entities[0].dd_tags[0] = "account_id:1".to_owned()),
        ("generatedAt is missing", |it| it.entities[0].generated_at = None),
        ("its hash", |it| it.entities[0].hash.clear()),
        ("not a Bom", |it| it.entities[0].sbom = Some(Sbom::Cyclonedx(Bytes::from_static(b"x")))),
        ("it has a list", |it| it.entities[0].heartbeat = true),
        ("of an entity that has no list", |it| {
            it.entities[0].heartbeat = true;
            it.entities[0].sbom = None;
        }),
    ];
    for (index, (problem, breach)) in breaches.into_iter().enumerate() {
        let mut message = message.clone();
        breach(&mut message);
        let body = compress_to_vec(message.encode_to_vec().as_slice(), CompressionLevel::Fastest);
        let error = datadog.send(&Payload { body: body.into(), ..good.clone() }).await.unwrap_err();
        assert!(error.to_string().contains("400"), "{problem}: {error}");
        let found = intake.problems();
        assert_eq!(found.len(), index + 1);
        assert!(found[index].contains(problem), "{found:?}");
    }
    for (headers, body) in
        [(Vec::new(), good.body.clone()), (good.headers.clone(), Bytes::from_static(b"no"))]
    {
        datadog.send(&Payload { headers, body, ..good.clone() }).await.unwrap_err();
    }
    assert_eq!(intake.problems().len(), 16);
    assert!(intake.known().is_empty());
}
