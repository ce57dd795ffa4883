//! `lock/pom`: the artifacts that a Maven project depends on directly.
//!
//! A POM is no lock file: it names what the project itself needs, and a version only where no parent does. What is found is
//! listed where the version is in the same file, literally or by a property. Artifacts for tests are left out.

use std::collections::HashMap;

use agentless_core::number::to_u64;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::extract::lock::lockfile::{self, Lock, Row};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::package::PackageKind;

/// Reads `pom.xml`.
#[derive(Clone, Copy, Debug)]
pub struct Pom;

impl Extractor for Pom {
    fn name(&self) -> &'static str {
        "lock/pom"
    }

    fn description(&self) -> &'static str {
        "Java artifacts that a Maven project depends on directly"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("pom.xml")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Maven, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    let (project, problem) = Project::read(text, lock.limits());
    if let Some(problem) = problem {
        lock.unknown(problem);
    }
    project.finish(lock);
}

/// What a POM says.
#[derive(Debug, Default)]
struct Project {
    /// Texts by their place below `project`, such as `parent/version` or `properties/x`.
    texts: HashMap<String, String>,
    dependencies: Vec<Dependency>,
    /// Versions for those that name none.
    managed: Vec<Dependency>,
}

/// A dependency as it is written.
#[derive(Debug, Default)]
struct Dependency {
    group: String,
    artifact: String,
    version: String,
    scope: String,
}

impl Project {
    /// Reads up to the end, or to what cannot be read.
    fn read(text: &str, limits: &Limits) -> (Self, Option<String>) {
        /// Elements in each other; those of a POM are within ten, and those of a plug-in's settings within a few more.
        const DEPTH: usize = 100;

        let mut project = Self::default();
        let mut path: Vec<String> = Vec::new();
        let mut reader = Reader::from_str(text);
        let problem = loop {
            match reader.read_event() {
                Ok(Event::Start(_)) if path.len() >= DEPTH => {
                    break Some(format!("more than {DEPTH} elements in each other"));
                }
                Ok(Event::Start(element)) => {
                    path.push(element.local_name().as_ref().to_owned());
                    project.begin(&path);
                    if project.entries() > limits.packages {
                        let limit = limits.packages;
                        break Some(format!(
                            "more than {limit} dependencies and properties, the limit (`packages`): the others were not read"
                        ));
                    }
                }
                Ok(Event::End(_)) => {
                    path.pop();
                }
                Ok(Event::Text(text)) => project.text(&path, text.trim()),
                Ok(Event::Eof) => break (!path.is_empty()).then(|| "it ends within an element".to_owned()),
                Ok(_) => {}
                Err(error) => break Some(error.to_string()),
            }
        };
        (project, problem)
    }

    /// How much it keeps: each costs several times its bytes of memory.
    fn entries(&self) -> u64 {
        let lengths = [self.texts.len(), self.dependencies.len(), self.managed.len()];
        to_u64(lengths.into_iter().fold(0, usize::saturating_add))
    }

    fn begin(&mut self, path: &[String]) {
        if let Some((list, "")) = self.list(path) {
            list.push(Dependency::default());
        }
    }

    fn text(&mut self, path: &[String], text: &str) {
        if let Some((list, field)) = self.list(path) {
            let Some(dependency) = list.last_mut() else { return };
            match field {
                "groupId" => dependency.group.push_str(text),
                "artifactId" => dependency.artifact.push_str(text),
                "version" => dependency.version.push_str(text),
                "scope" => dependency.scope.push_str(text),
                _ => {}
            }
            return;
        }
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["project", field] => self.texts.entry((*field).to_owned()).or_default().push_str(text),
            ["project", part @ ("parent" | "properties"), field] => {
                self.texts.entry(format!("{part}/{field}")).or_default().push_str(text);
            }
            _ => {}
        }
    }

    /// The list of dependencies that a place belongs to, and the field of the dependency; empty for the dependency itself.
    fn list<'p>(&mut self, path: &'p [String]) -> Option<(&mut Vec<Dependency>, &'p str)> {
        let mut names = path.iter().map(String::as_str);
        let (Some("project"), Some(second)) = (names.next(), names.next()) else { return None };
        let list = match second {
            "dependencies" => &mut self.dependencies,
            "dependencyManagement" if names.next() == Some("dependencies") => &mut self.managed,
            _ => return None,
        };
        let is_dependency = names.next() == Some("dependency");
        let field = names.next().unwrap_or_default();
        (is_dependency && names.next().is_none()).then_some((list, field))
    }

    fn finish(&self, lock: &mut Lock<'_, '_>) {
        let limit = lock.limits().field_bytes;
        let value = |text: &str| Values { project: self, limit, steps: 0 }.resolve(text);
        let name = |dependency: &Dependency| {
            Some(format!("{}:{}", value(&dependency.group)?, value(&dependency.artifact)?))
        };
        let managed: HashMap<_, _> =
            self.managed.iter().filter_map(|dependency| Some((name(dependency)?, dependency))).collect();
        let mut without_version = 0_u64;
        for dependency in &self.dependencies {
            let name = name(dependency);
            let managed = name.as_ref().and_then(|name| managed.get(name));
            let choose = |own: fn(&Dependency) -> &str| match (own(dependency), managed) {
                ("", Some(managed)) => value(own(managed)),
                (own, _) => value(own),
            };
            if choose(|dependency| &dependency.scope).is_some_and(|scope| scope == "test") {
                continue;
            }
            let version = choose(|dependency| &dependency.version);
            match (name, version.as_deref().and_then(exact)) {
                (Some(name), Some(version)) => lock.row(Row::new(name, version.to_owned())),
                _ => without_version = without_version.saturating_add(1),
            }
        }
        if without_version > 0 {
            lock.unknown(format!("dependencies whose versions are not in this file: {without_version}"));
        }
    }
}

/// The version, if it is one: `1.0`, or `[1.0]`, which allows no other. Ranges have a comma (Maven POM Reference,
/// "Dependency Version Requirement Specification").
fn exact(version: &str) -> Option<&str> {
    let inner = version.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(version);
    (!inner.is_empty() && !inner.contains([',', '[', ']', '(', ')'])).then_some(inner)
}

/// Puts values in the place of `${name}`.
struct Values<'a> {
    project: &'a Project,
    /// Bytes of a value.
    limit: usize,
    /// Names that were looked up. Properties may name each other, and so grow without end.
    steps: u32,
}

impl<'a> Values<'a> {
    fn resolve(&mut self, text: &str) -> Option<String> {
        self.resolve_within(text, 0)
    }

    fn resolve_within(&mut self, text: &str, depth: u32) -> Option<String> {
        /// More than any POM has.
        const STEPS: u32 = 100;
        const DEPTH: u32 = 16;

        // A property may be as long as the file, and named by all of it.
        if text.len() > self.limit {
            return None;
        }
        let mut resolved = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            self.steps = self.steps.saturating_add(1);
            if self.steps > STEPS || depth > DEPTH {
                return None;
            }
            let value = self.property(name)?;
            self.push(&mut resolved, before)?;
            let value = self.resolve_within(value, depth.saturating_add(1))?;
            self.push(&mut resolved, &value)?;
            rest = after;
        }
        self.push(&mut resolved, rest)?;
        Some(resolved)
    }

    /// Adds a part of a value, unless that makes it too long.
    fn push(&self, resolved: &mut String, part: &str) -> Option<()> {
        if resolved.len().saturating_add(part.len()) > self.limit {
            return None;
        }
        resolved.push_str(part);
        Some(())
    }

    fn property(&self, name: &str) -> Option<&'a String> {
        let texts = &self.project.texts;
        // The project's own names; `pom.` is their older form.
        let own = name
            .strip_prefix("project.")
            .or_else(|| name.strip_prefix("pom."))
            .map(|own| own.replace('.', "/"));
        match own.as_deref() {
            // What the project does not say it has from its parent.
            Some(field @ ("version" | "groupId")) => {
                texts.get(field).or_else(|| texts.get(&format!("parent/{field}")))
            }
            Some(field @ ("artifactId" | "parent/version" | "parent/groupId" | "parent/artifactId")) => {
                texts.get(field)
            }
            _ => texts.get(&format!("properties/{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::{only_rows, rows};

    fn project(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<!-- x -->\n<project xmlns=\"http://maven.apache.org/POM/4.0.0\">{inner}</project>\n"
        )
    }

    fn dependency(group: &str, artifact: &str, rest: &str) -> String {
        format!(
            "<dependency>\n  <groupId>{group}</groupId>\n  <artifactId> {artifact} </artifactId>{rest}\n</dependency>"
        )
    }

    #[test]
    fn versions_of_the_same_file() {
        let inner = [
            "<parent><groupId>com.example</groupId><artifactId>p</artifactId><version>7</version></parent>",
            "<artifactId>app</artifactId><properties><a.version>1.0</a.version><b>${a.version}.1</b></properties>",
            "<dependencyManagement><dependencies>",
            &dependency("org.m", "m", "<version>3.0</version>"),
            &dependency("org.t", "t", "<version>3.0</version><scope>test</scope>"),
            "</dependencies></dependencyManagement><dependencies>",
            &dependency("org.a", "a", "<version>${a.version}</version>"),
            &dependency(
                "org.b",
                "b",
                "<version>${b}</version><exclusions><exclusion><groupId>x</groupId></exclusion></exclusions>",
            ),
            &dependency("${project.groupId}", "c", "<version>${project.version}</version>"),
            &dependency("org.m", "m", ""),
            &dependency("org.t", "t", ""),
            &dependency("org.u", "u", "<version>[2.0]</version><scope>runtime</scope>"),
            "</dependencies><build><plugins><plugin><dependencies>",
            &dependency("org.p", "p", "<version>1</version>"),
            "</dependencies></plugin></plugins></build>",
        ];
        let expected = ["org.a:a 1.0", "org.b:b 1.0.1", "com.example:c 7", "org.m:m 3.0", "org.u:u 2.0"];
        assert_eq!(only_rows(PackageKind::Maven, &project(&inner.concat()), parse), expected);
    }

    #[test]
    fn versions_that_are_not_known_are_counted() {
        let inner = [
            "<properties><a>${b}${b}</a><b>${c}${c}</b><c>${a}</c></properties><dependencies>",
            &dependency("org.a", "a", "<version>${a}</version>"),
            &dependency("org.b", "b", "<version>[1,2)</version>"),
            &dependency("org.c", "c", ""),
            &dependency("org.d", "d", "<version>1</version>"),
            "</dependencies>",
        ];
        let (rows, problems) = rows(PackageKind::Maven, &project(&inner.concat()), parse);
        assert_eq!(rows, ["org.d:d 1"]);
        assert_eq!(problems, ["dependencies whose versions are not in this file: 3"]);
    }

    #[test]
    fn entities_are_not_expanded_and_damage_is_reported() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"1\"><!ENTITY b \"&a;&a;\">]>".to_owned()
            + &project(&format!(
                "<dependencies>{}</dependencies>",
                dependency("g", "a", "<version>&b;</version>")
            ));
        let (rows, problems) = rows(PackageKind::Maven, &bomb, parse);
        assert_eq!((rows.len(), problems.len()), (0, 1), "{problems:?}");
        for (text, expected) in [
            ("<project><dependencies>".to_owned(), "it ends within"),
            ("<a>".repeat(200), "more than 100"),
            ("<a></b>".to_owned(), "expected"),
        ] {
            let (_, problems) = self::rows(PackageKind::Maven, &text, parse);
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:?}");
        }
    }

    #[test]
    fn a_property_of_megabytes_is_not_copied_for_each_that_names_it() {
        let dependency = "<dependency><groupId>${p}</groupId><version>${p}</version></dependency>";
        let text = format!(
            "<project><properties><p>{}</p></properties><dependencies>{}</dependencies></project>",
            "x".repeat(8 << 20),
            dependency.repeat(20_000)
        );
        let began = std::time::Instant::now();
        let (rows, problems) = rows(PackageKind::Maven, &text, parse);
        assert_eq!((rows.len(), problems.len()), (0, 1));
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }
}
