//! The rules that a schema must keep, so that Terraform accepts it and nothing in it is silently without effect.

use std::collections::BTreeSet;

use super::{Attribute, Block, Body, Nesting, Presence, Schema, Shape};
use crate::sdk::{Path, Raw, Type};

/// Names that Terraform keeps for itself at the top of a resource.
const RESERVED: [&str; 7] =
    ["connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"];

/// Whose schema it is: what is planned is only a resource's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Of a provider's own configuration.
    Provider,
    /// Of a resource.
    Resource,
    /// Of a data source.
    DataSource,
    /// Of an ephemeral resource.
    EphemeralResource,
    /// Of an action.
    Action,
}

impl Schema {
    /// The mistakes in this schema, each with its path; none in a good one.
    pub fn mistakes(&self, role: Role) -> Vec<String> {
        let mut mistakes = Vec::new();
        if role != Role::Resource {
            self.body.for_each_attribute(&mut |path, attribute| {
                if attribute.default.is_some()
                    || attribute.write_only
                    || attribute.keeps_state
                    || attribute.replaces.is_some()
                {
                    mistakes.push(format!("{path}: only an attribute of a resource is planned"));
                }
                if role == Role::Action && attribute.is_computed() {
                    mistakes.push(format!("{path}: an action has no result"));
                }
                if role == Role::Provider && attribute.is_computed() {
                    mistakes.push(format!("{path}: nothing in a provider's configuration is computed"));
                }
            });
        }
        for name in RESERVED {
            if self.body.attributes.iter().any(|attribute| attribute.name == name)
                || self.body.blocks.iter().any(|block| block.name == name)
            {
                mistakes.push(format!("{name}: Terraform reserves this name"));
            }
        }
        body_mistakes(&self.body, &Path::root(), false, &mut mistakes);
        mistakes
    }
}

fn body_mistakes(body: &Body, path: &Path, in_set: bool, mistakes: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    let attributes = body.attributes.iter().map(|attribute| attribute.name);
    for name in attributes.chain(body.blocks.iter().map(|block| block.name)) {
        let path = path.attribute(name);
        if !names.insert(name) {
            mistakes.push(format!("{path}: declared twice"));
        }
        let letters = |character: char| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_'
        };
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.chars().all(letters) {
            mistakes.push(format!("{path}: a name has lower-case letters, digits and underscores"));
        }
    }
    for attribute in &body.attributes {
        let path = path.attribute(attribute.name);
        for problem in attribute_mistakes(attribute, in_set) {
            mistakes.push(format!("{path}: {problem}"));
        }
        if let Shape::Nested(nesting, body) = &attribute.shape {
            body_mistakes(body, &path, in_set || *nesting == Nesting::Set, mistakes);
        }
    }
    for block in &body.blocks {
        let path = path.attribute(block.name);
        for problem in block_mistakes(block) {
            mistakes.push(format!("{path}: {problem}"));
        }
        body_mistakes(&block.body, &path, in_set || block.nesting == Nesting::Set, mistakes);
    }
}

fn attribute_mistakes(attribute: &Attribute, in_set: bool) -> Vec<&'static str> {
    let settable = attribute.is_required() || attribute.is_optional();
    let mut problems = Vec::new();
    let mut rule = |broken: bool, problem| {
        if broken {
            problems.push(problem);
        }
    };
    rule(attribute.description.is_empty(), "has no description");
    rule(attribute.presence == Presence::Unset, "is neither required, optional, computed nor has a default");
    rule(
        attribute.default.is_some() && attribute.presence != Presence::OptionalComputed,
        "has a default and is required or only computed",
    );
    rule(
        attribute.default.as_ref().is_some_and(|default| !of_type(default, &attribute.ty())),
        "has a default of another type",
    );
    rule(attribute.write_only && attribute.is_computed(), "is write-only and computed");
    rule(attribute.write_only && in_set, "is write-only within a set");
    rule(attribute.keeps_state && !attribute.is_computed(), "keeps state that is not computed");
    rule(
        attribute.replaces.is_some()
            && attribute.is_computed()
            && attribute.default.is_none()
            && !attribute.keeps_state,
        "makes a new resource and does not keep its state: every change of another attribute would make a new one",
    );
    rule(!settable && !attribute.validators.is_empty(), "has a validator, but cannot be set");
    rule(!settable && attribute.deprecation.is_some(), "warns of being set, but cannot be set");
    problems
}

fn block_mistakes(block: &Block) -> Vec<&'static str> {
    let mut problems = Vec::new();
    if block.description.is_empty() {
        problems.push("has no description");
    }
    if block.nesting == Nesting::Map {
        problems.push("is a block in a map; use a nested attribute");
    }
    if block.max != 0 && block.min > block.max {
        problems.push("must be written more often than it may");
    }
    if block.nesting == Nesting::Single && (block.min > 1 || block.max > 1) {
        problems.push("is a single block and cannot be repeated");
    }
    problems
}

/// Whether `raw` is a value of type `ty`. Attributes that an object lacks count as null.
fn of_type(raw: &Raw, ty: &Type) -> bool {
    match (raw, ty) {
        (Raw::Null, _)
        | (Raw::Bool(_), Type::Bool)
        | (Raw::Number(_), Type::Number)
        | (Raw::String(_), Type::String)
        | (Raw::Dynamic(_), Type::Dynamic) => true,
        (Raw::List(elements), Type::List(element) | Type::Set(element)) => {
            elements.iter().all(|raw| of_type(raw, element))
        }
        (Raw::List(elements), Type::Tuple(types)) => {
            elements.len() == types.len() && elements.iter().zip(types).all(|(raw, ty)| of_type(raw, ty))
        }
        (Raw::Map(elements), Type::Map(element)) => elements.values().all(|raw| of_type(raw, element)),
        (Raw::Map(elements), Type::Object(types)) => {
            elements.iter().all(|(name, raw)| types.get(name).is_some_and(|ty| of_type(raw, ty)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(attribute: Attribute) -> Vec<String> {
        Schema::new("Test.").attribute(attribute).mistakes(Role::Resource)
    }

    #[test]
    fn a_good_schema_has_no_mistakes() {
        let schema = Schema::new("Test.")
            .attribute(Attribute::string("name", "Name.").required().replaces())
            .attribute(Attribute::string("arn", "ARN.").computed().keeps_state())
            .attribute(
                Attribute::nested_list("rule", "Rules.", [Attribute::int("port", "Port.").default(443)])
                    .optional(),
            )
            .block(Block::single("hook", "Hook.").min(1))
            .timeouts(crate::sdk::TimeoutDefaults::default());
        assert_eq!(schema.mistakes(Role::Resource), Vec::<String>::new());
    }

    #[test]
    fn only_resources_are_planned() {
        let schema = Schema::new("Test.").attribute(Attribute::int("port", "Port.").default(443));
        assert_eq!(schema.mistakes(Role::DataSource), ["port: only an attribute of a resource is planned"]);
        let schema = Schema::new("Test.").attribute(Attribute::string("arn", "ARN.").computed());
        assert_eq!(schema.mistakes(Role::DataSource), Vec::<String>::new());
        assert_eq!(schema.mistakes(Role::EphemeralResource), Vec::<String>::new());
        assert_eq!(schema.mistakes(Role::Action), ["arn: an action has no result"]);
        assert_eq!(
            schema.mistakes(Role::Provider),
            ["arn: nothing in a provider's configuration is computed"]
        );
    }

    #[test]
    fn each_mistake_is_named_with_its_path() {
        let string = || Attribute::string("name", "Name.");
        for (attribute, expected) in [
            (string(), "name: is neither required, optional, computed nor has a default"),
            (Attribute::string("Name", "N.").optional(), "Name: a name has lower-case"),
            (Attribute::string("count", "N.").optional(), "count: Terraform reserves this name"),
            (Attribute::string("name", "").optional(), "name: has no description"),
            (string().default("a").required(), "name: has a default and is required"),
            (string().default(1), "name: has a default of another type"),
            (string().write_only().optional().computed(), "name: is write-only and computed"),
            (string().required().keeps_state(), "name: keeps state that is not computed"),
            (
                string().optional().computed().replaces(),
                "name: makes a new resource and does not keep its state",
            ),
            (string().computed().validate(crate::sdk::validator::length(1..=2)), "name: has a validator"),
            (
                Attribute::nested_set("set", "S.", [string().optional().write_only()]).optional(),
                "set.name: is write-only within a set",
            ),
        ] {
            let mistakes = mistakes(attribute);
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(expected)), "{expected}: {mistakes:?}");
        }
        let block = Schema::new("Test.").block(Block::list("rule", "Rule.").min(2).max(1));
        assert_eq!(block.mistakes(Role::Resource), ["rule: must be written more often than it may"]);
    }
}
