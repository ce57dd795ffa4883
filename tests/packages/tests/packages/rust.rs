//! Crates in programs that `cargo auditable` built.

use agentless_core::package::PackageKind;
use agentless_package_tests::{ours, program};

const LIST: &str = r#"{"packages":[
    {"name":"autocfg","version":"1.1.0","source":"crates.io","kind":"build"},
    {"name":"libc","version":"0.2.150","source":"crates.io"},
    {"name":"rand","version":"0.8.5","source":"crates.io","dependencies":[1,0]},
    {"name":"tool","version":"2.0.0","source":"local","dependencies":[1,2],"root":true}
],"format":1}"#;

#[test]
fn crates_are_found_in_the_section_of_a_program() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("usr/bin/tool");
    program::audited(&path, LIST);

    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, []);
    let found: Vec<_> = findings
        .packages
        .iter()
        .map(|package| {
            assert_eq!(package.kind, PackageKind::Cargo);
            assert_eq!(package.evidence.path, "/usr/bin/tool");
            let needs: Vec<_> = package.details.depends_on.iter().map(String::as_str).collect();
            (&package.name[..], &package.version[..], needs)
        })
        .collect();
    let expected = [
        ("libc", "0.2.150", vec![]),
        ("rand", "0.8.5", vec!["libc"]),
        ("tool", "2.0.0", vec!["libc", "rand"]),
    ];
    assert_eq!(found, expected);
}
