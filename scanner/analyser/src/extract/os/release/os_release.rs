//! os-release(5).

use std::collections::BTreeMap;

use super::legacy::{Named, UNSTABLE, alpine};

/// The default of `ID`.
pub(super) const NO_ID: &str = "linux";
/// The version of a branch that never ends.
pub(super) const ROLLING: &str = super::legacy::EDGE;

/// What an os-release file says, with the ids that advisories are published under where one `ID` stands for several systems.
pub(super) fn read(content: &[u8]) -> Named {
    let mut fields = parse(content);
    let name = fields.remove("NAME");
    let for_people = fields.remove("PRETTY_NAME").or_else(|| name.clone());
    let is_named = |known: &str| name.as_deref().is_some_and(|name| name.starts_with(known));
    let id = match fields.remove("ID") {
        None => NO_ID.to_owned(),
        Some(id) => match id.as_str() {
            "centos" if is_named("CentOS Stream") => "centos-stream".to_owned(),
            "opensuse" if is_named("openSUSE Leap") => "opensuse-leap".to_owned(),
            "opensuse" if is_named("openSUSE Tumbleweed") => "opensuse-tumbleweed".to_owned(),
            _ => id,
        },
    };
    let mut version = fields.remove("VERSION_ID");
    if id == "alpine" {
        // The development branch has the number that will be its next release's.
        version = version.map(|version| alpine(&version).unwrap_or(version));
    }
    if id == "debian" && for_people.as_deref().is_some_and(|name| name.ends_with("/sid")) {
        version = Some(UNSTABLE.to_owned());
    }
    Named { id, version, name: for_people }
}

/// The assignments of an os-release file that are wanted, without empty ones. As os-release(5) asks, lines that are not understood are
/// left out. Control characters do not reach the values.
fn parse(content: &[u8]) -> BTreeMap<&'static str, String> {
    const WANTED: [&str; 4] = ["ID", "NAME", "PRETTY_NAME", "VERSION_ID"];

    String::from_utf8_lossy(content)
        .lines()
        .filter_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            let name = WANTED.iter().find(|&&wanted| wanted == name)?;
            let value: String = unquote(value)?.chars().filter(|character| !character.is_control()).collect();
            (!value.is_empty()).then_some((*name, value))
        })
        .collect()
}

/// Removes quotes as a shell would; `None` if a quote is not closed.
fn unquote(value: &str) -> Option<String> {
    if let Some(quoted) = value.strip_prefix('\'') {
        return quoted.strip_suffix('\'').map(str::to_owned);
    }
    let Some(quoted) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let mut text = String::new();
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next()? } else { character });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_as_a_shell_reads_them() {
        let fields = parse(
            b"# comment\nID=debian\nVERSION_ID=\"12\"\r\nNAME='Debian \"GNU\"'\nPRETTY_NAME=\"a \\\"b\\\" \\$c\"\n\
              NAME=\n  VERSION_ID=\"\x1b[2J\"\nVERSION_ID=\"y\nnot an assignment\nA B=c\nOTHER=x\n",
        );
        let expected = [
            ("ID", "debian"),
            ("NAME", "Debian \"GNU\""),
            ("PRETTY_NAME", "a \"b\" $c"),
            ("VERSION_ID", "[2J"),
        ];
        assert_eq!(fields.iter().map(|(name, value)| (*name, &value[..])).collect::<Vec<_>>(), expected);
    }
}
