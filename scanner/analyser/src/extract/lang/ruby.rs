//! `lang/ruby`: installed Ruby gems.
//!
//! A gem's specification is a Ruby program. `gem install` writes it, in a form that it always keeps, so that what is wanted
//! can be read without running it; where somebody wrote it by hand, the name of the file has name and version.

use crate::extract::format::text::{self, Listed, shown};
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::package::{Certainty, Details, PackageKind};

/// Reads the `*.gemspec` in `specifications` and `specifications/default`.
#[derive(Clone, Copy, Debug)]
pub struct Ruby;

impl Extractor for Ruby {
    fn name(&self) -> &'static str {
        "lang/ruby"
    }

    fn description(&self) -> &'static str {
        "installed Ruby gems"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Suffix(".gemspec")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        // Directly in it, or in a folder of it: `default` has what comes with Ruby.
        path.components().rev().skip(1).take(2).any(|folder| folder == b"specifications")
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let content = text::decoded(input.read_small()?);
        let file_name = input.path().file_name().unwrap_or_default();
        let stem =
            String::from_utf8_lossy(file_name.get(..file_name.len().saturating_sub(8)).unwrap_or_default());
        match found(&content, &stem, input.limits()) {
            Ok(found) => report.package(found),
            Err(problem) => report.unknown(problem),
        }
        Ok(())
    }
}

/// Reads a specification of any bytes, for fuzzing: it must come back without a panic.
pub fn fuzz_gemspec(content: &[u8]) {
    let content = text::decoded(content.to_vec());
    drop(found(&content, "name-1.0", &Limits::default()));
}

/// The gem of a specification in a file with this name, less its suffix.
fn found(content: &str, stem: &str, limits: &Limits) -> Result<Found, String> {
    let Specification { name, version, licenses, depends_on } = Specification::read(content, limits);
    let is_usable = |what: &Option<String>| text::optional(what.as_deref(), limits).is_some();
    let certainty =
        if is_usable(&name) && is_usable(&version) { Certainty::Recorded } else { Certainty::Guessed };
    let (guessed_name, guessed_version) = named_by(stem, name.as_deref());
    let name = name.as_deref().or(guessed_name);
    let name = text::needed("name", name, limits)?;
    let version = version.as_deref().or(guessed_version);
    let version = text::needed("version", version, limits)
        .map_err(|problem| format!("gem {:?} {problem}", shown(&name)))?;
    let details = Details {
        licenses: licenses.into_vec(),
        depends_on: depends_on.into_vec(),
        certainty,
        ..Details::default()
    };
    Ok(Found { details, ..Found::new(PackageKind::Gem, name, version) })
}

/// What a specification says in words that need no Ruby to understand (guides.rubygems.org, "Specification reference").
#[derive(Debug, Default)]
struct Specification {
    name: Option<String>,
    version: Option<String>,
    licenses: Listed,
    depends_on: Listed,
}

impl Specification {
    fn read(content: &str, limits: &Limits) -> Self {
        const NEW: &str = "Gem::Specification.new";

        let mut specification = Self::default();
        let mut stub = None;
        // The lines, each with what follows it: a list may go on in the next ones.
        let mut rest = content;
        let mut is_inside = false;
        while !rest.is_empty() {
            let line = rest.split('\n').next().unwrap_or_default();
            let here = rest;
            rest = rest.get(line.len().saturating_add(1)..).unwrap_or_default();
            if let Some(comment) = line.trim_start().strip_prefix('#') {
                stub = stub.or_else(|| comment.trim_start().strip_prefix("stub: "));
            } else if let Some((_, arguments)) = line.split_once(NEW) {
                is_inside = true;
                let mut arguments = literals(arguments.trim_start_matches(['(', ' ']));
                specification.name = specification.name.or_else(|| arguments.next());
                specification.version = specification.version.or_else(|| arguments.next());
            } else if is_inside && let Some((attribute, value)) = attribute(here, line) {
                specification.set(attribute, value, limits);
            }
        }
        // `gem` itself reads this line, so that it need not run the file: name, version, platform, and where its
        // files are.
        let mut words = stub.unwrap_or_default().split_ascii_whitespace().map(str::to_owned);
        let (name, version) = (words.next(), words.next());
        specification.name = specification.name.or(name);
        specification.version = specification.version.or(version);
        specification
    }

    /// Takes an attribute's value, with which `value` begins. Of name and version the first one stands.
    fn set(&mut self, attribute: &str, value: &str, limits: &Limits) {
        /// Bytes that are looked at for one value. Against lines without end that each begin a string without end.
        const MOST: usize = 1024;

        let value = value.get(..value.floor_char_boundary(MOST)).unwrap_or_default();
        match attribute {
            "name" => self.name = self.name.take().or_else(|| literal(value)),
            "version" => {
                let value = value.strip_prefix("Gem::Version.new").unwrap_or(value);
                let value = value.trim_start_matches(['(', ' ']);
                self.version = self.version.take().or_else(|| literal(value));
            }
            "license" | "licenses" => {
                literals(value.trim_start_matches('[').trim_start())
                    .for_each(|license| self.licenses.add(&license, limits));
            }
            "add_dependency" | "add_runtime_dependency" => {
                if let Some(name) = literal(value) {
                    self.depends_on.add(&name, limits);
                }
            }
            _ => {}
        }
    }
}

/// The attribute that a line sets or the method that it calls, and what follows: `s.name = "a"`, `s.add_dependency("b")`.
/// `here` is the line and all that follows.
fn attribute<'a>(here: &'a str, line: &str) -> Option<(&'a str, &'a str)> {
    let indented = line.len();
    let line = line.trim_start();
    let here = here.get(indented.checked_sub(line.len())?..)?;
    let is_in_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let (variable, rest) = line.split_once('.')?;
    let length = rest.find(|character| !is_in_name(character))?;
    if variable.is_empty() || !variable.chars().all(is_in_name) {
        return None;
    }
    let start = variable.len().checked_add(1)?;
    let (attribute, rest) = here.get(start..)?.split_at_checked(length)?;
    let rest = rest.trim_start_matches(' ');
    let value = match rest.strip_prefix('=') {
        Some(value) if !value.starts_with(['=', '~', '>']) => value,
        Some(_) => return None,
        None => rest.strip_prefix('(').unwrap_or(rest),
    };
    Some((attribute, value.trim_start()))
}

/// The literals that `text` begins with, separated by commas.
fn literals(text: &str) -> impl Iterator<Item = String> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (value, after) = split_literal(rest.take()?)?;
        rest = after.strip_prefix(',').map(str::trim_start);
        Some(value)
    })
}

/// The literal that `text` begins with.
fn literal(text: &str) -> Option<String> {
    split_literal(text).map(|(value, _)| value)
}

/// Splits off a string that needs no Ruby to understand (docs.ruby-lang.org, "Literals"): in quotes, or as `%q`, `%Q` or
/// `%` with delimiters. None if something is computed for it or with it.
fn split_literal(text: &str) -> Option<(String, &str)> {
    let mut characters = text.chars();
    let (open, is_raw) = match characters.next()? {
        quote @ ('"' | '\'') => (quote, quote == '\''),
        '%' => match characters.next()? {
            'q' => (characters.next()?, true),
            'Q' => (characters.next()?, false),
            open => (open, false),
        },
        _ => return None,
    };
    if open.is_alphanumeric() || open.is_whitespace() {
        return None;
    }
    let close = match open {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        '<' => '>',
        same => same,
    };
    let mut value = String::new();
    let mut depth = 0_usize;
    loop {
        match characters.next()? {
            '\\' => match characters.next()? {
                character if character == open || character == close || character == '\\' => {
                    value.push(character);
                }
                character if is_raw => value.extend(['\\', character]),
                // No name, version or licence has such a character.
                _ => return None,
            },
            '#' if !is_raw && characters.as_str().starts_with('{') => return None,
            character if character == close => match depth.checked_sub(1) {
                Some(outer) => {
                    depth = outer;
                    value.push(character);
                }
                None => break,
            },
            character => {
                if character == open {
                    depth = depth.saturating_add(1);
                }
                value.push(character);
            }
        }
    }
    let mut after = characters.as_str();
    for method in [".freeze", ".dup"] {
        after = after.strip_prefix(method).unwrap_or(after);
    }
    let after = after.trim_start_matches(' ');
    (!after.starts_with(['.', '+', '%', '*', '[', '<'])).then_some((value, after))
}

/// Name and version in `NAME-VERSION` or `NAME-VERSION-PLATFORM`, where the name may be known. A version begins with a
/// digit, and so may a part of the name or of the platform; what has a dot is more likely it.
fn named_by<'a>(stem: &'a str, known: Option<&str>) -> (Option<&'a str>, Option<&'a str>) {
    let begins_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    let splits = || {
        let parts = stem.match_indices('-').filter_map(|(at, _)| {
            let (name, rest) = stem.split_at_checked(at)?;
            let version = rest.get(1..)?.split('-').next()?;
            (!name.is_empty() && begins_version(version)).then_some((name, version))
        });
        parts.filter(|(name, _)| known.is_none_or(|known| known == *name))
    };
    let split = splits().find(|(_, version)| version.contains('.')).or_else(|| splits().next_back());
    (split.map(|(name, _)| name), split.map(|(_, version)| version))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(content: &str, stem: &str) -> Found {
        found(content, stem, &Limits::default()).unwrap()
    }

    fn name_and_version(found: &Found) -> (&str, &str, Certainty) {
        (&found.name, &found.version, found.details.certainty)
    }

    #[test]
    fn a_specification_that_rubygems_wrote() {
        let found = read(
            "# -*- encoding: utf-8 -*-\n# stub: rails-i18n 7.0.5 ruby lib\n\nGem::Specification.new do |s|\n\
             \x20 s.name = \"rails-i18n\".freeze\n  s.version = \"7.0.5\"\n\n\
             \x20 s.required_rubygems_version = Gem::Requirement.new(\">= 0\".freeze) if s.respond_to? :x=\n\
             \x20 s.licenses = [\"MIT\".freeze, \"Ruby\".freeze]\n\
             \x20 s.installed_by_version = \"3.3.15\" if s.respond_to? :installed_by_version\n\n\
             \x20 if s.respond_to? :specification_version then\n    s.specification_version = 4\n  end\n\n\
             \x20   s.add_runtime_dependency(%q<i18n>.freeze, [\">= 0.7\", \"< 2\"])\n\
             \x20   s.add_runtime_dependency(%q<i18n>.freeze, [\">= 0.7\", \"< 2\"])\n\
             \x20   s.add_development_dependency(%q<rake>.freeze, [\">= 0\"])\nend\n",
            "other-1",
        );
        let details = Details {
            licenses: vec!["MIT".to_owned(), "Ruby".to_owned()],
            depends_on: vec!["i18n".to_owned()],
            ..Details::default()
        };
        assert_eq!(found, Found { details, ..Found::new(PackageKind::Gem, "rails-i18n", "7.0.5") });
    }

    #[test]
    fn a_specification_that_somebody_wrote() {
        let found = read(
            "require 'x'\nspec.name = 'not this'\nGem::Specification.new do |spec|\n  # spec.name = 'nor this'\n\
             spec.name    = %q{a}\n\tspec.version=Gem::Version.new('1.2')\n  spec.license = 'MIT'\n\
             spec.add_dependency 'b', '~> 1'\n  spec.name = 'later'\n  spec.licenses = [\n   'X',\n   'Y']\nend",
            "other-1",
        );
        assert_eq!(name_and_version(&found), ("a", "1.2", Certainty::Recorded));
        assert_eq!(found.details.licenses, ["MIT", "X", "Y"]);
        assert_eq!(found.details.depends_on, ["b"]);
        let found = read("Gem::Specification.new('a', \"2\") { |s|\n}", "other-1");
        assert_eq!(name_and_version(&found), ("a", "2", Certainty::Recorded));
    }

    #[test]
    fn what_is_computed_is_guessed_from_the_file_name() {
        let content = |version: &str| {
            format!("Gem::Specification.new do |s|\ns.name = 'a-b'\ns.version = {version}\nend\n")
        };
        for version in ["A::VERSION", "\"#{x}\"", "'1' + x", "\"1.%d\" % 2", "File.read('v')", "\"unfinished"]
        {
            let found = read(&content(version), "a-b-1.5.0-x86_64-linux");
            assert_eq!(name_and_version(&found), ("a-b", "1.5.0", Certainty::Guessed), "{version}");
        }
        let stub = "# stub: a 1.0 ruby lib\nGem::Specification.new do |s|\nend";
        assert_eq!(name_and_version(&read(stub, "")), ("a", "1.0", Certainty::Recorded));
        assert_eq!(found("", "nothing", &Limits::default()), Err("has no name".to_owned()));
    }

    #[test]
    fn file_names_have_name_version_and_platform() {
        for (stem, expected) in [
            ("rake-13.0.6", Some(("rake", "13.0.6"))),
            ("a-2-b-1.0", Some(("a-2-b", "1.0"))),
            ("nokogiri-1.15.0-x86_64-linux", Some(("nokogiri", "1.15.0"))),
            ("x-1.0-universal-darwin-19", Some(("x", "1.0"))),
            ("x-2-3", Some(("x-2", "3"))),
            ("x", None),
            ("-1.0", None),
        ] {
            let (name, version) = named_by(stem, None);
            assert_eq!(name.zip(version), expected, "{stem}");
        }
        assert_eq!(named_by("x-2-1.0-3", Some("x-2")), (Some("x-2"), Some("1.0")));
    }

    #[test]
    fn strings_are_read_in_each_form() {
        for (text, expected) in [
            ("\"a\".freeze, 1", Some("a")),
            ("'a'", Some("a")),
            ("%q<a<b>c>.freeze", Some("a<b>c")),
            ("%Q(a)", Some("a")),
            ("%{a}", Some("a")),
            ("%q|a|", Some("a")),
            ("\"a\\\"b\\\\\"", Some("a\"b\\")),
            ("'a\\n'", Some("a\\n")),
            ("\"a\\n\"", None),
            ("%w[a b]", None),
            ("name", None),
            ("\"a", None),
            ("", None),
        ] {
            assert_eq!(literal(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_what_is_in_specifications_is_read() {
        for (path, expected) in [
            ("/gems/3.1.0/specifications/a-1.gemspec", true),
            ("/gems/3.1.0/specifications/default/a-1.gemspec", true),
            ("/gems/3.1.0/gems/a-1/a.gemspec", false),
            ("/specifications/x/y/a-1.gemspec", false),
        ] {
            assert_eq!(Ruby.wants(&FsPath::new(path)), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(
            pieces in proptest::collection::vec(prop_oneof![
                Just("Gem::Specification.new"), Just("\ns.name = "), Just("\ns.version="), Just("\ns.licenses = ["),
                Just("\""), Just("'"), Just("%q<"), Just("\\"), Just("#{"), Just("."), Just("\n"), Just("é")], 0..60),
            stem in "[a-z0-9.é-]{0,20}",
        ) {
            if let Ok(found) = found(&pieces.concat(), &stem, &Limits::default()) {
                prop_assert!(!found.name.is_empty() && !found.version.is_empty());
            }
        }
    }
}
