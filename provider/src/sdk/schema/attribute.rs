//! One attribute of a schema.

use std::fmt::{self, Debug};
use std::sync::Arc;

use super::Body;
use crate::sdk::validator::Validator;
use crate::sdk::{Raw, Type};

/// One attribute: its type, what it means, and how its value comes about.
///
/// Made by a constructor for its type and refined by the methods below. One of [`required`](Self::required),
/// [`optional`](Self::optional), [`computed`](Self::computed) or [`default`](Self::default) must be among them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attribute {
    /// Lower case, digits and underscores.
    pub name: &'static str,
    /// What it means, in Markdown.
    pub description: String,
    /// Its type.
    pub shape: Shape,
    /// Who sets it.
    pub presence: Presence,
    /// Its value when the configuration has none.
    pub default: Option<Raw>,
    /// Whether Terraform hides it from its output, and the log from its lines.
    pub sensitive: bool,
    /// Whether it is only passed to create and update, and never kept in plan or state.
    pub write_only: bool,
    /// What to use instead, when it is about to go.
    pub deprecation: Option<String>,
    /// Whether it is a number that must be whole.
    pub whole: bool,
    /// Checks of a known value, in the order of their declaration.
    pub validators: Vec<Validator>,
    /// Whether a value once computed stays over updates, so that a plan shows it as known.
    pub keeps_state: bool,
    /// When a change makes a new resource.
    pub replaces: Option<ReplaceRule>,
}

/// The type of an attribute.
#[derive(Clone, Debug)]
pub enum Shape {
    /// A plain value.
    Plain(Type),
    /// Objects whose attributes have descriptions, defaults and checks of their own.
    Nested(Nesting, Body),
}

/// How nested objects are held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nesting {
    /// One object.
    Single,
    /// A list of objects.
    List,
    /// A set of objects.
    Set,
    /// A map of objects. Blocks cannot nest so.
    Map,
}

/// Who sets an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The user must.
    Required,
    /// The user may; otherwise it is null.
    Optional,
    /// The user may; otherwise the provider does.
    OptionalComputed,
    /// The provider does.
    Computed,
    /// Not said yet: a schema with such an attribute is refused.
    Unset,
}

/// A question about a prior and a planned value.
pub type Comparison = dyn Fn(&Raw, &Raw) -> bool + Send + Sync;

/// When the change of an attribute makes a new resource.
#[derive(Clone)]
pub enum ReplaceRule {
    /// Whenever it changes.
    Always,
    /// When the function holds for the prior and the planned value.
    If(Arc<Comparison>),
}

impl Debug for ReplaceRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Always => "Always",
            Self::If(_) => "If(..)",
        })
    }
}

/// Constructors, one a type. `description` is Markdown.
impl Attribute {
    /// A text.
    pub fn string(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, description, Shape::Plain(Type::String))
    }

    /// A number, whole or not.
    pub fn number(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, description, Shape::Plain(Type::Number))
    }

    /// A whole number that fits 64 bits.
    pub fn int(name: &'static str, description: impl Into<String>) -> Self {
        Self { whole: true, ..Self::number(name, description) }
    }

    /// A truth value.
    pub fn bool(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, description, Shape::Plain(Type::Bool))
    }

    /// A list of `element`.
    pub fn list(name: &'static str, element: Type, description: impl Into<String>) -> Self {
        Self::new(name, description, Shape::Plain(Type::list(element)))
    }

    /// A set of `element`.
    pub fn set(name: &'static str, element: Type, description: impl Into<String>) -> Self {
        Self::new(name, description, Shape::Plain(Type::set(element)))
    }

    /// A map of `element`.
    pub fn map(name: &'static str, element: Type, description: impl Into<String>) -> Self {
        Self::new(name, description, Shape::Plain(Type::map(element)))
    }

    /// An object without descriptions of its attributes. Prefer [`nested`](Self::nested).
    pub fn object<'a>(
        name: &'static str,
        attributes: impl IntoIterator<Item = (&'a str, Type)>,
        description: impl Into<String>,
    ) -> Self {
        Self::new(name, description, Shape::Plain(Type::object(attributes)))
    }

    /// A value of any type; its field is a [`Raw`].
    pub fn dynamic(name: &'static str, description: impl Into<String>) -> Self {
        Self::new(name, description, Shape::Plain(Type::Dynamic))
    }

    /// One nested object; its field is a `Value<Model>`.
    pub fn nested(
        name: &'static str,
        description: impl Into<String>,
        attributes: impl IntoIterator<Item = Self>,
    ) -> Self {
        Self::nesting(name, description, Nesting::Single, attributes)
    }

    /// A list of nested objects; its field is a `Value<Vec<Model>>`.
    pub fn nested_list(
        name: &'static str,
        description: impl Into<String>,
        attributes: impl IntoIterator<Item = Self>,
    ) -> Self {
        Self::nesting(name, description, Nesting::List, attributes)
    }

    /// A set of nested objects; its field is a `Value<Vec<Model>>`, in no particular order.
    pub fn nested_set(
        name: &'static str,
        description: impl Into<String>,
        attributes: impl IntoIterator<Item = Self>,
    ) -> Self {
        Self::nesting(name, description, Nesting::Set, attributes)
    }

    /// A map of nested objects; its field is a `Value<BTreeMap<String, Model>>`.
    pub fn nested_map(
        name: &'static str,
        description: impl Into<String>,
        attributes: impl IntoIterator<Item = Self>,
    ) -> Self {
        Self::nesting(name, description, Nesting::Map, attributes)
    }

    fn nesting(
        name: &'static str,
        description: impl Into<String>,
        nesting: Nesting,
        attributes: impl IntoIterator<Item = Self>,
    ) -> Self {
        let body = Body { attributes: attributes.into_iter().collect(), blocks: Vec::new() };
        Self::new(name, description, Shape::Nested(nesting, body))
    }

    fn new(name: &'static str, description: impl Into<String>, shape: Shape) -> Self {
        Self {
            name,
            description: description.into(),
            shape,
            presence: Presence::Unset,
            default: None,
            sensitive: false,
            write_only: false,
            deprecation: None,
            whole: false,
            validators: Vec::new(),
            keeps_state: false,
            replaces: None,
        }
    }
}

/// Refinements.
impl Attribute {
    /// The user must set it.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.presence = Presence::Required;
        self
    }

    /// The user may set it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.presence = match self.presence {
            Presence::Computed | Presence::OptionalComputed => Presence::OptionalComputed,
            _ => Presence::Optional,
        };
        self
    }

    /// The provider sets it; with [`optional`](Self::optional), when the user does not.
    #[must_use]
    pub fn computed(mut self) -> Self {
        self.presence = match self.presence {
            Presence::Optional | Presence::OptionalComputed => Presence::OptionalComputed,
            _ => Presence::Computed,
        };
        self
    }

    /// The user may set it; otherwise it is `value`. Lists and maps are given as arrays and `BTreeMap`s.
    #[must_use]
    pub fn default(mut self, value: impl Into<Raw>) -> Self {
        self.default = Some(value.into());
        self.optional().computed()
    }

    /// Terraform hides it from its output, and the log from its lines.
    #[must_use]
    pub fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// It reaches create and update and is then forgotten: in plan and state it is null. Implies
    /// [`sensitive`](Self::sensitive). Needs Terraform 1.11 where it is used.
    #[must_use]
    pub fn write_only(mut self) -> Self {
        self.write_only = true;
        self.sensitive()
    }

    /// Warns whoever sets it; `message` says what to use instead.
    #[must_use]
    pub fn deprecated(mut self, message: impl Into<String>) -> Self {
        self.deprecation = Some(message.into());
        self
    }

    /// Adds a check of its known value; see [`validator`](crate::sdk::validator).
    #[must_use]
    pub fn validate(mut self, validator: Validator) -> Self {
        self.validators.push(validator);
        self
    }

    /// Once computed it stays over updates (an ARN, an id), so a plan shows it as known. Without this, any change of
    /// the resource makes a computed value unknown until apply.
    #[must_use]
    pub fn keeps_state(mut self) -> Self {
        self.keeps_state = true;
        self
    }

    /// A change makes a new resource.
    #[must_use]
    pub fn replaces(mut self) -> Self {
        self.replaces = Some(ReplaceRule::Always);
        self
    }

    /// A change makes a new resource when `rule` holds for the prior and the planned value.
    #[must_use]
    pub fn replaces_if(mut self, rule: impl Fn(&Raw, &Raw) -> bool + Send + Sync + 'static) -> Self {
        self.replaces = Some(ReplaceRule::If(Arc::new(rule)));
        self
    }
}

/// What others want to know of it.
impl Attribute {
    /// The type of its value.
    pub fn ty(&self) -> Type {
        match &self.shape {
            Shape::Plain(ty) => ty.clone(),
            Shape::Nested(nesting, body) => nesting.around(body.ty()),
        }
    }

    /// Whether the user must set it.
    pub fn is_required(&self) -> bool {
        self.presence == Presence::Required
    }

    /// Whether the user may set it, but need not.
    pub fn is_optional(&self) -> bool {
        matches!(self.presence, Presence::Optional | Presence::OptionalComputed)
    }

    /// Whether the provider sets it, always or when the user does not.
    pub fn is_computed(&self) -> bool {
        matches!(self.presence, Presence::Computed | Presence::OptionalComputed)
    }

    /// The attributes of nested objects.
    pub fn nested_attributes(&self) -> &[Self] {
        match &self.shape {
            Shape::Plain(_) => &[],
            Shape::Nested(_, body) => &body.attributes,
        }
    }

    /// The default as a configuration would write it.
    pub fn default_text(&self) -> Option<String> {
        self.default.as_ref().map(expression)
    }
}

impl Nesting {
    /// The type of `element` nested so.
    pub(crate) fn around(self, element: Type) -> Type {
        match self {
            Self::Single => element,
            Self::List => Type::list(element),
            Self::Set => Type::set(element),
            Self::Map => Type::map(element),
        }
    }
}

fn expression(raw: &Raw) -> String {
    match raw {
        Raw::Null | Raw::Unknown => "null".to_owned(),
        Raw::Bool(value) => value.to_string(),
        Raw::Number(number) => number.to_string(),
        Raw::String(text) => format!("{text:?}"),
        Raw::List(elements) => {
            format!("[{}]", elements.iter().map(expression).collect::<Vec<_>>().join(", "))
        }
        Raw::Map(elements) if elements.is_empty() => "{}".to_owned(),
        Raw::Map(elements) => {
            let elements = elements.iter().map(|(key, value)| format!("{key} = {}", expression(value)));
            format!("{{ {} }}", elements.collect::<Vec<_>>().join(", "))
        }
        Raw::Dynamic(inner) => expression(&inner.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_written_as_in_a_configuration() {
        let attribute = Attribute::list("names", Type::String, "Names.").default(["a", "b"]);
        assert_eq!(attribute.default_text().as_deref(), Some(r#"["a", "b"]"#));
        assert_eq!(attribute.presence, Presence::OptionalComputed);
        let object = Raw::Map([("a".to_owned(), Raw::from(1)), ("b".to_owned(), Raw::Null)].into());
        assert_eq!(expression(&object), "{ a = 1, b = null }");
    }

    #[test]
    fn optional_and_computed_come_in_any_order() {
        let name = || Attribute::string("name", "");
        assert_eq!(name().optional().computed().presence, Presence::OptionalComputed);
        assert_eq!(name().computed().optional().presence, Presence::OptionalComputed);
        assert_eq!(name().presence, Presence::Unset);
    }
}
