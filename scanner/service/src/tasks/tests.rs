use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::target::{Kind, Place};

const VOLUME: &str = "arn:aws:ec2:us-east-1:123456789012:volume/vol-0123456789abcdef0";

fn parse_value(document: &Value) -> Batch {
    parse(document.to_string().as_bytes()).unwrap()
}

/// The batch of these tasks, without roles.
fn tasks(tasks: &Value) -> Batch {
    parse_value(&json!({"type": "aws-scan", "tasks": tasks}))
}

/// Why this task is rejected.
fn reason(task: &Value) -> String {
    let batch = tasks(&json!([task]));
    assert_eq!(batch.tasks, []);
    batch.rejected.into_iter().next().unwrap().reason
}

#[test]
fn a_batch_of_every_type_is_read() {
    let batch = parse_value(&json!({
        "type": "aws-scan",
        "roles": ["arn:aws:iam::123456789012:role/DatadogAgentlessScannerDelegateRole"],
        "tasks": [
            {"type": "ebs-volume", "arn": VOLUME, "hostname": "i-0abc", "host_tags": ["env:prod", "url:a:b", "alone"],
             "actions": ["vulns-host-os", "vulns-containers-os", "vulns-containers-app"]},
            {"type": "ebs-volume", "arn": "arn:aws:ec2:us-east-1:210987654321:snapshot/snap-01234567"},
            {"type": "ami", "arn": "arn:aws:ec2:us-east-1:123456789012:image/ami-01234567", "image_id": "ami-01234567",
             "image_tags": []},
            {"type": "lambda", "arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "lambda_version": "$LATEST",
             "lambda_tags": ["team:a"], "actions": ["appvulns"]},
            {"type": "lambda", "arn": "arn:aws:lambda:us-east-1:123456789012:function:f:7", "actions": []},
            {"type": "lambda", "arn": "arn:aws:lambda:us-east-1:123456789012:function:g", "hostname": "",
             "lambda_tags": null, "something_new": {"a": 1}},
        ],
    }));
    assert_eq!(batch.rejected, []);
    let role = Some("arn:aws:iam::123456789012:role/DatadogAgentlessScannerDelegateRole".to_owned());
    let tags = [("alone", ""), ("env", "prod"), ("url", "a:b")];
    assert_eq!(
        batch.tasks[0],
        Task {
            target: Target {
                arn: VOLUME.to_owned(),
                place: Place { account: "123456789012".to_owned(), region: "us-east-1".to_owned() },
                kind: Kind::Volume,
                id: "vol-0123456789abcdef0".to_owned(),
                tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            },
            hostname: Some("i-0abc".to_owned()),
            role: role.clone(),
            actions: Some(Actions { applications: false, ..Actions::ALL }),
        }
    );
    let rest: Vec<_> = batch.tasks[1..].iter().map(|it| (it.target.kind, it.target.id.as_str())).collect();
    let function = |rest: &str| format!("arn:aws:lambda:us-east-1:123456789012:function:{rest}");
    assert_eq!(
        rest,
        [
            (Kind::Snapshot, "snap-01234567"),
            (Kind::Image, "ami-01234567"),
            (Kind::Function, &function("f:$LATEST")),
            (Kind::Function, &function("f:7")),
            (Kind::Function, &function("g:$LATEST")),
        ]
    );
    assert_eq!(batch.tasks[1].role, None, "no role of this account");
    assert_eq!(batch.tasks[2].role, role);
    assert_eq!(batch.tasks[3].actions, Some(Actions { applications: true, ..Actions::NONE }));
    assert_eq!(batch.tasks[4].actions, None);
    assert_eq!((batch.tasks[5].actions, &batch.tasks[5].hostname), (None, &None));
}

#[test]
fn one_bad_task_never_rejects_the_others() {
    let batch = tasks(&json!([
        {"type": "ebs-volume", "arn": VOLUME},
        {"type": "ebs-volume", "arn": "rm -rf /"},
        17,
        {"type": "ebs-volume", "arn": {"nested": ["deeply"]}},
        {"arn": VOLUME},
        {"type": "ebs-volume", "arn": VOLUME.replace("0abc", "1abc").replace("def0", "def1")},
    ]));
    assert_eq!(batch.tasks.len(), 2);
    let indices: Vec<_> = batch.rejected.iter().map(|it| (it.part, it.index)).collect();
    assert_eq!(indices, [1, 2, 3, 4].map(|index| (Part::Task, index)));
    assert!(batch.rejected[0].reason.contains(r#""rm -rf /""#), "{}", batch.rejected[0].reason);
    assert!(batch.rejected[3].reason.contains("`type`"), "{}", batch.rejected[3].reason);
}

#[test]
fn reasons_name_what_is_wrong() {
    let volume = |more: Value| {
        let mut task = json!({"type": "ebs-volume", "arn": VOLUME});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    };
    let of = |kind: &str, arn: &str| json!({"type": kind, "arn": arn});
    let many: Vec<_> = (0..201).map(|it| it.to_string()).collect();
    let cases = [
        (of("ebs-volumes", VOLUME), r#"its type "ebs-volumes" is unknown (ebs-volume, ami, lambda)"#),
        (json!({"type": "localhost"}), "scans nothing of its own instance"),
        (json!({"type": "ami"}), "it names no arn"),
        (of("ami", VOLUME), "not that of a machine image"),
        (of("ebs-volume", "arn:aws:rds:us-east-1:123456789012:volume/vol-01234567"), "not that of a volume"),
        (of("ebs-volume", "arn:aws:ec2:us-east-1:123456789012:volume/vol-0123"), "not that of a volume"),
        (of("ebs-volume", "arn:aws:ec2:us-east-1:123456789012:volume/../../x"), "not that of a volume"),
        (of("ebs-volume", "arn:aws:ec2:us-east-1::snapshot/snap-01234567"), "names no account"),
        (of("ami", "arn:aws:ec2::123456789012:image/ami-01234567"), "names no region"),
        (of("lambda", "arn:aws:lambda:us-east-1:123456789012:layer:f"), "not that of a function"),
        (of("lambda", "arn:aws:lambda:us-east-1:123456789012:function:f:alias"), "not that of a function"),
        (of("lambda", "arn:aws:lambda:us-east-1:123456789012:function:f;g"), "not that of a function"),
        (volume(json!({"hostname": "a b"})), "its hostname"),
        (volume(json!({"hostname": "a".repeat(300)})), "its hostname"),
        (volume(json!({"host_tags": ["a\u{0}"]})), "its tag"),
        (volume(json!({"host_tags": ["a".repeat(5000)]})), "its tag"),
        (volume(json!({"host_tags": many})), "it has 201 tags"),
        (volume(json!({"host_tags": "env:prod"})), "expected a sequence"),
        (
            volume(json!({"actions": ["vulns-host-os", "run-command"]})),
            r#"its action "run-command" is unknown"#,
        ),
        (volume(json!({"something": "x".repeat(70_000)})), "longer than 65536 bytes"),
        (
            json!({"type": "lambda", "arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
                   "actions": ["vulns-host-os"]}),
            "none of a function",
        ),
        (
            json!({"type": "lambda", "arn": "arn:aws:lambda:us-east-1:123456789012:function:f:1", "lambda_version": "2"}),
            r#"its lambda_version "2" is another one"#,
        ),
        (
            json!({"type": "lambda", "arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "lambda_version": "x"}),
            "neither $LATEST nor a number",
        ),
        (
            json!({"type": "ami", "arn": "arn:aws:ec2:us-east-1:123456789012:image/ami-01234567", "image_id": "ami-0"}),
            r#"its image_id "ami-0" is another one"#,
        ),
    ];
    for (task, expected) in cases {
        let reason = reason(&task);
        assert!(reason.contains(expected), "{reason}\nhas not: {expected}");
        assert!(reason.len() < 500, "{reason}");
    }
}

#[test]
fn a_task_of_another_partition_than_the_role_of_its_account_is_refused() {
    let batch = parse_value(&json!({
        "type": "aws-scan",
        "roles": [
            "arn:aws:iam::123456789012:role/path/delegate",
            "arn:aws-cn:iam::210987654321:role/delegate",
            "arn:aws:iam::123456789012:role/second",
            "arn:aws:iam::123456789012:user/someone",
            "arn:aws:iam::123456789012:role/a b",
            3,
        ],
        "tasks": [
            {"type": "ebs-volume", "arn": VOLUME.replace("123456789012", "210987654321")},
            {"type": "ebs-volume", "arn": VOLUME},
            {"type": "ebs-volume", "arn": VOLUME.replace("arn:aws:", "arn:aws-cn:")},
        ],
    }));
    assert_eq!(batch.tasks.len(), 1);
    assert_eq!(batch.tasks[0].role.as_deref(), Some("arn:aws:iam::123456789012:role/path/delegate"));
    let rejected: Vec<_> = batch.rejected.iter().map(|it| (it.part, it.index)).collect();
    let (role, task) = (Part::Role, Part::Task);
    assert_eq!(rejected, [(role, 2), (role, 3), (role, 4), (role, 5), (task, 0), (task, 2)]);
    let reasons: Vec<_> = batch.rejected.iter().map(|it| it.reason.as_str()).collect();
    assert!(reasons[0].contains("second role of its account"), "{}", reasons[0]);
    assert!(reasons[1].contains("not that of a role"), "{}", reasons[1]);
    assert_eq!(
        reasons[4],
        "it is in the partition aws, and the role of its account in roles, \
         \"arn:aws-cn:iam::210987654321:role/delegate\", in aws-cn"
    );
    assert!(reasons[5].contains("its region is one of the partition aws"), "{}", reasons[5]);
}

#[test]
fn ten_megabytes_of_garbage_are_refused_at_once() {
    let garbage: Vec<u8> =
        (0_u32..10_000_000).map(|it| it.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let began = Instant::now();
    assert!(matches!(parse(&garbage), Err(DocumentError::TooLong)));
    // Nor is what is not too long read for long.
    let eight = 8 << 20;
    assert!(matches!(parse(&garbage[..eight]), Err(DocumentError::Form(_))));
    assert!(matches!(parse(&vec![b'['; eight]), Err(DocumentError::Form(_))));
    let zeros = format!(r#"{{"type":"aws-scan","tasks":[0{}]}}"#, ",0".repeat(4_000_000));
    let refused = parse(zeros.as_bytes()).unwrap_err();
    let DocumentError::Form(reason) = &refused else { panic!("{refused}") };
    assert!(reason.to_string().contains("more than 10000 items"), "{reason}");
    let nested = format!(r#"{{"type":"aws-scan","tasks":[{}]}}"#, "{\"a\":".repeat(1_000_000));
    assert!(matches!(parse(nested.as_bytes()), Err(DocumentError::Form(_))));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn documents_of_something_else_are_refused_by_name() {
    for (document, message) in [
        (json!({"type": "gcp-scan", "tasks": []}), r#"type "gcp-scan"; only"#),
        (json!({"type": "x".repeat(1000)}), "xxx…"),
    ] {
        let refused = parse(document.to_string().as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(message) && refused.len() < 300, "{refused}");
    }
    for text in ["", "null", "{}", "[]", r#"{"type": 5}"#, r#"{"type":"aws-scan","tasks":{}}"#, "\u{feff}{}"]
    {
        assert!(matches!(parse(text.as_bytes()), Err(DocumentError::Form(_))), "{text}");
    }
    assert_eq!(parse(br#"{"type":"aws-scan","roles":null,"tasks":null}"#).unwrap(), Batch::default());
}

#[test]
fn texts_of_documents_are_shown_harmlessly() {
    assert_eq!(shown("a\u{1b}[31m\n\"b\""), r#""a\u{1b}[31m\n\"b\"""#);
    assert_eq!(shown(&"ä".repeat(100)), format!("\"{}…\"", "ä".repeat(80)));
}

pub(super) const KEY: &str = "RWRhZ250bGVzc43efCxjnimQVw+3j+3b1MOX4ZyglfaVIMgGCvIfhxZp";

pub(super) const SIGNED: &str = concat!(
    r#"{"type":"aws-scan","tasks":[{"type":"ebs-volume","#,
    r#""arn":"arn:aws:ec2:eu-central-1:111122223333:volume/vol-0123456789abcdef0"}]}"#,
    "\n"
);

pub(super) const SIGNATURE: &str = concat!(
    "untrusted comment: signature of the test's key\n",
    "RURhZ250bGVzc3HS5pARShM/6iqz3/SOb00Ftr2HxgxppCAmo5kO+hueH7a9wHGAZpRzvyaPSrqLt6ySf3jH2vg/ArZAJ7jj+gI=\n",
    "trusted comment: timestamp:1767225600\tfile:tasks.json\thashed\n",
    "t/kKeKl2vpATcBx+LZTZzS+UHK6R8Y8e4bH6n1ttyx4hwVq48tl+glyz75tDnyv/en5YNTWztM88acTer42gDw==\n",
);

/// Of the same document by the same key, not of its hash.
const OLD_SIGNATURE: &str = concat!(
    "untrusted comment: signature of the test's key\n",
    "RWRhZ250bGVzc7LRxDUPorbU37vzZWhEhE6HV3+l/sazI4jtLtd7yybqAKFr1WFtuPZnrlt495PlpUd5U23jdv0+CPfyxb0ZNQg=\n",
    "trusted comment: timestamp:1767225600\tfile:tasks.json\thashed\n",
    "j9TiX1leRb5+C37wTElTRTfjGOugPaGig5jyk1Yd0MVnJbqm+92ZnDvcp42Oro2pe38q70BIZ0Q5qLfEJkGOCw==\n",
);

#[test]
fn signatures_are_of_this_document_by_this_key() {
    let key = public_key(KEY).unwrap();
    let file = format!("untrusted comment: minisign public key\n{KEY}\n");
    assert_eq!(public_key(&file).unwrap(), key);
    let (document, signature) = (SIGNED.as_bytes(), SIGNATURE.as_bytes());
    verify(&key, document, signature).unwrap();

    let other = public_key("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3").unwrap();
    let changed = SIGNED.replace("vol-0", "vol-1");
    let comment = SIGNATURE.replace("1767225600", "1767225601");
    for wrong in [
        verify(&other, document, signature),
        verify(&key, changed.as_bytes(), signature),
        verify(&key, document, comment.as_bytes()),
        verify(&key, document, OLD_SIGNATURE.as_bytes()),
    ] {
        assert!(matches!(wrong, Err(SignatureError::Wrong(_))), "{wrong:?}");
    }
    for form in ["", "\n\n\n\n", "a\nb\nc\nd", "\u{0}"] {
        assert!(matches!(verify(&key, document, form.as_bytes()), Err(SignatureError::Form(_))), "{form:?}");
    }
    for text in ["", "RW", "password", &KEY[..50]] {
        assert!(matches!(public_key(text), Err(SignatureError::Key)), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_that_is_written_is_a_panic(text in ".{0,200}", kind in "(ebs-volume|ami|lambda|localhost|)", arn in "arn:aws:(ec2|lambda):us-east-1:123456789012:.{0,40}") {
        let _ = parse(text.as_bytes());
        let batch = tasks(&json!([{"type": kind, "arn": arn, "hostname": text}, {"type": "ami", "arn": text}]));
        prop_assert_eq!(batch.tasks.len() + batch.rejected.len(), 2);
    }
}
