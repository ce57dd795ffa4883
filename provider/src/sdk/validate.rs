//! Checks of a configuration that follow from the schema.

use super::schema::{Attribute, Body, Nesting, Shape};
use super::validator::whole;
use super::{Diagnostic, Path, Raw};

/// What Terraform can do that not every version can.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Whether it knows write-only attributes, as Terraform does from 1.11 on.
    pub(crate) write_only: bool,
}

/// Everything that is wrong with `config` by its schema. Unknown values are not judged.
pub(crate) fn validate(body: &Body, config: &Raw, client: Client) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    validate_body(body, config, client, &Path::root(), &mut diagnostics);
    diagnostics
}

fn validate_body(body: &Body, config: &Raw, client: Client, path: &Path, diagnostics: &mut Vec<Diagnostic>) {
    let Raw::Map(_) = config else { return };
    for attribute in &body.attributes {
        let path = path.attribute(attribute.name);
        validate_attribute(attribute, config.get(attribute.name), client, &path, diagnostics);
    }
    for block in &body.blocks {
        let (config, path) = (config.get(block.name), path.attribute(block.name));
        let written = match config {
            Raw::Null => false,
            Raw::List(elements) => !elements.is_empty(),
            _ => true,
        };
        if let Some(message) = block.deprecation.as_ref().filter(|_| written) {
            diagnostics.push(Diagnostic::warning("Block is deprecated", message.clone()).at(path.clone()));
        }
        validate_nested(block.nesting, &block.body, config, client, &path, diagnostics);
    }
}

fn validate_attribute(
    attribute: &Attribute,
    config: &Raw,
    client: Client,
    path: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) {
    if config.is_null() {
        return;
    }
    if let Some(message) = &attribute.deprecation {
        diagnostics.push(Diagnostic::warning("Attribute is deprecated", message.clone()).at(path.clone()));
    }
    if attribute.write_only && !client.write_only {
        diagnostics.push(
            Diagnostic::error(
                "Write-only attribute is not supported",
                format!(
                    "`{}` is never stored, which needs Terraform 1.11 or later (or another program that supports \
                     write-only attributes).",
                    attribute.name
                ),
            )
            .at(path.clone()),
        );
    }
    if config.is_unknown() {
        return;
    }
    let whole = attribute.whole.then(whole);
    for validator in whole.iter().chain(&attribute.validators) {
        if let Err(problem) = validator.check(config) {
            // The problem may quote the value.
            let detail = if attribute.sensitive {
                format!(
                    "The value of `{path}` is sensitive and not shown. Accepted is: {}.",
                    validator.description()
                )
            } else {
                // Terraform shows the place of an attribute, but not the place within a nested one.
                format!("The value of `{path}` {problem}.")
            };
            diagnostics.push(Diagnostic::error("Invalid value", detail).at(path.clone()));
        }
    }
    if let Shape::Nested(nesting, body) = &attribute.shape {
        validate_nested(*nesting, body, config, client, path, diagnostics);
    }
}

fn validate_nested(
    nesting: Nesting,
    body: &Body,
    config: &Raw,
    client: Client,
    path: &Path,
    diagnostics: &mut Vec<Diagnostic>,
) {
    match (nesting, config) {
        (Nesting::Single, config) => validate_body(body, config, client, path, diagnostics),
        (Nesting::List, Raw::List(elements)) => {
            for (index, config) in elements.iter().enumerate() {
                validate_body(body, config, client, &path.index(index), diagnostics);
            }
        }
        (Nesting::Set, Raw::List(elements)) => {
            // The protocol has no path into a set, so what is wrong in an element is said of the set.
            let mut found = Vec::new();
            for config in elements {
                validate_body(body, config, client, &path.key("…"), &mut found);
            }
            diagnostics.extend(found.into_iter().map(|diagnostic| diagnostic.at(path.clone())));
        }
        (Nesting::Map, Raw::Map(elements)) => {
            for (key, config) in elements {
                validate_body(body, config, client, &path.key(key), diagnostics);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::object;
    use super::*;
    use crate::sdk::{Block, Schema, validator};

    fn problems(config: &Raw, write_only: bool) -> Vec<String> {
        let port = || [Attribute::int("port", "Port.").required().validate(validator::range(1..=9))];
        let schema = Schema::new("Test.")
            .attribute(Attribute::int("size", "Size.").optional())
            .attribute(Attribute::string("old", "Old.").optional().deprecated("Use `new`."))
            .attribute(
                Attribute::string("key", "Key.").optional().write_only().validate(validator::one_of(["a"])),
            )
            .attribute(Attribute::nested_set("set", "Set.", port()).optional())
            .attribute(Attribute::nested_map("map", "Map.", port()).optional())
            .block(Block::list("rule", "Rule.").attributes(port()).deprecated("Use `map`."));
        validate(&schema.body, config, Client { write_only }).iter().map(ToString::to_string).collect()
    }

    fn port(port: i64) -> Raw {
        object([("port", port.into())])
    }

    #[test]
    fn problems_name_the_attribute() {
        let half = Raw::Number("1.5".parse().unwrap());
        assert_eq!(
            problems(&object([("size", half)]), true),
            ["size: Invalid value: The value of `size` must be a whole number, but is 1.5."]
        );
        assert_eq!(
            problems(&object([("map", object([("k", port(10))]))]), true),
            [
                "map[\"k\"].port: Invalid value: The value of `map[\"k\"].port` must be between 1 and 9, but is 10."
            ]
        );
        assert_eq!(
            problems(&object([("rule", Raw::List(vec![port(1), port(0)]))]), true),
            [
                "rule: Block is deprecated: Use `map`.",
                "rule[1].port: Invalid value: The value of `rule[1].port` must be between 1 and 9, but is 0."
            ]
        );
        assert_eq!(
            problems(&object([("set", Raw::List(vec![port(0)]))]), true),
            ["set: Invalid value: The value of `set[\"…\"].port` must be between 1 and 9, but is 0."]
        );
        assert_eq!(
            problems(&object([("old", "x".into())]), true),
            ["old: Attribute is deprecated: Use `new`."]
        );
    }

    #[test]
    fn sensitive_values_are_not_quoted() {
        let problems = problems(&object([("key", "hush".into())]), true);
        assert_eq!(problems.len(), 1);
        assert!(!problems[0].contains("hush"), "{problems:?}");
    }

    #[test]
    fn write_only_values_need_a_terraform_that_knows_them() {
        let problems = problems(&object([("key", "a".into())]), false);
        assert!(problems[0].starts_with("key: Write-only attribute is not supported"), "{problems:?}");
    }

    #[test]
    fn unknown_values_are_not_judged() {
        let config = object([("size", Raw::Unknown), ("map", Raw::Unknown), ("rule", Raw::Unknown)]);
        assert_eq!(problems(&config, true).len(), 1, "only the warning of the block that will be written");
    }
}
