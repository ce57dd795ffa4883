//! The sensitive texts in a value.

use std::collections::BTreeSet;

use super::{Body, Shape};
use crate::sdk::Raw;

/// Gathers every text that stands in a sensitive attribute of `raw`, at any depth.
pub(crate) fn collect_sensitive(body: &Body, raw: &Raw, secrets: &mut BTreeSet<String>) {
    for attribute in &body.attributes {
        let value = raw.get(attribute.name);
        match &attribute.shape {
            _ if attribute.sensitive => collect_texts(value, secrets),
            Shape::Plain(_) => {}
            Shape::Nested(_, body) => {
                for_each_object(value, &mut |raw| collect_sensitive(body, raw, secrets));
            }
        }
    }
    for block in &body.blocks {
        let value = raw.get(block.name);
        for_each_object(value, &mut |raw| collect_sensitive(&block.body, raw, secrets));
    }
}

/// Visits a nested value as an object, and also its elements: whichever of the two it is by its nesting, the other has
/// nothing that bears the name of an attribute and the type of one.
fn for_each_object(raw: &Raw, visit: &mut dyn FnMut(&Raw)) {
    match raw {
        Raw::List(elements) => elements.iter().for_each(visit),
        Raw::Map(elements) => {
            visit(raw);
            elements.values().for_each(visit);
        }
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
