//! Blocks that nobody has written.

use super::{Body, Nesting, Shape};
use crate::sdk::Raw;

/// `raw` with empty collections in place of repeatable blocks that are null.
///
/// In Terraform a block that is not written is an empty list or set; null is what a model has that was not told of any,
/// as after an import, or what an older state lacks.
pub(crate) fn with_empty_blocks(body: &Body, raw: Raw) -> Raw {
    let Raw::Map(mut values) = raw else { return raw };
    for attribute in &body.attributes {
        if let (Shape::Nested(nesting, body), Some(value)) =
            (&attribute.shape, values.get_mut(attribute.name))
        {
            *value = nested(*nesting, body, std::mem::take(value));
        }
    }
    for block in &body.blocks {
        let value = values.entry(block.name.to_owned()).or_default();
        if value.is_null() && block.nesting != Nesting::Single {
            *value = Raw::List(Vec::new());
        }
        *value = nested(block.nesting, &block.body, std::mem::take(value));
    }
    Raw::Map(values)
}

fn nested(nesting: Nesting, body: &Body, raw: Raw) -> Raw {
    match (nesting, raw) {
        (Nesting::Single, raw) => with_empty_blocks(body, raw),
        (_, Raw::List(elements)) => {
            Raw::List(elements.into_iter().map(|raw| with_empty_blocks(body, raw)).collect())
        }
        (_, Raw::Map(elements)) => {
            Raw::Map(elements.into_iter().map(|(key, raw)| (key, with_empty_blocks(body, raw))).collect())
        }
        (_, raw) => raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::plan::tests::object;
    use crate::sdk::{Block, Schema};

    #[test]
    fn blocks_are_never_null_unless_single() {
        let schema = Schema::new("Test.")
            .block(Block::list("rule", "Rule.").block(Block::set("port", "Port.")))
            .block(Block::single("hook", "Hook."));
        let empty = Raw::List(Vec::new());
        assert_eq!(
            with_empty_blocks(&schema.body, object([("rule", Raw::Null), ("hook", Raw::Null)])),
            object([("rule", empty.clone()), ("hook", Raw::Null)])
        );
        let rule = |port| object([("rule", Raw::List(vec![object([("port", port)])])), ("hook", Raw::Null)]);
        assert_eq!(with_empty_blocks(&schema.body, rule(Raw::Null)), rule(empty));
        assert_eq!(with_empty_blocks(&schema.body, Raw::Null), Raw::Null);
    }
}
