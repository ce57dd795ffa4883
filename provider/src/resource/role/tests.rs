use std::collections::BTreeMap;

use super::super::testing::{Action, Stage};
use super::*;
use crate::aws::fake::FakeAws;
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
    let changes: [fn(&mut crate::aws::fake::FakeRole); 4] = [
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
    aws.world().loses_profile_answer = true;
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
