//! What a reader of configurations owes to whoever writes one.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::secret::{Secret, SecretValue};

fn parse(text: &str) -> Result<Settings, Vec<String>> {
    given(text, &[], &[])
}

fn given(text: &str, env: &[(&str, &str)], sets: &[&str]) -> Result<Settings, Vec<String>> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let sets: Vec<_> = sets.iter().map(|&set| set.to_owned()).collect();
    let read = unless_mistaken(Settings::read(Some((Path::new("config.yaml"), text)), env, &sets));
    read.map_err(|mistakes| mistakes.to_string().lines().map(str::to_owned).collect())
}

/// A file with this many keys that there are not.
fn unknown_keys(count: usize) -> String {
    let keys: Vec<_> = (0..count).map(|number| format!("k{number}: 1")).collect();
    keys.join("\n")
}

/// What is written about every key.
const CONFIGURATION: &str = include_str!("../../../../CONFIGURATION.md");

/// A file with every section, as somebody might write it.
const COMPLETE: &str = r#"
# The scanner of the team.
scanner_id: team.a
region: eu-central-1
regions: [eu-central-1, eu-west-1]
scan_own_account: false
accounts:
  - delegate_role_arn: arn:aws:iam::111122223333:role/delegate
    external_id: "0123"
  - {delegate_role_arn: "arn:aws:iam::444455556666:role/delegate"}
features: [hosts, functions]
hosts: {volumes: root, stopped: false, vendor_agent: scan}
images:
  owned: false
include_tags: {env: prod, "team": "*"}
exclude_tags: {env: dev}
scan_interval_hours: 24
queue:
  workers: 8
tasks:
  url: https://example.com/tasks.json
  public_key: RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
sinks:
  files: {directory: /srv/lists}
  s3:
    bucket: reports
    prefix: sbom/
  datadog:
    api_key: ENC[arn:aws:secretsmanager:eu-central-1:111122223333:secret:key]
  https: {url: "https://example.com/lists", authorization: "Bearer hunter2"}
state_directory: /srv/state
lifecycle:
  group: scanners
log_level: debug
sandbox: required
limits: {steps: 5, symlinks: 0}
"#;

#[test]
fn nothing_has_to_be_given() {
    for text in ["", "# nothing\n", "{}", "---\n", "queue:\nsinks:\n", "region: ~\naccounts: null\n"] {
        let settings = parse(text).unwrap();
        assert_eq!(settings, Settings::default(), "{text}");
    }
    let settings = Settings::default();
    assert_eq!(settings.scanner_id, "agentless-scanner");
    assert_eq!(settings.features, BTreeSet::from([Feature::Hosts]));
    assert_eq!(settings.scan_interval, std::time::Duration::from_hours(12));
    assert_eq!((settings.queue.workers, settings.queue.snapshots, settings.queue.length), (4, 100, 10_000));
    assert_eq!(settings.rate_limits.block_get, 800);
    assert_eq!(settings.limits, agentless_core::limits::Limits::default());
    assert!(settings.scan_own_account && settings.sandbox.is_none() && settings.regions.is_empty());
    assert!(settings.require_sinks().unwrap_err().to_string().starts_with("sinks: there is none"));
}

#[test]
fn every_section_is_read() {
    let settings = parse(COMPLETE).unwrap();
    assert_eq!(settings.regions, ["eu-central-1", "eu-west-1"]);
    assert_eq!(settings.accounts.len(), 2);
    assert_eq!(settings.accounts[0].account, "111122223333");
    assert_eq!(settings.accounts[0].external_id.as_deref(), Some("0123"));
    assert_eq!(settings.accounts[1].external_id, None);
    assert_eq!(
        settings.hosts,
        Hosts { volumes: Volumes::Root, stopped: false, vendor_agent: VendorAgent::Scan }
    );
    assert_eq!(settings.images, Images { owned: false, used: true });
    assert_eq!(settings.include_tags.get("team").map(String::as_str), Some("*"));
    assert_eq!(settings.queue.workers, 8);
    let Sinks { files, s3, datadog, https } = &settings.sinks;
    assert_eq!(files.as_ref().unwrap().directory, Path::new("/srv/lists"));
    assert_eq!(s3.as_ref().unwrap().prefix, "sbom/");
    assert_eq!(datadog.as_ref().unwrap().site, "datadoghq.com");
    let authorization = https.as_ref().unwrap().authorization.clone().unwrap();
    assert_eq!(authorization, SecretValue::Plain(Secret::new("Bearer hunter2".to_owned())));
    assert_eq!(settings.spool.directory, Path::new("/srv/state/spool"));
    assert_eq!(settings.lifecycle.as_ref().unwrap().group, "scanners");
    assert_eq!((settings.log_level, settings.sandbox), (LogLevel::Debug, Some(SandboxMode::Required)));
    assert_eq!((settings.limits.steps, settings.limits.symlinks), (5, 0));
    assert_eq!(settings.secrets().count(), 2);
    settings.require_sinks().unwrap();
}

#[test]
fn json_is_yaml() {
    // As the Terraform provider writes it.
    let settings = parse(
        "{\"features\":[\"hosts\"],\"log_level\":\"info\",\"region\":\"eu-central-1\",\"sandbox\":\"required\",
            \"scan_interval_hours\":12,\"scanner_id\":\"scanner\",\"include_tags\":{\"env\":\"prod\"},\"exclude_tags\":{},
            \"accounts\":[{\"delegate_role_arn\":\"arn:aws:iam::111122223333:role/delegate\",\"external_id\":\"id\"}],
            \"sinks\":{\"s3\":{\"bucket\":\"reports\"}},\"rate_limits\":{\"read\":10}}",
    )
    .unwrap();
    assert_eq!(settings.regions, ["eu-central-1"]);
    assert_eq!(settings.sinks.s3.unwrap().bucket, "reports");
    assert!(parse("{\"queue\":{\"workers\":2},\n\t\"log_level\": \"warn\"\n}").is_ok());
}

#[test]
fn a_mistake_says_where_it_is_and_what_would_be_right() {
    for (text, expected) in [
        (
            "sinks:\n  s3:\n    buket: b\n    bucket: abc",
            "config.yaml:3:5: sinks.s3.buket: unknown key, did you mean bucket?",
        ),
        ("{\"sanbox\": \"required\"}", "config.yaml:1:2: sanbox: unknown key, did you mean sandbox?"),
        ("bucket: abc", "config.yaml:1:1: bucket: unknown key, did you mean sinks.s3.bucket?"),
        ("queue: {xyz: 1}", "config.yaml:1:9: queue.xyz: unknown key; there are workers, snapshots, length"),
        ("limits: {stps: 1}", "config.yaml:1:10: limits.stps: unknown key, did you mean steps?"),
        ("sinks.s3: {bucket: abc}", "config.yaml:1:1: sinks.s3: unknown key"),
        (
            "region: eu-west-1\nregion: b",
            "config.yaml:2:1: region: the key is there already, at config.yaml:1:1",
        ),
        (
            "scan_interval_hours: 0",
            "config.yaml:1:22: scan_interval_hours: must be a whole number from 1 to 168, without quotes, not 0",
        ),
        ("scan_interval_hours: \"12\"", "not \"12\" in quotes"),
        (
            "scan_interval_hours: 1.5",
            "scan_interval_hours: must be a whole number from 1 to 168, without quotes, not 1.5",
        ),
        ("limits: {steps: 0}", "limits.steps: must be a whole number, at least 1, without quotes, not 0"),
        ("limits: {steps: -1}", "limits.steps: must be a whole number, at least 1, without quotes, not -1"),
        (
            "limits: {symlinks: 4294967296}",
            "limits.symlinks: the limit `symlinks` must be at most 4294967295",
        ),
        ("limits: 5", "limits: is a section of keys (file_bytes, small_file_bytes, "),
        ("incremental: perhaps", "incremental: must be true or false, not perhaps"),
        ("sandbox: off", "sandbox: must be one of required, best-effort, not off"),
        ("log_level: [info]", "log_level: must be one of error, warn, info, debug, trace, not a list"),
        (
            "features: [hosts, hsts]",
            "config.yaml:1:19: features: must be a list of at least one of hosts, images, functions",
        ),
        ("features: []", "features: must be a list of at least one"),
        ("features: [hosts, hosts]", "features: hosts is there already"),
        ("regions: eu-central-1", "regions: must be a list, such as [a, b], each a region of AWS"),
        ("region: Frankfurt", "region: must be a region of AWS, such as eu-central-1, not \"Frankfurt\""),
        ("include_tags: [env]", "include_tags: must be tags with their values"),
        ("accounts: [{external_id: abc}]", "accounts: an account needs its delegate_role_arn"),
        (
            "accounts: [{delegate_role_arn: arn:aws:iam::111122223333:role/r, extrnal_id: abc}]",
            "accounts.extrnal_id: unknown key, did you mean external_id?",
        ),
        (
            "accounts: [{delegate_role_arn: abc}]",
            "accounts.delegate_role_arn: must be the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME, not \"abc\"",
        ),
        (
            "sinks: {s3: {bucket: abc, prefix: sbom}}",
            "sinks.s3.prefix: must be a prefix of keys that ends in /",
        ),
        ("sinks: {s3: {}}", "config.yaml:1:9: sinks.s3.bucket: is needed where there is its section"),
        (
            "sinks: {https: {url: \"http://example.com\"}}",
            "sinks.https.url: must be an address that begins with https://",
        ),
        (
            "sinks: {datadog: {site: ddog-gov.com, api_key: k}}",
            "sinks.datadog.site: ddog-gov.com has no intake",
        ),
        (
            "sinks: {datadog: {api_key: \"ENC[key]\"}}",
            "sinks.datadog.api_key: ENC[key] is no ARN of Secrets Manager, and there is no secret_backend_command",
        ),
        ("tasks: {public_key: RWabc}", "tasks.public_key: must be a public key of minisign"),
        ("state_directory: state", "state_directory: must be a path that begins with /, not \"state\""),
        ("scan_own_account: false", "scan_own_account: nothing is left to scan"),
        (
            "scan_interval_hours: 1\ndiscovery_minutes: 61",
            "discovery_minutes: targets would be looked for less often",
        ),
        (
            "include_tags: {a: b}\nexclude_tags: {a: '*'}",
            "exclude_tags: excludes all that include_tags includes, by a",
        ),
        ("lifecycle: {launch_hook: h}", "lifecycle.group: is needed"),
        ("- a", "config.yaml:1:1: a configuration is keys with their values, and this is a list"),
        ("abc", "a configuration is keys with their values, and this is a single value"),
        ("a: &b c", "anchors (&name) have no place"),
        ("a: !!str c", "tags (!name) have no place"),
        ("region: *b", "this is no YAML"),
        ("region: eu-central-1\n---\nregion: eu-west-1", "config.yaml:2:1: a configuration is one document"),
        ("{} trailing", "this is no YAML"),
        ("a: [", "this is no YAML"),
        ("? {a: b}\n: c", "a key is one word"),
        ("a: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "values are nested deeper"),
    ] {
        let mistakes = parse(text).unwrap_err();
        assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{text}: {mistakes:#?}");
        assert_eq!(mistakes.len(), 1, "{text}: {mistakes:#?}");
    }
}

#[test]
fn all_mistakes_are_told() {
    let mistakes = parse(
        "scaner_id: a\nregion: moon\nregion: x\nqueue: {workers: 0, size: 1}\nsinks: {s3: {prefix: /}}",
    )
    .unwrap_err();
    let places: Vec<_> = mistakes.iter().map(|mistake| mistake.split(':').nth(1).unwrap()).collect();
    assert_eq!(places, ["3", "1", "4", "2", "4", "5", "5"], "{mistakes:#?}");
    let many = unknown_keys(1000);
    let mistakes = Settings::parse(Path::new("config.yaml"), &many).unwrap_err();
    assert_eq!((mistakes.iter().count(), mistakes.further()), (100, 900));
    assert_eq!(
        mistakes.iter().nth(4).map(|mistake| (mistake.line(), mistake.column())),
        Some((Some(5), Some(1)))
    );
}

#[test]
fn accounts_are_one_each_and_within_reach() {
    let role = |account: &str, partition: &str| {
        format!("{{delegate_role_arn: 'arn:{partition}:iam::{account}:role/r'}}")
    };
    let (one, other) = (role("111122223333", "aws"), role("444455556666", "aws"));
    parse(&format!("accounts: [{one}, {other}]")).unwrap();
    let twice = parse(&format!("accounts: [{one}, {other}, {one}]")).unwrap_err();
    assert!(twice[0].contains("the account 111122223333 is there already"), "{twice:?}");
    let far = format!("region: eu-central-1\naccounts: [{}]", role("111122223333", "aws-cn"));
    let far = parse(&far).unwrap_err();
    assert!(far[0].contains("of the partition aws-cn, and the region eu-central-1 of aws"), "{far:?}");
}

#[test]
fn the_command_line_goes_before_the_environment_and_that_before_the_file() {
    let file = "queue: {workers: 1, snapshots: 1, length: 1}";
    let env = [
        ("AGENTLESS_SCANNER_QUEUE_SNAPSHOTS", "2"),
        ("AGENTLESS_SCANNER_QUEUE_LENGTH", "2"),
        ("AGENTLESS_SCANNER_REGIONS", "[eu-west-1, eu-west-2]"),
        ("AGENTLESS_SCANNER_SINKS_HTTPS", "{url: \"https://example.com\", authorization: x}"),
        ("AGENTLESS_SCANNER_SINKS_HTTPS_AUTHORIZATION", "Bearer: a #b [c"),
        ("AGENTLESS_SCANNER_REGION", ""),
        ("AGENTLESS_SCANNER_CONFIG", "/nonexistent"),
        ("PATH", "/bin"),
    ];
    let settings =
        given(file, &env, &["queue.length=3", "include_tags={env: \"*\"}", "scanner_id='a'"]).unwrap();
    assert_eq!((settings.queue.workers, settings.queue.snapshots, settings.queue.length), (1, 2, 3));
    assert_eq!(settings.regions, ["eu-west-1", "eu-west-2"]);
    assert_eq!(settings.scanner_id, "a");
    let authorization = settings.sinks.https.as_ref().unwrap().authorization.clone().unwrap();
    assert_eq!(authorization, SecretValue::Plain(Secret::new("Bearer: a #b [c".to_owned())));
    let printed = settings.print();
    for line in [
        "  workers: 1  # config.yaml:1:18",
        "  snapshots: 2  # AGENTLESS_SCANNER_QUEUE_SNAPSHOTS",
        "  length: 3  # --set",
        "    authorization: \"********\"  # AGENTLESS_SCANNER_SINKS_HTTPS_AUTHORIZATION",
        "log_level: info  # default",
        "# region:  # not set",
    ] {
        assert!(printed.contains(&format!("\n{line}\n")), "{line}\n{printed}");
    }
    // An empty value takes what is below away.
    let without =
        given("sinks: {s3: {bucket: abc}}\nregion: eu-west-1", &[], &["sinks.s3=", "region="]).unwrap();
    assert_eq!(without, Settings::default());
}

#[test]
fn mistakes_name_the_variable_or_the_argument() {
    for (env, set, expected) in [
        (
            ("AGENTLESS_SCANNER_QUEUE_WORKERS", "many"),
            "",
            "AGENTLESS_SCANNER_QUEUE_WORKERS: queue.workers: must be a whole number",
        ),
        (
            ("AGENTLESS_SCANNER_QUEUE_WORKRS", "1"),
            "",
            "AGENTLESS_SCANNER_QUEUE_WORKRS: no key has this variable, did you mean AGENTLESS_SCANNER_QUEUE_WORKERS?",
        ),
        (("AGENTLESS_SCANNER_REGIONS", "[a"), "", "AGENTLESS_SCANNER_REGIONS: this is no YAML"),
        (("A", ""), "queue.workers", "--set: queue.workers: expected KEY=VALUE"),
        (("A", ""), "queue.workrs=1", "--set: queue.workrs: unknown key, did you mean workers?"),
        (("A", ""), "quue.workers=1", "--set: quue.workers: unknown key, did you mean queue.workers?"),
        (
            ("A", ""),
            "queue=1",
            "--set: queue: is a section of keys (workers, snapshots, length), and here stands a single value",
        ),
    ] {
        let sets: Vec<_> = Some(set).into_iter().filter(|set| !set.is_empty()).collect();
        let mistakes = given("", &[env], &sets).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].contains(expected), "{mistakes:?}");
    }
}

#[test]
fn no_message_and_no_print_shows_a_secret() {
    let wrong = "sinks:\n  https: {url: \"https://u:hunter2@example.com\", authorization: [hunter2]}\n  datadog: {api_key: \"hunter2\\n\"}";
    let text = parse(wrong).unwrap_err().join("\n");
    assert!(!text.contains("hunter2") && text.lines().count() == 3, "{text}");
    let settings = parse(COMPLETE).unwrap();
    let shown = format!("{settings:?}\n{}", settings.print());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("api_key: \"ENC[arn:aws:secretsmanager:"), "{shown}");
}

#[test]
fn what_is_printed_is_read_as_the_same() {
    for text in [
        "",
        COMPLETE,
        "include_tags: {\"a b\": \"\\u0085\\\"x\\\\: #y\", yes: 'no'}\nsinks: {s3: {bucket: abc}}",
    ] {
        let settings =
            parse(&text.replace("Bearer hunter2", "ENC[arn:aws:secretsmanager:r:a:secret:s]")).unwrap();
        assert_eq!(parse(settings.print()).unwrap(), settings, "{}", settings.print());
    }
}

#[test]
fn every_key_has_a_variable_and_is_printed() {
    let mut variables = BTreeSet::new();
    for path in keys::all().iter().map(|key| &*key.path).chain(keys::sections()) {
        assert!(variables.insert(keys::variable(path)), "two keys have the variable of {path}");
        assert_ne!(keys::variable(path), FILE_VARIABLE);
    }
    let printed = Settings::default().print().to_owned();
    for key in keys::all() {
        let name = key.path.rsplit('.').next().unwrap();
        assert!(
            printed.lines().any(|line| line.trim_start_matches([' ', '#']).starts_with(&format!("{name}:"))),
            "{name}"
        );
        assert!(key.description.ends_with('.') && !key.description.contains('\n'), "{}", key.path);
        let Some(default) = values::default(&key.path) else { continue };
        let mut mistakes = Mistakes::default();
        given::check(key, &default, &mut mistakes);
        assert!(mistakes.is_empty(), "the default of {}: {mistakes}", key.path);
        // The default can be given both ways, and changes nothing, but that a section with it is there.
        let is_in_option = ["sinks.", "lifecycle."].iter().any(|section| key.path.starts_with(section));
        if !is_in_option {
            let by_flag = given("", &[], &[&format!("{}={}", key.path, key.default)]).unwrap();
            let by_variable = given("", &[(&key.variable(), &key.default)], &[]).unwrap();
            assert_eq!(
                (&by_flag, &by_variable),
                (&Settings::default(), &Settings::default()),
                "{}",
                key.path
            );
        }
    }
    // Sections are each in one piece.
    let mut sections: Vec<_> =
        keys::all().iter().map(|key| key.path.rsplit_once('.').map_or("", |(section, _)| section)).collect();
    sections.dedup();
    sections.retain(|section| !section.is_empty());
    assert_eq!(sections.len(), sections.iter().collect::<BTreeSet<_>>().len());
}

/// The row of a key in the tables of `CONFIGURATION.md`.
fn row(key: &Key) -> String {
    let Key { path, kind, default, description } = key;
    if path.starts_with("limits.") {
        return format!("| `{path}` | `{default}` | {description} |");
    }
    // That is said once, above the tables.
    let value = kind.to_string().replace(", without quotes", "");
    let default = if default.is_empty() { "-".to_owned() } else { format!("`{default}`") };
    format!("| `{path}` | {value} | {default} | {description} |")
}

#[test]
fn every_key_is_documented_as_it_is() {
    let documented: BTreeSet<String> =
        CONFIGURATION.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let keys: BTreeSet<String> = keys::all().iter().map(row).collect();
    let missing: Vec<_> = keys.difference(&documented).collect();
    let further: Vec<_> = documented.difference(&keys).collect();
    assert!(
        missing.is_empty() && further.is_empty(),
        "these rows are missing in CONFIGURATION.md: {missing:#?}, and these are of no key: {further:#?}"
    );
}

#[test]
fn files_are_bounded_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let load =
        || Settings::load(Some(&path), std::iter::empty(), &[]).map_err(|mistakes| mistakes.to_string());
    assert!(load().unwrap_err().starts_with("could not read the configuration /"));
    std::fs::write(&path, "region: eu-west-1").unwrap();
    assert_eq!(load().unwrap().region.as_deref(), Some("eu-west-1"));
    std::fs::write(&path, vec![b'#'; MOST_BYTES + 1]).unwrap();
    assert!(load().unwrap_err().ends_with("bytes, which no configuration has"));
    std::fs::write(&path, b"a\n\xff").unwrap();
    assert!(load().unwrap_err().ends_with("line 2 has bytes that are not UTF-8"));
    let named = [("AGENTLESS_SCANNER_CONFIG".to_owned(), folder.path().join("other").display().to_string())];
    let error = Settings::load(None, named.into_iter(), &[]).unwrap_err().to_string();
    assert!(error.contains("/other: "), "{error}");
}

#[test]
fn hostile_documents_end() {
    for text in [
        "- ".repeat(400_000),
        "[".repeat(400_000),
        "{a: ".repeat(200_000),
        "? ".repeat(400_000),
        "a:\n ".repeat(200_000),
        "\"".repeat(400_001),
        "a: |\n".repeat(100_000),
        format!("{}: 1", "k".repeat(900_000)),
        unknown_keys(60_000),
    ] {
        assert!(parse(&text).is_err());
    }
}

/// Pieces of YAML, in any order.
fn document() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "- ",
        "? ",
        ": ",
        ":",
        "a",
        "a: ",
        "\n",
        "\n  ",
        "\n    ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ",",
        "\"",
        "'",
        "|",
        "|2-",
        ">+",
        "#",
        " #",
        "---",
        "\n---\n",
        "...",
        "\n...\n",
        "%YAML 1.2",
        "%TAG ! a",
        "&b",
        "*b",
        "!",
        "!!str ",
        "!<a>",
        "\\",
        "\\x4",
        "\\U0011ffff",
        "\u{feff}",
        "\u{85}",
        "\r",
        "\0",
        "é",
        "~",
        "null",
        "regions",
        "sinks: ",
        "s3: ",
        "bucket: ",
        "limits: {",
        "steps: 1",
        "accounts",
        "@",
        "`",
        "<<: ",
    ]);
    prop::collection::vec(piece, 0..32).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(text in document()) {
        if let Ok(settings) = parse(&text) {
            prop_assert_eq!(parse(settings.print()).unwrap(), settings);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\n]{0,200}") {
        let _ = parse(&text);
        let _ = given("", &[("AGENTLESS_SCANNER_ACCOUNTS", &text)], &[&format!("include_tags={text}")]);
    }

    #[test]
    fn any_tags_come_back(tags in proptest::collection::btree_map("\\PC{1,20}", "\\PC{0,20}", 0..4)) {
        let json = serde_json::to_string(&tags).unwrap();
        let settings = parse(&format!("{{\"include_tags\": {json}}}")).unwrap();
        prop_assert_eq!(&settings.include_tags, &tags);
        prop_assert_eq!(parse(settings.print()).unwrap(), settings);
    }
}

#[test]
fn what_is_understood_stays_so_beside_mistakes() {
    let understood = |text| Settings::read(Some((Path::new("c.yaml"), text)), std::iter::empty(), &[]);
    let text = "lifecycle: {group: g, launch_hook: h}\nqueue: {workers: many}\nscan_intervall_hours: 1\n";
    let (settings, mistakes) = understood(text);
    assert!(!mistakes.is_empty());
    let lifecycle = settings.lifecycle.unwrap();
    assert_eq!((lifecycle.group.as_str(), lifecycle.launch_hook.as_deref()), ("g", Some("h")));
    let (settings, mistakes) = understood("lifecycle: {group: [g");
    assert!(!mistakes.is_empty());
    assert_eq!(settings.lifecycle, None);
}
