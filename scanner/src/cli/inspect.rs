//! `agentless-scanner inspect`: what a target's disks are made of, and single files of them.

use std::error::Error;
use std::io::{self, IsTerminal};

use clap::Args;

use super::files::{self, Action};
use super::log::Log;
use super::target::{Finished, Place};
use super::{Exit, say, unless_closed, write_stdout};
use crate::extract;
use crate::fs::{FsPath, Tree};
use crate::limits::Limits;
use crate::output::inspection::Inspection;
use crate::package::OperatingSystem;
use crate::report::StorageReport;
use crate::storage::{Source, Storage};

/// Show what the disks of a target are made of, or single files of them.
///
/// Without more, it prints partitions, volume groups, arrays and filesystems with sizes, identities and features, and which
/// of them /etc/fstab joins to which system. With ls, cat or stat and a path it looks at one file of a system. Nothing is
/// mounted. Snapshots are made and deleted as for a scan.
///
/// Exit status: 0 everything was recognised and read; 3 something was not, and it is said what; 1 there is nothing to show,
/// or a snapshot was left behind; 2 the command line is not understood.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Inspect {
    #[command(flatten)]
    place: Place,
    /// What to do with one file or directory instead.
    #[arg(value_enum, requires = "path")]
    action: Option<Action>,
    /// The file or directory: its path in the system, with what is mounted there.
    path: Option<String>,
    /// Print JSON.
    #[arg(long, conflicts_with = "action")]
    json: bool,
    /// The system that the path is in, by the number that is printed with it.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "path")]
    system: usize,
    /// The filesystem that the path is in, by itself: the name of its device as it is printed, its UUID or its label.
    #[arg(long, value_name = "DEVICE", requires = "path", conflicts_with = "system")]
    device: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  agentless-scanner inspect i-0123456789abcdef0
  agentless-scanner inspect root.img --disk data.img --json
  agentless-scanner inspect disk.img ls /var/lib
  agentless-scanner inspect disk.img cat /etc/os-release
  agentless-scanner inspect disk.img stat /usr/bin/sudo --device 'disk.img partition 1'";

/// What is done with the target.
enum Wanted {
    /// All of it is described.
    Everything,
    /// One file is looked at.
    File { action: Action, path: FsPath, tree: Choice, to_terminal: bool },
}

/// Which tree a path is in.
enum Choice {
    System(usize),
    Device(String),
}

/// What came of it.
enum Shown {
    Everything {
        report: StorageReport,
        systems: Vec<Option<OperatingSystem>>,
    },
    Text(String),
    /// It was printed already.
    Printed,
}

impl Inspect {
    pub(super) fn run(self, log: Log) -> Result<Exit, Box<dyn Error>> {
        super::target::block_on(self.inspect(log))
    }

    async fn inspect(self, log: Log) -> Result<Exit, Box<dyn Error>> {
        let target = self.place.target()?;
        let options = self.place.options()?;
        let wanted = match (self.action, &self.path) {
            (Some(action), Some(path)) => Wanted::File {
                action,
                path: FsPath::new(path),
                tree: self.device.map_or(Choice::System(self.system), Choice::Device),
                to_terminal: io::stdout().is_terminal(),
            },
            _ => Wanted::Everything,
        };
        // A file that is printed as it is read would be mixed up with the line.
        let shows = !log.quiet && !log.is_verbose() && self.action != Some(Action::Cat);
        let (id, limits) = (target.to_string(), options.limits.clone());
        let work = move |source: Source<'_>| show(wanted, Storage::open(&id, source, &limits), &limits);
        let Finished { result, region, leftover, .. } =
            self.place.read(&target, &options, shows, work).await?;
        if let Some(leftover) = &leftover {
            say(&format!("error: {leftover}"));
        }
        let exit = match result?.result? {
            Shown::Everything { report, systems } => {
                let inspection = Inspection::new(&target, region, &report, systems);
                unless_closed(write_stdout(|writer| {
                    if self.json {
                        serde_json::to_writer_pretty(&mut *writer, &inspection)?;
                        writer.write_all(b"\n")
                    } else {
                        writer.write_all(inspection.text().as_bytes())
                    }
                }))?;
                if inspection.is_complete() { Exit::Complete } else { Exit::Incomplete }
            }
            Shown::Text(text) => {
                unless_closed(write_stdout(|writer| writer.write_all(text.as_bytes())))?;
                Exit::Complete
            }
            Shown::Printed => Exit::Complete,
        };
        Ok(if leftover.is_some() { Exit::Failed } else { exit })
    }
}

/// Runs where it may block.
fn show(wanted: Wanted, storage: Storage, limits: &Limits) -> Result<Shown, files::FileError> {
    match wanted {
        Wanted::Everything => {
            let systems = storage.trees().map(|(_, tree)| extract::operating_system(tree)).collect();
            Ok(Shown::Everything { report: storage.close(), systems })
        }
        Wanted::File { action, path, tree, to_terminal } => {
            let alone;
            let tree: &Tree = match tree {
                Choice::System(number) => number
                    .checked_sub(1)
                    .and_then(|index| storage.trees().nth(index))
                    .map(|(_, tree)| tree)
                    .ok_or_else(|| files::FileError::System { number, count: storage.trees().count() })?,
                Choice::Device(name) => {
                    alone = files::filesystem_on(&storage, &name, limits)?;
                    &alone
                }
            };
            match action {
                Action::Ls => files::list(tree, &path).map(Shown::Text),
                Action::Stat => files::stat(&storage, tree, &path).map(Shown::Text),
                Action::Cat => {
                    files::print(tree, &path, to_terminal, &mut io::stdout().lock()).map(|()| Shown::Printed)
                }
            }
        }
    }
}
