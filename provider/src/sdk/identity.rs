//! [`Identity`]: what names a managed thing for good, apart from its state.
//!
//! From version 1.12 on Terraform stores it beside the state, and imports by it: `import { identity = { … } }`.

use std::fmt::{self, Debug};

use serde_json::Value as Json;

use super::{Diagnostic, Model, Path, Raw, Type};

/// How things of one kind are named: a schema of its own, and the two ways between it and the resource's model `M`.
///
/// ```
/// use terraform_provider::model;
/// use terraform_provider::sdk::{Identity, Type, Value};
///
/// model! {
///     /// State of one bucket.
///     pub struct Bucket {
///         pub name: Value<String>,
///         pub size: Value<i64>,
///     }
///
///     /// What names a bucket.
///     pub struct BucketIdentity {
///         pub name: Value<String>,
///     }
/// }
///
/// let identity = Identity::new(
///     |bucket: &Bucket| bucket.name.is_known().then(|| BucketIdentity { name: bucket.name.clone() }),
///     |identity: BucketIdentity| Ok(Bucket { name: identity.name, ..Bucket::default() }),
/// )
/// .required("name", Type::String, "Name of the bucket.");
/// assert_eq!(identity.schema().attributes.len(), 1);
/// ```
pub struct Identity<M> {
    schema: IdentitySchema,
    of: Of<M>,
    import: Import<M>,
    upgrade: fn(i64, Json) -> Result<Json, Diagnostic>,
    fits: fn(&Type) -> bool,
}

/// What tells the identity from a model.
type Of<M> = Box<dyn Fn(&M) -> Option<Raw> + Send + Sync>;

/// What makes a model of an identity.
type Import<M> = Box<dyn Fn(&Raw) -> Result<M, Diagnostic> + Send + Sync>;

/// The attributes of an identity.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct IdentitySchema {
    /// Raised whenever a stored identity needs an upgrade; apart from the version of the state. Starts at 0.
    pub version: i64,
    /// Attributes, in the order of their declaration.
    pub attributes: Vec<IdentityAttribute>,
}

/// One attribute of an identity.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IdentityAttribute {
    /// Lower case, digits and underscores.
    pub name: &'static str,
    /// A text, number or truth value, or a list of them.
    pub ty: Type,
    /// Whether an import needs it. What an import leaves out is found by the read that follows.
    pub required: bool,
    /// What it means, in Markdown.
    pub description: &'static str,
}

impl<M> Identity<M> {
    /// `of` tells the identity from a state, once enough of it is there. `import` sets what an identity says; the
    /// read that follows fills in the rest, and sees that what it found has this identity.
    pub fn new<I: Model>(
        of: impl Fn(&M) -> Option<I> + Send + Sync + 'static,
        import: impl Fn(I) -> Result<M, Diagnostic> + Send + Sync + 'static,
    ) -> Self {
        Self {
            schema: IdentitySchema::default(),
            of: Box::new(move |model| of(model).map(|identity| identity.to_raw())),
            import: Box::new(move |raw| import(I::from_raw(raw, &Path::root())?)),
            upgrade: |from, _| {
                Err(Diagnostic::bug(format_args!("There is no upgrade from identity version {from}.")))
            },
            fits: I::fits,
        }
    }

    /// Adds an attribute that an import must give.
    #[must_use]
    pub fn required(self, name: &'static str, ty: Type, description: &'static str) -> Self {
        self.attribute(IdentityAttribute { name, ty, required: true, description })
    }

    /// Adds an attribute that an import may leave out.
    #[must_use]
    pub fn optional(self, name: &'static str, ty: Type, description: &'static str) -> Self {
        self.attribute(IdentityAttribute { name, ty, required: false, description })
    }

    fn attribute(mut self, attribute: IdentityAttribute) -> Self {
        self.schema.attributes.push(attribute);
        self
    }

    /// Sets the version. `upgrade` turns the JSON of a version into that of the next.
    #[must_use]
    pub fn version(mut self, version: i64, upgrade: fn(i64, Json) -> Result<Json, Diagnostic>) -> Self {
        self.schema.version = version;
        self.upgrade = upgrade;
        self
    }

    /// The attributes.
    pub fn schema(&self) -> &IdentitySchema {
        &self.schema
    }

    /// The identity of what has this state.
    pub(crate) fn of(&self, model: &M) -> Option<Raw> {
        (self.of)(model)
    }

    /// What `identity` says of a state.
    pub(crate) fn import(&self, identity: &Raw) -> Result<M, Diagnostic> {
        (self.import)(identity)
    }

    /// The JSON of identity version `from` as the next version would have written it.
    pub(crate) fn upgrade(&self, from: i64, identity: Json) -> Result<Json, Diagnostic> {
        (self.upgrade)(from, identity)
    }

    /// The mistakes in the identity; none in a good one.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if !(self.fits)(&self.schema.ty()) {
            mistakes.push(format!("identity: the model does not fit {}", self.schema.ty()));
        }
        if !self.schema.attributes.iter().any(|attribute| attribute.required) {
            mistakes.push("identity: an import would need nothing".to_owned());
        }
        for attribute in &self.schema.attributes {
            let element = match &attribute.ty {
                Type::List(element) => element,
                ty => ty,
            };
            if !matches!(element, Type::String | Type::Number | Type::Bool) {
                mistakes.push(format!("identity: {} has a type that identities cannot have", attribute.name));
            }
            if attribute.description.is_empty() {
                mistakes.push(format!("identity: {} has no description", attribute.name));
            }
        }
        mistakes
    }
}

impl IdentitySchema {
    /// The object type of an identity.
    pub fn ty(&self) -> Type {
        Type::object(self.attributes.iter().map(|attribute| (attribute.name, attribute.ty.clone())))
    }
}

impl<M> Debug for Identity<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// What `given` (by a user, or stored) says otherwise than `found`: the first attribute that is set in both and
/// differs.
pub(crate) fn contradiction<'a>(given: &'a Raw, found: &'a Raw) -> Option<(&'a str, &'a Raw, &'a Raw)> {
    let Raw::Map(given) = given else { return None };
    given.iter().find_map(|(name, given)| {
        let found = found.get(name);
        (!given.is_null() && !found.is_null() && given != found).then_some((name.as_str(), given, found))
    })
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::object;
    use super::*;
    use crate::sdk::Value;

    crate::model! {
        struct State {
            name: Value<String>,
            size: Value<i64>,
        }

        struct Name {
            name: Value<String>,
        }
    }

    fn identity() -> Identity<State> {
        Identity::new(
            |state: &State| state.name.is_known().then(|| Name { name: state.name.clone() }),
            |name: Name| Ok(State { name: name.name, ..State::default() }),
        )
    }

    #[test]
    fn an_identity_is_told_from_a_state_and_back() {
        let identity = identity().required("name", Type::String, "Name.");
        assert_eq!(identity.mistakes(), Vec::<String>::new());
        let state = State { name: "a".into(), size: 3.into() };
        let named = identity.of(&state).unwrap();
        assert_eq!(named, object([("name", "a".into())]));
        assert_eq!(identity.import(&named).unwrap(), State { name: "a".into(), size: Value::Null });
        assert_eq!(identity.of(&State::default()), None);
    }

    #[test]
    fn mistakes_are_named() {
        let optional = identity().optional("name", Type::String, "");
        assert_eq!(
            optional.mistakes(),
            ["identity: an import would need nothing", "identity: name has no description"]
        );
        let map = identity().required("name", Type::map(Type::String), "Name.");
        assert!(map.mistakes().iter().any(|mistake| mistake.contains("cannot have")), "{:?}", map.mistakes());
        assert!(map.mistakes().iter().any(|mistake| mistake.contains("does not fit")));
    }

    #[test]
    fn only_what_both_say_can_contradict() {
        let whole = object([("account", "1".into()), ("name", "a".into())]);
        assert_eq!(contradiction(&object([("account", Raw::Null), ("name", "a".into())]), &whole), None);
        let other = object([("account", "2".into()), ("name", "a".into())]);
        assert_eq!(contradiction(&other, &whole), Some(("account", &"2".into(), &"1".into())));
        assert_eq!(contradiction(&Raw::Null, &whole), None);
    }
}
