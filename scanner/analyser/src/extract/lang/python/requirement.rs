//! What a distribution needs.

use crate::package::PackageKind;

/// The name of a distribution that is needed (packaging.python.org, "Dependency specifiers"), as it is compared: for
/// `Foo_Bar[extra] (>=1.0) ; python_version < "3.8"` it is `foo-bar`. None for one that only a chosen extra needs.
pub(super) fn requirement(specifier: &str) -> Option<String> {
    let (needed, marker) = specifier.split_once(';').unwrap_or((specifier, ""));
    let is_variable = |word: &str| word == "extra";
    if marker.split(|character: char| !character.is_ascii_alphanumeric() && character != '_').any(is_variable)
    {
        return None;
    }
    let needed = needed.trim_start();
    let is_in_name =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    let end = needed.find(|character| !is_in_name(character)).unwrap_or(needed.len());
    let name = needed.get(..end).unwrap_or_default();
    (!name.is_empty()).then(|| PackageKind::Pypi.compared_name(name).into_owned())
}

/// What `requires.txt` says is needed in any case (setuptools, "Egg metadata"): what comes before its first section, and
/// in sections such as `[:python_version < "3"]`, which name a marker and no extra.
pub(super) fn required_always(requirements: &str) -> impl Iterator<Item = String> {
    let mut is_always = true;
    requirements.lines().filter_map(move |line| {
        if let Some(section) = line.trim_start().strip_prefix('[') {
            is_always = section.starts_with(':');
            return None;
        }
        if is_always { requirement(line) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specifier_begins_with_a_name() {
        for (specifier, expected) in [
            ("Foo_Bar[extra] (>=1.0) ; python_version < \"3.8\"", Some("foo-bar")),
            ("a.b @ https://example.org/a.whl", Some("a-b")),
            ("a; extra == 'x'", None),
            ("a; python_version < '3' and (extra=='x')", None),
            ("a; platform_machine == 'extras'", Some("a")),
            ("", None),
            ("# a", None),
        ] {
            assert_eq!(requirement(specifier).as_deref(), expected, "{specifier}");
        }
    }

    #[test]
    fn requirements_of_extras_are_left_out() {
        let requirements =
            "a>=1\n\n[:python_version < \"3\"]\nb\n[extra]\nc\n[extra:python_version < \"3\"]\nd\n";
        assert_eq!(required_always(requirements).collect::<Vec<_>>(), ["a", "b"]);
    }
}
