//! Parts of a lock file, one at a time: a damaged one costs itself, and a large file no more memory than its largest one.

use std::borrow::Cow;

use super::Lock;
use crate::extract::format::document::{self, Value};
use crate::extract::format::text::shown;
use crate::limits::Limits;

/// What is done with the section, the name and the value of an entry.
type Entry<'e, 'd, 'a> = dyn FnMut(&mut Lock<'a, '_>, &str, Cow<'d, str>, Value<'d>) + 'e;

/// Calls `entry` for each entry of those sections of a JSON document that are wanted, as [`document::json_entries`] does.
pub(in crate::extract::lock) fn json_entries<'d, 'a>(
    text: &'d str,
    sections: &[&str],
    lock: &mut Lock<'a, '_>,
    entry: &mut Entry<'_, 'd, 'a>,
) {
    let most = lock.limits().lock_entry_bytes;
    let outcome = document::json_entries(text, sections, most, &mut |section, name, value| {
        match value {
        Some(value) => entry(lock, section, name, value),
        None => lock.unknown(format!(
            "the entry {:?} of {section} takes more than {most} bytes of memory, the limit (`lock_entry_bytes`)",
            shown(&name)
        )),
    }
    });
    if let Err(error) = outcome {
        lock.unknown(error);
    }
}

/// Calls `stanza` for each `[[section]]` of a TOML document, with the number of its first line.
pub(in crate::extract::lock) fn toml_stanzas<'a>(
    text: &'a str,
    section: &str,
    lock: &mut Lock<'a, '_>,
    stanza: &mut dyn FnMut(&mut Lock<'a, '_>, &Value<'_>),
) {
    let header = format!("[[{section}]]");
    let parts = [format!("[{section}."), format!("[[{section}.")];
    let mut start = None;
    let mut next = 0_usize;
    let lines = text.split_inclusive('\n').map(Some).chain([None]);
    for (number, line) in (1_u64..).zip(lines) {
        let offset = next;
        next = next.saturating_add(line.map_or(0, str::len));
        let is_header = line.is_some_and(|line| {
            let line = line.trim();
            line.strip_prefix(&header).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '#']))
        });
        let ends = line.is_none_or(|line| {
            is_header || line.starts_with('[') && !parts.iter().any(|part| line.starts_with(part))
        });
        if !ends {
            continue;
        }
        if let Some((from, first)) = start.take() {
            let part = text.get(from..offset).unwrap_or_default();
            match toml_stanza(part, lock.limits()) {
                Ok(value) => {
                    stanza(lock, value.get(section).list().first().unwrap_or(&Value::Other));
                }
                Err(problem) => lock.unknown(format!("[[{section}]] at line {first}: {problem}")),
            }
        }
        if is_header {
            start = Some((offset, number));
        }
    }
}

fn toml_stanza<'a>(text: &'a str, limits: &Limits) -> Result<Value<'a>, String> {
    let limit = limits.small_file_bytes;
    if agentless_core::number::to_u64(text.len()) > limit {
        return Err(format!("more than {limit} bytes, the limit (`small_file_bytes`)"));
    }
    let most = limits.lock_entry_bytes;
    let parsed = toml::Deserializer::parse(text).and_then(|stanza| document::value(stanza, most));
    parsed
        .map_err(|error| error.message().to_owned())?
        .ok_or_else(|| format!("it takes more than {most} bytes of memory, the limit (`lock_entry_bytes`)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::run;
    use crate::package::PackageKind;

    #[test]
    fn a_damaged_stanza_costs_itself() {
        let text = "version = 1\n[[package]]\nname = 'a'\n[package.x]\ny = 1\n[[package]] # b\nname = \n\
                    [[package]]\nname = \"c\"\n[metadata]\nname = 'd'\n[[packages]]\nname = 'e'";
        let mut names = Vec::new();
        let mut problems = Vec::new();
        run(
            PackageKind::Cargo,
            text.into(),
            &Limits::default(),
            |text, lock| {
                toml_stanzas(text, "package", lock, &mut |_, value| {
                    names.push(value.get("name").text().unwrap().to_string());
                });
            },
            &mut |finding| problems.push(finding.unwrap_err()),
        );
        assert_eq!(names, ["a", "c"]);
        assert!(problems.len() == 1 && problems[0].contains("at line 6: "), "{problems:?}");
    }
}
