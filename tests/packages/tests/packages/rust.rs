//! Crates in programs that `cargo auditable` built: its section is put into a program by `objcopy`, compressed by Python.

use std::process::Command;

use agentless_core::package::PackageKind;
use agentless_package_tests::{ours, program, tool};

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
    program::link(&path, ".globl _start\n.text\n_start: .space 100000\n", &["-static"]);
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    let compress = "import sys, zlib; open(sys.argv[1], 'wb').write(zlib.compress(sys.argv[2].encode()))";
    tool::run(Command::new("python3").args(["-c", compress]).arg(&list).arg(LIST));
    let section = format!(".dep-v0={}", list.display());
    tool::run(Command::new("objcopy").args(["--add-section", &section]).arg(&path));

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
