//! The names of files and artifacts.

use crate::limits::Limits;

/// A value that can be a part of a name or a version. One that was to be filled in while the archive was built is none.
pub(super) fn text(value: &str, limits: &Limits) -> Option<String> {
    let is_odd = |character: char| character.is_control() || character.is_whitespace();
    let is_text = !value.is_empty() && value.len() <= limits.field_bytes;
    (is_text && !value.contains(is_odd) && !value.contains("${")).then(|| value.to_owned())
}

/// What a file is named, as Maven's repository layout has it: `artifact-version[-classifier].extension`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileName<'a> {
    pub(super) artifact: &'a str,
    pub(super) version: Option<&'a str>,
}

impl<'a> FileName<'a> {
    /// Splits a file's name. A version begins with a digit; what follows it is a part of it if it begins with a digit as
    /// well or is one of the words that versions have, and a classifier otherwise.
    pub(super) fn split(file_name: &'a str) -> Self {
        let stem = stem(file_name);
        let words: Vec<&str> = stem.split('-').collect();
        // `log4j-1.2-api-2.19.0`: the last number counts, with the numbers and words directly before it.
        let Some(last) = words.iter().rposition(|word| is_number(word)).filter(|&last| last > 0) else {
            return Self { artifact: stem, version: None };
        };
        let head = words.get(..last).unwrap_or_default();
        let mut first = last;
        for (index, word) in head.iter().enumerate().skip(1).rev() {
            if is_number(word) {
                first = index;
            } else if !is_qualifier(word) {
                break;
            }
        }
        let after = words.get(last.saturating_add(1)..).unwrap_or_default();
        let qualifiers = after.iter().take_while(|word| is_qualifier(word));
        let end = qualifiers.fold(last, |end, _| end.saturating_add(1));
        let length = |words: &[&str]| {
            words.iter().fold(0_usize, |sum, word| sum.saturating_add(word.len()).saturating_add(1))
        };
        let start = length(words.get(..first).unwrap_or_default());
        let end = length(words.get(..=end).unwrap_or_default()).saturating_sub(1);
        Self {
            artifact: stem.get(..start.saturating_sub(1)).unwrap_or_default(),
            version: stem.get(start..end),
        }
    }
}

/// A file's name without its ending.
pub(super) fn stem(file_name: &str) -> &str {
    file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem)
}

fn is_number(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
}

/// Words that are a part of a version: those that Maven orders (Version Order Specification), and those of well-known
/// projects.
fn is_qualifier(word: &str) -> bool {
    const WORDS: [&str; 17] = [
        "alpha",
        "android",
        "b",
        "beta",
        "cr",
        "final",
        "ga",
        "incubating",
        "jre",
        "m",
        "milestone",
        "pre",
        "rc",
        "release",
        "snapshot",
        "sp",
        "v",
    ];
    let letters = word.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(word.len());
    let (letters, rest) = word.split_at_checked(letters).unwrap_or_default();
    let is_counted = rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_counted && WORDS.iter().any(|known| letters.eq_ignore_ascii_case(known))
}

/// Whether two names are the same but for what is between their words.
pub(super) fn is_same_name(one: &str, other: &str) -> bool {
    let words = |name: &str| name.replace(['-', '_'], ".");
    words(one) == words(other)
}

/// Whether two versions are the same but for how they are written: `OSGi` has three numbers and a point before the word,
/// `31.1.0.jre` for `31.1-jre`. What is built again from a release may call itself a snapshot of it.
pub(super) fn is_same_version(one: &str, other: &str) -> bool {
    let parts = |version: &str| -> Vec<String> {
        let parts = version.split(|character: char| !character.is_ascii_alphanumeric());
        let parts = parts.map(str::to_ascii_lowercase);
        parts.filter(|part| !matches!(part.as_str(), "" | "0" | "snapshot")).collect()
    };
    parts(one) == parts(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_split_before_its_version() {
        for (name, artifact, version) in [
            ("commons-lang3-3.12.0.jar", "commons-lang3", Some("3.12.0")),
            ("guava-31.1-jre.jar", "guava", Some("31.1-jre")),
            ("log4j-1.2-api-2.19.0.jar", "log4j-1.2-api", Some("2.19.0")),
            ("netty-tcnative-2.0.61.Final-linux-x86_64.jar", "netty-tcnative", Some("2.0.61.Final")),
            ("app-1.0-SNAPSHOT.war", "app", Some("1.0-SNAPSHOT")),
            ("app-1.0-20230101.123456-7.jar", "app", Some("1.0-20230101.123456-7")),
            ("app-1.0-rc-1-sources.jar", "app", Some("1.0-rc-1")),
            ("bcprov-jdk15on-1.70.jar", "bcprov-jdk15on", Some("1.70")),
            ("jackson-module-scala_2.13-2.15.0.jar", "jackson-module-scala_2.13", Some("2.15.0")),
            ("commons-io.jar", "commons-io", None),
            ("4.2.jar", "4.2", None),
            ("-1.jar", "", Some("1")),
            ("", "", None),
        ] {
            assert_eq!(FileName::split(name), FileName { artifact, version }, "{name}");
        }
    }

    #[test]
    fn versions_are_compared_whatever_their_separators() {
        for (one, other) in [
            ("31.1-jre", "31.1.0.jre"),
            ("1.72", "1.72.0"),
            ("4.0.0.Final", "4.final"),
            ("9.4", "9.4-SNAPSHOT"),
        ] {
            assert!(is_same_version(one, other), "{one} {other}");
        }
        assert!(!is_same_version("1.2", "1.2.1"));
    }
}
