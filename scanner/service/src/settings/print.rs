//! The configuration as it takes effect, each value with where it comes from.

use std::fmt::Write as _;

use super::given::Given;
use super::keys::{self, Kind};
use super::node::{Content, Node};
use super::values::Values;
use crate::secret::SecretValue;

/// Writes every key in YAML that a reader takes again; secrets are shown as handles or not at all, and a key without a
/// value as a comment.
pub(super) fn effective(given: &Given) -> String {
    let values = Values(given);
    let mut text = String::new();
    let mut within: Vec<&str> = Vec::new();
    for key in keys::all() {
        let mut names: Vec<&str> = key.path.split('.').collect();
        let Some(name) = names.pop() else { continue };
        let shared = within.iter().zip(&names).take_while(|(one, other)| one == other).count();
        for (depth, section) in names.iter().enumerate().skip(shared) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}{section}:", indent(depth));
        }
        let indent = indent(names.len());
        within = names;
        // A section that was not given stays so: of its keys, defaults are comments.
        let optional =
            keys::sections_of(&key.path).any(|section| OPTIONAL.contains(&section) && !values.has(section));
        let node = values.node(&key.path);
        let _ = match node.as_deref() {
            None => writeln!(text, "{indent}# {name}:  # not set"),
            Some(node) if optional => {
                writeln!(text, "{indent}# {name}: {}  # default", value(key.kind, node))
            }
            Some(node) => writeln!(text, "{indent}{name}: {}  # {}", value(key.kind, node), node.origin),
        };
    }
    text
}

/// Sections whose presence means something.
const OPTIONAL: &[&str] = &["sinks.files", "sinks.s3", "sinks.datadog", "sinks.https", "lifecycle"];

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn value(kind: Kind, node: &Node) -> String {
    match &node.content {
        Content::Null => "null".to_owned(),
        Content::Scalar { text, .. } => match kind {
            Kind::Secret => scalar(&SecretValue::parse(text).to_string()),
            // These were checked to be so without quotes.
            Kind::Bool | Kind::Number { .. } => text.clone(),
            _ => scalar(text),
        },
        Content::List(list) => {
            let elements: Vec<_> = list.iter().map(|node| value(kind, node)).collect();
            format!("[{}]", elements.join(", "))
        }
        Content::Map(entries) => {
            let entries = entries.iter().filter(|(_, node)| !node.is_null());
            let entries: Vec<_> = entries
                .map(|(name, node)| format!("{}: {}", scalar(&name.text), value(kind, node)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// A text in YAML, in quotes unless it is a plain word beyond doubt.
fn scalar(text: &str) -> String {
    let is_word = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if is_word {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            // YAML's own escapes for what is not printable, and for what would act on a terminal.
            _ if character.is_ascii() && !character.is_control() => quoted.push(character),
            _ if character.is_alphanumeric() => quoted.push(character),
            _ => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(character));
            }
        }
    }
    quoted.push('"');
    quoted
}
