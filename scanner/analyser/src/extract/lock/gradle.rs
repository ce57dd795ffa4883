//! `lock/gradle`: what Gradle locks.
//!
//! A line names the configurations that the artifact is resolved for; what is there for tests only is left out. One file
//! is for the build itself, whose plugins may be on a machine that builds. Gradle before 6 wrote a file for each
//! configuration.

use crate::extract::lock::lockfile::{self, Lock, Row};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `gradle.lockfile`, `buildscript-gradle.lockfile` and `gradle/dependency-locks/*.lockfile`.
#[derive(Clone, Copy, Debug)]
pub struct Gradle;

impl Extractor for Gradle {
    fn name(&self) -> &'static str {
        "lock/gradle"
    }

    fn description(&self) -> &'static str {
        "Java artifacts locked by Gradle"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Suffix(".lockfile")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        let mut names = path.components().rev();
        let is_gradles = match (names.next(), names.next()) {
            (Some(b"gradle.lockfile" | b"buildscript-gradle.lockfile"), _) => true,
            (Some(name), Some(b"dependency-locks")) => !is_for_tests(&String::from_utf8_lossy(name)),
            _ => false,
        };
        is_gradles && lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Maven, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim();
        let (artifact, configurations) = line.split_once('=').unwrap_or((line, ""));
        // `empty` lists the configurations without artifacts.
        if line.is_empty() || line.starts_with('#') || artifact == "empty" {
            continue;
        }
        if !configurations.is_empty() && configurations.split(',').all(is_for_tests) {
            continue;
        }
        match artifact.rsplit_once(':') {
            Some((name, version)) if name.contains(':') => lock.row(Row::new(name, version)),
            _ => lock.unknown(format!("line {number} is not an artifact")),
        }
    }
}

/// Configurations are named after what they are for: `testRuntimeClasspath`, `integrationTestCompileClasspath`.
fn is_for_tests(configuration: &str) -> bool {
    configuration.starts_with("test") || configuration.contains("Test")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::rows;

    #[test]
    fn artifacts_that_are_not_for_tests() {
        let text = "# This is a Gradle generated file for dependency locking.\n\
            com.example:a:1.0=compileClasspath,runtimeClasspath,testRuntimeClasspath\n\
            com.example:b:2.0.RELEASE=testCompileClasspath,integrationTestRuntimeClasspath\ncom.example:c:3\nempty=x,y\nd:1\n";
        let (rows, problems) = rows(PackageKind::Maven, text, parse);
        assert_eq!(rows, ["com.example:a 1.0", "com.example:c 3"]);
        assert_eq!(problems, ["line 6 is not an artifact"]);
    }

    #[test]
    fn files_are_known_by_name_or_directory() {
        for (path, expected) in [
            ("/srv/a/gradle.lockfile", true),
            ("/srv/a/buildscript-gradle.lockfile", true),
            ("/srv/a/gradle/dependency-locks/runtimeClasspath.lockfile", true),
            ("/srv/a/gradle/dependency-locks/testRuntimeClasspath.lockfile", false),
            ("/srv/a/other.lockfile", false),
        ] {
            assert_eq!(Gradle.wants(&FsPath::new(path)), expected, "{path}");
        }
    }
}
