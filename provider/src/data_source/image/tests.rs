use std::time::Duration;

use super::*;
use crate::aws::Tags;
use crate::aws::fake::{ACCOUNT, FakeAws};
use crate::sdk::{Path, Severity};

const OTHER_ACCOUNT: &str = "444455556666";

fn image(id: &str, date: &str) -> MachineImage {
    MachineImage {
        id: id.to_owned(),
        owner: ACCOUNT.to_owned(),
        name: format!("agentless-scanner-{id}"),
        architecture: "arm64".to_owned(),
        creation_date: date.to_owned(),
        root_device_name: "/dev/sda1".to_owned(),
        volumes: [
            ("/dev/sda1".to_owned(), (Some("snap-1".to_owned()), Some(8))),
            ("/dev/sdb".to_owned(), (Some("snap-2".to_owned()), Some(100))),
        ]
        .into(),
        tags: [(tags::IMAGE_VERSION.to_owned(), "1.2.3".to_owned())].into(),
        ..MachineImage::default()
    }
}

fn with_images(images: impl IntoIterator<Item = MachineImage>) -> (Arc<FakeAws>, Image<FakeAws>) {
    let aws = Arc::new(FakeAws::default());
    aws.world().images = images.into_iter().collect();
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    (aws.clone(), Image::new(aws, Arc::new(settings)))
}

fn context() -> Context {
    Context::detached(Duration::from_mins(1))
}

async fn read(images: impl IntoIterator<Item = MachineImage>, config: Model) -> Result<Model, Diagnostic> {
    with_images(images).1.read(&context(), config).await
}

#[tokio::test]
async fn the_newest_image_is_described() {
    let old = image("ami-9", "2025-01-01T00:00:00.000Z");
    let mut new = image("ami-1", "2025-02-01T00:00:00.000Z");
    new.tags.insert(tags::IMAGE_COMMIT.to_owned(), "abcdef0".to_owned());
    new.tags.insert(tags::IMAGE_SOURCE.to_owned(), "ami-source".to_owned());
    new.source_image_id = Some("ami-copied".to_owned());
    new.deprecation_time = Some("2099-01-01T00:00:00.000Z".to_owned());
    let found = read([new.clone(), old], Model::default()).await.unwrap();
    let expected = Model {
        region: "eu-central-1".into(),
        owners: Value::Known(["self".to_owned()].into()),
        architecture: "arm64".into(),
        include_deprecated: false.into(),
        id: "ami-1".into(),
        arn: "arn:aws:ec2:eu-central-1::image/ami-1".into(),
        name: "agentless-scanner-ami-1".into(),
        owner_id: ACCOUNT.into(),
        creation_date: "2025-02-01T00:00:00.000Z".into(),
        deprecation_time: "2099-01-01T00:00:00.000Z".into(),
        root_device_name: "/dev/sda1".into(),
        root_device_size: 8.into(),
        snapshot_ids: Value::Known(["snap-1".to_owned(), "snap-2".to_owned()].into()),
        source_image_id: "ami-source".into(),
        scanner_version: "1.2.3".into(),
        commit: "abcdef0".into(),
        tags: new.tags.clone().into(),
        ..Model::default()
    };
    assert_eq!(found, expected);

    new.tags.remove(tags::IMAGE_SOURCE);
    let found = read([new], Model::default()).await.unwrap();
    assert_eq!(found.source_image_id, "ami-copied".into());
}

#[tokio::test]
async fn of_one_date_the_greater_id_is_taken() {
    let date = "2025-01-01T00:00:00.000Z";
    for ids in [["ami-1", "ami-2", "ami-3"], ["ami-3", "ami-2", "ami-1"]] {
        let found = read(ids.map(|id| image(id, date)), Model::default()).await.unwrap();
        assert_eq!(found.id, "ami-3".into());
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_found() {
    let date = "2025-01-01T00:00:00.000Z";
    let intel = MachineImage { architecture: "x86_64".to_owned(), ..image("ami-intel", date) };
    let untagged = MachineImage { tags: Tags::new(), ..image("ami-untagged", date) };
    let mut stable = image("ami-a-stable", date);
    stable.tags.insert("channel".to_owned(), "stable".to_owned());
    let images = || [intel.clone(), untagged.clone(), stable.clone(), image("ami-plain", date)];
    let find = |config: Model| read(images(), config);

    assert_eq!(find(Model::default()).await.unwrap().id, "ami-plain".into());
    let config = Model { architecture: "x86_64".into(), ..Model::default() };
    assert_eq!(find(config).await.unwrap().id, "ami-intel".into());
    let config = Model { name_prefix: "agentless-scanner-ami-".into(), ..Model::default() };
    assert_eq!(find(config).await.unwrap().id, "ami-untagged".into());
    let channel = [("channel".to_owned(), "stable".to_owned())];
    let config = Model { required_tags: Value::Known(channel.into()), ..Model::default() };
    assert_eq!(find(config).await.unwrap().id, "ami-a-stable".into());
}

#[test]
fn tags_are_not_patterns() {
    let channel = [("channel".to_owned(), r"a*b?\".to_owned())];
    let query = query(&Model { required_tags: Value::Known(channel.into()), ..Model::default() });
    assert_eq!(query.filters["tag:channel"], [r"a\*b\?\\"]);
}

#[tokio::test]
async fn a_deprecated_image_counts_only_where_it_is_wanted() {
    let past = Some("2025-06-01T00:00:00.000Z".to_owned());
    let old = image("ami-old", "2025-01-01T00:00:00.000Z");
    let new = MachineImage { deprecation_time: past, ..image("ami-new", "2025-02-01T00:00:00.000Z") };
    let found = read([old, new.clone()], Model::default()).await.unwrap();
    assert_eq!(found.id, "ami-old".into());
    let config = Model { include_deprecated: true.into(), ..Model::default() };
    let (aws, source) = with_images([new.clone()]);
    assert_eq!(source.read(&context(), config).await.unwrap().id, "ami-new".into());
    assert!(aws.world().image_query.as_ref().unwrap().include_deprecated);

    let error = read([new], Model::default()).await.unwrap_err();
    assert!(error.detail.contains("Deprecated images that match: 1"), "{}", error.detail);
}

#[tokio::test]
async fn nothing_found_says_what_was_looked_for() {
    let config = Model { architecture: "x86_64".into(), ..Model::default() };
    let error = read([image("ami-1", "2025-01-01T00:00:00.000Z")], config).await.unwrap_err();
    assert_eq!(error.summary, "No scanner image found");
    assert!(error.detail.contains("image_id of datadog_agentless_scanner"), "{}", error.detail);
    for part in
        ["eu-central-1 of owner self", "architecture x86_64", "tag-key DatadogAgentlessScannerVersion"]
    {
        assert!(error.detail.contains(part), "{}", error.detail);
    }
}

#[tokio::test]
async fn images_of_several_accounts_are_not_chosen_from() {
    let date = "2025-01-01T00:00:00.000Z";
    let theirs = MachineImage { owner: OTHER_ACCOUNT.to_owned(), ..image("ami-2", date) };
    let config = Model {
        owners: Value::Known(["self".to_owned(), OTHER_ACCOUNT.to_owned()].into()),
        name_prefix: "agentless-scanner-".into(),
        ..Model::default()
    };
    let error = read([image("ami-1", date), theirs.clone()], config.clone()).await.unwrap_err();
    assert_eq!(error.path, Path::from("owners"));
    assert!(error.detail.contains(OTHER_ACCOUNT) && error.detail.contains(ACCOUNT), "{}", error.detail);
    assert_eq!(read([theirs], config).await.unwrap().owner_id, OTHER_ACCOUNT.into());
}

#[test]
fn images_of_other_accounts_are_found_by_name() {
    let owners = Value::Known([OTHER_ACCOUNT.to_owned()].into());
    let paths = |config: &Model| -> Vec<String> {
        Image::<FakeAws>::validate(config).iter().map(|problem| problem.path.to_string()).collect()
    };
    let config = Model { owners, required_tags: Value::Known(Tags::new()), ..Model::default() };
    assert_eq!(paths(&config), ["name_prefix", "required_tags"]);
    let config = Model { name_prefix: Value::Unknown, required_tags: Value::Null, ..config };
    assert_eq!(paths(&config), Vec::<String>::new());
    assert_eq!(paths(&Model { owners: Value::Unknown, ..Model::default() }), Vec::<String>::new());
}

#[tokio::test]
async fn an_old_image_is_told_or_refused() {
    let old = || [image("ami-1", "2025-01-01T00:00:00.000Z")];
    for (max_age, action, told) in [
        (Value::Null, Value::Null, None),
        ("720h".into(), Value::Null, Some(Severity::Warning)),
        ("720h".into(), "warn".into(), Some(Severity::Warning)),
        ("720h".into(), "fail".into(), Some(Severity::Error)),
    ] {
        let ctx = context();
        let config = Model { max_age, max_age_action: action, ..Model::default() };
        let result = with_images(old()).1.read(&ctx, config).await;
        let diagnostics: Vec<_> = ctx.into_told().diagnostics.into_iter().chain(result.err()).collect();
        assert_eq!(diagnostics.first().map(|diagnostic| diagnostic.severity), told);
        for diagnostic in diagnostics {
            assert!(diagnostic.detail.contains("2025-01-01T00:00:00.000Z"), "{}", diagnostic.detail);
        }
    }
    let young = [image("ami-1", "2099-01-01T00:00:00.000Z")];
    let config = Model { max_age: "1h".into(), max_age_action: "fail".into(), ..Model::default() };
    read(young, config).await.unwrap();
}

#[tokio::test]
async fn a_refusal_names_the_permission() {
    let (aws, source) = with_images([]);
    aws.fail("ec2:DescribeImages", "UnauthorizedOperation", "not you");
    let error = source.read(&context(), Model::default()).await.unwrap_err();
    assert!(error.detail.contains("permission ec2:DescribeImages"), "{}", error.detail);
}
