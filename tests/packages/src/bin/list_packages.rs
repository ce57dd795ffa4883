//! Lists the packages in a directory, as the analyser finds them in this process: without a scanner around it.
//!
//! A line for each package and place: format, name, version, what the record says, owner and path, separated by tabs. What
//! could not be read goes to standard error.
#![expect(
    clippy::print_stderr,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a tool of tests and benchmarks"
)]

use std::path::PathBuf;

use agentless_core::package::Record;
use agentless_core::task::Scope;
use agentless_package_tests::ours;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let root = PathBuf::from(arguments.next().expect("the directory"));
    let languages = match arguments.next() {
        None => true,
        Some(option) if option == "--os-only" => false,
        Some(option) => panic!("there is no option {}", option.display()),
    };
    let findings = ours::findings_in(&root, Scope { languages, ..Scope::default() });
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for package in &findings.packages {
        let record = match package.details.record {
            Record::Installed => "installed",
            Record::Locked => "locked",
        };
        let owner = package.details.owner.as_ref().map_or("", |owner| &owner.name);
        let (kind, path) = (package.kind.name(), &package.evidence.path);
        std::io::Write::write_fmt(
            &mut out,
            format_args!("{kind}\t{}\t{}\t{record}\t{owner}\t{path}\n", package.name, package.version),
        )
        .unwrap();
    }
    for gap in &findings.gaps {
        eprintln!("{}: {}", gap.path.as_deref().unwrap_or_default(), gap.reason);
    }
}
