//! Zip archives, against Python's `zipfile`.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use agentless_analyser::archive::Allowance;
use agentless_analyser::archive::zip::Archive;
use agentless_core::limits::Limits;
use agentless_package_tests::tool;

/// By archive: name, mode, whether it is a directory, content.
type Entries = BTreeMap<String, Vec<[String; 4]>>;

#[test]
fn what_python_writes_is_listed_and_read_as_python_does() {
    for seed in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packages/zip_archives.py");
        let mut python = Command::new("python3");
        let listed = tool::run(python.arg(script).arg(folder.path()).arg(seed.to_string()));
        let mut expected = Entries::new();
        for line in listed.lines() {
            let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
            let [number, fields @ ..] = &fields[..] else { panic!("{line}") };
            expected.entry(number.clone()).or_default().push(fields.to_vec().try_into().unwrap());
        }
        assert!(expected.len() > 30 && expected.values().map(Vec::len).sum::<usize>() > 300);

        let mut found = Entries::new();
        for number in 0..60 {
            let bytes = std::fs::read(folder.path().join(format!("{number}.zip"))).unwrap();
            let entries = entries(&bytes);
            if !entries.is_empty() {
                found.insert(number.to_string(), entries);
            }
        }
        // Names are compared without what normalising takes away.
        assert!(found == expected, "seed {seed}");
    }
}

fn entries(bytes: &[u8]) -> Vec<[String; 4]> {
    let limits = Limits::default();
    let allowance = Allowance::new(&limits);
    let archive = Archive::read(bytes, &allowance).unwrap();
    assert!(archive.problems().is_empty(), "{:?}", archive.problems());
    let entries = archive.entries().iter().map(|entry| {
        let content = archive.read_all(entry, limits.file_bytes, &allowance).unwrap();
        let mut name = entry.path().as_relative_bytes().to_vec();
        if entry.is_dir() {
            name.push(b'/');
        }
        let mode = entry.mode().unwrap_or_default().to_string();
        [hex(&name), mode, u8::from(entry.is_dir()).to_string(), hex(&content)]
    });
    entries.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
