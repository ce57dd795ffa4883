//! The planned value of every attribute.

use crate::sdk::Raw;
use crate::sdk::schema::{Attribute, Body, Nesting, Shape};

/// What becomes of computed attributes that the configuration does not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Computed {
    /// They stay as they were: nothing has changed so far.
    Stay,
    /// They may change, so they are unknown unless they keep their state.
    MayChange,
}

/// The plan for the resource that `config` describes and that was `prior` (null when there was none). Not canonical.
pub(crate) fn propose(body: &Body, config: &Raw, prior: &Raw, computed: Computed) -> Raw {
    let Raw::Map(_) = config else { return config.clone() };
    let attributes = body.attributes.iter().map(|attribute| {
        let name = attribute.name;
        (name.to_owned(), propose_attribute(attribute, config.get(name), prior_of(prior, name), computed))
    });
    let blocks = body.blocks.iter().map(|block| {
        let (name, prior) = (block.name, prior_of(prior, block.name).unwrap_or(&Raw::Null));
        (name.to_owned(), propose_nested(block.nesting, &block.body, config.get(name), prior, computed))
    });
    Raw::Map(attributes.chain(blocks).collect())
}

/// `config` with its defaults, for what is configured but not planned: providers. Computed values are null.
pub(crate) fn with_defaults(body: &Body, config: &Raw) -> Raw {
    let none = Raw::Map(std::collections::BTreeMap::new());
    propose(body, config, &none, Computed::Stay)
}

/// What `name` was, when there was anything.
fn prior_of<'a>(prior: &'a Raw, name: &str) -> Option<&'a Raw> {
    (!prior.is_null()).then(|| prior.get(name))
}

fn propose_attribute(attribute: &Attribute, config: &Raw, prior: Option<&Raw>, computed: Computed) -> Raw {
    if attribute.write_only {
        return Raw::Null;
    }
    match (config, &attribute.default) {
        (Raw::Null, Some(default)) => {
            propose_shape(&attribute.shape, default, prior.unwrap_or(&Raw::Null), computed)
        }
        (Raw::Null, None) if attribute.is_computed() => match (prior, computed) {
            (Some(prior), Computed::Stay) => prior.clone(),
            (Some(prior), Computed::MayChange) if attribute.keeps_state && !prior.is_null() => prior.clone(),
            _ => Raw::Unknown,
        },
        (config, _) => propose_shape(&attribute.shape, config, prior.unwrap_or(&Raw::Null), computed),
    }
}

fn propose_shape(shape: &Shape, config: &Raw, prior: &Raw, computed: Computed) -> Raw {
    match shape {
        Shape::Plain(_) => config.clone(),
        Shape::Nested(nesting, body) => propose_nested(*nesting, body, config, prior, computed),
    }
}

fn propose_nested(nesting: Nesting, body: &Body, config: &Raw, prior: &Raw, computed: Computed) -> Raw {
    match (nesting, config) {
        (Nesting::Single, config) => propose(body, config, prior, computed),
        (Nesting::List, Raw::List(elements)) => {
            let priors = prior.elements();
            let elements = elements.iter().enumerate();
            let planned = elements.map(|(index, config)| {
                propose(body, config, priors.get(index).unwrap_or(&Raw::Null), computed)
            });
            Raw::List(planned.collect())
        }
        (Nesting::Set, Raw::List(elements)) => {
            let mut left: Vec<_> = prior.elements().iter().collect();
            let planned = elements.iter().map(|config| {
                let prior = take_same(body, config, &mut left).unwrap_or(&Raw::Null);
                propose(body, config, prior, computed)
            });
            Raw::List(planned.collect())
        }
        (Nesting::Map, Raw::Map(elements)) => {
            let planned = elements
                .iter()
                .map(|(key, config)| (key.clone(), propose(body, config, prior.get(key), computed)));
            Raw::Map(planned.collect())
        }
        (_, null_or_unknown) => null_or_unknown.clone(),
    }
}

/// Takes from `left` the element that `config` describes: elements of a set have no address, so it is the one which
/// `config` would not change.
fn take_same<'a>(body: &Body, config: &Raw, left: &mut Vec<&'a Raw>) -> Option<&'a Raw> {
    let same = |prior: &&Raw| propose(body, config, prior, Computed::Stay) == **prior;
    let position = left.iter().position(same)?;
    Some(left.remove(position))
}

#[cfg(test)]
mod tests {
    use super::super::tests::object;
    use super::*;
    use crate::sdk::{Block, Schema, Type};

    fn schema() -> Schema {
        let rule = || {
            [
                Attribute::int("port", "Port.").required(),
                Attribute::string("protocol", "Protocol.").default("tcp"),
                Attribute::string("id", "Id.").computed(),
            ]
        };
        Schema::new("Test.")
            .attribute(Attribute::string("arn", "ARN.").computed().keeps_state())
            .attribute(Attribute::int("revision", "Revision.").computed())
            .attribute(Attribute::string("name", "Name.").required())
            .attribute(Attribute::int("size", "Size.").default(8))
            .attribute(Attribute::string("zone", "Zone.").optional().computed())
            .attribute(Attribute::string("note", "Note.").optional())
            .attribute(Attribute::string("key", "Key.").optional().write_only())
            .attribute(Attribute::list("names", Type::String, "Names.").optional())
            .attribute(Attribute::nested_list("rules", "Rules.", rule()).optional())
            .attribute(Attribute::nested_set("set", "Set.", rule()).optional())
            .block(Block::list("hook", "Hook.").attributes(rule()))
    }

    fn config<const N: usize>(attributes: [(&str, Raw); N]) -> Raw {
        let Raw::Map(given) = object(attributes) else { unreachable!() };
        let Type::Object(types) = schema().ty() else { unreachable!() };
        Raw::Map(
            types
                .into_keys()
                .map(|name| {
                    let empty = if name == "hook" { Raw::List(vec![]) } else { Raw::Null };
                    let raw = given.get(&name).cloned().unwrap_or(empty);
                    (name, raw)
                })
                .collect(),
        )
    }

    fn plan(config: &Raw, prior: &Raw, computed: Computed) -> Raw {
        propose(&schema().body, config, prior, computed).canonical(&schema().ty())
    }

    fn rule(port: i64, protocol: impl Into<Raw>, id: impl Into<Raw>) -> Raw {
        object([("port", port.into()), ("protocol", protocol.into()), ("id", id.into())])
    }

    #[test]
    fn create_takes_defaults_and_leaves_computed_values_unknown() {
        let rules = Raw::List(vec![rule(1, Raw::Null, Raw::Null)]);
        let config =
            config([("name", "a".into()), ("key", "k".into()), ("rules", rules.clone()), ("hook", rules)]);
        let plan = plan(&config, &Raw::Null, Computed::MayChange);
        assert_eq!(plan.get("arn"), &Raw::Unknown);
        assert_eq!(plan.get("zone"), &Raw::Unknown);
        assert_eq!(plan.get("size"), &Raw::from(8));
        assert_eq!(plan.get("note"), &Raw::Null);
        assert_eq!(plan.get("key"), &Raw::Null);
        let planned = Raw::List(vec![rule(1, "tcp", Raw::Unknown)]);
        assert_eq!(plan.get("rules"), &planned);
        assert_eq!(plan.get("hook"), &planned);
    }

    #[test]
    fn a_default_is_for_null_not_for_unknown() {
        let config = config([("name", Raw::Unknown), ("size", Raw::Unknown), ("rules", Raw::Unknown)]);
        let plan = plan(&config, &Raw::Null, Computed::MayChange);
        assert_eq!(plan.get("size"), &Raw::Unknown);
        assert_eq!(plan.get("rules"), &Raw::Unknown);
    }

    fn prior() -> Raw {
        config([
            ("arn", "arn:a".into()),
            ("revision", 1.into()),
            ("name", "a".into()),
            ("size", 8.into()),
            ("zone", "z".into()),
            ("set", Raw::List(vec![rule(1, "tcp", "one"), rule(2, "udp", "two")])),
        ])
    }

    #[test]
    fn the_same_configuration_plans_nothing() {
        let set = Raw::List(vec![rule(2, "udp", Raw::Null), rule(1, Raw::Null, Raw::Null)]);
        let config = config([("name", "a".into()), ("set", set)]);
        assert_eq!(plan(&config, &prior(), Computed::Stay), prior());
    }

    #[test]
    fn a_change_makes_computed_values_unknown_but_not_those_that_keep_their_state() {
        let set = Raw::List(vec![rule(3, "udp", Raw::Null), rule(1, Raw::Null, Raw::Null)]);
        let config = config([("name", "b".into()), ("set", set)]);
        let stay = plan(&config, &prior(), Computed::Stay);
        // Elements of sets are recognised by what the configuration says of them.
        assert_eq!(
            stay.get("set"),
            &Raw::List(vec![rule(1, "tcp", "one"), rule(3, "udp", Raw::Unknown)])
                .canonical(&schema().body.attributes[9].ty())
        );
        let plan = plan(&config, &prior(), Computed::MayChange);
        assert_eq!(plan.get("arn"), &Raw::from("arn:a"));
        assert_eq!(plan.get("revision"), &Raw::Unknown);
        assert_eq!(plan.get("zone"), &Raw::Unknown);
    }

    #[test]
    fn an_unknown_block_stays_unknown() {
        let config = config([("name", "a".into()), ("hook", Raw::Unknown)]);
        assert_eq!(plan(&config, &prior(), Computed::MayChange).get("hook"), &Raw::Unknown);
    }
}
