//! Schemas: the attributes and blocks that a user may write, with everything Terraform and the documentation need to
//! know of them.
//!
//! A schema is a value, built once and then only read: by the planner, the validator, the exporter and the generator
//! of the documentation. Attributes keep the order in which they were declared.

mod attribute;
mod block;
mod check;
mod sensitive;

use std::collections::BTreeMap;
use std::time::Duration;

pub use attribute::{Attribute, Comparison, Nesting, Presence, ReplaceRule, Shape};
pub use block::Block;
pub(crate) use sensitive::collect_sensitive;

use super::timeouts::{TimeoutDefaults, format_duration};
use super::{Path, Type, validator};

/// Everything a user may write in one resource, data source or provider block.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Schema {
    /// Raised whenever the state of an older version needs [`Resource::upgrade`](super::Resource::upgrade). Starts
    /// at 0.
    pub version: i64,
    /// What the resource is, in Markdown.
    pub description: String,
    /// What replaces the resource, when it is about to go.
    pub deprecation: Option<String>,
    /// Attributes and blocks.
    pub body: Body,
    /// The default deadlines, when the resource has `timeouts`.
    pub timeouts: Option<TimeoutDefaults>,
}

/// The attributes and blocks inside a schema, a block or a nested attribute.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Body {
    /// Attributes, in the order of their declaration.
    pub attributes: Vec<Attribute>,
    /// Blocks, in the order of their declaration. Nested attributes have none.
    pub blocks: Vec<Block>,
}

impl Schema {
    /// A schema of version 0 with nothing in it yet. `description` is Markdown.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            version: 0,
            description: description.into(),
            deprecation: None,
            body: Body::default(),
            timeouts: None,
        }
    }

    /// Sets the version of the schema.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.version = version;
        self
    }

    /// Warns whoever uses it; `message` says what to use instead.
    #[must_use]
    pub fn deprecated(mut self, message: impl Into<String>) -> Self {
        self.deprecation = Some(message.into());
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, attribute: Attribute) -> Self {
        self.body.attributes.push(attribute);
        self
    }

    /// Adds attributes.
    #[must_use]
    pub fn attributes(mut self, attributes: impl IntoIterator<Item = Attribute>) -> Self {
        self.body.attributes.extend(attributes);
        self
    }

    /// Adds a block.
    #[must_use]
    pub fn block(mut self, block: Block) -> Self {
        self.body.blocks.push(block);
        self
    }

    /// Adds the nested attribute `timeouts`, whose absent parts have these values. The model needs a field
    /// `timeouts: Value<Timeouts>`.
    #[must_use]
    pub fn timeouts(mut self, defaults: TimeoutDefaults) -> Self {
        let operation = |name, verb, default: Duration| {
            let default = format_duration(default);
            Attribute::string(name, format!("How long to wait for the {verb}. Default `{default}`."))
                .optional()
                .validate(validator::duration())
        };
        self.timeouts = Some(defaults);
        self.attribute(
            Attribute::nested(
                "timeouts",
                "How long operations may take, as durations such as `30m` or `1h30m`.",
                [
                    operation("create", "creation", defaults.create),
                    operation("update", "update", defaults.update),
                    operation("delete", "deletion", defaults.delete),
                ],
            )
            .optional(),
        )
    }

    /// The object type of a value of this schema.
    pub fn ty(&self) -> Type {
        self.body.ty()
    }
}

impl Body {
    /// The object type of a value of this body.
    pub fn ty(&self) -> Type {
        let attributes = self.attributes.iter().map(|attribute| (attribute.name.to_owned(), attribute.ty()));
        let blocks = self.blocks.iter().map(|block| (block.name.to_owned(), block.ty()));
        Type::Object(attributes.chain(blocks).collect::<BTreeMap<_, _>>())
    }

    /// Calls `visit` for every attribute at every depth, with a path in which elements of collections are left out.
    pub fn for_each_attribute<'a>(&'a self, visit: &mut dyn FnMut(&Path, &'a Attribute)) {
        self.visit(&Path::root(), visit);
    }

    fn visit<'a>(&'a self, path: &Path, visit: &mut dyn FnMut(&Path, &'a Attribute)) {
        for attribute in &self.attributes {
            let path = path.attribute(attribute.name);
            visit(&path, attribute);
            if let Shape::Nested(_, body) = &attribute.shape {
                body.visit(&path, visit);
            }
        }
        for block in &self.blocks {
            block.body.visit(&path.attribute(block.name), visit);
        }
    }
}
