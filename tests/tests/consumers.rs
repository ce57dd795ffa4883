//! Package lists as programs of others read them.
//!
//! The lists are the golden files of the scanner's own tests (`scanner/tests/data/lists`), of reports that have one of everything.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_tests::cyclonedx::schema_errors;
use agentless_tests::local_aws::{environment_of, target_directory};
use agentless_tests::tools;
use serde_json::Value;

/// A whole target with a container, its host alone, and the container alone.
const LISTS: [&str; 3] = ["target", "host", "container"];

fn list(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scanner/tests/data/lists").join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A script of `tests/consumers`, with the interpreter that it is for, and a list.
fn run(interpreter: &Path, arguments: &[&Path]) -> String {
    String::from_utf8(tools::run(interpreter, arguments).unwrap()).unwrap()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("consumers").join(name)
}

fn python() -> PathBuf {
    environment_of("consumers", &script("requirements.txt")).unwrap()
}

/// Node.js, and the folder in which the packages of `package-lock.json` are installed, once under the build's target directory.
fn node() -> (PathBuf, PathBuf) {
    let node = tools::find("node", "install it (Debian, Ubuntu: `apt-get install nodejs npm`)").unwrap();
    let npm = tools::find("npm", "install it (Debian, Ubuntu: `apt-get install nodejs npm`)").unwrap();
    let folder = target_directory().join("consumers");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("node.lock")).unwrap();
    lock.lock().unwrap();
    let is_there =
        fs::read(folder.join("complete-lock.json")).ok() == fs::read(script("package-lock.json")).ok();
    if !is_there {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(script(file), folder.join(file)).unwrap();
        }
        let arguments =
            ["ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        let ran = Command::new(npm).args(arguments).current_dir(&folder).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        fs::copy(script("package-lock.json"), folder.join("complete-lock.json")).unwrap();
    }
    (node, folder)
}

fn components(found: &Value) -> Vec<&Value> {
    let list = found["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().flat_map(|component| std::iter::once(component).chain(components(component))).collect()
}

#[test]
fn the_python_library_reads_cyclonedx_and_loses_nothing() {
    let python = python();
    for name in LISTS {
        let path = list(&format!("{name}.cdx.json"));
        let counted = run(&python, &[&script("read_cyclonedx.py"), &path]);
        // With the subject.
        let expected = components(&json(&path)).len() + 1;
        assert_eq!(counted.split_whitespace().next(), Some(&*expected.to_string()), "{name}");
    }
}

#[test]
fn the_schema_and_the_javascript_library_find_cyclonedx_valid() {
    let (node, folder) = node();
    for name in LISTS {
        let path = list(&format!("{name}.cdx.json"));
        assert_eq!(schema_errors(&json(&path)).unwrap(), Vec::<String>::new(), "{name}");
        run(&node, &[&script("validate.mjs"), &folder, &path]);
    }
    // It would find a mistake.
    let mut wrong = json(&list("host.cdx.json"));
    wrong["components"][0]["type"] = "nonsense".into();
    let path = folder.join("wrong.json");
    fs::write(&path, wrong.to_string()).unwrap();
    assert!(tools::run(&node, [&script("validate.mjs"), &folder, &path]).is_err());
}

/// What version 1.4 of the specification has; the decoder knows 1.5, too.
const COMPONENT: [&str; 11] = [
    "bomRef",
    "components",
    "description",
    "group",
    "licenses",
    "name",
    "properties",
    "purl",
    "supplier",
    "type",
    "version",
];

#[test]
fn code_that_others_generated_reads_protocol_buffers() {
    let (node, folder) = node();
    for name in LISTS {
        let read = run(&node, &[&script("read_protobuf.mjs"), &folder, &list(&format!("{name}.cdx.bin"))]);
        let read: Value = serde_json::from_str(&read).unwrap();
        let expected = json(&list(&format!("{name}.cdx.json")));
        assert_eq!(read["specVersion"], "1.4");
        assert_eq!(read["serialNumber"], expected["serialNumber"]);
        assert_eq!(read["metadata"]["timestamp"], expected["metadata"]["timestamp"]);
        let pairs: Vec<_> = components(&read).into_iter().zip(components(&expected)).collect();
        assert_eq!(pairs.len(), components(&expected).len());
        for (read, expected) in pairs {
            let fields: BTreeSet<_> = read.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(fields.is_subset(&COMPONENT.into()), "{fields:?}");
            assert_eq!(read["bomRef"], expected["bom-ref"]);
            for field in ["group", "name", "purl", "description", "supplier", "licenses"] {
                assert_eq!(read[field], expected[field], "{field} of {}", read["bomRef"]);
            }
            assert_eq!(
                read["type"].as_str().unwrap().trim_start_matches("CLASSIFICATION_").to_lowercase(),
                expected["type"].as_str().unwrap().replace('-', "_")
            );
            // Those of the places stand behind the others.
            let properties = expected["properties"].as_array().unwrap();
            assert_eq!(read["properties"].as_array().unwrap()[..properties.len()], properties[..]);
        }
        let needs = |entry: &Value, reference: &str| -> BTreeSet<String> {
            let of = |inner: &Value| inner[reference].as_str().or(inner.as_str()).map(str::to_owned);
            let inner = entry["dependencies"].as_array().or_else(|| entry["dependsOn"].as_array());
            inner.unwrap().iter().filter_map(of).collect()
        };
        let dependencies = |list: &Value| list["dependencies"].as_array().unwrap().clone();
        for (read, expected) in dependencies(&read).iter().zip(&dependencies(&expected)) {
            assert_eq!((&read["ref"], needs(read, "ref")), (&expected["ref"], needs(expected, "ref")));
        }
        for (read, expected) in
            read["compositions"].as_array().unwrap().iter().zip(expected["compositions"].as_array().unwrap())
        {
            let aggregate =
                read["aggregate"].as_str().unwrap().trim_start_matches("AGGREGATE_").to_lowercase();
            assert_eq!(
                (&*aggregate, &read["assemblies"]),
                (expected["aggregate"].as_str().unwrap(), &expected["assemblies"])
            );
        }
    }
}

#[test]
fn the_spdx_tools_find_spdx_valid_and_lose_nothing() {
    let python = python();
    for name in LISTS {
        let counted = run(&python, &[&script("read_spdx.py"), &list(&format!("{name}.spdx.json"))]);
        let expected = components(&json(&list(&format!("{name}.cdx.json")))).len() + 1;
        let counted: Vec<_> = counted.split_whitespace().collect();
        assert_eq!(counted[0], expected.to_string(), "{name}");
        assert_eq!(counted[1], (expected - 1).to_string(), "each is in one other, but the subject");
    }
}
