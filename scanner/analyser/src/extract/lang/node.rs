//! `lang/node`: packages of Node.js, from the `package.json` that each has.

use serde::de::MapAccess;

use crate::extract::format::described::Described;
use crate::extract::format::json::{self, Member, Names, Texts, Wanted};
use crate::extract::format::text;
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::package::{Certainty, PackageKind};

/// Reads `package.json` of the packages in each `node_modules` and in Debian's folders for them, and of the applications that
/// have a `node_modules` beside it.
#[derive(Clone, Copy, Debug)]
pub struct Node;

impl Extractor for Node {
    fn name(&self) -> &'static str {
        "lang/node"
    }

    fn description(&self) -> &'static str {
        "installed Node.js packages"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("package.json")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        place(path).is_some()
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let Some(place) = place(input.path()) else { return Ok(()) };
        if place == Place::Application {
            let modules = input.path().join("../node_modules");
            if !input.has_directory(&modules)? {
                return Ok(());
            }
        }
        // Those that npm publishes have some kilobytes, and rarely some hundred.
        let content = text::decoded(input.read_small()?);
        let mut package = PackageJson::new(input.limits());
        let outcome = json::read(&content, &mut package);
        match package.found(&place) {
            Ok(Some(found)) => report.package(found),
            Ok(None) => {}
            // It is no package that an application has not finished to describe.
            Err(_) if place == Place::Application => {}
            Err(problem) => report.unknown(problem),
        }
        if let Err(error) = outcome {
            report.unknown(crate::chain(&error));
        }
        Ok(())
    }
}

/// What a `package.json` describes, by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A package under this name: `node_modules/NAME` or `node_modules/@SCOPE/NAME`.
    Package(String),
    /// An application, if it has packages.
    Application,
}

/// What the file at this path describes. A package may have more of these files inside, to say how its parts are loaded:
/// they are no packages.
fn place(path: &FsPath) -> Option<Place> {
    let mut folders: Vec<&[u8]> = path.components().rev().skip(1).collect();
    let holds_packages = |&depth: &usize| folders.get(depth..).is_some_and(holds_packages);
    let depth = (0..folders.len()).find(holds_packages);
    let Some(depth) = depth else { return Some(Place::Application) };
    folders.truncate(depth);
    // What begins with a dot is the package manager's own.
    let is_name = |name: &[u8]| !name.starts_with(b".") && !name.starts_with(b"@");
    let name = match *folders.as_slice() {
        [name] if is_name(name) => String::from_utf8_lossy(name).into_owned(),
        [name, scope] if is_name(name) && scope.starts_with(b"@") => {
            format!("{}/{}", String::from_utf8_lossy(scope), String::from_utf8_lossy(name))
        }
        _ => return None,
    };
    Some(Place::Package(name))
}

/// Whether a folder, given by the names from it to the root, has packages in it: `node_modules`, and where Debian puts those
/// of its own (Debian's policy for Node.js), `/usr/share/nodejs` and `/usr/lib/TRIPLET/nodejs`.
fn holds_packages(folders: &[&[u8]]) -> bool {
    matches!(
        folders,
        [b"node_modules", ..] | [b"nodejs", b"share", b"usr", ..] | [b"nodejs", _, b"lib", b"usr", ..]
    )
}

/// The members of `package.json` that are wanted (docs.npmjs.com, "package.json").
#[derive(Debug)]
struct PackageJson<'a> {
    package: Described<'a>,
    /// It is never published: what has its name in the registry is another package.
    is_private: bool,
}

impl<'a> PackageJson<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self { package: Described::new(limits), is_private: false }
    }

    fn found(self, place: &Place) -> Result<Option<Found>, String> {
        let Self { mut package, is_private } = self;
        let certainty = match (&package.name, place) {
            // A file that only says how the folder's files are loaded.
            (None, _) if package.version.is_none() => return Ok(None),
            (Some(_), Place::Application) if is_private => return Ok(None),
            (None, Place::Package(folder)) => {
                package.name = Some(folder.clone());
                Certainty::Guessed
            }
            _ => Certainty::Recorded,
        };
        let mut found = package.found(PackageKind::Npm)?;
        found.details.certainty = certainty;
        Ok(Some(found))
    }
}

impl Wanted for PackageJson<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, member: Member<'_, A>) -> Result<(), A::Error> {
        let Self { package, is_private } = self;
        match name {
            "name" => member.read(&mut package.name),
            "version" => member.read(&mut package.version),
            "private" => member.read(is_private),
            "license" | "licenses" => member.read(&mut Texts(|text: &str| package.license(text))),
            "dependencies" | "optionalDependencies" | "peerDependencies" => {
                member.read(&mut Names(|name: &str, version: Option<&str>| {
                    package.needs(aliased(version).unwrap_or(name));
                }))
            }
            _ => member.skip(),
        }
    }
}

/// The real name of a dependency that is installed under another one, as in `"a": "npm:b@^1.0.0"`.
fn aliased(version: Option<&str>) -> Option<&str> {
    let package = version?.strip_prefix("npm:")?;
    // The first character may be that of a scope.
    let at = package.char_indices().skip(1).find(|&(_, character)| character == '@');
    package.get(..at.map_or(package.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use super::*;
    use crate::extract::run;
    use crate::fs::Tree;

    fn found(path: &str, content: &str) -> Result<Option<Found>, String> {
        let limits = Limits::default();
        let mut package = PackageJson::new(&limits);
        json::read(content, &mut package).unwrap();
        package.found(&place(&FsPath::new(path)).unwrap())
    }

    #[test]
    fn packages_are_directly_in_node_modules() {
        let package = |name: &str| Some(Place::Package(name.to_owned()));
        for (path, expected) in [
            ("/usr/lib/node_modules/npm/package.json", package("npm")),
            ("/a/node_modules/@scope/b/package.json", package("@scope/b")),
            ("/a/node_modules/.pnpm/b@1.0.0/node_modules/b/package.json", package("b")),
            ("/a/node_modules/b/node_modules/c/package.json", package("c")),
            ("/usr/share/nodejs/b/package.json", package("b")),
            ("/usr/share/nodejs/@scope/b/package.json", package("@scope/b")),
            ("/usr/share/nodejs/b/node_modules/c/package.json", package("c")),
            ("/usr/share/nodejs/b/esm/package.json", None),
            ("/usr/lib/x86_64-linux-gnu/nodejs/b/package.json", package("b")),
            ("/node_modules/rxjs/ajax/package.json", None),
            ("/node_modules/rxjs/dist/esm/package.json", None),
            ("/node_modules/@scope/b/c/package.json", None),
            ("/node_modules/@scope/package.json", None),
            ("/node_modules/.cache/package.json", None),
            ("/node_modules/package.json", None),
            ("/srv/application/package.json", Some(Place::Application)),
            ("/package.json", Some(Place::Application)),
        ] {
            assert_eq!(place(&FsPath::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn odd_members_do_not_cost_a_package() {
        let content = r#"{"author": ["a"], "license": {"type": "MIT"}, "name": "a", "bin": 1, "version": "1.0.0",
            "dependencies": {"c": "^1", "b": "npm:@s/d@^2", "c": 1}, "devDependencies": {"x": "1"}}"#;
        let found = found("/node_modules/a/package.json", content).unwrap().unwrap();
        assert_eq!((&found.name[..], &found.version[..]), ("a", "1.0.0"));
        assert_eq!(found.details.licenses, ["MIT"]);
        assert_eq!(found.details.depends_on, ["c", "@s/d"]);
        assert_eq!(found.details.certainty, Certainty::Recorded);
    }

    #[test]
    fn a_package_without_a_name_has_that_of_its_folder() {
        let found = |content| found("/node_modules/@s/a/package.json", content);
        let package = found(r#"{"version": "1"}"#).unwrap().unwrap();
        assert_eq!((&package.name[..], package.details.certainty), ("@s/a", Certainty::Guessed));
        assert_eq!(found(r#"{"type": "module"}"#), Ok(None));
        assert_eq!(found(r#"{"name": "b"}"#), Err("package \"b\" has no version".to_owned()));
        let damaged = text::decoded(b"{\"name\": \"caf\xe9\", \"version\": \"1\"}".to_vec());
        assert_eq!(found(&damaged), Err("a package has a name that is not UTF-8".to_owned()));
    }

    #[test]
    fn an_application_that_is_never_published_is_no_package() {
        let content = r#"{"name": "a", "version": "1", "private": true}"#;
        assert_eq!(found("/srv/a/package.json", content), Ok(None));
        assert!(found("/node_modules/a/package.json", content).unwrap().is_some());
    }

    #[test]
    fn a_file_of_megabytes_is_reported_and_not_read() {
        let root = tempfile::tempdir().unwrap();
        for (name, size) in [("a", 1 << 20), ("b", (1 << 20) + 1)] {
            let folder = root.path().join("node_modules").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            let content = format!("{{\"name\": \"{name}\", \"version\": \"1\"}}");
            std::fs::write(folder.join("package.json"), content.clone() + &" ".repeat(size - content.len()))
                .unwrap();
        }
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
        let findings = run(&tree);
        let names: Vec<_> = findings.packages.iter().map(|package| &package.name[..]).collect();
        assert_eq!(names, ["a"]);
        let [gap] = &findings.gaps[..] else { panic!("{:?}", findings.gaps) };
        assert_eq!(gap.path.as_deref(), Some("/node_modules/b/package.json"));
        assert!(gap.reason.contains("(`small_file_bytes`) exceeds the limit of 1048576"), "{}", gap.reason);
    }
}
