//! `lock/nuget`: what `NuGet` locks, for all frameworks that the project is built for. Projects are the application itself.

use crate::extract::format::text::shown;
use crate::extract::lock::lockfile::{self, Lock, Row, json_entries};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `packages.lock.json`.
#[derive(Clone, Copy, Debug)]
pub struct Nuget;

impl Extractor for Nuget {
    fn name(&self) -> &'static str {
        "lock/nuget"
    }

    fn description(&self) -> &'static str {
        ".NET packages locked by NuGet"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("packages.lock.json")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Nuget, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    json_entries(text, &["dependencies"], lock, &mut |lock, _, _framework, packages| {
        for (name, package) in packages.map() {
            let is_project =
                package.get("type").text().is_some_and(|kind| kind.eq_ignore_ascii_case("project"));
            if is_project {
                continue;
            }
            match package.get("resolved").text() {
                Some(version) => lock.row(Row {
                    depends_on: package.get("dependencies").keys().cloned().collect(),
                    ..Row::new(name.clone(), version.clone())
                }),
                None => lock.unknown(format!("{:?} has no version", shown(name))),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::only_rows;

    #[test]
    fn packages_of_all_frameworks() {
        let text = "\u{feff}".to_owned()
            + r#"{"version": 1, "dependencies": {
            "net6.0": {
                "Newtonsoft.Json": {"type": "Direct", "requested": "[13.0.1, )", "resolved": "13.0.1", "contentHash": "00"},
                "NLog.Web": {"type": "Transitive", "resolved": "5.0.0", "dependencies": {"newtonsoft.json": "12.0.0", "X": "1.0.0"}},
                "app": {"type": "Project", "dependencies": {"NLog.Web": "5.0.0"}}
            },
            "net6.0/linux-x64": {"Y": {"type": "Transitive", "resolved": "4.3.0"}}}}"#;
        let expected = ["Newtonsoft.Json 13.0.1", "NLog.Web 5.0.0 -> Newtonsoft.Json", "Y 4.3.0"];
        assert_eq!(only_rows(PackageKind::Nuget, &text, parse), expected);
    }
}
