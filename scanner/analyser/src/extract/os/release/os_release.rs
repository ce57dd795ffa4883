//! `os/release`: which operating system a filesystem holds.

use std::collections::BTreeMap;

use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;

/// Reads os-release(5), and for Debian the file that holds the point release.
#[derive(Clone, Copy, Debug)]
pub struct Release;

const DEBIAN_VERSION: &str = "/etc/debian_version";

impl Extractor for Release {
    fn name(&self) -> &'static str {
        "os/release"
    }

    fn description(&self) -> &'static str {
        "Name and version of the operating system"
    }

    fn interest(&self) -> &'static [Interest] {
        // The order is the priority: the first file that names a system stands.
        &[
            Interest::Exact("/etc/os-release"),
            Interest::Exact("/usr/lib/os-release"),
            Interest::Exact(DEBIAN_VERSION),
        ]
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let content = input.read_small()?;
        if *input.path() == FsPath::new(DEBIAN_VERSION) {
            // Reached last: stands only where no os-release does, which Debian has since version 7.
            if let Some(version) = point_release(&content) {
                report.operating_system("debian".to_owned(), Some(version), None);
            }
            return Ok(());
        }
        let mut fields = parse(&content);
        let mut field = |name: &str| {
            let value = fields.remove(name)?;
            let limit = input.limits().os_field_bytes;
            if value.len() > limit {
                let length = value.len();
                report.unknown(format!(
                    "its {name} has {length} bytes; the limit is {limit} (`os_field_bytes`)"
                ));
                return None;
            }
            Some(value)
        };
        // Defaults of os-release(5).
        let id = field("ID").unwrap_or_else(|| "linux".to_owned());
        let name = field("PRETTY_NAME").or_else(|| field("NAME"));
        let mut version = field("VERSION_ID");
        if id == "debian" {
            match input.read_side(&FsPath::new(DEBIAN_VERSION)) {
                Ok(content) => version = content.and_then(|content| point_release(&content)).or(version),
                Err(error) => report.unknown(format!("{DEBIAN_VERSION}: {}", crate::chain(&error))),
            }
        }
        report.operating_system(id, version, name);
        Ok(())
    }
}

/// The point release, such as `12.15`. Testing and unstable have none: their file says `trixie/sid`.
fn point_release(content: &[u8]) -> Option<String> {
    let text = str::from_utf8(content).ok()?.trim();
    let is_version = text.starts_with(|first: char| first.is_ascii_digit())
        && text.len() <= 32
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_version.then(|| text.to_owned())
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

    #[test]
    fn only_a_number_is_a_point_release() {
        assert_eq!(point_release(b"12.15\n").as_deref(), Some("12.15"));
        assert_eq!(point_release(b"trixie/sid\n"), None);
        assert_eq!(point_release(b"12; rm"), None);
        assert_eq!(point_release(b""), None);
        assert_eq!(point_release(b"\xff"), None);
    }
}
