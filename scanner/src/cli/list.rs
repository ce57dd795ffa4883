//! `agentless-scanner list`: what this version reads, and what that may cost.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use agentless_core::catalogue::Catalogue;
use agentless_core::limits::Limits;
use clap::{Args, ValueEnum};

use super::{Exit, unless_closed};
use crate::output::{table, text};

/// List the filesystems and package databases that this version reads, or the limits on what reading them may cost.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct List {
    /// What to list.
    #[arg(value_enum, default_value_t = Subject::Formats)]
    subject: Subject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// The filesystems, and the package databases with where they are looked for.
    Formats,
    /// The limits that a configuration may set, with their defaults and why they are there.
    Limits,
}

impl List {
    pub(super) fn run(self, catalogue: &Catalogue) -> Result<Exit, Box<dyn Error>> {
        let text = match self.subject {
            Subject::Formats => formats(catalogue)?,
            Subject::Limits => limits().into_bytes(),
        };
        unless_closed(io::Write::write_all(&mut io::stdout().lock(), &text))?;
        Ok(Exit::Complete)
    }
}

fn formats(catalogue: &Catalogue) -> io::Result<Vec<u8>> {
    let filesystems = catalogue.filesystems.iter().map(|name| [(*name).to_owned()]);
    let extractors = catalogue.extractors.iter().map(|extractor| {
        [extractor.name.to_owned(), extractor.description.to_owned(), extractor.reads.join(" ")]
    });
    let mut text = Vec::new();
    table::render(&mut text, &["FILESYSTEM"], filesystems)?;
    text.push(b'\n');
    table::render(&mut text, &["EXTRACTOR", "READS", "FROM"], extractors)?;
    Ok(text)
}

/// Name and default of each limit, and its reason below.
fn limits() -> String {
    let mut list = String::new();
    for limit in Limits::table() {
        let readable = match limit.unit {
            "bytes" if limit.default >= 1 << 20 => format!(" ({})", text::bytes(limit.default)),
            _ => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{} = {} {}{readable}", limit.name, limit.default, limit.unit);
        for line in text::wrapped(limit.reason, 96) {
            let _ = writeln!(list, "    {line}");
        }
    }
    list
}
