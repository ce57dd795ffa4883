use super::super::testing::{Action, Stage};
use super::*;
use crate::aws::fake::{FakeAws, FakeRole};
use crate::sdk::Path;

const SCANNER: &str = "arn:aws:iam::444455556666:role/scanner";
const OTHER_SCANNER: &str = "arn:aws:iam::444455556666:role/other";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";
const INLINE: &str = "agentless-scanner";

fn start() -> (Arc<FakeAws>, Stage<DelegateRole<FakeAws>>) {
    let aws = Arc::new(FakeAws::default());
    aws.world().foreign_roles = [SCANNER, OTHER_SCANNER].map(str::to_owned).into();
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    (aws.clone(), Stage::new(DelegateRole::new(aws, Arc::new(settings))))
}

fn config() -> Model {
    Model { name: "delegate".into(), scanner_role_arns: set([SCANNER]), ..Model::default() }
}

fn everything() -> Model {
    Model {
        external_id: "agreed-id".into(),
        scanner_role_arns: set([SCANNER, OTHER_SCANNER]),
        features: set(["functions", "hosts", "images"]),
        kms_key_arns: set([KEY]),
        regions: set(["eu-central-1", "eu-west-1"]),
        path: "/security/".into(),
        max_session_duration: 7_200.into(),
        permissions_boundary: "arn:aws:iam::111122223333:policy/boundary".into(),
        tags: Value::Known([("a".to_owned(), "b".to_owned())].into()),
        ..config()
    }
}

fn set<const N: usize>(texts: [&str; N]) -> Value<BTreeSet<String>> {
    Value::Known(texts.map(str::to_owned).into())
}

#[tokio::test(start_paused = true)]
async fn a_new_delegate_trusts_exactly_the_scanners() {
    let (aws, mut stage) = start();
    let (_, planned) = stage.plan(&config()).await.unwrap();
    assert!(planned.assume_role_policy.as_str().unwrap().contains(SCANNER));
    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Create);
    assert_eq!(aws.take_changes(), ["iam:CreateRole", "iam:PutRolePolicy"]);
    {
        let world = aws.world();
        let fake = &world.roles["delegate"];
        assert_eq!(fake.inline.keys().collect::<Vec<_>>(), [INLINE]);
        assert!(fake.inline[INLINE].contains("SnapshotVolumesNotOptedOut"));
        assert!(!fake.inline[INLINE].contains("sts:"));
        let trust: serde_json::Value = serde_json::from_str(&fake.role.trust_policy).unwrap();
        assert_eq!(trust["Statement"][0]["Principal"], serde_json::json!({ "AWS": SCANNER }));
        assert_eq!(trust["Statement"].as_array().unwrap().len(), 1);
    }
    assert_eq!(stage.state().arn, "arn:aws:iam::111122223333:role/delegate".into());
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn arguments_change_in_place_and_import_reads_them_back() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let more = Model { path: Value::Null, ..everything() };
    assert_eq!(stage.apply(&more).await.unwrap(), Action::Update);
    {
        let world = aws.world();
        let fake = &world.roles["delegate"];
        assert_eq!(fake.role.max_session_duration, 7_200);
        assert!(fake.role.permissions_boundary.is_some());
        assert_eq!(fake.role.tags.len(), 1);
        assert!(
            fake.role.trust_policy.contains("agreed-id") && fake.role.trust_policy.contains(OTHER_SCANNER)
        );
        assert!(fake.inline[INLINE].contains("eu-west-1") && fake.inline[INLINE].contains(KEY));
    }
    for id in ["delegate", "delegate@eu-central-1"] {
        assert_eq!(stage.imported(id).await.unwrap().as_ref(), Some(stage.state()));
    }
    assert_eq!(stage.imported_by_identity().await, [stage.state.clone(), stage.state.clone()]);
    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Update);
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
    assert_eq!(stage.imported("delegate").await.unwrap().as_ref(), Some(stage.state()));

    assert_eq!(stage.apply(&everything()).await.unwrap(), Action::Replace);
    assert_eq!(stage.state().arn, "arn:aws:iam::111122223333:role/security/delegate".into());
    assert_eq!(stage.imported("delegate").await.unwrap().as_ref(), Some(stage.state()));
}

#[tokio::test(start_paused = true)]
async fn a_widened_trust_or_policy_is_shown_and_set_right() {
    let (aws, mut stage) = start();
    let config = everything();
    stage.apply(&config).await.unwrap();
    let changes: [fn(&mut FakeRole); 6] = [
        |fake| fake.role.trust_policy = fake.role.trust_policy.replace(SCANNER, "*"),
        |fake| fake.role.trust_policy = fake.role.trust_policy.replace(":role/other", ":root"),
        |fake| fake.role.trust_policy = fake.role.trust_policy.replace("agreed-id", "another"),
        |fake| {
            let policy = fake.inline.get_mut(INLINE).unwrap();
            *policy = policy.replace("StringNotEquals", "StringEquals");
        },
        |fake| fake.attached.push("arn:aws:iam::aws:policy/AdministratorAccess".to_owned()),
        |fake| fake.role.permissions_boundary = None,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let before = {
            let mut world = aws.world();
            let fake = world.roles.get_mut("delegate").unwrap();
            let before = (fake.role.clone(), fake.inline.clone());
            change(fake);
            before
        };
        assert_eq!(stage.drift(&config).await, Action::Update, "change {number}");
        stage.apply(&config).await.unwrap();
        assert_eq!(stage.drift(&config).await, Action::Nothing, "change {number}");
        let world = aws.world();
        let fake = &world.roles["delegate"];
        assert_eq!((fake.role.clone(), fake.inline.clone()), before, "change {number}");
        assert!(fake.attached.is_empty(), "change {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trust_policy_in_iams_own_words_is_no_drift() {
    let (aws, mut stage) = start();
    stage.apply(&everything()).await.unwrap();
    {
        let mut world = aws.world();
        let trust = &mut world.roles.get_mut("delegate").unwrap().role.trust_policy;
        *trust = trust
            .replace(
                &format!("\"{OTHER_SCANNER}\",\"{SCANNER}\""),
                &format!("\"{SCANNER}\",\"{OTHER_SCANNER}\""),
            )
            .replace("[\"sts:AssumeRole\"]", "\"sts:AssumeRole\"");
    }
    assert_eq!(stage.drift(&everything()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_scanner_that_does_not_exist_yet_is_waited_for() {
    let (aws, mut stage) = start();
    for _ in 0..3 {
        aws.fail("iam:CreateRole", "MalformedPolicyDocument", "Invalid principal in policy: \"AWS\":\"x\"");
    }
    stage.apply(&config()).await.unwrap();
    let changed = Model { scanner_role_arns: set([OTHER_SCANNER]), ..config() };
    let message = "Invalid principal in policy: \"AWS\":\"x\"";
    aws.fail("iam:UpdateAssumeRolePolicy", "MalformedPolicyDocument", message);
    stage.apply(&changed).await.unwrap();
    assert_eq!(stage.drift(&changed).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_scanner_that_never_comes_is_told() {
    let nobody = "arn:aws:iam::444455556666:role/nobody";
    let (aws, mut stage) = start();
    let error = stage.apply(&Model { scanner_role_arns: set([nobody]), ..config() }).await.unwrap_err();
    assert_eq!(error.path, Path::from("scanner_role_arns"));
    assert!(error.detail.contains(nobody) && error.detail.contains("first"), "{}", error.detail);
    assert!(stage.state.is_none() && aws.world().roles.is_empty());

    stage.apply(&config()).await.unwrap();
    let error = stage.apply(&Model { scanner_role_arns: set([nobody]), ..config() }).await.unwrap_err();
    assert_eq!(error.path, Path::from("scanner_role_arns"));
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_any_step_can_be_finished_or_destroyed() {
    for operation in ["iam:CreateRole", "iam:PutRolePolicy"] {
        let (aws, mut stage) = start();
        aws.fail(operation, "AccessDenied", "not you");
        let error = stage.apply(&config()).await.unwrap_err();
        assert!(error.detail.contains(&format!("permission {operation}")), "{}", error.detail);
        assert_eq!(stage.state.is_some(), operation == "iam:PutRolePolicy");
        stage.destroy().await.unwrap();
        assert!(aws.world().roles.is_empty(), "{operation}");
    }
    for operation in [
        "iam:UpdateAssumeRolePolicy",
        "iam:PutRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:UpdateRole",
        "iam:TagRole",
    ] {
        let (aws, mut stage) = start();
        stage.apply(&config()).await.unwrap();
        let more = Model { path: Value::Null, ..everything() };
        aws.fail(operation, "AccessDenied", "not you");
        stage.apply(&more).await.unwrap_err();
        stage.refresh().await.unwrap();
        assert_eq!(stage.apply(&more).await.unwrap(), Action::Update, "{operation}");
        assert_eq!(stage.drift(&more).await, Action::Nothing, "{operation}");
    }
    for operation in
        ["iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:DeleteRolePolicy", "iam:DeleteRole"]
    {
        let (aws, mut stage) = start();
        stage.apply(&config()).await.unwrap();
        aws.fail(operation, "AccessDenied", "not you");
        stage.destroy().await.unwrap_err();
        stage.destroy().await.unwrap();
        assert!(aws.world().roles.is_empty(), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_already_destroys_well_and_is_made_anew() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().roles.clear();
    assert_eq!(stage.drift(&config()).await, Action::Create);
    stage.apply(&config()).await.unwrap();
    aws.world().roles.clear();
    stage.destroy().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_when_planned() {
    let (_, stage) = start();
    for (path, config) in [
        ("regions", Model { regions: set(["eu-west-1", "cn-north-1"]), ..config() }),
        ("kms_key_arns", Model { kms_key_arns: set([KEY]), regions: set(["eu-west-1"]), ..config() }),
        (
            "scanner_role_arns",
            Model { scanner_role_arns: set(["arn:aws-us-gov:iam::444455556666:role/scanner"]), ..config() },
        ),
    ] {
        assert_eq!(stage.plan(&config).await.unwrap_err().path, Path::from(path));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_unknown_is_planned_so() {
    let (_, stage) = start();
    let (_, planned) = stage.plan(&Model { scanner_role_arns: Value::Unknown, ..config() }).await.unwrap();
    assert!(planned.assume_role_policy.is_unknown());
    assert!(planned.policy.is_known());
    let (_, planned) = stage.plan(&Model { regions: Value::Unknown, ..config() }).await.unwrap();
    assert!(planned.policy.is_unknown() && planned.managed_policy_arns.is_unknown());
}
