//! Go modules in programs. Go's own tools are too large to be fetched for this: what its linker writes is assembled here, so
//! that place, addresses and headers are those of a real linker.

use std::process::Command;

use agentless_core::package::PackageKind;
use agentless_package_tests::{ours, program, tool};

/// As in a program of several modules, one of them replaced.
const MODULES: &str = r"path\texample.com/a/cmd\nmod\texample.com/a\tv1.2.3\th1:x=\ndep\tgolang.org/x/sys\tv0.18.0\th1:y=\ndep\tgithub.com/B/c\tv2.0.0+incompatible\n=>\texample.org/fork\tv2.0.1\th1:z=\ndep\texample.com/local\tv1.0.0\n=>\t../local\t(devel)\t\nbuild\tCGO_ENABLED=0\n";

/// A program of some size, and where its data begins.
const START: &str = ".globl _start\n.text\n_start: .space 300000\n.data\n.space 100\n";

/// The two texts: the version, and the modules between marks of 16 bytes.
fn texts() -> String {
    let mark = ".fill 16, 1, 0x30\n";
    format!("go: .ascii \"go1.22.1\"\ngo_end:\nmodules: {mark}.ascii \"{MODULES}\"\n{mark}modules_end:\n")
}

/// The form of Go 1.18 and later: lengths, and texts.
fn inline() -> String {
    format!(
        "{START}.section .go.buildinfo, \"aw\"\n.balign 16\n.ascii \"\\377 Go buildinf:\"\n.byte 8, 2\n.zero 16\n.byte 8\n{}",
        texts().replace("go_end:\n", "go_end: .uleb128 modules_end - modules\n")
    )
}

/// The earlier form: addresses of addresses and lengths.
fn pointers() -> String {
    format!(
        "{START}.section .go.buildinfo, \"aw\"\n.balign 16\n.ascii \"\\377 Go buildinf:\"\n.byte 8, 0\n.quad go_text, modules_text\n\
         .data\ngo_text: .quad go, go_end - go\nmodules_text: .quad modules, modules_end - modules\n.section .rodata\n{}",
        texts()
    )
}

#[test]
fn modules_are_found_in_both_forms_of_build_information() {
    let root = tempfile::tempdir().unwrap();
    let place = |name: &str| root.path().join("usr/bin").join(name);
    program::link(&place("inline"), &inline(), &["-static"]);
    program::link(&place("pointers"), &pointers(), &["-static", "-no-pie"]);
    program::link(&place("stripped"), &inline(), &["-static-pie", "-s"]);
    program::link(&place("joined"), &inline().replace(".go.buildinfo", ".data"), &["-static"]);
    // Without the table of sections, as `sstrip` leaves it: its place and the number of its entries in the header (elf(5)).
    let mut content = std::fs::read(place("joined")).unwrap();
    content[40..48].fill(0);
    content[60..64].fill(0);
    std::fs::write(place("joined"), content).unwrap();
    program::link(&place("other"), START, &["-static"]);
    // Not executable: no program.
    program::link(&place("data"), &inline(), &["-static"]);
    tool::run(Command::new("chmod").arg("a-x").arg(place("data")));

    let findings = ours::findings(root.path());
    assert_eq!(findings.gaps, []);
    let expected = [
        ("example.com/a", "v1.2.3"),
        ("example.org/fork", "v2.0.1"),
        ("golang.org/x/sys", "v0.18.0"),
        ("stdlib", "v1.22.1"),
    ];
    for name in ["inline", "pointers", "stripped", "joined"] {
        let path = format!("/usr/bin/{name}");
        let found = findings.packages.iter().filter(|package| package.evidence.path == path);
        let found: Vec<_> =
            found.map(|package| (&package.name[..], &package.version[..], package.kind)).collect();
        assert_eq!(found, expected.map(|(module, version)| (module, version, PackageKind::Golang)), "{name}");
    }
    assert_eq!(findings.packages.len(), 16);
}
