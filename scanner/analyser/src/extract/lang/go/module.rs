//! The lines of build information, and the packages that they name.
//!
//! Each line is a word, a tab and fields with tabs between them: `path`, `mod` and `dep` with path, version and checksum of
//! a module, `=>` with those of the one that replaces it, `build` with a setting. Source: the documentation of
//! `debug.BuildInfo` in Go's package `runtime/debug`.

use std::borrow::Cow;

use super::info::BuildInfo;
use super::settings;
use crate::extract::Found;
use crate::limits::Limits;
use crate::package::{Certainty, Details, PackageKind};

/// A module as a line names it.
#[derive(Clone, Copy, Debug)]
struct Module<'a> {
    path: &'a str,
    version: &'a str,
}

/// The package of this name is Go's own library.
const STANDARD_LIBRARY: &str = "stdlib";

/// Reports the modules: packages, or what is wrong with them.
pub(super) fn report(info: &BuildInfo, limits: &Limits, emit: &mut dyn FnMut(Result<Found, String>)) {
    let mut main = None;
    let mut modules: Vec<Module<'_>> = Vec::new();
    let (mut program, mut flags, mut is_working_copy) = (None, None, false);
    // Which module a following `=>` replaces: the main one, or the last dependency.
    let mut last_is_main = false;
    for line in info.modules.lines() {
        let (word, fields) = line.split_once('\t').unwrap_or((line, ""));
        let mut parts = fields.split('\t');
        let module =
            Module { path: parts.next().unwrap_or_default(), version: parts.next().unwrap_or_default() };
        match word {
            "path" => program = Some(module.path),
            "mod" => {
                main = Some(module);
                last_is_main = true;
            }
            "dep" => {
                modules.push(module);
                last_is_main = false;
            }
            "=>" if last_is_main => main = Some(module),
            "=>" => {
                if let Some(replaced) = modules.last_mut() {
                    *replaced = module;
                }
            }
            "build" => {
                is_working_copy |= fields.starts_with("vcs.revision=");
                flags = flags.or_else(|| settings::linker_flags(fields));
            }
            _ => {}
        }
    }

    match standard_library(&info.go) {
        Some(version) => emit(package(STANDARD_LIBRARY, &version, limits)),
        None => {
            emit(Err(format!("it was built by a version of Go that has no number: {:?}", shown(&info.go))));
        }
    }
    if let Some(main) = main.or_else(|| program.and_then(repository)) {
        let is_released = main.is_published() && !(is_working_copy && main.is_of_no_release());
        emit_main(main, is_released, flags.as_deref(), limits, emit);
    }
    for module in modules {
        if module.is_published() {
            emit(package(module.path, module.version, limits));
        }
    }
}

/// The main module, if its version is known.
///
/// What is built in a working copy has none, or `(devel)`. The revision is recorded then, and a version `v0.0.0-…` could be
/// made of it, as Go does since 1.24 where it sees no tag; but that is less than every release, so that every advisory there
/// ever was would seem to apply. Such a module is left out. Many projects have their version set by the linker, and that is
/// good enough to be said with less certainty.
fn emit_main(
    main: Module<'_>,
    is_released: bool,
    flags: Option<&str>,
    limits: &Limits,
    emit: &mut dyn FnMut(Result<Found, String>),
) {
    if is_released {
        return emit(package(main.path, main.version, limits));
    }
    let Some(version) = flags.and_then(|flags| settings::version(flags, main.path)) else {
        return tracing::debug!(module = main.path, "the version of the main module is not known");
    };
    let derive = |found: Found| {
        let details = Details { certainty: Certainty::Derived, ..found.details };
        Found { details, ..found }
    };
    emit(package(main.path, &version, limits).map(derive));
}

/// The module of a program that was built without modules, as Debian builds, and as Docker did up to version 20: the
/// repository, where it is known how long its path is. There is no record of what else such a program is built of.
fn repository(program: &str) -> Option<Module<'_>> {
    const HOSTS: [&str; 2] = ["bitbucket.org", "github.com"];
    let mut slashes = program.match_indices('/').map(|(at, _)| at);
    let host = program.get(..slashes.next()?)?;
    slashes.next()?;
    let path = slashes.next().map_or(Some(program), |end| program.get(..end))?;
    HOSTS.contains(&host).then_some(Module { path, version: "" })
}

impl Module<'_> {
    /// Whether there is a version of it: a directory that replaces a module, and a module in a working copy, have none.
    fn is_published(self) -> bool {
        !self.path.is_empty() && !self.version.is_empty() && self.version != "(devel)"
    }

    /// Whether its version is made of a revision before which there is no release (go.dev/ref/mod, "Pseudo-versions").
    fn is_of_no_release(self) -> bool {
        self.version.starts_with("v0.0.0-")
    }
}

/// The version of the standard library, in the form that modules have: `v1.22.1` of `go1.22.1`, of `go1.22.1 X:boringcrypto`
/// and of `devel go1.22.1-… date`.
fn standard_library(go: &str) -> Option<String> {
    let numbers = go.split_ascii_whitespace().filter_map(|word| word.strip_prefix("go"));
    let version =
        numbers.into_iter().find(|number| number.starts_with(|first: char| first.is_ascii_digit()))?;
    Some(format!("v{version}"))
}

fn package(path: &str, version: &str, limits: &Limits) -> Result<Found, String> {
    for (field, value) in [("path", path), ("version", version)] {
        if value.len() > limits.field_bytes {
            let (length, limit) = (value.len(), limits.field_bytes);
            return Err(format!(
                "a module has a {field} of {length} bytes; the limit is {limit} (`field_bytes`)"
            ));
        }
        if value.chars().any(|character| character.is_control() || character.is_whitespace()) {
            return Err(format!(
                "the module {:?} has space or control characters in its {field}",
                shown(path)
            ));
        }
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(format!("the module {:?} has a {field} that is not UTF-8", shown(path)));
        }
    }
    Ok(Found::new(PackageKind::Golang, path, version))
}

/// The beginning of a value, for a message.
fn shown(value: &str) -> Cow<'_, str> {
    value.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(go: &str, modules: &str) -> (Vec<(String, String, Certainty)>, Vec<String>) {
        let info = BuildInfo { go: go.to_owned(), modules: modules.to_owned() };
        let (mut packages, mut problems) = (Vec::new(), Vec::new());
        report(&info, &Limits::default(), &mut |finding| match finding {
            Ok(found) => packages.push((found.name, found.version, found.details.certainty)),
            Err(problem) => problems.push(problem),
        });
        (packages, problems)
    }

    #[track_caller]
    fn assert_reported(modules: &str, expected: &[(&str, &str)]) {
        let (packages, problems) = reported("go1.22.1", modules);
        assert_eq!(problems, Vec::<String>::new());
        let stdlib = ("stdlib", "v1.22.1");
        let found: Vec<_> = packages.iter().map(|(name, version, _)| (&name[..], &version[..])).collect();
        assert_eq!(found, [&[stdlib], expected].concat());
    }

    #[test]
    fn each_module_is_a_package_in_the_version_that_was_built() {
        assert_reported(
            "path\texample.com/a/cmd/a\nmod\texample.com/a\tv1.2.3\th1:x=\ndep\tgithub.com/b/B\tv2.0.0+incompatible\th1:y=\n\
             dep\tc.example/c/v2\tv2.1.0\n=>\td.example/c\tv2.1.1-0.20240101000000-0123456789ab\th1:z=\nbuild\tCGO_ENABLED=0\n",
            &[
                ("example.com/a", "v1.2.3"),
                ("github.com/b/B", "v2.0.0+incompatible"),
                ("d.example/c", "v2.1.1-0.20240101000000-0123456789ab"),
            ],
        );
    }

    #[test]
    fn what_has_no_version_is_no_package() {
        assert_reported("", &[]);
        assert_reported(
            "mod\texample.com/a\t(devel)\t\ndep\tb.example/b\tv1.0.0\n=>\t./b\t(devel)\t\ndep\tc.example/c\tv1.0.0\n\
             =>\t../c\n=>\ndep\nbuild\tvcs.revision=0123456789abcdef0123456789abcdef01234567\n",
            &[],
        );
    }

    #[test]
    fn what_go_makes_of_a_working_copy_without_tags_is_no_version() {
        // As Go 1.24 and later write it.
        let pseudo = "v0.0.0-20250422202024-9eeb4a7a08b6";
        let revision = "build\tvcs=git\nbuild\tvcs.revision=9eeb4a7a08b6b4d1ee1e0ba3b3a0ac1b6bd0c0f4\n";
        for dirty in ["", "+dirty"] {
            assert_reported(&format!("mod\texample.com/a\t{pseudo}{dirty}\t\n{revision}"), &[]);
        }
        let flags = "build\t-ldflags=\"-X main.version=1.5.0\"\n";
        assert_reported(
            &format!("mod\texample.com/a\t{pseudo}+dirty\t\n{flags}{revision}"),
            &[("example.com/a", "v1.5.0")],
        );
        // After a tag, the version says which. One that was downloaded has no revision, and is published as such.
        let tagged = "v1.2.4-0.20250422202024-9eeb4a7a08b6";
        assert_reported(&format!("mod\texample.com/a\t{tagged}\t\n{revision}"), &[("example.com/a", tagged)]);
        assert_reported(&format!("mod\texample.com/a\t{pseudo}\th1:x=\n"), &[("example.com/a", pseudo)]);
    }

    #[test]
    fn a_version_that_the_linker_set_is_derived() {
        let modules = "mod\texample.com/a\t(devel)\nbuild\t-ldflags=\"-s -w -X main.version=1.5.0 -X main.date=2024-01-01\"\n";
        let (packages, problems) = reported("go1.22.1", modules);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(packages[1], ("example.com/a".to_owned(), "v1.5.0".to_owned(), Certainty::Derived));
    }

    #[test]
    fn a_program_that_was_built_without_modules_is_its_repository() {
        for (program, version) in [
            ("github.com/docker/docker/cmd/dockerd", "github.com/docker/docker/dockerversion.Version"),
            ("github.com/docker/docker", "main.version"),
        ] {
            let modules =
                format!("path\t{program}\nbuild\t-ldflags=\" \\t-X \\\"{version}=20.10.24+dfsg1\\\"\"\n");
            assert_reported(&modules, &[("github.com/docker/docker", "v20.10.24+dfsg1")]);
        }
        for program in
            ["github.com/docker", "example.com/docker/docker", "docker", "command-line-arguments", ""]
        {
            assert_reported(&format!("path\t{program}\nbuild\t-ldflags=\"-X main.version=1.0\"\n"), &[]);
        }
        // Without a version, or with that of another module.
        assert_reported("path\tgithub.com/a/b\nbuild\t-ldflags=\"-X github.com/a/c.version=1.0\"\n", &[]);
    }

    #[test]
    fn the_standard_library_has_the_version_of_go() {
        for (go, expected) in [
            ("go1.22.1", Some("v1.22.1")),
            ("go1.20.12 X:strictfipsruntime", Some("v1.20.12")),
            ("devel go1.23-0123456789 Thu Feb 1 00:00:00 2024 +0000", Some("v1.23-0123456789")),
            ("devel +0123456789 Thu Feb 1 00:00:00 2024 +0000", None),
            ("", None),
        ] {
            assert_eq!(standard_library(go).as_deref(), expected, "{go}");
        }
    }

    #[test]
    fn an_odd_module_costs_only_itself() {
        let modules = format!(
            "dep\ta\u{1b}[2J\tv1\ndep\t{}\tv1\ndep\tb \tv1\ndep\tc\tv1\u{fffd}\ndep\td\tv1\n",
            "x".repeat(5000)
        );
        let (packages, problems) = reported("unknown", &modules);
        assert_eq!(packages, [("d".to_owned(), "v1".to_owned(), Certainty::Recorded)]);
        assert_eq!(problems.len(), 5, "{problems:?}");
    }
}
