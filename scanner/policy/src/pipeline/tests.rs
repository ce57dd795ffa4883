use super::*;
use crate::action::Trigger;
use crate::tags;

fn scope() -> PipelineScope {
    PipelineScope {
        regions: vec!["eu-central-1".parse().unwrap()],
        account: "111122223333".parse().unwrap(),
        kms_keys: Vec::new(),
        parameters: "/agentless-scanner/image".parse().unwrap(),
        instance_roles: Vec::new(),
    }
}

#[test]
fn the_tables_are_sorted_explained_and_granted() {
    for table in [VERBS, BUILD] {
        assert!(table.is_sorted_by(|a, b| a.name < b.name));
        assert!(table.iter().all(|action| action.reason.ends_with('.')));
    }
    assert!(VERBS.iter().all(|action| matches!(action.trigger, Trigger::Request(_))));
    assert!(BUILD.iter().all(|action| matches!(action.trigger, Trigger::Packer)));
    let granted = |name: &str| GRANTS.iter().any(|grant| grant.actions.iter().any(|it| it.name == name));
    for action in VERBS.iter().chain(BUILD) {
        assert!(granted(action.name), "{action}");
    }
    for grant in GRANTS {
        assert!(grant.actions.is_sorted_by(|a, b| a.name < b.name), "{}", grant.sid);
        assert_eq!(GRANTS.iter().filter(|other| other.sid == grant.sid).count(), 1, "{}", grant.sid);
    }
}

#[test]
fn what_changes_something_is_held_to_what_the_pipeline_made() {
    // These restrict nothing by themselves: AWS checks the same request against a statement that does; or they only copy.
    let inputs = ["LaunchBuildsFrom", "MakeAccessInNetworks", "CopyImages", "ReachThemByOneDocument"];
    // These are for what is named.
    let named = [
        "PointToImages",
        "UseNamedKeys",
        "LetEc2UseNamedKeys",
        "PassNamedRoles",
        "CheckProfiles",
        "EndOwnSessions",
    ];
    let policy = PolicyDocument::for_image_pipeline(&scope()).unwrap();
    for statement in policy.statements() {
        let sid = statement.sid();
        if statement.resources() == ["*"] {
            assert!(statement.actions().iter().all(|action| action.contains(":Describe")), "{sid}");
        } else if !inputs.contains(&sid) && !named.contains(&sid) {
            let condition = serde_json::to_string(statement).unwrap();
            let is_restricted = condition.contains(tags::IMAGE) || condition.contains("ec2:CreateAction");
            assert!(is_restricted, "{condition}");
        }
    }
}

#[test]
fn parameters_are_named_one_by_one() {
    let scope = PipelineScope {
        regions: vec!["eu-west-1".parse().unwrap(), "eu-central-1".parse().unwrap()],
        ..scope()
    };
    let policy = PolicyDocument::for_image_pipeline(&scope).unwrap();
    let statement = policy.statements().iter().find(|it| it.sid() == "PointToImages").unwrap();
    assert_eq!(statement.resources().len(), 12);
    assert_eq!(
        statement.resources()[0],
        "arn:aws:ssm:eu-central-1:111122223333:parameter/agentless-scanner/image/amd64/candidate"
    );
}

#[test]
fn what_is_not_named_is_not_granted() {
    let sids = |scope: &PipelineScope| -> Vec<String> {
        let policy = PolicyDocument::for_image_pipeline(scope).unwrap();
        policy.statements().iter().map(|statement| statement.sid().to_owned()).collect()
    };
    let plain = sids(&scope());
    assert!(!plain.iter().any(|sid| sid.contains("Key") || sid.contains("Role") || sid.contains("Session")));
    let key: KmsKeyArn = "arn:aws:kms:eu-central-1:111122223333:key/a".parse().unwrap();
    let role = "arn:aws:iam::111122223333:role/build".parse().unwrap();
    let all = PipelineScope { kms_keys: vec![key.clone()], instance_roles: vec![role], ..scope() };
    assert_eq!(sids(&all).len(), GRANTS.len());
    let elsewhere =
        PipelineScope { kms_keys: vec![key], regions: vec!["eu-west-1".parse().unwrap()], ..scope() };
    assert!(matches!(PolicyDocument::for_image_pipeline(&elsewhere), Err(PolicyError::ForeignKey { .. })));
    let nowhere = PipelineScope { regions: Vec::new(), ..scope() };
    assert_eq!(PolicyDocument::for_image_pipeline(&nowhere), Err(PolicyError::NoRegion));
}

#[test]
fn it_is_explained_and_fits_onto_a_role() {
    let key = "arn:aws:kms:eu-central-1:111122223333:key/a".parse().unwrap();
    let role = "arn:aws:iam::111122223333:role/build".parse().unwrap();
    let scope = PipelineScope { kms_keys: vec![key], instance_roles: vec![role], ..scope() };
    let policy = PolicyDocument::for_image_pipeline(&scope).unwrap();
    let actions: usize = policy.statements().iter().map(|statement| statement.actions().len()).sum();
    assert_eq!(policy.explained().len(), actions);
    assert!(policy.packed().is_ok());
}
