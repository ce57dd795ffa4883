//! Blocks inside a schema.

use super::{Attribute, Body, Nesting};
use crate::sdk::Type;

/// A nested block, such as `rule { … }`.
///
/// Blocks allow `dynamic` and read well; a nested attribute allows expressions and defaults for the whole. Newer
/// providers prefer nested attributes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Block {
    /// The word before the brace.
    pub name: &'static str,
    /// What it means, in Markdown.
    pub description: String,
    /// Whether it may be written once, or gathers in a list or a set. Never a map.
    pub nesting: Nesting,
    /// What stands inside.
    pub body: Body,
    /// How often it must be written at least. A single block has 0 or 1.
    pub min: u32,
    /// How often it may be written at most; 0 is without limit.
    pub max: u32,
    /// What to use instead, when it is about to go.
    pub deprecation: Option<String>,
}

impl Block {
    /// A block that may be written once; its field is a `Value<Model>`, null when it is not.
    pub fn single(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, description, Nesting::Single, 0)
    }

    /// A block that may be repeated, in order; its field is a `Value<Vec<Model>>`.
    pub fn list(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, description, Nesting::List, 0)
    }

    /// A block that may be repeated, without order; its field is a `Value<Vec<Model>>`.
    pub fn set(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, description, Nesting::Set, 0)
    }

    fn new(name: &'static str, description: impl Into<String>, nesting: Nesting, max: u32) -> Self {
        let (description, body) = (description.into(), Body::default());
        Self { name, description, nesting, body, min: 0, max, deprecation: None }
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

    /// Adds a block inside.
    #[must_use]
    pub fn block(mut self, block: Self) -> Self {
        self.body.blocks.push(block);
        self
    }

    /// It must be written at least `count` times.
    #[must_use]
    pub fn min(mut self, count: u32) -> Self {
        self.min = count;
        self
    }

    /// It may be written at most `count` times.
    #[must_use]
    pub fn max(mut self, count: u32) -> Self {
        self.max = count;
        self
    }

    /// Warns whoever writes it; `message` says what to use instead.
    #[must_use]
    pub fn deprecated(mut self, message: impl Into<String>) -> Self {
        self.deprecation = Some(message.into());
        self
    }

    /// The type of its value.
    pub fn ty(&self) -> Type {
        self.nesting.around(self.body.ty())
    }

    /// How often it must and may be written, as the protocol says it: of a single block both are the same.
    pub(crate) fn limits(&self) -> (u32, u32) {
        match self.nesting {
            Nesting::Single => (self.min, self.min),
            _ => (self.min, self.max),
        }
    }
}
