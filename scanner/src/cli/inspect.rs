//! `agentless-scanner inspect`: what a target's disks are made of, and single files of them.

use std::error::Error;
use std::io::{self, IsTerminal, Write};

use agentless_core::task::{FileAction, FileTask, Task, TreeChoice};
use agentless_core::text::{JsonText, write_lines};
use agentless_sandbox::parent::SandboxError;
use clap::{Args, ValueEnum};

use super::log::Log;
use super::target::{Finished, Place};
use super::{Exit, say, unless_closed, write_stdout};
use crate::output::inspection::Inspection;
use crate::scan::ScanError;

/// Show what the disks of a target are made of, or single files of them.
///
/// Without more, it prints partitions, volume groups, arrays and filesystems with sizes, identities and features, and which
/// of them /etc/fstab joins to which system. With ls, cat or stat and a path it looks at one file of a system. Nothing is
/// mounted. Snapshots are made and deleted as for a scan.
///
/// Exit status: 0 everything was recognised and read; 3 something was not, and it is said what; 1 there is nothing to show,
/// or a snapshot was left behind; 2 the command line or the configuration is not understood.
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

/// What to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// List a directory, in the form of `ls -l`; times are in UTC.
    Ls,
    /// Print a file to its end. On a terminal, control characters are shown escaped.
    Cat,
    /// Print what the filesystem records about a file; a symbolic link is not followed.
    Stat,
}

impl From<Action> for FileAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Ls => Self::List,
            Action::Cat => Self::Content,
            Action::Stat => Self::Stat,
        }
    }
}

impl Inspect {
    pub(super) fn run(self, log: Log) -> Result<Exit, Box<dyn Error>> {
        let reading = self.place.prepare([], log)?;
        let task = self.task();
        let is_file = matches!(task, Task::File(_));
        // A file that is printed as it is read would be mixed up with the line.
        let shows = !log.quiet && !log.is_verbose() && !is_file;
        let out = Printed { is_text: self.action != Some(Action::Cat) || io::stdout().is_terminal() };
        let Finished { result, region, leftover, .. } = self.place.analyse(&reading, task, shows, out)?;
        if let Some(leftover) = &leftover {
            say(&format!("error: {leftover}"));
        }
        let exit = match result {
            Err(error) if is_closed(&*error) => Exit::Complete,
            Err(error) => return Err(error),
            Ok(_) if is_file => Exit::Complete,
            Ok(read) => {
                let inspection = Inspection::new(&reading.target, region, &read.report);
                unless_closed(write_stdout(|writer| {
                    if self.json {
                        serde_json::to_writer_pretty(JsonText(&mut *writer), &inspection)?;
                        writer.write_all(b"\n")
                    } else {
                        writer.write_all(inspection.text().as_bytes())
                    }
                }))?;
                if inspection.is_complete() { Exit::Complete } else { Exit::Incomplete }
            }
        };
        Ok(if leftover.is_some() { Exit::Failed } else { exit })
    }

    /// What the analyser is to do.
    fn task(&self) -> Task {
        match (self.action, &self.path) {
            (Some(action), Some(path)) => Task::File(FileTask {
                action: action.into(),
                path: path.clone().into_bytes(),
                tree: self.device.clone().map_or(TreeChoice::System(self.system), TreeChoice::Device),
            }),
            _ => Task::Systems,
        }
    }
}

/// Whether an analysis ended because a reader of standard output, such as `head`, has seen enough.
fn is_closed(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref() {
        Some(ScanError::Analysis { source: SandboxError::Output(source), .. }) => {
            source.kind() == io::ErrorKind::BrokenPipe
        }
        _ => false,
    }
}

/// Standard output, for what an analyser prints.
#[derive(Debug)]
struct Printed {
    /// Whether it is text for people, of which a terminal must not act on anything, whoever wrote it.
    is_text: bool,
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stdout = io::stdout().lock();
        if self.is_text {
            write_lines(bytes, &mut stdout)?;
        } else {
            stdout.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
