//! How much memory documents take that were made to take much.
//!
//! All that is held of one at a time is bounded, whatever its form: its bytes, its text, one of its entries, and the names in
//! it. The test has a part of each bound, so that it takes seconds, and so the same part of the memory.
#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "the helpers of tests fail as tests do, and ask the kernel what the process takes"
)]

use std::fs;
use std::rc::Rc;

use agentless_analyser::extract::{Findings, run};
use agentless_analyser::fs::Tree;
use agentless_analyser::limits::Limits;
use agentless_core::fs::Directory;
use agentless_core::number::to_u64;

/// What part of the bounds the test has.
const PART: u64 = 32;
/// Bytes of memory that a document may take with the bounds as they are: half of what the analyser may have.
const MOST: u64 = 1 << 30;

fn limits() -> Limits {
    let limits = Limits::default();
    Limits {
        lock_bytes: limits.lock_bytes / PART,
        lock_entry_bytes: limits.lock_entry_bytes / PART,
        small_file_bytes: limits.small_file_bytes / PART,
        relations: limits.relations / PART,
        packages: limits.packages / PART,
        package_bytes: limits.package_bytes / PART,
        ..limits
    }
}

/// A line of what the kernel says of this process, in bytes.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Reads a file that is filled with repetitions of `item`, in which `%` is a number and `~` a byte that is not UTF-8, and says
/// how much memory the process had at most.
fn read(name: &str, head: &str, item: &str, tail: &str, most: u64) -> (Findings, u64) {
    let root = tempfile::tempdir().unwrap();
    let mut content = head.to_owned();
    for number in 0_u32.. {
        if to_u64(content.len() + item.len() + tail.len() + 16) > most {
            break;
        }
        content.push_str(&item.replace('%', &number.to_string()));
    }
    content.push_str(tail);
    let bytes: Vec<u8> = content.bytes().map(|byte| if byte == b'~' { 0xff } else { byte }).collect();
    drop(content);
    fs::write(root.path().join(name), bytes).unwrap();
    let limits = limits();
    let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
    // The highest amount so far is forgotten (proc(5), "/proc/pid/clear_refs").
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let findings = run(&tree);
    (findings, memory("VmHWM"))
}

#[test]
fn documents_that_were_made_to_take_much_memory_do_not() {
    let before = memory("VmRSS");
    let lock = limits().lock_bytes;
    let stanza = limits().small_file_bytes;
    let npm = |entry: &str| {
        let first = r#"{"packages": {"node_modules/first": {"version": "1"}, "node_modules/a": "#;
        format!("{first}{entry}")
    };
    let last = |end: &str| format!("{end}, \"node_modules/last\": {{\"version\": \"1\"}}}}}}");
    let package = |name: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1\"\nsource = \"x\"\n");
    let cargo = package("first") + &package("a");
    let of_many =
        r#","node_modules/%":{"version":"1","dependencies":{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0}}"#;
    let bun = r#"{"workspaces":{"":{"dependencies":{"first":"1"}}},"packages":{"first":["first@1"]"#;
    let bun_last = r#""a":0}},"w":{"dependencies":{"last":"1"}}},"packages":{"last":["last@1"]}}"#;
    let pnpm = "lockfileVersion: 6.0\npackages:\n  /first@1:\n    dependencies:\n";
    let pnpm_9 = "lockfileVersion: 9.0\nsnapshots:\n  first@1: {}\n";
    let nuget = r#"{"dependencies":{"net":{"first":{"resolved":"1"}},"large":{"#;
    let mut worst = 0;
    for (name, head, item, tail, most, expected) in [
        ("bun.lock", &format!("{bun}}}, \"x\": \"")[..], "~~~~~~~~", "\"}", lock, "not UTF-8"),
        ("package-lock.json", &npm("["), "[0],", &last("0]")[..], lock, "lock_entry_bytes"),
        ("package-lock.json", &npm("["), "0,", &last("0]"), lock, "lock_entry_bytes"),
        ("package-lock.json", &npm("["), "[],", &last("0]"), lock, "lock_entry_bytes"),
        ("package-lock.json", &npm("["), "{\"\":{}},", &last("0]"), lock, "lock_entry_bytes"),
        ("package-lock.json", &npm("["), "\"\\n\",", &last("0]"), lock, "lock_entry_bytes"),
        ("package-lock.json", &npm("{"), "\"a\":0,", &last("\"a\":0}"), lock, "lock_entry_bytes"),
        ("package-lock.json", &npm("["), "[", "", lock, "recursion limit"),
        ("package-lock.json", &npm("{}"), of_many, "}}", lock, "relations"),
        ("package-lock.json", &npm("{}"), r#","node_modules/%":{"version":"1"}"#, "}}", lock, "packages"),
        ("packages.lock.json", nuget, r#""%":{},"#, r#""a":{}}}}"#, lock, "lock_entry_bytes"),
        (
            "bun.lock",
            bun,
            r#","%":["a@1",{"dependencies":{"a":0,"b":0,"c":0,"d":0,"e":0}}]"#,
            "}}",
            lock,
            "relations",
        ),
        (
            "bun.lock",
            r#"{"workspaces":{"":{"dependencies":{"#,
            r#""%":0,"#,
            bun_last,
            lock,
            "lock_entry_bytes",
        ),
        ("pnpm-lock.yaml", pnpm, "      a: b\n", "", lock, "relations"),
        ("pnpm-lock.yaml", pnpm_9, "  a@%:\n    dependencies:\n      a: b\n", "", lock, "packages"),
        ("yarn.lock", "first@1:\n  version \"1\"\n  dependencies:\n", "    a b\n", "", lock, "relations"),
        ("Gemfile.lock", "GEM\n  specs:\n    first (1)\n", "      a\n", "", lock, "relations"),
        ("pom.xml", "<project><properties>", "<p%>x</p%>", "</properties></project>", lock, "packages"),
        ("pom.xml", "<project><dependencies>", "<dependency></dependency>", "", lock, "packages"),
        ("Cargo.lock", &format!("{cargo}x = ["), "[0],", "]\n", stanza, ""),
        ("Cargo.lock", &format!("{cargo}x = ["), "[],", "]\n", stanza, ""),
        ("Cargo.lock", &cargo, "[package.a%]\n", "", stanza, ""),
        ("Cargo.lock", &cargo, "a%=0\n", "", stanza, ""),
        ("Cargo.lock", &format!("{cargo}x = ["), "[0],", "]\n", lock, "small_file_bytes"),
        ("Cargo.lock", "", &package("%"), "", lock, "packages"),
    ] {
        let (findings, peak) = read(name, head, item, tail, most);
        let peak = peak.saturating_sub(before);
        println!("{:5} KiB of {:5} KiB: {name} {item:?}", peak >> 10, most >> 10);
        worst = worst.max(peak);
        assert!(peak < MOST / PART, "{name} {item:?}: {peak} bytes");
        let reasons: Vec<_> = findings.gaps.iter().map(|gap| &gap.reason[..]).collect();
        assert!(
            expected.is_empty() || reasons.iter().any(|reason| reason.contains(expected)),
            "{name} {item:?}: {reasons:?}"
        );
        // What stands before it is there, and what is of another entry behind it.
        for (name, place) in [("first", head), ("last", tail)] {
            let is_there = findings.packages.iter().any(|package| package.name == name);
            assert_eq!(is_there, place.contains(name), "{name}: {item:?} {reasons:?}");
        }
    }
    println!("the most was {} KiB of {}", worst >> 10, (MOST / PART) >> 10);
}
