//! `lock/pip`: what a requirements file pins.
//!
//! Only `name==version` and `name===version` say what is to be installed; other requirements, and files that this one
//! includes, do not. Conditions are not evaluated: what is pinned for some machine is listed.

use std::borrow::Cow;

use crate::extract::lock::lockfile::{self, Lock, Row};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `requirements.txt`.
#[derive(Clone, Copy, Debug)]
pub struct Pip;

impl Extractor for Pip {
    fn name(&self) -> &'static str {
        "lock/pip"
    }

    fn description(&self) -> &'static str {
        "Python packages pinned for pip"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("requirements.txt")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Pypi, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    let mut lines = (1_u64..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let mut logical = Cow::Borrowed(line);
        // A backslash at the end joins a line with the next one.
        while logical.ends_with('\\') {
            let begun = logical.to_mut();
            begun.pop();
            begun.push_str(lines.next().map_or("", |(_, next)| next));
        }
        match requirement(&logical) {
            Ok(Some((name, version))) => lock.row(Row::new(name.to_owned(), version.to_owned())),
            Ok(None) => {}
            Err(()) => lock.unknown(format!("line {number} is not a requirement")),
        }
    }
}

/// The name and version that a line pins, if it pins one.
fn requirement(line: &str) -> Result<Option<(&str, &str)>, ()> {
    // A comment begins at the start of a line or after space, since URLs have fragments.
    let comment = line.match_indices('#').map(|(place, _)| place);
    let is_after_space = |place: &usize| {
        line.get(..*place).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t']))
    };
    let line = line.get(..comment.into_iter().find(is_after_space).unwrap_or(line.len())).unwrap_or_default();
    // Conditions follow a semicolon, options of the requirement, such as hashes, ` --`.
    let line = line.split(';').next().unwrap_or_default();
    let line = line.split(" --").next().unwrap_or_default().trim();
    let is_a_place = line.contains(['/', '\\']) || line.contains(" @") || line.starts_with('.');
    if line.is_empty() || line.starts_with('-') || is_a_place {
        return Ok(None);
    }
    let end = line.find(|character: char| !is_of_a_name(character)).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(end).ok_or(())?;
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']').ok_or(())?.1.trim_start(),
        None => rest,
    };
    if name.is_empty() || !(rest.is_empty() || rest.starts_with(['=', '<', '>', '!', '~', '('])) {
        return Err(());
    }
    let rest = rest.trim_start_matches('(').trim_end_matches(')');
    let mut exact = rest.split(',').filter_map(|specifier| {
        let version = specifier.trim().strip_prefix("==")?;
        Some(version.strip_prefix('=').unwrap_or(version).trim())
    });
    // `1.*` stands for many versions.
    Ok(exact.find(|version| !version.ends_with('*')).map(|version| (name, version)))
}

/// PEP 508.
fn is_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::{only_rows, rows};

    #[test]
    fn exact_pins() {
        let text = "# comment \\\n--index-url https://example.com\n-r other.txt\n-e .\n\nFlask==2.0.1\n\
            a.b [x,y] == 1.0 ; python_version < '3.8' # why\nlegacy (==1.1)\nexact===2004d\n\
            hashed==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\nloose>=1,<2\nstar==1.*\nboth>=1,==1.5\n\
            https://example.com/x-1.0-py3-none-any.whl#sha256=00\nx @ https://example.com/x==1\n./local\nbare\n\
            local==1.0+cpu;x=='#'\nlast==9\\";
        let expected = [
            "Flask 2.0.1",
            "a.b 1.0",
            "legacy 1.1",
            "exact 2004d",
            "hashed 1.0",
            "both 1.5",
            "local 1.0+cpu",
            "last 9",
        ];
        assert_eq!(only_rows(PackageKind::Pypi, text, parse), expected);
    }

    #[test]
    fn what_is_not_a_requirement_is_reported() {
        let text = "{{ name }}==1\na b==1\nc[==1\nd==1\n==1\ne==\n";
        let (rows, problems) = rows(PackageKind::Pypi, text, parse);
        assert_eq!((rows, problems.len()), (vec!["d 1".to_owned()], 5), "{problems:?}");
    }

    #[test]
    fn a_line_of_many_lines_is_put_together_once() {
        let text = format!("{}\na==1\n", "b==1 --hash=sha256:0123456789abcdef \\\n".repeat(500_000));
        let began = std::time::Instant::now();
        assert_eq!(only_rows(PackageKind::Pypi, &text, parse), ["b 1", "a 1"]);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
