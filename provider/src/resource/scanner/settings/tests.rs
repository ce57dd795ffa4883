use super::*;
use crate::sdk::{Convert, Severity, Value};

fn regions<const N: usize>(names: [&str; N]) -> Value<BTreeSet<String>> {
    Value::Known(names.map(str::to_owned).into())
}

#[test]
fn an_account_is_listed_once() {
    let account = |arn: &str| Account { delegate_role_arn: arn.into(), external_id: Value::Null };
    let settings = ScannerSettings {
        accounts: vec![
            account("arn:aws:iam::111122223333:role/a"),
            account("arn:aws:iam::444455556666:role/a"),
            account("arn:aws:iam::111122223333:role/b"),
        ]
        .into(),
        ..ScannerSettings::default()
    };
    let problems = problems(&settings);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path.to_string(), "settings.accounts[2].delegate_role_arn");
}

#[test]
fn an_empty_choice_of_sinks_is_refused() {
    let settings = |sinks| ScannerSettings { sinks, ..ScannerSettings::default() };
    assert_eq!(problems(&settings(Sinks::default().into())).len(), 1);
    assert_eq!(problems(&settings(Value::Null)).len(), 0);
    let unknown = Sinks { s3: Value::Unknown, ..Sinks::default() };
    assert_eq!(problems(&settings(unknown.into())).len(), 0);
    let files = Sinks { files: FilesSink { directory: "/srv".into() }.into(), ..Sinks::default() };
    assert_eq!(problems(&settings(files.into())).len(), 0);
}

#[test]
fn tasks_come_from_somewhere() {
    let settings = |tasks: Tasks| ScannerSettings { tasks: tasks.into(), ..ScannerSettings::default() };
    let nowhere = Tasks { poll_seconds: 30.into(), ..Tasks::default() };
    assert_eq!(problems(&settings(nowhere))[0].path.to_string(), "settings.tasks");
    for somewhere in [
        Tasks { url: Value::Unknown, ..Tasks::default() },
        Tasks { file: "/srv/tasks.json".into(), ..Tasks::default() },
        Tasks { directory: "/srv/tasks".into(), ..Tasks::default() },
    ] {
        assert_eq!(problems(&settings(somewhere)).len(), 0);
    }
}

#[test]
fn something_is_scanned() {
    let settings = |own: Value<bool>, accounts: Value<Vec<Account>>| {
        problems(&ScannerSettings { scan_own_account: own, accounts, ..ScannerSettings::default() }).len()
    };
    let account =
        Account { delegate_role_arn: "arn:aws:iam::111122223333:role/a".into(), ..Account::default() };
    assert_eq!(settings(false.into(), Value::Null), 1);
    assert_eq!(settings(false.into(), Vec::new().into()), 1);
    assert_eq!(settings(false.into(), Value::Unknown), 0);
    assert_eq!(settings(false.into(), vec![account].into()), 0);
    assert_eq!(settings(Value::Null, Value::Null), 0);
}

#[test]
fn regions_that_the_own_role_does_not_cover_are_told() {
    let own: Region = "eu-central-1".parse().unwrap();
    let told = |regions, own_account: Value<bool>| {
        let settings =
            ScannerSettings { regions, scan_own_account: own_account, ..ScannerSettings::default() };
        warnings(&settings, &own)
    };
    let several = || regions(["eu-central-1", "eu-west-1"]);
    let [warning] = told(several(), Value::Null).try_into().unwrap();
    assert_eq!(
        (warning.severity, warning.path.to_string()),
        (Severity::Warning, "settings.regions".to_owned())
    );
    assert!(warning.detail.contains("In eu-west-1, the scanner's own"), "{}", warning.detail);
    assert_eq!(told(several(), false.into()), []);
    assert_eq!(told(regions(["eu-central-1"]), Value::Null), []);
    assert_eq!(told(Value::Null, Value::Null), []);
}

#[test]
fn tasks_of_a_url_without_a_key_are_told() {
    let own: Region = "eu-central-1".parse().unwrap();
    let told = |tasks: Tasks| {
        warnings(&ScannerSettings { tasks: tasks.into(), ..ScannerSettings::default() }, &own).len()
    };
    let unsigned = Tasks { url: "https://example.com".into(), ..Tasks::default() };
    assert_eq!(told(Tasks { public_key: "RW".into(), ..unsigned.clone() }), 0);
    assert_eq!(told(Tasks { public_key: Value::Unknown, ..unsigned.clone() }), 0);
    assert_eq!(told(unsigned), 1);
    assert_eq!(told(Tasks { file: "/srv/tasks.json".into(), ..Tasks::default() }), 0);
}

/// A key that the schema lacks would be silently lost.
#[test]
fn the_schema_has_every_key_of_the_model() {
    let ty = attribute().ty();
    assert!(ScannerSettings::fits(&ty), "{ty:?}");
}
