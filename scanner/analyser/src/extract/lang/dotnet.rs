//! `lang/dotnet`: the packages of .NET applications, from the `*.deps.json` that the SDK writes beside each.
//!
//! The form is that of the runtime's own reader, described in `documentation/design-docs/corehost.md` and
//! `runtime-configuration-file.md` of dotnet/runtime and dotnet/sdk. The files of the application are not looked into: what
//! their resources call themselves are no packages.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::extract::format::text::shown;
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Report};
use crate::limits::Limits;
use crate::package::{Certainty, Details, PackageKind};
use crate::volume::bytes::to_u64;

/// Reads `*.deps.json`.
#[derive(Clone, Copy, Debug)]
pub struct Dotnet;

impl Extractor for Dotnet {
    fn name(&self) -> &'static str {
        "lang/dotnet"
    }

    fn description(&self) -> &'static str {
        "NuGet packages of .NET applications"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Suffix(".deps.json")]
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let content = input.read_document()?;
        parse(&content, input.limits(), &mut |finding| match finding {
            Ok(package) => report.package(package),
            Err(problem) => report.unknown(problem),
        });
        Ok(())
    }
}

/// Parses any bytes, for fuzzing: it must come back without a panic.
pub fn fuzz_dotnet(content: &[u8]) {
    parse(content, &Limits::default(), &mut |finding| drop(finding));
}

/// What a library gives: a package, or what cannot be understood.
type Finding = Result<Found, String>;

/// The file. Its parts stay text until they are needed: nothing that it lists is kept but what is found.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deps<'a> {
    #[serde(borrow)]
    runtime_target: Option<&'a RawValue>,
    #[serde(borrow)]
    targets: Option<&'a RawValue>,
    #[serde(borrow)]
    libraries: Option<&'a RawValue>,
}

/// What runs the application. Files of the first versions have the name alone.
#[derive(Deserialize)]
struct RuntimeTarget<'a> {
    #[serde(borrow)]
    name: Key<'a>,
}

/// A library, as the file describes it for all targets.
#[derive(Deserialize)]
struct Library<'a> {
    #[serde(borrow, rename = "type")]
    kind: Key<'a>,
}

/// A library, as it is for one target.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Assets<'a> {
    #[serde(borrow)]
    runtime: Option<&'a RawValue>,
    #[serde(borrow)]
    runtime_targets: Option<&'a RawValue>,
    #[serde(borrow)]
    native: Option<&'a RawValue>,
    #[serde(borrow)]
    resources: Option<&'a RawValue>,
    #[serde(borrow)]
    dependencies: Option<&'a RawValue>,
}

impl Assets<'_> {
    /// Whether any file of the library belongs to the application.
    fn is_any(&self) -> bool {
        let Self { runtime, runtime_targets, native, resources, dependencies: _ } = self;
        // An object with something in it has more than its braces.
        let is_any = |object: &&RawValue| object.get().bytes().filter(u8::is_ascii_graphic).nth(2).is_some();
        [runtime, runtime_targets, native, resources].into_iter().flatten().any(is_any)
    }
}

/// Reads a file.
fn parse(content: &[u8], limits: &Limits, emit: &mut dyn FnMut(Finding)) {
    let content = match str::from_utf8(content) {
        Ok(content) => content.trim_start_matches('\u{feff}'),
        Err(_) => return emit(Err("it is not UTF-8".to_owned())),
    };
    let deps: Deps<'_> = match serde_json::from_str(content) {
        Ok(deps) => deps,
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return emit(Err(format!("it is not as it should be at line {line}, column {column}")));
        }
    };
    let Some(libraries) = deps.libraries else {
        tracing::debug!("no libraries");
        return;
    };
    let mut target = match target(&deps, limits) {
        Ok(target) => target,
        Err(problem) => {
            emit(Err(problem.to_owned()));
            Target::default()
        }
    };
    // The application itself is a project. Where there is none the file is that of a framework, which is its packages, be
    // they nothing but names of others.
    let mut is_application = false;
    let outcome = each(libraries, &mut |_, library| {
        is_application |= kind(library).is_ok_and(|kind| kind == "project");
    });
    target.has_parts_elsewhere = is_application;
    let outcome = outcome.and_then(|()| {
        each(libraries, &mut |key, library| {
            if let Some(finding) = interpret(&key, library, &target, limits).transpose() {
                emit(finding.map_err(|problem| format!("the library {:?} {problem}", shown(&key))));
            }
        })
    });
    if outcome.is_err() {
        emit(Err("its libraries are not an object".to_owned()));
    }
}

/// The libraries for the runtime target, by name and version.
#[derive(Default)]
struct Target<'a> {
    libraries: HashMap<Cow<'a, str>, Assets<'a>>,
    /// Whether what has no files here has them in the framework, or is nothing but a name for others.
    has_parts_elsewhere: bool,
}

impl Target<'_> {
    /// Whether a library is known to have no file in the application: it served to compile it, the framework has what it
    /// had, or it stands for others.
    fn is_without_files(&self, key: &str) -> bool {
        self.has_parts_elsewhere && self.libraries.get(key).is_some_and(|assets| !assets.is_any())
    }
}

/// What the file says for the runtime target; nothing if it does not name one.
fn target<'a>(deps: &Deps<'a>, limits: &Limits) -> Result<Target<'a>, &'static str> {
    let (Some(name), Some(targets)) = (deps.runtime_target, deps.targets) else {
        return Ok(Target::default());
    };
    let named = || serde_json::from_str(name.get()).map(|RuntimeTarget { name }| name);
    let Ok(Key(name)) = serde_json::from_str(name.get()).or_else(|_| named()) else {
        return Err("its runtimeTarget has no name");
    };
    let mut found = None;
    each(targets, &mut |key, libraries| {
        if key == name {
            found = Some(libraries);
        }
    })
    .map_err(|_| "its targets are not an object")?;
    let Some(found) = found else { return Err("it does not describe its runtimeTarget") };
    let mut target = Target::default();
    let mut is_damaged = false;
    each(found, &mut |key, assets| {
        if to_u64(target.libraries.len()) >= limits.packages {
            return;
        }
        match serde_json::from_str(assets.get()) {
            Ok(assets) => drop(target.libraries.insert(key, assets)),
            Err(_) => is_damaged = true,
        }
    })
    .map_err(|_| "its runtimeTarget is not an object")?;
    tracing::debug!(is_damaged, libraries = target.libraries.len(), "runtime target");
    Ok(target)
}

/// The package that a library is, if it is one.
fn interpret(
    key: &str,
    library: &RawValue,
    target: &Target<'_>,
    limits: &Limits,
) -> Result<Option<Found>, &'static str> {
    let kind = kind(library)?;
    let (name, version) = key.rsplit_once('/').ok_or("has no version")?;
    let (name, certainty) = match kind {
        "package" if target.is_without_files(key) => return Ok(None),
        "package" => (name, Certainty::Recorded),
        // Of an application that brings its runtime along: the SDK puts a word before the name of the package.
        "runtimepack" => (name.strip_prefix("runtimepack.").unwrap_or(name), Certainty::Recorded),
        // The application itself and what was built together with it. Its package, if there is one, may have another name.
        "project" => (name, Certainty::Derived),
        // `reference`, `referenceassembly`: a file, of no package.
        _ => return Ok(None),
    };
    for (text, problem) in [(name, "has an odd name"), (version, "has an odd version")] {
        let is_odd = |character: char| character.is_control() || character.is_whitespace();
        if text.is_empty() || text.len() > limits.field_bytes || text.contains(is_odd) {
            return Err(problem);
        }
    }
    let mut depends_on = Vec::new();
    if let Some(dependencies) = target.libraries.get(key).and_then(|assets| assets.dependencies) {
        let listed = each(dependencies, &mut |name, version| {
            let version: Key<'_> = serde_json::from_str(version.get()).unwrap_or_default();
            if !target.is_without_files(&format!("{name}/{}", version.0)) && name.len() <= limits.field_bytes
            {
                depends_on.push(name.into_owned());
            }
        });
        listed.map_err(|_| "has dependencies that are not an object")?;
    }
    depends_on.sort();
    let details = Details { certainty, depends_on, ..Details::default() };
    Ok(Some(Found { details, ..Found::new(PackageKind::Nuget, name, version) }))
}

/// The type of a library. The other fields may be anything.
fn kind(library: &RawValue) -> Result<&str, &'static str> {
    let library: Library<'_> = serde_json::from_str(library.get()).map_err(|_| "has no type")?;
    match library.kind.0 {
        Cow::Borrowed(kind) => Ok(kind),
        // No type has anything that needs an escape.
        Cow::Owned(_) => Ok(""),
    }
}

/// A text that is not copied where JSON has it as it is.
#[derive(Default, Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Calls `visit` with each member of an object.
fn each<'a>(
    object: &'a RawValue,
    visit: &mut dyn FnMut(Cow<'a, str>, &'a RawValue),
) -> Result<(), serde_json::Error> {
    struct Members<'a, 'v>(&'v mut dyn FnMut(Cow<'a, str>, &'a RawValue));

    impl<'a> Visitor<'a> for Members<'a, '_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some((Key(name), value)) = map.next_entry::<Key<'a>, &'a RawValue>()? {
                (self.0)(name, value);
            }
            Ok(())
        }
    }

    serde_json::Deserializer::from_str(object.get()).deserialize_map(Members(visit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Name, version, certainty and dependencies.
    type Row = (String, String, Certainty, Vec<String>);

    fn read(content: &str) -> (Vec<Row>, Vec<String>) {
        let (mut rows, mut problems) = (Vec::new(), Vec::new());
        parse(content.as_bytes(), &Limits::default(), &mut |finding| match finding {
            Ok(Found { name, version, details, .. }) => {
                rows.push((name, version, details.certainty, details.depends_on));
            }
            Err(problem) => problems.push(problem),
        });
        (rows, problems)
    }

    fn names(content: &str) -> Vec<String> {
        let (rows, problems) = read(content);
        assert_eq!(problems, Vec::<String>::new());
        rows.into_iter().map(|(name, ..)| name).collect()
    }

    const APPLICATION: &str = r#"{
        "runtimeTarget": { "name": ".NETCoreApp,Version=v6.0/linux-x64", "signature": "" },
        "compilationOptions": {},
        "targets": {
            ".NETCoreApp,Version=v6.0": { "Used/1.0": {} },
            ".NETCoreApp,Version=v6.0/linux-x64": {
                "App/1.2.3": { "dependencies": { "Used": "1.0", "Meta": "2" }, "runtime": { "App.dll": {} } },
                "Used/1.0": { "dependencies": { "Native": "4" }, "runtime": { "lib/net6.0/Used.dll": {} } },
                "Meta/2": { "dependencies": { "Used": "1.0" } },
                "Empty/3": { "runtime": { } , "compile": { "ref/Empty.dll": {} } },
                "Native/4": { "native": { "libnative.so": {} } },
                "PerSystem/5": { "runtimeTargets": { "runtimes/unix/lib/a.dll": {} } },
                "Words/6": { "resources": { "de/a.resources.dll": {} } },
                "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/6.0.1": { "runtime": { "System.dll": {} } }
            }
        },
        "libraries": {
            "App/1.2.3": { "type": "project", "serviceable": false, "sha512": "" },
            "Used/1.0": { "type": "package", "serviceable": true, "sha512": ["odd"], "path": 7 },
            "Meta/2": { "type": "package" },
            "Empty/3": { "type": "package" },
            "Native/4": { "type": "package" },
            "PerSystem/5": { "type": "package" },
            "Words/6": { "type": "package" },
            "Unlisted/7-beta.1+x": { "type": "package" },
            "Some.File/1.0.0.0": { "type": "reference" },
            "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/6.0.1": { "type": "runtimepack" }
        }
    }"#;

    #[test]
    fn packages_with_files_the_application_and_its_runtime_are_found() {
        let (rows, problems) = read(APPLICATION);
        assert_eq!(problems, Vec::<String>::new());
        let row = |name: &str, version: &str, certainty, depends_on: &[&str]| {
            let depends_on = depends_on.iter().map(|&name| name.to_owned()).collect();
            (name.to_owned(), version.to_owned(), certainty, depends_on)
        };
        let expected = [
            row("App", "1.2.3", Certainty::Derived, &["Used"]),
            row("Used", "1.0", Certainty::Recorded, &["Native"]),
            row("Native", "4", Certainty::Recorded, &[]),
            row("PerSystem", "5", Certainty::Recorded, &[]),
            row("Words", "6", Certainty::Recorded, &[]),
            row("Unlisted", "7-beta.1+x", Certainty::Recorded, &[]),
            row("Microsoft.NETCore.App.Runtime.linux-x64", "6.0.1", Certainty::Recorded, &[]),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_framework_is_its_packages() {
        let framework = APPLICATION.replace("\"project\"", "\"reference\"");
        let expected = ["Used", "Meta", "Empty", "Native", "PerSystem", "Words", "Unlisted"];
        assert_eq!(names(&framework)[..7], expected);
        let old = APPLICATION.replace(
            "{ \"name\": \".NETCoreApp,Version=v6.0/linux-x64\", \"signature\": \"\" }",
            "\".NETCoreApp,Version=v6.0/linux-x64\"",
        );
        assert_eq!(names(&format!("\u{feff}{old}")), names(APPLICATION));
    }

    #[test]
    fn what_is_odd_costs_only_itself() {
        let content = r#"{"libraries": {
            "NoType/1": {}, "OddType/1": {"type": 7}, "Null/1": null, "NoVersion": {"type": "package"},
            "/1": {"type": "package"}, "Sp ace/1": {"type": "package"}, "x/\u001b": {"type": "package"},
            "Esc\u0061ped/1": {"type": "package"}, "Good/1": {"type": "package"}}}"#;
        let (rows, problems) = read(content);
        let names: Vec<_> = rows.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["Escaped", "Good"]);
        assert_eq!(problems.len(), 7, "{problems:?}");
        assert!(problems[0].contains("\"NoType/1\" has no type"), "{problems:?}");
    }

    #[test]
    fn what_is_no_such_file_says_so() {
        for (content, expected) in [
            ("", "line 1"),
            ("{\"libraries\": {", "line 1"),
            ("[]", "line 1"),
            ("{\"libraries\": 7}", "not an object"),
            ("{\"libraries\": {}, \"runtimeTarget\": 7, \"targets\": {}}", "runtimeTarget has no name"),
            ("{\"libraries\": {}, \"runtimeTarget\": \"x\", \"targets\": {}}", "does not describe"),
            ("{\"libraries\": {}, \"runtimeTarget\": \"x\", \"targets\": []}", "targets are not"),
        ] {
            let (_, problems) = read(content);
            assert!(problems.len() == 1 && problems[0].contains(expected), "{content}: {problems:?}");
        }
        assert_eq!(read("{\"name\": \"something else\"}"), (vec![], vec![]));
        let (_, problems) = read(&"[".repeat(1_000_000));
        assert_eq!(problems.len(), 1);
    }

    proptest! {
        #[test]
        fn damaged_files_are_read_without_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), "[{}\":,x0\\\\ ]"), 1..10),
        ) {
            let mut content = APPLICATION.as_bytes().to_vec();
            for (place, value) in changes {
                let place = place.index(content.len());
                content[place] = value.as_bytes()[0];
            }
            fuzz_dotnet(&content);
        }
    }
}
