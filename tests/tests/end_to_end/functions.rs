//! Lambda functions: zips with layers, and container images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use agentless_tests::judge::{self, Account, KeyValue, Policy};
use agentless_tests::local_aws::{Effect, Fault, FunctionCode, Hold, LocalAws, Options};
use agentless_tests::process::Finished;
use bytes::Bytes;
use scanner_policy::{Feature, PolicyDocument, Scope, tags};
use serde_json::Value;

use crate::scene::{delegate_policy, run_scanner};

const REQUESTS: &str = "Metadata-Version: 2.1\nName: requests\nVersion: 2.32.3\n";
const BOTO: &str = "Metadata-Version: 2.1\nName: boto3\nVersion: 1.35.0\n";
const STATUS: &str = "Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n\n";

/// Packs files with the native tool: Python's for zips, as people deploy functions, and tar for layers of images.
fn pack(files: &[(&str, &[u8])], command: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("root");
    let mut first = BTreeSet::new();
    for (path, content) in files {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, content).expect("a file");
        first.extend(Path::new(path).iter().next().map(ToOwned::to_owned));
    }
    let packed = folder.path().join("packed");
    let [program, arguments @ ..] = command else { panic!("no program") };
    let status = Command::new(program).args(arguments).arg(&packed).args(first).current_dir(&root).status();
    assert!(status.expect("it starts").success());
    std::fs::read(packed).expect("what was packed")
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    pack(files, &["python3", "-m", "zipfile", "-c"])
}

fn layer_of_image(files: &[(&str, &[u8])]) -> Bytes {
    pack(files, &["tar", "-czf"]).into()
}

/// A local AWS with a function of Python and a layer. Returns the ARNs of both.
async fn python_function(tags: &[(&str, &str)]) -> (LocalAws, String, String) {
    let aws = LocalAws::start(Options::default()).await.expect("the local AWS starts");
    // Compressed as little as a model or a picture: the scan need not read it.
    let large: Vec<u8> =
        (0..1_500_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let code = zip(&[
        ("handler.py", b"def handle(event, context): pass\n"),
        ("model.bin", &large),
        ("requests-2.32.3.dist-info/METADATA", REQUESTS.as_bytes()),
    ]);
    let layer = zip(&[("python/boto3-1.35.0.dist-info/METADATA", BOTO.as_bytes())]);
    let layer = aws.publish_layer("tools", layer).await.expect("a layer");
    let code = FunctionCode::Python(code);
    let function = aws.create_function("orders", code, std::slice::from_ref(&layer), tags).await;
    (aws, function.expect("a function"), layer)
}

async fn scan(aws: &LocalAws, target: &str) -> (Finished, Value) {
    let finished = run_scanner(&aws.environment(), &["scan", target, "--format", "cyclonedx-json"]).await;
    let document = serde_json::from_str(&finished.stdout).unwrap_or_default();
    (finished, document)
}

fn names(document: &Value) -> BTreeSet<String> {
    let components = document["components"].as_array().expect("components");
    let libraries = components.iter().filter(|component| component["type"] == "library");
    libraries.filter_map(|component| Some(component["purl"].as_str()?.to_owned())).collect()
}

fn judged(policy: &Policy, aws: &LocalAws, functions: &[&str]) -> judge::Verdict {
    let untagged = functions.iter().map(|arn| ((*arn).to_owned(), BTreeMap::new()));
    let account =
        Account { id: "123456789012".to_owned(), functions: untagged.collect(), ..Account::default() };
    judge::judge(policy, &aws.calls(), &account).expect("known calls")
}

fn policy() -> Policy {
    let scope = Scope {
        region: "us-east-1".parse().expect("a region"),
        account: "123456789012".parse().expect("an account"),
        kms_keys: Vec::new(),
    };
    let policy = PolicyDocument::for_scanner(&scope, &[Feature::Functions]).expect("a policy");
    Policy::from_json(&policy.to_json()).expect("a policy")
}

#[tokio::test]
async fn functions_are_scanned_with_exactly_the_permissions_for_functions() {
    let (aws, function, _) = python_function(&[]).await;
    let system = layer_of_image(&[
        ("etc/os-release", b"ID=debian\nVERSION_ID=12\n"),
        ("var/lib/dpkg/status", STATUS.as_bytes()),
    ]);
    let task = layer_of_image(&[(
        "var/lang/lib/python3.12/site-packages/requests-2.32.3.dist-info/METADATA",
        REQUESTS.as_bytes(),
    )]);
    let uri = aws.push_image("team/orders", &[system, task]);
    let image = aws.create_function("orders-image", FunctionCode::Image(uri), &[], &[]).await.unwrap();
    aws.clear_calls();

    let (finished, document) = scan(&aws, "lambda:orders").await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let expected = ["pkg:pypi/boto3@1.35.0", "pkg:pypi/requests@2.32.3"].map(str::to_owned);
    assert_eq!(names(&document), expected.into());
    let subject = &document["metadata"]["component"];
    assert_eq!((&subject["type"], &subject["name"]), (&"application".into(), &"lambda:orders".into()));
    let properties: BTreeMap<_, _> = subject["properties"]
        .as_array()
        .unwrap()
        .iter()
        .map(|property| (property["name"].as_str().unwrap(), property["value"].as_str().unwrap()))
        .collect();
    assert_eq!(properties["agentless-scanner:function:runtime"], "python3.12");
    assert_eq!(properties["agentless-scanner:function:architecture"], "x86_64");
    assert_eq!(properties["agentless-scanner:function:arn"], function);
    assert_eq!(properties["agentless-scanner:function:version"], "$LATEST");
    assert!(properties.contains_key("agentless-scanner:function:code-sha256"));
    let platforms = document["components"].as_array().unwrap().iter();
    let platforms: Vec<_> = platforms.filter(|component| component["type"] == "platform").collect();
    assert_eq!(platforms.len(), 1);
    assert_eq!(platforms[0]["name"], "python3.12");
    // Of 6 MB, the directory and the files of packages.
    let downloads = || aws.calls().into_iter().filter(|call| call.action == "GetObject").collect::<Vec<_>>();
    let read: u64 = downloads().iter().map(|call| call.reply_bytes).sum();
    assert!(read < 2 << 20, "{read} bytes");
    assert!(downloads().iter().all(|call| call.access_key_id.is_empty() && call.status == Some(206)));

    let (finished, document) = scan(&aws, &image).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let found = names(&document);
    assert!(found.iter().any(|purl| purl.starts_with("pkg:deb/debian/bash@5.2")), "{found:?}");
    assert!(found.contains("pkg:pypi/requests@2.32.3"), "{found:?}");

    // What there is, is found with the same permissions.
    let version = aws.publish_function("orders", "live").await.unwrap();
    let arguments = ["discover", "--features", "functions", "--json"];
    let finished = run_scanner(&aws.environment(), &arguments).await;
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let found: Value = serde_json::from_str(&finished.stdout).unwrap();
    let found: BTreeSet<_> =
        found["targets"].as_array().unwrap().iter().map(|target| target["arn"].as_str().unwrap()).collect();
    let in_use = [format!("{image}:$LATEST"), format!("{function}:$LATEST"), format!("{function}:{version}")];
    assert_eq!(found, in_use.iter().map(String::as_str).collect());

    let verdict = judged(&policy(), &aws, &[&function, &image]);
    assert_eq!(verdict.denied, []);
    assert_eq!(verdict.needless, [""; 0]);
    // And with those of a delegate role, as if the functions were another account's.
    let delegate = delegate_policy(&[Feature::Functions]);
    let delegated = judged(&delegate, &aws, &[&function, &image]);
    assert_eq!((delegated.denied, delegated.needless), (Vec::new(), Vec::new()));
    // An opt-out is refused by IAM, whatever the scanner does: of the function, and of the repository.
    for (action, key) in [("lambda:GetFunction", "aws"), ("ecr:BatchGetImage", "ecr")] {
        let mut opted_out = verdict.authorizations.iter().find(|one| one.action == action).unwrap().clone();
        let key = format!("{key}:ResourceTag/{}", tags::SCANNER);
        opted_out.context.insert(key, KeyValue::One(tags::FALSE.to_owned()));
        assert!(!policy().allows(&opted_out).unwrap(), "{opted_out}");
        assert!(!delegate.allows(&opted_out).unwrap(), "{opted_out}");
    }
    aws.assert_no_unimplemented();
}

#[tokio::test]
async fn a_function_whose_owner_opted_out_is_not_read() {
    let (aws, _, _) = python_function(&[(tags::SCANNER, tags::FALSE)]).await;
    aws.clear_calls();
    let (finished, _) = scan(&aws, "lambda:orders").await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("must not be scanned"), "{}", finished.stderr);
    assert!(aws.calls().iter().all(|call| call.action == "GetFunction"));

    let (finished, _) = scan(&aws, "lambda:nothing").await;
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("lambda:GetFunction found nothing"), "{}", finished.stderr);
}

#[tokio::test]
async fn a_scan_of_a_function_survives_what_passes() {
    let (aws, _, layer) = python_function(&[]).await;
    let survives = async |what: &str| {
        let (finished, document) = scan(&aws, "lambda:orders").await;
        assert_eq!(finished.code, Some(0), "{what}: {}", finished.stderr);
        assert_eq!(names(&document).len(), 2, "{what}: {}", finished.stderr);
    };
    let presigned = |effect| Fault::on("presigned", "GetObject", effect);
    for fault in [
        Fault::on("lambda", "GetFunction", Effect::Throttle).times(2),
        Fault::on("lambda", "GetLayerVersion", Effect::InternalError).times(2),
        presigned(Effect::Unavailable).times(2),
        presigned(Effect::ResetReply).times(2),
        presigned(Effect::TruncateBody(100)).times(3),
    ] {
        aws.clear_calls();
        let told = format!("{fault:?}");
        aws.inject(fault);
        survives(&told).await;
        aws.clear_faults();
        assert!(aws.calls().iter().any(|call| call.faulted), "nothing met {told}");
    }
    // The URL expires when the scan has it already.
    aws.clear_calls();
    let hold = Hold::new();
    aws.inject(presigned(Effect::HoldRequest(hold.clone())).times(1));
    let expiring = async {
        hold.reached().await;
        aws.expire_presigned_urls();
        hold.release();
    };
    tokio::join!(survives("a URL that has expired"), expiring);
    aws.clear_faults();
    assert!(aws.calls().iter().any(|call| call.status == Some(403)), "nothing had expired");

    aws.set_knows_no_ranges(true);
    survives("a server that knows no ranges").await;
    aws.set_knows_no_ranges(false);

    // What is not known of a layer is said, and the rest is listed.
    aws.inject(Fault::on("lambda", "GetLayerVersion", Effect::AccessDenied));
    let (finished, document) = scan(&aws, "lambda:orders").await;
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert_eq!(names(&document), ["pkg:pypi/requests@2.32.3".to_owned()].into());
    assert!(finished.stderr.contains(&layer), "{}", finished.stderr);
    aws.clear_faults();

    // Damage that is seen by the SHA-256 of a layer that is read whole.
    aws.inject(presigned(Effect::CorruptBody));
    let (finished, _) = scan(&aws, "lambda:orders").await;
    assert_ne!(finished.code, Some(0), "{}", finished.stderr);
}
