use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::super::testing::{Action, Stage};
use super::*;
use crate::aws::CURRENT;
use crate::aws::fake::{FakeAws, FakeSecret};
use crate::sdk::{Path, validator};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const ROLE: &str = "arn:aws:iam::111122223333:role/scanner";
const KMS: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

fn start() -> (Arc<FakeAws>, Stage<ApiKey<FakeAws>>) {
    let aws = Arc::new(FakeAws::default());
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    (aws.clone(), Stage::new(ApiKey::new(aws, Arc::new(settings))))
}

fn config() -> Model {
    Model {
        name: "datadog/api-key".into(),
        api_key_wo: Secret::new(KEY).into(),
        api_key_wo_version: 1.into(),
        ..Model::default()
    }
}

/// The configuration of every day, when the key is not given.
fn without_key() -> Model {
    Model { api_key_wo: Value::Null, ..config() }
}

fn everything() -> Model {
    Model {
        kms_key_id: KMS.into(),
        description: "The key".into(),
        recovery_window_in_days: 7.into(),
        reader_role_arns: readers([ROLE]),
        tags: Value::Known([("a".to_owned(), "b".to_owned())].into()),
        ..config()
    }
}

fn readers<const N: usize>(arns: [&str; N]) -> Value<BTreeSet<String>> {
    Value::Known(arns.map(str::to_owned).into())
}

/// Looks at the one secret, or changes it behind the resource's back.
fn secret<T>(aws: &FakeAws, look: impl FnOnce(&mut FakeSecret) -> T) -> T {
    let mut world = aws.world();
    assert_eq!(world.secrets.len(), 1);
    look(world.secrets.values_mut().next().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_holds_the_key_and_the_state_does_not() {
    let (aws, mut stage) = start();
    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Create);
    assert_eq!(aws.take_changes(), ["secretsmanager:CreateSecret"]);
    let made = stage.state().clone();
    let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:datadog/api-key-AbCdEf";
    assert_eq!(made.arn, arn.into());
    assert_eq!(made.enc_handle, format!("ENC[{arn}]").into());
    assert_eq!(made.api_key_wo, Value::Null);
    assert_eq!(made.policy, Value::Null);
    secret(&aws, |fake| {
        assert_eq!(fake.value(), KEY);
        assert_eq!(fake.secret.current_version(), made.version_id.as_str());
    });
    for config in [config(), without_key()] {
        assert_eq!(stage.drift(&config).await, Action::Nothing);
    }
    assert_eq!(*stage.state(), made);
    assert!(!format!("{:?} {:?}", config(), aws.world().calls).contains(KEY));
}

#[tokio::test(start_paused = true)]
async fn arguments_change_in_place_and_names_do_not() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let other = Model { api_key_wo: Value::Null, ..everything() };
    assert_eq!(stage.apply(&other).await.unwrap(), Action::Update);
    secret(&aws, |fake| {
        assert_eq!(fake.secret.kms_key_id.as_deref(), Some(KMS));
        assert_eq!(fake.secret.description, "The key");
        assert!(fake.policy.as_ref().unwrap().contains(ROLE));
        assert_eq!(fake.secret.tags.len(), 1);
        assert_eq!(fake.value(), KEY);
    });
    assert_eq!(stage.drift(&other).await, Action::Nothing);
    // And back.
    assert_eq!(stage.apply(&without_key()).await.unwrap(), Action::Update);
    secret(&aws, |fake| {
        assert_eq!((&fake.secret.kms_key_id, &fake.policy), (&None, &None));
        assert!(fake.secret.tags.is_empty());
    });
    assert_eq!(stage.drift(&without_key()).await, Action::Nothing);

    let renamed = Model { name: "other".into(), recovery_window_in_days: 0.into(), ..config() };
    assert_eq!(stage.apply(&renamed).await.unwrap(), Action::Replace);
}

#[tokio::test(start_paused = true)]
async fn another_number_writes_the_key() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let first = stage.state().version_id.clone();
    let rotated = Model { api_key_wo: Secret::new(OTHER).into(), api_key_wo_version: 2.into(), ..config() };
    let (_, planned) = stage.plan(&rotated).await.unwrap();
    assert!(planned.version_id.is_unknown());
    assert_eq!(stage.apply(&rotated).await.unwrap(), Action::Update);
    secret(&aws, |fake| {
        assert_eq!(fake.value(), OTHER);
        assert_eq!(fake.secret.versions[first.as_str().unwrap()], ["AWSPREVIOUS"]);
    });
    assert_ne!(stage.state().version_id, first);
    assert_eq!(stage.drift(&rotated).await, Action::Nothing);

    // A key alone, without a new number, is not written: Terraform could not know that it is another one.
    assert_eq!(stage.drift(&Model { api_key_wo: Secret::new(KEY).into(), ..rotated }).await, Action::Nothing);
    let error = stage.plan(&Model { api_key_wo_version: 3.into(), ..without_key() }).await.unwrap_err();
    assert_eq!(error.path, Path::from("api_key_wo"));
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_needs_the_key_when_planned() {
    let (_, stage) = start();
    let error = stage.plan(&without_key()).await.unwrap_err();
    assert_eq!(error.path, Path::from("api_key_wo"));
    assert!(error.detail.contains("must be given again"), "{}", error.detail);
    // What only apply will know is not missing.
    stage.plan(&Model { api_key_wo: Value::Unknown, ..config() }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_that_somebody_replaces_is_written_again_when_it_is_given() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    secret(&aws, |fake| fake.put("0d2c9a3e-7b1f-4a52-9a3e-7b1f4a529a3e", OTHER));
    assert_eq!(stage.drift(&without_key()).await, Action::Nothing);
    assert_eq!(stage.state().foreign_version_id, "0d2c9a3e-7b1f-4a52-9a3e-7b1f4a529a3e".into());
    let (action, planned) = stage.plan(&config()).await.unwrap();
    assert_eq!((action, planned.foreign_version_id), (Action::Update, Value::Null));
    stage.apply(&config()).await.unwrap();
    secret(&aws, |fake| assert_eq!(fake.value(), KEY));
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_has_lost_its_value_gets_it_again() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    secret(&aws, |fake| fake.secret.versions.clear());
    assert_eq!(stage.drift(&config()).await, Action::Update);
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn whatever_somebody_changes_is_set_right() {
    let (aws, mut stage) = start();
    stage.apply(&everything()).await.unwrap();
    let everyday = Model { api_key_wo: Value::Null, ..everything() };
    let changes: [fn(&mut FakeSecret); 7] = [
        |fake| fake.policy = None,
        |fake| fake.policy = Some(r#"{"Statement":[]}"#.to_owned()),
        |fake| fake.secret.kms_key_id = None,
        |fake| fake.secret.kms_key_id = Some(KMS.replace("1234", "4321")),
        |fake| fake.secret.description.clear(),
        |fake| _ = fake.secret.tags.insert("who".to_owned(), "me".to_owned()),
        |fake| fake.secret.deletion_date = Some(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        secret(&aws, change);
        assert_eq!(stage.drift(&everyday).await, Action::Update, "change {number}");
        stage.apply(&everyday).await.unwrap();
        assert_eq!(stage.drift(&everyday).await, Action::Nothing, "change {number}");
        secret(&aws, |fake| {
            assert!(fake.policy.as_ref().unwrap().contains(ROLE), "change {number}");
            assert_eq!(fake.secret.deletion_date, None, "change {number}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_was_not_asked_for_is_removed() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    secret(&aws, |fake| fake.policy = Some(r#"{"Statement":[]}"#.to_owned()));
    assert_eq!(stage.drift(&config()).await, Action::Update);
    stage.apply(&config()).await.unwrap();
    secret(&aws, |fake| assert_eq!(fake.policy, None));
}

#[tokio::test(start_paused = true)]
async fn readers_that_only_apply_knows_are_written_too() {
    let (aws, stage) = start();
    let config = Model { reader_role_arns: Value::Unknown, ..config() };
    let (_, planned) = stage.plan(&config).await.unwrap();
    assert!(planned.policy.is_unknown());
    let known = Model { reader_role_arns: readers([ROLE]), api_key_wo: config.api_key_wo, ..planned };
    let mut saved = Saved::new();
    stage.resource.create(&Context::detached(Duration::from_mins(1)), known, &mut saved).await.unwrap();
    assert_eq!(saved.get().unwrap().policy.get(), secret(&aws, |fake| fake.policy.clone()).as_ref());
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_whose_policy_fails_does_not_stay() {
    let (aws, mut stage) = start();
    aws.fail("secretsmanager:PutResourcePolicy", "AccessDeniedException", "not you");
    let error = stage.apply(&everything()).await.unwrap_err();
    assert!(error.detail.contains("permission secretsmanager:PutResourcePolicy"), "{}", error.detail);
    assert!(stage.state.is_none() && aws.world().secrets.is_empty());
    stage.apply(&everything()).await.unwrap();
    assert_eq!(stage.drift(&everything()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_that_cannot_be_removed_either_is_saved() {
    for finished in [false, true] {
        let (aws, mut stage) = start();
        aws.fail("secretsmanager:PutResourcePolicy", "AccessDeniedException", "not you");
        aws.fail("secretsmanager:DeleteSecret", "AccessDeniedException", "not you");
        stage.apply(&everything()).await.unwrap_err();
        assert!(stage.state().arn.is_known());
        if finished {
            assert_eq!(stage.drift(&everything()).await, Action::Update);
            stage.apply(&everything()).await.unwrap();
            assert_eq!(stage.drift(&everything()).await, Action::Nothing);
        }
        stage.destroy().await.unwrap();
        assert!(secret(&aws, |fake| fake.secret.deletion_date.is_some()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_there_yet_is_waited_for() {
    let (aws, mut stage) = start();
    aws.fail("secretsmanager:PutResourcePolicy", "ResourceNotFoundException", "not yet");
    stage.apply(&everything()).await.unwrap();
    assert_eq!(stage.drift(&everything()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_fails_at_any_step_is_continued_by_the_next() {
    let target =
        Model { api_key_wo: Secret::new(OTHER).into(), api_key_wo_version: 2.into(), ..everything() };
    for operation in [
        "secretsmanager:RestoreSecret",
        "secretsmanager:PutResourcePolicy",
        "secretsmanager:UpdateSecret",
        "secretsmanager:PutSecretValue",
        "secretsmanager:TagResource",
    ] {
        let (aws, mut stage) = start();
        stage.apply(&config()).await.unwrap();
        let date = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        secret(&aws, |fake| fake.secret.deletion_date = Some(date));
        stage.refresh().await.unwrap();
        aws.fail(operation, "AccessDeniedException", "not you");
        let error = stage.apply(&target).await.unwrap_err();
        assert!(error.detail.contains(operation), "{}", error.detail);
        assert!(!error.to_string().contains(OTHER));
        assert_eq!(stage.drift(&target).await, Action::Update, "{operation}");
        stage.apply(&target).await.unwrap();
        assert_eq!(stage.drift(&target).await, Action::Nothing, "{operation}");
        secret(&aws, |fake| assert_eq!(fake.value(), OTHER));
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_whose_answer_was_lost_is_recognised() {
    let (aws, mut stage) = start();
    aws.world().loses_answer_of = Some("secretsmanager:CreateSecret");
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
    aws.world().loses_answer_of = Some("secretsmanager:PutSecretValue");
    stage.apply(&Model { api_key_wo_version: 2.into(), ..config() }).await.unwrap();
    assert_eq!(stage.drift(&Model { api_key_wo_version: 2.into(), ..config() }).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_secret_is_not_taken() {
    let (aws, mut owner) = start();
    owner.apply(&config()).await.unwrap();
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    let mut second = Stage::new(ApiKey::new(aws.clone(), Arc::new(settings)));
    let error = second.apply(&config()).await.unwrap_err();
    assert_eq!(error.path, Path::from("name"));
    assert!(error.detail.contains("terraform import"), "{}", error.detail);
    assert!(second.state.is_none());
    assert_eq!(owner.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_name_whose_secret_can_still_be_restored_is_told() {
    let (_, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    stage.destroy().await.unwrap();
    let error = stage.apply(&config()).await.unwrap_err();
    assert_eq!(error.path, Path::from("name"));
    for part in ["on 2027-02-14", "restore-secret --region eu-central-1", "--force-delete-without-recovery"] {
        assert!(error.detail.contains(part), "{}", error.detail);
    }
    assert!(stage.state.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_deleted_at_once_is_waited_for() {
    let (aws, mut stage) = start();
    aws.world().vanishing_secrets = 3;
    stage.apply(&config()).await.unwrap();
    assert_eq!(aws.take_changes(), ["secretsmanager:CreateSecret"; 4]);
    // But not for ever.
    let (aws, mut stage) = start();
    aws.world().vanishing_secrets = 1_000;
    let error = stage.apply(&config()).await.unwrap_err();
    assert_eq!(error.path, Path::from("name"));
}

#[tokio::test(start_paused = true)]
async fn destroy_keeps_it_for_the_recovery_window() {
    for (days, remains) in [(Value::Null, true), (7.into(), true), (0.into(), false)] {
        let (aws, mut stage) = start();
        stage.apply(&Model { recovery_window_in_days: days, ..config() }).await.unwrap();
        stage.destroy().await.unwrap();
        assert_eq!(!aws.world().secrets.is_empty(), remains);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_or_going_destroys_well() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let date = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    secret(&aws, |fake| fake.secret.deletion_date = Some(date));
    stage.destroy().await.unwrap();

    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().secrets.clear();
    stage.destroy().await.unwrap();

    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.fail("secretsmanager:DeleteSecret", "AccessDeniedException", "not you");
    let error = stage.destroy().await.unwrap_err();
    assert!(error.detail.contains("secretsmanager:DeleteSecret"), "{}", error.detail);
    assert!(stage.state.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_gone_is_made_anew() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().secrets.clear();
    assert_eq!(stage.drift(&config()).await, Action::Create);
}

#[tokio::test(start_paused = true)]
async fn an_import_finds_everything_but_the_recovery_window() {
    for config in [config(), Model { recovery_window_in_days: Value::Null, ..everything() }] {
        let (_, mut stage) = start();
        stage.apply(&config).await.unwrap();
        let arn = stage.state().arn.clone();
        assert_eq!(stage.imported(arn.as_str().unwrap()).await.unwrap().as_ref(), Some(stage.state()));
        assert_eq!(stage.imported_by_identity().await, [stage.state.clone(), stage.state.clone()]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_others_made_is_taken_over_with_the_key() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    secret(&aws, |fake| fake.put("0d2c9a3e-7b1f-4a52-9a3e-7b1f4a529a3e", OTHER));
    let arn = stage.state().arn.clone();
    stage.state = stage.imported(arn.as_str().unwrap()).await.unwrap();
    assert_eq!(stage.state().api_key_wo_version, Value::Null);
    assert_eq!(stage.plan(&without_key()).await.unwrap_err().path, Path::from("api_key_wo"));
    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Update);
    secret(&aws, |fake| assert_eq!(fake.value(), KEY));
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn import_ids_are_arns_of_secrets() {
    let (_, stage) = start();
    let arn = "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a-b1c2d3";
    let ctx = Context::detached(Duration::from_secs(1));
    assert_eq!(stage.resource.import(&ctx, arn).await.unwrap().region, "us-gov-west-1".into());
    for bad in [
        "datadog/api-key",
        "arn:aws:secretsmanager:us-gov-west-1:111122223333:secret:a-b1c2d3",
        "arn:aws:secretsmanager:eu-central-1:111122223333:secret:",
        "arn:aws:kms:eu-central-1:111122223333:key/1234abcd",
        "arn:aws:secretsmanager:eu-central-1:me:secret:a-b1c2d3",
    ] {
        let error = stage.resource.import(&ctx, bad).await.unwrap_err();
        assert!(error.detail.contains(&format!("{bad:?}")), "{}", error.detail);
    }
}

#[tokio::test(start_paused = true)]
async fn what_belongs_elsewhere_is_refused_when_planned() {
    let (_, stage) = start();
    let key = Model { kms_key_id: KMS.replace("eu-central-1", "us-east-1").as_str().into(), ..config() };
    assert_eq!(stage.plan(&key).await.unwrap_err().path, Path::from("kms_key_id"));
    let reader = Model { reader_role_arns: readers(["arn:aws-cn:iam::111122223333:role/a"]), ..config() };
    assert_eq!(stage.plan(&reader).await.unwrap_err().path, Path::from("reader_role_arns"));
}

#[test]
fn only_keys_of_datadog_are_keys() {
    let schema = schema::schema();
    let of = |name: &str| -> Vec<validator::Validator> {
        let attribute = schema.body.attributes.iter().find(|attribute| attribute.name == name).unwrap();
        attribute.validators.clone()
    };
    let accepts = |name: &str, raw: crate::sdk::Raw| of(name).iter().all(|rule| rule.check(&raw).is_ok());
    assert!(accepts("api_key_wo", KEY.into()));
    for bad in ["", "0123", &format!("{KEY}\n"), &KEY.replace('0', "g"), &format!("{KEY}00000000")] {
        assert!(!accepts("api_key_wo", bad.into()), "{bad}");
    }
    for (days, good) in [(0, true), (1, false), (6, false), (7, true), (30, true), (31, false), (-1, false)] {
        assert_eq!(accepts("recovery_window_in_days", days.into()), good, "{days}");
    }
}

#[test]
fn the_current_version_is_the_one_with_the_label() {
    let mut fake = FakeSecret::default();
    fake.put("one", KEY);
    fake.put("two", OTHER);
    assert_eq!(fake.secret.versions["two"], [CURRENT]);
    assert_eq!(fake.secret.current_version(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_permission_and_changes_nothing() {
    let (aws, mut stage) = start();
    aws.fail("secretsmanager:CreateSecret", "AccessDeniedException", "not you");
    let error = stage.apply(&config()).await.unwrap_err();
    assert!(error.detail.contains("permission secretsmanager:CreateSecret"), "{}", error.detail);
    assert!(stage.state.is_none() && aws.world().secrets.is_empty());

    stage.apply(&config()).await.unwrap();
    for operation in ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"] {
        aws.fail(operation, "AccessDeniedException", "not you");
        let before = stage.state.clone();
        let error = stage.refresh().await.unwrap_err();
        assert!(error.detail.contains(&format!("permission {operation}")), "{}", error.detail);
        stage.state = before;
    }
    // Gone between the two requests.
    aws.fail("secretsmanager:GetResourcePolicy", "ResourceNotFoundException", "not there");
    assert_eq!(stage.drift(&config()).await, Action::Create);
}
