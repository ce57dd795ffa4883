use std::collections::BTreeMap;

use super::super::iam::{INLINE as POLICY_NAME, Reports};
use super::super::testing::{Action, Stage};
use super::*;
use crate::aws::ManagedPolicy;
use crate::aws::fake::{FakeAws, FakePolicy, FakeRole};
use crate::sdk::Path;

const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

fn start() -> (Arc<FakeAws>, Stage<Role<FakeAws>>) {
    let aws = Arc::new(FakeAws::default());
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    (aws.clone(), Stage::new(Role::new(aws, Arc::new(settings))))
}

fn config() -> Model {
    Model { name: "scanner".into(), ..Model::default() }
}

fn set<const N: usize>(texts: [&str; N]) -> Value<BTreeSet<String>> {
    Value::Known(texts.map(str::to_owned).into())
}

#[tokio::test(start_paused = true)]
async fn a_new_role_has_its_profile_and_one_policy() {
    let (aws, mut stage) = start();
    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Create);
    assert_eq!(
        aws.take_changes(),
        ["iam:CreateRole", "iam:PutRolePolicy", "iam:CreateInstanceProfile", "iam:AddRoleToInstanceProfile"]
    );
    let made = stage.state().clone();
    assert_eq!(made.arn, "arn:aws:iam::111122223333:role/scanner".into());
    assert_eq!(made.instance_profile_arn, "arn:aws:iam::111122223333:instance-profile/scanner".into());
    {
        let world = aws.world();
        let fake = &world.roles["scanner"];
        assert_eq!(fake.inline.keys().collect::<Vec<_>>(), [POLICY_NAME]);
        assert_eq!(Some(&fake.inline[POLICY_NAME]), made.policy.get());
        assert!(fake.role.trust_policy.contains("ec2.amazonaws.com"));
        assert_eq!(world.profiles["scanner"].roles, ["scanner"]);
    }
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
    assert_eq!(*stage.state(), made);
}

#[tokio::test(start_paused = true)]
async fn the_policy_is_known_when_planned() {
    let (_, stage) = start();
    let (_, planned) = stage.plan(&config()).await.unwrap();
    assert!(planned.policy.as_str().unwrap().contains("ec2:CreateSnapshot"));
    assert!(planned.arn.is_unknown());
    let (_, planned) = stage.plan(&Model { kms_key_arns: Value::Unknown, ..config() }).await.unwrap();
    assert!(planned.policy.is_unknown());
}

#[tokio::test(start_paused = true)]
async fn whatever_widens_the_role_shows_in_the_plan_and_is_removed() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let changes: [fn(&mut FakeRole); 4] = [
        |fake| fake.attached.push("arn:aws:iam::aws:policy/AdministratorAccess".to_owned()),
        |fake| _ = fake.inline.insert("more".to_owned(), r#"{"Statement":[]}"#.to_owned()),
        |fake| {
            let everything = r#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
            fake.inline.insert(POLICY_NAME.to_owned(), everything.to_owned());
        },
        |fake| fake.role.trust_policy = r#"{"Statement":[{"Principal":"*"}]}"#.to_owned(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        change(aws.world().roles.get_mut("scanner").unwrap());
        assert_eq!(stage.drift(&config()).await, Action::Update, "change {number}");
        stage.apply(&config()).await.unwrap();
        assert_eq!(stage.drift(&config()).await, Action::Nothing, "change {number}");
        let world = aws.world();
        let fake = &world.roles["scanner"];
        assert!(fake.attached.is_empty());
        assert_eq!(fake.inline.len(), 1);
        assert!(fake.inline[POLICY_NAME].contains("SnapshotVolumesNotOptedOut"));
        assert!(fake.role.trust_policy.contains("ec2.amazonaws.com"));
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_policies_are_named() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    {
        let mut world = aws.world();
        let fake = world.roles.get_mut("scanner").unwrap();
        fake.attached.push(admin.to_owned());
        fake.inline.insert("more".to_owned(), "{}".to_owned());
    }
    stage.refresh().await.unwrap();
    assert_eq!(stage.state().foreign_policies, set([admin, "inline:more"]));
}

#[tokio::test(start_paused = true)]
async fn a_policy_in_other_words_is_no_drift() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    {
        let mut world = aws.world();
        let document = world.roles.get_mut("scanner").unwrap().inline.get_mut(POLICY_NAME).unwrap();
        *document = document.replace(",\"", ", \"");
    }
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_misused_profile_is_set_right() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().profiles.clear();
    assert_eq!(stage.drift(&config()).await, Action::Update);
    assert_eq!(stage.state().instance_profile_arn, Value::Null);
    stage.apply(&config()).await.unwrap();
    assert_eq!(aws.world().profiles["scanner"].roles, ["scanner"]);

    aws.world().profiles.get_mut("scanner").unwrap().roles = vec!["admin".to_owned()];
    assert_eq!(stage.drift(&config()).await, Action::Update);
    stage.apply(&config()).await.unwrap();
    assert_eq!(aws.world().profiles["scanner"].roles, ["scanner"]);
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn arguments_change_in_place_and_names_do_not() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let boundary = "arn:aws:iam::111122223333:policy/boundary";
    let other = Model {
        kms_key_arns: set([KEY]),
        max_session_duration: 7_200.into(),
        permissions_boundary: boundary.into(),
        tags: Value::Known([("a".to_owned(), "b".to_owned())].into()),
        ..config()
    };
    assert_eq!(stage.apply(&other).await.unwrap(), Action::Update);
    {
        let world = aws.world();
        let fake = &world.roles["scanner"];
        assert!(fake.inline[POLICY_NAME].contains(KEY));
        assert_eq!(fake.role.max_session_duration, 7_200);
        assert_eq!(fake.role.permissions_boundary.as_deref(), Some(boundary));
        assert_eq!(fake.role.tags.len(), 1);
        assert_eq!(world.profiles["scanner"].tags.len(), 1);
    }
    assert_eq!(stage.drift(&other).await, Action::Nothing);
    // And back.
    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Update);
    assert_eq!(aws.world().roles["scanner"].role.permissions_boundary, None);
    assert_eq!(stage.drift(&config()).await, Action::Nothing);

    assert_eq!(stage.apply(&Model { name: "other".into(), ..config() }).await.unwrap(), Action::Replace);
    assert_eq!(aws.world().roles.keys().collect::<Vec<_>>(), ["other"]);
}

#[tokio::test(start_paused = true)]
async fn a_role_whose_policy_failed_is_saved_and_can_be_destroyed() {
    for operation in ["iam:PutRolePolicy", "iam:CreateInstanceProfile", "iam:AddRoleToInstanceProfile"] {
        let (aws, mut stage) = start();
        aws.fail(operation, "AccessDenied", "not you");
        let error = stage.apply(&config()).await.unwrap_err();
        assert!(error.detail.contains(&format!("permission {operation}")), "{}", error.detail);
        assert!(stage.state().arn.is_known(), "{operation}");
        stage.destroy().await.unwrap();
        assert!(aws.world().roles.is_empty() && aws.world().profiles.is_empty(), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_profile_is_neither_taken_nor_deleted() {
    let (aws, mut stage) = start();
    let theirs = InstanceProfile {
        name: "scanner".to_owned(),
        roles: vec!["admin".to_owned()],
        ..InstanceProfile::default()
    };
    aws.world().profiles.insert("scanner".to_owned(), theirs);
    let error = stage.apply(&config()).await.unwrap_err();
    assert_eq!(error.path, Path::from("name"));
    assert!(error.detail.contains("EntityAlreadyExists"), "{}", error.detail);
    stage.refresh().await.unwrap();
    stage.destroy().await.unwrap();
    let world = aws.world();
    assert!(world.roles.is_empty());
    assert_eq!(world.profiles["scanner"].roles, ["admin"]);
}

#[tokio::test(start_paused = true)]
async fn a_profile_whose_answer_was_lost_is_recognised_and_destroyed() {
    for refreshed in [false, true] {
        let (aws, mut stage) = start();
        let made = InstanceProfile { name: "scanner".to_owned(), ..InstanceProfile::default() };
        aws.world().profiles.insert("scanner".to_owned(), made);
        aws.fail("iam:AddRoleToInstanceProfile", "AccessDenied", "not you");
        stage.apply(&config()).await.unwrap_err();
        if refreshed {
            stage.refresh().await.unwrap();
        }
        stage.destroy().await.unwrap();
        assert!(aws.world().profiles.is_empty(), "refreshed: {refreshed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_whose_place_in_the_profile_was_not_confirmed_is_recognised() {
    let (aws, mut stage) = start();
    aws.world().loses_answer_of = Some("iam:AddRoleToInstanceProfile");
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn what_iam_does_not_know_yet_is_waited_for() {
    let (aws, mut stage) = start();
    for operation in ["iam:PutRolePolicy", "iam:AddRoleToInstanceProfile"] {
        aws.fail(operation, "NoSuchEntity", "not yet");
        aws.fail(operation, "NoSuchEntity", "not yet");
    }
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn destroy_empties_the_role_before_it_goes() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    {
        let mut world = aws.world();
        world
            .roles
            .get_mut("scanner")
            .unwrap()
            .attached
            .push("arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned());
        let other = InstanceProfile {
            name: "other".to_owned(),
            roles: vec!["scanner".to_owned()],
            ..InstanceProfile::default()
        };
        world.profiles.insert("other".to_owned(), other);
    }
    aws.take_calls();
    aws.fail("iam:DeleteRole", "DeleteConflict", "not yet");
    stage.destroy().await.unwrap();
    assert_eq!(
        aws.take_changes(),
        [
            "iam:RemoveRoleFromInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:DeleteInstanceProfile",
            "iam:DetachRolePolicy",
            "iam:DeleteRolePolicy",
            "iam:DeleteRole",
            "iam:DeleteRole"
        ]
    );
    let world = aws.world();
    assert!(world.roles.is_empty());
    assert_eq!(world.profiles.keys().collect::<Vec<_>>(), ["other"], "only the role is taken out of it");
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_already_destroys_well() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().roles.clear();
    aws.world().profiles.clear();
    stage.destroy().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_gone_is_made_anew() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().roles.clear();
    assert_eq!(stage.drift(&config()).await, Action::Create);
}

#[tokio::test(start_paused = true)]
async fn an_import_finds_everything() {
    let (_, mut stage) = start();
    for config in [config(), Model { kms_key_arns: set([KEY]), ..config() }] {
        stage.apply(&config).await.unwrap();
        for id in ["scanner", "scanner@eu-central-1"] {
            assert_eq!(stage.imported(id).await.unwrap().as_ref(), Some(stage.state()));
        }
        assert_eq!(stage.imported_by_identity().await, [stage.state.clone(), stage.state.clone()]);
    }
    stage.apply(&Model { name: "scanner@home".into(), ..config() }).await.unwrap();
    assert_eq!(stage.imported("scanner@home").await.unwrap().as_ref(), Some(stage.state()));
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_region_is_refused_when_planned() {
    let (_, stage) = start();
    let foreign = "arn:aws:kms:us-east-1:111122223333:key/1234abcd";
    let error = stage.plan(&Model { kms_key_arns: set([foreign]), ..config() }).await.unwrap_err();
    assert_eq!(error.path, Path::from("kms_key_arns"));
    assert!(error.detail.contains("not in eu-central-1"), "{}", error.detail);
}

#[tokio::test(start_paused = true)]
async fn a_role_of_the_aws_provider_becomes_one_of_ours() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    {
        let mut world = aws.world();
        let fake = world.roles.get_mut("scanner").unwrap();
        fake.inline = [("scan".to_owned(), "{}".to_owned())].into();
        fake.attached = vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()];
        fake.role.tags = [("team".to_owned(), "security".to_owned())].into();
    }
    let theirs = serde_json::json!({
        "arn": "arn:aws:iam::111122223333:role/scanner", "id": "scanner", "name": "scanner", "path": "/",
        "max_session_duration": 3600, "permissions_boundary": "", "tags": {"team": "security"},
    });
    let source = |type_name, state: &Json| {
        MoveSource::new("registry.terraform.io/hashicorp/aws", type_name, 0, state.clone())
    };
    stage.state = Role::<FakeAws>::move_from(&source("aws_iam_role", &theirs)).unwrap();
    let moved = stage.state().clone();
    assert_eq!((moved.name.as_str(), &moved.permissions_boundary), (Some("scanner"), &Value::Null));
    assert_eq!(moved.max_session_duration, 3_600.into());

    let tags: BTreeMap<_, _> = [("team".to_owned(), "security".to_owned())].into();
    let config = Model { tags: tags.into(), ..config() };
    assert_eq!(stage.drift(&config).await, Action::Update, "in place: its policies are not ours yet");
    stage.apply(&config).await.unwrap();
    assert_eq!(stage.drift(&config).await, Action::Nothing);
    assert_eq!(aws.world().roles["scanner"].inline.keys().collect::<Vec<_>>(), [POLICY_NAME]);

    assert!(Role::<FakeAws>::move_from(&source("aws_iam_user", &theirs)).unwrap().is_none());
}

/// Keys for a policy of three managed policies.
fn many_keys(count: usize) -> Value<BTreeSet<String>> {
    Value::Known((0..count).map(|n| format!("arn:aws:kms:eu-central-1:111122223333:key/{n:036}")).collect())
}

fn part(number: usize) -> String {
    format!("arn:aws:iam::111122223333:policy/scanner-{number}")
}

fn parts(numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(part).collect()
}

#[tokio::test(start_paused = true)]
async fn a_long_policy_becomes_managed_policies_and_back() {
    let (aws, mut stage) = start();
    let long = Model {
        kms_key_arns: many_keys(150),
        tags: Value::Known([("a".to_owned(), "b".to_owned())].into()),
        ..config()
    };
    let (_, planned) = stage.plan(&long).await.unwrap();
    assert_eq!(planned.managed_policy_arns, Value::Known(parts(1..=3).into_iter().collect()));
    assert_eq!(stage.apply(&long).await.unwrap(), Action::Create);
    {
        let world = aws.world();
        let fake = &world.roles["scanner"];
        assert!(fake.inline.is_empty());
        assert_eq!(fake.attached, parts(1..=3));
        assert!(world.policies.values().all(|fake| fake.policy.document.len() <= 6_144));
        assert!(world.policies.values().all(|fake| fake.policy.tags.len() == 1));
    }
    assert_eq!(stage.drift(&long).await, Action::Nothing);
    let imported = stage.imported("scanner").await.unwrap().unwrap();
    assert_eq!(imported.kms_key_arns, long.kms_key_arns);
    assert_eq!(imported, *stage.state());

    // Fewer keys, other tags: one policy goes, and the last that stays gets a new version.
    let shorter = Model { kms_key_arns: many_keys(110), tags: Value::Null, ..config() };
    assert_eq!(stage.apply(&shorter).await.unwrap(), Action::Update);
    {
        let world = aws.world();
        assert_eq!(world.roles["scanner"].attached, parts(1..=2));
        assert_eq!(world.policies.len(), 2);
        assert_eq!(world.policies[&part(1)].versions.len(), 1, "it was as it should be");
        assert_eq!(world.policies[&part(2)].versions.len(), 2);
        assert!(world.policies.values().all(|fake| fake.policy.tags.is_empty()));
    }
    assert_eq!(stage.drift(&shorter).await, Action::Nothing);

    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Update);
    assert!(aws.world().policies.is_empty());
    assert_eq!(aws.world().roles["scanner"].inline.len(), 1);
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
    assert_eq!(stage.apply(&long).await.unwrap(), Action::Update);
    assert!(aws.world().roles["scanner"].inline.is_empty());
    assert_eq!(stage.drift(&long).await, Action::Nothing);

    stage.destroy().await.unwrap();
    assert!(aws.world().policies.is_empty() && aws.world().roles.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whatever_is_done_to_the_managed_policies_is_undone() {
    let (aws, mut stage) = start();
    let long = Model { kms_key_arns: many_keys(150), ..config() };
    stage.apply(&long).await.unwrap();
    let everything =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let changes: [&dyn Fn(&mut crate::aws::fake::World); 4] = [
        &|world| world.policies.get_mut(&part(2)).unwrap().change(everything),
        &|world| world.roles.get_mut("scanner").unwrap().attached.retain(|arn| *arn != part(1)),
        &|world| {
            world.roles.get_mut("scanner").unwrap().attached.retain(|arn| *arn != part(3));
            world.policies.remove(&part(3));
        },
        &|world| {
            _ = world
                .roles
                .get_mut("scanner")
                .unwrap()
                .inline
                .insert(POLICY_NAME.to_owned(), everything.to_owned());
        },
    ];
    // More often than there are versions.
    for round in 0..7 {
        for (number, change) in changes.iter().enumerate() {
            change(&mut aws.world());
            assert_eq!(stage.drift(&long).await, Action::Update, "change {number} of round {round}");
            stage.apply(&long).await.unwrap();
            assert_eq!(stage.drift(&long).await, Action::Nothing, "change {number} of round {round}");
            let world = aws.world();
            assert!(world.roles["scanner"].inline.is_empty());
            assert!(world.policies.values().all(|fake| fake.policy.document != everything));
            assert_eq!(world.policies.len(), 3);
        }
    }
    stage.destroy().await.unwrap();
    assert!(aws.world().policies.is_empty());
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_policy_of_that_name_is_neither_changed_nor_deleted() {
    let (aws, mut stage) = start();
    let mut theirs = FakePolicy {
        policy: ManagedPolicy { arn: part(2), description: "theirs".to_owned(), ..ManagedPolicy::default() },
        ..FakePolicy::default()
    };
    theirs.change("{}");
    aws.world().policies.insert(part(2), theirs);
    let long = Model { kms_key_arns: many_keys(150), ..config() };
    let error = stage.apply(&long).await.unwrap_err();
    assert_eq!(error.path, Path::from("name"));
    assert!(error.summary.contains("scanner-2"), "{}", error.summary);
    aws.world().roles.get_mut("scanner").unwrap().attached.push(part(2));
    stage.refresh().await.unwrap();
    assert_eq!(stage.state().foreign_policies, set([&part(2)]));
    stage.destroy().await.unwrap();
    let world = aws.world();
    assert_eq!(world.policies.keys().collect::<Vec<_>>(), [&part(2)]);
    assert_eq!(world.policies[&part(2)].policy.document, "{}");
}

#[tokio::test(start_paused = true)]
async fn managed_policies_that_failed_half_way_can_be_destroyed_or_finished() {
    let long = Model { kms_key_arns: many_keys(150), ..config() };
    for operation in ["iam:CreatePolicy", "iam:AttachRolePolicy", "iam:GetPolicy"] {
        for finished in [false, true] {
            let (aws, mut stage) = start();
            stage.apply(&config()).await.unwrap();
            aws.skip(operation, 1);
            aws.fail(operation, "AccessDenied", "not you");
            let error = stage.apply(&long).await.unwrap_err();
            assert!(error.detail.contains(&format!("permission {operation}")), "{}", error.detail);
            if finished {
                stage.refresh().await.unwrap();
                stage.apply(&long).await.unwrap();
                assert_eq!(stage.drift(&long).await, Action::Nothing, "{operation}");
                assert_eq!(aws.world().roles["scanner"].attached, parts(1..=3));
            }
            stage.destroy().await.unwrap();
            assert!(aws.world().policies.is_empty() && aws.world().roles.is_empty(), "{operation}");
        }
    }
    for operation in
        ["iam:DetachRolePolicy", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:ListPolicyVersions"]
    {
        let (aws, mut stage) = start();
        stage.apply(&long).await.unwrap();
        aws.world().policies.get_mut(&part(2)).unwrap().change("{}");
        aws.fail(operation, "AccessDenied", "not you");
        let error = stage.destroy().await.unwrap_err();
        assert!(error.detail.contains(&format!("permission {operation}")), "{}", error.detail);
        stage.destroy().await.unwrap();
        assert!(aws.world().policies.is_empty() && aws.world().roles.is_empty(), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_made_without_an_answer_is_recognised() {
    let long = Model { kms_key_arns: many_keys(150), ..config() };
    for operation in ["iam:CreateRole", "iam:CreatePolicy"] {
        let (aws, mut stage) = start();
        aws.world().loses_answer_of = Some(operation);
        stage.apply(&long).await.unwrap();
        assert_eq!(stage.drift(&long).await, Action::Nothing, "{operation}");
    }
    let (aws, mut stage) = start();
    stage.apply(&long).await.unwrap();
    for _ in 0..4 {
        aws.world().policies.get_mut(&part(1)).unwrap().change("{}");
    }
    aws.world().loses_answer_of = Some("iam:CreatePolicyVersion");
    assert_eq!(stage.drift(&long).await, Action::Update);
    stage.apply(&long).await.unwrap();
    assert_eq!(stage.drift(&long).await, Action::Nothing);

    // The answer never came at all.
    for code in ["ServiceUnavailable", "InternalFailure"] {
        let (aws, mut stage) = start();
        aws.world().loses_answer_of = Some("iam:CreateRole");
        aws.world().lost_answer_is = Some(code);
        stage.apply(&config()).await.unwrap();
        assert_eq!(stage.drift(&config()).await, Action::Nothing, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_role_is_not_taken() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let mut second = Stage::new(Role::new(aws.clone(), stage.resource.settings.clone()));
    let error = second.apply(&config()).await.unwrap_err();
    assert_eq!(error.path, Path::from("name"));
    assert!(error.detail.contains("terraform import"), "{}", error.detail);
    assert!(second.state.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_the_service_needs_is_granted_where_it_is_named_and_read_back() {
    let (aws, mut stage) = start();
    let service = Model {
        features: Value::Known(BTreeSet::new()),
        delegate_role_arns: set(["arn:aws:iam::444455556666:role/delegate"]),
        secret_arns: set(["arn:aws:secretsmanager:eu-central-1:111122223333:secret:key-AbCdEf"]),
        secret_kms_key_arns: set([KEY]),
        scaling_group_names: set(["scanner"]),
        reports: Value::Known(Reports {
            bucket: "reports".into(),
            prefix: "scans/".into(),
            kms_key_arn: KEY.into(),
        }),
        ..config()
    };
    stage.apply(&service).await.unwrap();
    let policy = aws.world().roles["scanner"].inline[POLICY_NAME].clone();
    for action in ["sts:AssumeRole", "secretsmanager:GetSecretValue", "s3:PutObject", "kms:GenerateDataKey"] {
        assert!(policy.contains(action), "{action}");
    }
    assert!(!policy.contains("ec2:"), "{policy}");
    assert_eq!(stage.drift(&service).await, Action::Nothing);
    assert_eq!(stage.imported("scanner").await.unwrap().as_ref(), Some(stage.state()));

    let both = Model { features: set(["functions", "hosts"]), reports: Value::Null, ..service };
    assert_eq!(stage.apply(&both).await.unwrap(), Action::Update);
    assert_eq!(stage.drift(&both).await, Action::Nothing);
    assert_eq!(stage.imported("scanner").await.unwrap().as_ref(), Some(stage.state()));
}

#[tokio::test(start_paused = true)]
async fn a_role_for_nothing_is_refused() {
    let (_, stage) = start();
    let nothing = Model { features: Value::Known(BTreeSet::new()), ..config() };
    let error = stage.plan(&nothing).await.unwrap_err();
    assert_eq!(error.path, Path::from("features"));
    let keys = Model { secret_kms_key_arns: set([KEY]), ..config() };
    assert_eq!(stage.plan(&keys).await.unwrap_err().path, Path::from("secret_kms_key_arns"));
    let elsewhere =
        Model { delegate_role_arns: set(["arn:aws-cn:iam::444455556666:role/delegate"]), ..config() };
    assert_eq!(stage.plan(&elsewhere).await.unwrap_err().path, Path::from("delegate_role_arns"));
    let error = stage.plan(&Model { kms_key_arns: many_keys(800), ..config() }).await.unwrap_err();
    assert!(error.detail.contains("IAM accepts 10 on a role"), "{}", error.detail);
}

#[test]
fn a_state_of_the_version_before_becomes_one_of_today() {
    let before = serde_json::json!({ "name": "scanner", "policy": "{}" });
    let now = Role::<FakeAws>::upgrade(0, before).unwrap();
    assert_eq!(now, serde_json::json!({ "name": "scanner", "policy": "{}", "managed_policy_arns": [] }));
    assert!(Role::<FakeAws>::upgrade(1, now).is_err());
}
