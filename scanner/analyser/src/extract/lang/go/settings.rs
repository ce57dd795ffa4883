//! The flags that Go's linker was given, and the version of the program among them.

/// The linker's flags, if this setting, `key=value`, has them.
///
/// A value with space or quotes in it is written as a string literal of Go (`BuildInfo.String`).
pub(super) fn linker_flags(setting: &str) -> Option<String> {
    let value = setting.strip_prefix("-ldflags=")?;
    if let Some(raw) = value.strip_prefix('`') {
        return raw.strip_suffix('`').map(str::to_owned);
    }
    match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted.strip_suffix('"')?),
        None => Some(value.to_owned()),
    }
}

/// What an interpreted string literal stands for. Flags with other escapes than these few are none that are understood.
fn unquoted(literal: &str) -> Option<String> {
    let mut text = String::with_capacity(literal.len());
    let mut characters = literal.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                same @ ('\\' | '"' | '\'') => same,
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

/// The version that the flag `-X PACKAGE.NAME=VALUE` gives to the main module, with the `v` of versions of modules.
///
/// Believed is a variable named `version`, in upper or lower case, of the main package or of one of the main module, whose
/// value looks like a version. That of the main package goes before others; if these contradict each other, none is right.
pub(super) fn version(flags: &str, module: &str) -> Option<String> {
    let words = words(flags);
    let mut settings = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
        match flag {
            Some("X") => settings.extend(rest.next().map(String::as_str)),
            Some(flag) => settings.extend(flag.strip_prefix("X=")),
            None => {}
        }
    }
    let versions = settings.into_iter().filter_map(|setting| {
        let (variable, value) = setting.split_once('=')?;
        let (package, name) = variable.rsplit_once('.')?;
        let is_ours = package == "main"
            || package.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (is_ours && name.eq_ignore_ascii_case("version")).then(|| Some((package, release(value)?))).flatten()
    });
    let versions: Vec<_> = versions.collect();
    if let Some((_, version)) = versions.iter().find(|(package, _)| *package == "main") {
        return Some(version.clone());
    }
    let (_, first) = versions.first()?;
    versions.iter().all(|(_, version)| version == first).then(|| first.clone())
}

/// A value as the version of a module, if it is one: two numbers at least.
fn release(value: &str) -> Option<String> {
    let number = value.strip_prefix('v').unwrap_or(value);
    let (major, rest) = number.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_known = |character: char| character.is_ascii_alphanumeric() || ".-+".contains(character);
    let is_version = is_number(major)
        && rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.chars().all(is_known);
    is_version.then(|| format!("v{number}"))
}

/// The words of the flags: with space between them, and quotes of either kind around a whole word that has space in it.
fn words(flags: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = flags.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, tail) = match first {
            '"' | '\'' => {
                let quoted = rest.get(1..).unwrap_or_default();
                quoted.split_once(first).unwrap_or((quoted, ""))
            }
            _ => rest.split_once(|character: char| character.is_ascii_whitespace()).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = tail.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_out_of_their_quotes() {
        for (setting, expected) in [
            ("-ldflags=-s", Some("-s")),
            ("-ldflags=\"-s -X \\\"main.a=b c\\\"\"", Some("-s -X \"main.a=b c\"")),
            ("-ldflags=`-s \"x\"`", Some("-s \"x\"")),
            ("-ldflags=\"\\u0041\"", None),
            ("-ldflags=\"", None),
            ("-tags=a", None),
        ] {
            assert_eq!(linker_flags(setting).as_deref(), expected, "{setting}");
        }
    }

    #[test]
    fn the_version_of_the_main_module_is_found_among_others() {
        for (flags, expected) in [
            ("-s -w -X main.version=1.5.0", Some("v1.5.0")),
            ("-X=main.Version=v1.5.0-rc.1", Some("v1.5.0-rc.1")),
            ("--X 'main.VERSION=v24.0.7+dirty'", Some("v24.0.7+dirty")),
            ("-X example.com/a/internal/version.Version=2.0 -X \"main.date=1 2\"", Some("v2.0")),
            ("-X example.com/a/x.Version=2.0 -X example.com/a/y.Version=3.0", None),
            ("-X example.com/a/x.Version=2.0 -X main.version=3.0", Some("v3.0")),
            ("-X example.com/ab.Version=2.0", None),
            ("-X other.org/b.Version=2.0", None),
            ("-X main.version=dev", None),
            ("-X main.version=2024", None),
            ("-X main.version=1.x", None),
            ("-X main.goVersion=1.2", None),
            ("-X", None),
            ("-X '", None),
            ("", None),
        ] {
            assert_eq!(version(flags, "example.com/a").as_deref(), expected, "{flags}");
        }
    }
}
