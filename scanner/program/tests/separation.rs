//! Whoever holds credentials has no parser, and whoever has the parsers can reach nothing.
//!
//! Shown on the graph of crates, which is what the compiler goes by: what a crate does not depend on, it cannot name. Only
//! the program has both sides, and what it names of the analyser is looked up in its source.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Where the programs run.
const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// What the analyser's own code may use. A crate that parses, decompresses or computes is welcome if it is written for
/// hostile input; one that opens files or connects is not.
const ANALYSER_USES: [&str; 17] = [
    "agentless-core",
    "agentless-sandbox",
    // Checksums, decompression and hashes of what is on disks.
    "blake2",
    "crc32c",
    "crc32fast",
    "miniz_oxide",
    "ruzstd",
    "sha2",
    "twox-hash",
    // Records in JSON, TOML and XML.
    "quick-xml",
    "serde",
    "serde_json",
    "toml",
    // Values, their names and their errors.
    "thiserror",
    "time",
    "tracing",
    "uuid",
];

/// Of these, what the scanner uses too, for its own bytes.
const BOTH_USE: [&str; 13] = [
    "agentless-core",
    "agentless-sandbox",
    // A checksum of its journal.
    "crc32c",
    // A checksum, by which AWS's clients verify what streams from it, and of its spools.
    "crc32fast",
    // Compresses package lists, and the blocks that it keeps for the next scan: what it decompresses, it has written itself.
    "ruzstd",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "time",
    "tracing",
    // Of ruzstd.
    "twox-hash",
    "uuid",
];

/// What comes with them into the process that reads hostile disks. A crate that is new here is one more that a disk may
/// find an error in: look at it, then write it down.
const ANALYSER_HAS: [&str; 54] = [
    // Of decompression, checksums and hashes.
    "adler2",
    "block-buffer",
    "cfg-if",
    "cmov",
    "const-oid",
    "cpufeatures",
    "crypto-common",
    "ctutils",
    "digest",
    "hybrid-array",
    "sha1_smol",
    // Comparisons in constant time and memory that is wiped, where the same crates sign requests to AWS.
    "subtle",
    "typenum",
    "zeroize",
    // Of identifiers and times. `rand_core` and `getrandom` are for random identifiers, which the analyser does not make.
    "deranged",
    "getrandom",
    "num-conv",
    "powerfmt",
    "rand_core",
    "time-core",
    // Of the confinement.
    "bitflags",
    "enumflags2",
    "errno",
    "landlock",
    "libc",
    "linux-raw-sys",
    "nix",
    "rustix",
    "seccompiler",
    // Of messages.
    "itoa",
    "memchr",
    "memoffset",
    "num-traits",
    "rmp",
    "rmp-serde",
    "serde_core",
    "zmij",
    // Of TOML.
    "serde_spanned",
    "toml_datetime",
    "toml_parser",
    "winnow",
    // Of the log.
    "aho-corasick",
    "lazy_static",
    "matchers",
    "nu-ansi-term",
    "once_cell",
    "pin-project-lite",
    "regex-automata",
    "regex-syntax",
    "sharded-slab",
    "thread_local",
    "tracing-core",
    "tracing-serde",
    "tracing-subscriber",
];

#[test]
fn the_analyser_is_made_of_what_is_written_down() {
    for platform in PLATFORMS {
        let crates = Crates::of(platform);
        assert_eq!(crates.uses("agentless-analyser"), BTreeSet::from_iter(ANALYSER_USES), "{platform}");
        let expected: BTreeSet<_> =
            ANALYSER_USES.into_iter().chain(ANALYSER_HAS).chain(["agentless-analyser"]).collect();
        assert_eq!(crates.has("agentless-analyser"), expected, "{platform}");
    }
}

#[test]
fn the_scanner_has_no_parser() {
    for platform in PLATFORMS {
        let crates = Crates::of(platform);
        let mut parsers = crates.uses("agentless-analyser");
        parsers.insert("agentless-analyser");
        parsers.retain(|name| !BOTH_USE.contains(name));
        assert!(parsers.contains("quick-xml"), "{parsers:?}");
        let found = &crates.has("agentless-scanner") & &parsers;
        assert!(found.is_empty(), "{platform}: the scanner has {found:?}");
    }
}

#[test]
fn nothing_but_the_program_has_credentials_and_the_analyser() {
    for platform in PLATFORMS {
        let crates = Crates::of(platform);
        let both = crates.members().filter(|member| {
            let has = crates.has(member);
            has.contains("aws-credential-types") && has.contains("agentless-analyser")
        });
        assert_eq!(both.collect::<Vec<_>>(), ["agentless-scanner-program"], "{platform}");
    }
}

#[test]
fn the_program_names_the_analyser_only_to_start_it() {
    const NAME: &str = "agentless_analyser";

    let mut mentions = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_some_and(|extension| extension == "rs"), "{} is new", path.display());
        let source = fs::read_to_string(&path).unwrap();
        for (place, _) in source.match_indices(NAME) {
            let behind = &source[place + NAME.len()..];
            let end = behind.find(|letter: char| !(letter.is_alphanumeric() || "_:".contains(letter)));
            mentions.push(behind[..end.unwrap()].to_owned());
        }
    }
    // What makes the process an analyser, and the list of formats for people.
    assert_eq!(mentions, ["::child::main", "::catalogue"]);
}

/// The crates that are built for one platform.
#[derive(Debug)]
struct Crates {
    /// Names by id.
    names: BTreeMap<String, String>,
    /// What each uses, by id.
    uses: BTreeMap<String, BTreeSet<String>>,
    /// The ids of this project's own.
    members: Vec<String>,
}

impl Crates {
    /// As cargo resolves them. What runs at build time is left out: build scripts, and macros with what they use.
    fn of(platform: &str) -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", platform])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();

        let mut names = BTreeMap::new();
        let mut macros = BTreeSet::new();
        for package in list(&metadata["packages"]) {
            names.insert(text(&package["id"]), text(&package["name"]));
            let is_macro = |target: &Value| list(&target["kind"]).iter().any(|kind| kind == "proc-macro");
            if list(&package["targets"]).iter().any(is_macro) {
                macros.insert(text(&package["id"]));
            }
        }
        let mut uses = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let normal = list(&node["deps"]).iter().filter(|dependency| {
                list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null())
            });
            let found = normal.map(|dependency| text(&dependency["pkg"])).filter(|id| !macros.contains(id));
            uses.insert(text(&node["id"]), found.collect());
        }
        Self { names, uses, members: list(&metadata["workspace_members"]).iter().map(text).collect() }
    }

    /// What a crate's own code may name.
    fn uses(&self, name: &str) -> BTreeSet<&str> {
        self.uses[self.id(name)].iter().map(|id| self.name(id)).collect()
    }

    /// A crate, what it uses, what these use, and so on.
    fn has(&self, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open = vec![self.id(name)];
        while let Some(id) = open.pop() {
            if found.insert(id) {
                open.extend(self.uses[id].iter().map(String::as_str));
            }
        }
        // Several versions of a crate count as one.
        found.into_iter().map(|id| self.name(id)).collect()
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|id| self.name(id))
    }

    fn name(&self, id: &str) -> &str {
        &self.names[id]
    }

    /// The id of one of this project's own crates.
    fn id(&self, name: &str) -> &str {
        self.members.iter().find(|id| self.name(id) == name).unwrap()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
