//! Write-only values: taken from the configuration when a resource is made or changed, null everywhere else.

use crate::sdk::Raw;
use crate::sdk::schema::{Attribute, Body, Nesting, Shape};

/// `planned` with the write-only values of `config`: what create and update see.
pub(crate) fn with_write_only(body: &Body, planned: Raw, config: &Raw) -> Raw {
    set(body, planned, config)
}

/// `raw` without its write-only values: what plan and state may hold.
pub(crate) fn without_write_only(body: &Body, raw: Raw) -> Raw {
    set(body, raw, &Raw::Null)
}

/// `raw` with every write-only value as it is in `source`.
fn set(body: &Body, raw: Raw, source: &Raw) -> Raw {
    let Raw::Map(mut values) = raw else { return raw };
    for attribute in &body.attributes {
        let Some(value) = values.get_mut(attribute.name) else { continue };
        let source = source.get(attribute.name);
        *value = set_attribute(attribute, std::mem::replace(value, Raw::Null), source);
    }
    for block in &body.blocks {
        let Some(value) = values.get_mut(block.name) else { continue };
        let source = source.get(block.name);
        *value = set_nested(block.nesting, &block.body, std::mem::replace(value, Raw::Null), source);
    }
    Raw::Map(values)
}

fn set_attribute(attribute: &Attribute, raw: Raw, source: &Raw) -> Raw {
    match &attribute.shape {
        _ if attribute.write_only => source.clone(),
        Shape::Plain(_) => raw,
        Shape::Nested(nesting, body) => set_nested(*nesting, body, raw, source),
    }
}

fn set_nested(nesting: Nesting, body: &Body, raw: Raw, source: &Raw) -> Raw {
    match (nesting, raw) {
        (Nesting::Single, raw) => set(body, raw, source),
        // Sets have no write-only attributes: their elements could not be told apart.
        (Nesting::List | Nesting::Set, Raw::List(elements)) => {
            let sources = source.elements();
            let elements = elements.into_iter().enumerate();
            Raw::List(
                elements
                    .map(|(index, raw)| set(body, raw, sources.get(index).unwrap_or(&Raw::Null)))
                    .collect(),
            )
        }
        (Nesting::Map, Raw::Map(elements)) => Raw::Map(
            elements
                .into_iter()
                .map(|(key, raw)| {
                    let raw = set(body, raw, source.get(&key));
                    (key, raw)
                })
                .collect(),
        ),
        (_, raw) => raw,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::object;
    use super::*;
    use crate::sdk::{Block, Schema};

    #[test]
    fn write_only_values_come_and_go_at_every_depth() {
        let key = || Attribute::string("key", "Key.").optional().write_only();
        let schema = Schema::new("Test.")
            .attribute(key())
            .attribute(Attribute::nested_map("map", "Map.", [key()]).optional())
            .block(Block::list("login", "Login.").attribute(key()));
        let value = |key: Raw| {
            object([
                ("key", key.clone()),
                ("map", object([("k", object([("key", key.clone())]))])),
                ("login", Raw::List(vec![object([("key", key)])])),
            ])
        };
        let (with, without) = (value("hush".into()), value(Raw::Null));
        assert_eq!(with_write_only(&schema.body, without.clone(), &with), with);
        assert_eq!(without_write_only(&schema.body, with), without);
    }
}
