//! `agentless-scanner list`: what this version reads.

use std::error::Error;
use std::io;

use clap::Args;

use super::{Exit, unless_closed};
use crate::extract::EXTRACTORS;
use crate::fs::DRIVERS;
use crate::output::table;

/// List the filesystems and package databases that this version reads.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run() -> Result<Exit, Box<dyn Error>> {
        let filesystems = DRIVERS.iter().map(|driver| [driver.name().to_owned()]);
        let extractors = EXTRACTORS.iter().map(|extractor| {
            let patterns: Vec<_> = extractor.interest().iter().map(|interest| interest.pattern()).collect();
            [extractor.name().to_owned(), extractor.description().to_owned(), patterns.join(" ")]
        });
        let mut text = Vec::new();
        table::render(&mut text, ["FILESYSTEM"], filesystems)?;
        text.push(b'\n');
        table::render(&mut text, ["EXTRACTOR", "READS", "FROM"], extractors)?;
        unless_closed(io::Write::write_all(&mut io::stdout().lock(), &text))?;
        Ok(Exit::Complete)
    }
}
