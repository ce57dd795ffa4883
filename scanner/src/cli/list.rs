//! `agentless-scanner list`: what this version reads.

use std::error::Error;
use std::io;

use agentless_core::catalogue::Catalogue;
use clap::Args;

use super::{Exit, unless_closed};
use crate::output::table;

/// List the filesystems and package databases that this version reads.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct List {}

impl List {
    pub(super) fn run(catalogue: &Catalogue) -> Result<Exit, Box<dyn Error>> {
        let filesystems = catalogue.filesystems.iter().map(|name| [(*name).to_owned()]);
        let extractors = catalogue.extractors.iter().map(|extractor| {
            [extractor.name.to_owned(), extractor.description.to_owned(), extractor.reads.join(" ")]
        });
        let mut text = Vec::new();
        table::render(&mut text, ["FILESYSTEM"], filesystems)?;
        text.push(b'\n');
        table::render(&mut text, ["EXTRACTOR", "READS", "FROM"], extractors)?;
        unless_closed(io::Write::write_all(&mut io::stdout().lock(), &text))?;
        Ok(Exit::Complete)
    }
}
