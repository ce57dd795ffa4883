//! The sensitive texts in a value.

use std::collections::BTreeSet;

use super::{Body, Nesting, Shape};
use crate::sdk::Raw;

/// Gathers every text that stands in a sensitive attribute of `raw`, at any depth.
pub(crate) fn collect_sensitive(body: &Body, raw: &Raw, secrets: &mut BTreeSet<String>) {
    for attribute in &body.attributes {
        let value = raw.get(attribute.name);
        match &attribute.shape {
            _ if attribute.sensitive => collect_texts(value, secrets),
            Shape::Plain(_) => {}
            Shape::Nested(nesting, body) => collect_nested(*nesting, body, value, secrets),
        }
    }
    for block in &body.blocks {
        collect_nested(block.nesting, &block.body, raw.get(block.name), secrets);
    }
}

fn collect_nested(nesting: Nesting, body: &Body, raw: &Raw, secrets: &mut BTreeSet<String>) {
    match (nesting, raw) {
        (Nesting::Single, raw) => collect_sensitive(body, raw, secrets),
        (_, Raw::List(elements)) => elements.iter().for_each(|raw| collect_sensitive(body, raw, secrets)),
        (_, Raw::Map(elements)) => elements.values().for_each(|raw| collect_sensitive(body, raw, secrets)),
        _ => {}
    }
}

fn collect_texts(raw: &Raw, secrets: &mut BTreeSet<String>) {
    match raw {
        Raw::String(text) => {
            secrets.insert(text.clone());
        }
        Raw::List(elements) => elements.iter().for_each(|raw| collect_texts(raw, secrets)),
        Raw::Map(elements) => elements.values().for_each(|raw| collect_texts(raw, secrets)),
        Raw::Dynamic(inner) => collect_texts(&inner.1, secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::plan::tests::object;
    use crate::sdk::{Attribute, Block, Schema, Type};

    #[test]
    fn secrets_are_found_at_every_depth() {
        let key = || Attribute::string("key", "Key.").optional().sensitive();
        let schema = Schema::new("Test.")
            .attribute(key())
            .attribute(Attribute::map("keys", Type::String, "Keys.").optional().sensitive())
            .attribute(Attribute::string("name", "Name.").optional())
            .attribute(Attribute::nested_map("map", "Map.", [key()]).optional())
            .block(Block::list("login", "Login.").attribute(key()));
        let raw = object([
            ("key", "one".into()),
            ("keys", object([("k", "two".into())])),
            ("name", "public".into()),
            ("map", object([("k", object([("key", "three".into())]))])),
            ("login", Raw::List(vec![object([("key", "four".into())])])),
        ]);
        let mut secrets = BTreeSet::new();
        collect_sensitive(&schema.body, &raw, &mut secrets);
        assert_eq!(secrets.iter().map(String::as_str).collect::<Vec<_>>(), ["four", "one", "three", "two"]);
    }
}
