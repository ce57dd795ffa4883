//! `agentless-scanner scan`: one target, once.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use agentless_core::catalogue::Catalogue;
use agentless_core::task::{Scope, Task};
use agentless_core::text::JsonText;
use clap::{Args, ValueEnum};

use super::log::Log;
use super::target::{Finished, Place};
use super::{Exit, say, unless_closed};
use crate::output::file::OutputFile;
use crate::output::folder::OutputFolder;
use crate::output::memory::PeakMemory;
use crate::output::summary::{Run, Summary};
use crate::output::table;
use crate::sbom;
use crate::sbom::document::{self, Document};
use crate::scan;

/// List the packages of an EC2 instance, a volume, a snapshot, a machine image, a Lambda function, a raw disk image or a
/// directory.
///
/// For an instance, a volume or an Amazon Machine Image, snapshots are made, read and deleted again, also after a
/// failure or Ctrl-C. A snapshot that you name is only read, and so are functions, with their layers. Needs the
/// permissions of the scanner's role; credentials and region come from the usual places of AWS tools.
///
/// Exit status: 0 everything was read; 3 something could not be read, and the list says what; 1 there is no list, or a
/// snapshot was left behind; 2 the command line or the configuration is not understood.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Scan {
    #[command(flatten)]
    pub(super) place: Place,
    /// Form of the package list.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Which packages to list.
    #[arg(long, value_enum, default_value_t = Packages::All)]
    packages: Packages,
    /// Leave out what is in containers.
    #[arg(long)]
    no_containers: bool,
    /// List the licences of Debian packages, too: one more file is read for each.
    #[arg(long)]
    copyright: bool,
    /// List the packages of languages that a package of the operating system brought, too. Without, they are only counted: their
    /// files belong to that package, which is in the list.
    #[arg(long)]
    owned: bool,
    /// Name the source package in the package URLs (upstream=). It is a property of each package in any case.
    #[arg(long)]
    upstream: bool,
    /// Write the package list to this file instead of standard output. The file appears when the list is whole.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a package list for each system and each container into this folder instead of one for all. It is made if it is not
    /// there; files of the same names are replaced. Needs a format other than table.
    #[arg(long, value_name = "FOLDER", conflicts_with = "output")]
    output_folder: Option<PathBuf>,
    /// Write the figures of the scan to this file, as JSON. They describe a package list: where there is none, what is
    /// there stays as it is.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  agentless-scanner scan i-0123456789abcdef0
  agentless-scanner scan snap-0123456789abcdef0 --format cyclonedx-json --output packages.cdx.json
  agentless-scanner scan i-0123456789abcdef0 --format spdx-json --output-folder lists
  agentless-scanner scan lambda:orders:live
  agentless-scanner scan disk.img --summary figures.json | grep openssl
  agentless-scanner scan root.img --disk data.img";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One package a line, in columns.
    Table,
    /// CycloneDX 1.6 in JSON.
    CyclonedxJson,
    /// CycloneDX 1.4 in protocol buffers.
    CyclonedxProtobuf,
    /// SPDX 2.3 in JSON.
    SpdxJson,
}

impl Format {
    /// The standard format; none for a table.
    const fn standard(self) -> Option<sbom::Format> {
        match self {
            Self::Table => None,
            Self::CyclonedxJson => Some(sbom::Format::CyclonedxJson),
            Self::CyclonedxProtobuf => Some(sbom::Format::CyclonedxProtobuf),
            Self::SpdxJson => Some(sbom::Format::SpdxJson),
        }
    }
}

/// A folder of lists was asked for, and a table has no form for that.
#[derive(Debug, thiserror::Error)]
#[error("--output-folder needs one of --format cyclonedx-json, cyclonedx-protobuf and spdx-json")]
pub(super) struct NoTables;

/// Which packages to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Packages {
    /// Those of the operating system, those installed for a language, and those of lock files.
    All,
    /// Those of the operating system: far less is read.
    System,
}

impl Scan {
    pub(super) fn run(self, log: Log, catalogue: &Catalogue) -> Result<Exit, Box<dyn Error>> {
        let start = Instant::now();
        // Before the work, so that a wrong path does not cost the result.
        let format = self.format.standard();
        let folder = match (&self.output_folder, format) {
            (Some(path), Some(format)) => Some((OutputFolder::open(path)?, format)),
            (Some(_), None) => return Err(NoTables.into()),
            (None, _) => None,
        };
        let output = self.output.as_deref().map(OutputFile::open).transpose()?;
        let summary_file = self.summary.as_deref().map(OutputFile::open).transpose()?;
        let files = [&output, &summary_file].into_iter().flatten().filter_map(OutputFile::folder);
        let folders = files.chain(folder.as_ref().map(|(folder, _)| folder.path()));
        let reading = self.place.prepare(folders, log)?;

        let shows = !log.quiet && !log.is_verbose();
        let Finished { result, region, leftover, calls } =
            self.place.analyse(&reading, Task::Packages(self.scope()), shows, io::sink())?;
        if let Some(leftover) = &leftover {
            say(&format!("error: {leftover}"));
        }
        let scan = scan::Scan::new(&reading.target, region, result?, reading.options.now)?;
        let scan = if self.owned { scan } else { scan.without_owned() };
        let run = Run {
            calls,
            leftover: leftover.as_ref().map(|leftover| leftover.ids.clone()).unwrap_or_default(),
            duration: start.elapsed(),
            memory: PeakMemory::so_far(),
        };
        let summary = Summary::new(&scan, run);

        let options = document::Options { time: scan.time, catalogue, upstream: self.upstream };
        let write = |writer: &mut dyn Write| match format {
            None => table::write(&scan.report, writer),
            Some(format) => format.write(&Document::whole(&scan.report, options), writer),
        };
        match (folder, output) {
            (Some((mut folder, format)), _) => {
                for document in Document::all(&scan.report, options) {
                    let write = |writer: &mut dyn Write| format.write(&document, writer);
                    folder.write(&document.file_name(&scan.report.target), format.suffix(), write)?;
                }
            }
            (None, Some(file)) => file.write(write)?,
            (None, None) => unless_closed(super::write_stdout(write))?,
        }
        if let Some(file) = summary_file {
            file.write(|writer| {
                serde_json::to_writer_pretty(JsonText(&mut *writer), &summary)?;
                writer.write_all(b"\n")
            })?;
        }
        if !log.quiet {
            say(summary.text().trim_end());
        }
        Ok(match (leftover, summary.is_complete()) {
            (Some(_), _) => Exit::Failed,
            (None, false) => Exit::Incomplete,
            (None, true) => Exit::Complete,
        })
    }

    fn scope(&self) -> Scope {
        Scope {
            languages: self.packages == Packages::All,
            containers: !self.no_containers,
            copyright: self.copyright,
        }
    }
}
