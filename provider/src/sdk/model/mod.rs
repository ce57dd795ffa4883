//! Models: the typed structs in which resources see their configuration, plan and state.

mod convert;
mod secret;

use std::fmt::Debug;

pub use secret::Secret;

use super::{Diagnostic, Path, Raw, Type};

/// The struct of a resource, data source, provider or nested object. Made with [`model!`](crate::model).
pub trait Model: Convert + Clone + Debug + Default + Send + Sync + 'static {
    /// The names of the attributes and blocks, each a field.
    const FIELDS: &'static [&'static str];
}

/// A Rust type that a value of Terraform can become, and back.
pub trait Convert: Sized {
    /// Makes it from `raw`, which stands at `path`.
    fn from_raw(raw: &Raw, path: &Path) -> Result<Self, ConvertError>;

    /// The value for Terraform.
    fn to_raw(&self) -> Raw;

    /// Whether values of type `ty` can become it. Checked once for every model, so that a schema and its model cannot
    /// part ways.
    fn fits(ty: &Type) -> bool;
}

/// Why a value cannot become the Rust type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConvertError {
    /// The value, or one within it, is told only by apply.
    Unknown(Path),
    /// The value does not fit; the diagnostic says why.
    Unfit(Box<Diagnostic>),
}

impl ConvertError {
    /// The value at `path` is not `expected`.
    pub fn unfit(path: &Path, expected: &str) -> Self {
        let diagnostic =
            Diagnostic::error("Invalid value", format!("The value of `{path}` must be {expected}."));
        Self::Unfit(Box::new(diagnostic.at(path.clone())))
    }
}

impl From<ConvertError> for Diagnostic {
    fn from(error: ConvertError) -> Self {
        match error {
            ConvertError::Unknown(path) => {
                Self::error("Value not known yet", "The value must be known here, but is told only by apply.")
                    .at(path)
            }
            ConvertError::Unfit(diagnostic) => *diagnostic,
        }
    }
}

/// Declares models.
///
/// Every field is declared once; its name is the attribute's or block's, its type a [`Value`](crate::sdk::Value). Raw
/// identifiers (`r#type`) stand for the name without `r#`.
///
/// ```
/// use terraform_provider::model;
/// use terraform_provider::sdk::Value;
///
/// model! {
///     /// State of one bucket.
///     pub struct Bucket {
///         /// Chosen by the user.
///         pub name: Value<String>,
///         /// Blocks and nested attributes are models themselves.
///         pub rule: Value<Vec<Rule>>,
///     }
///
///     /// One rule of a bucket.
///     pub struct Rule {
///         /// In days.
///         pub age: Value<i64>,
///     }
/// }
///
/// let bucket = Bucket { name: "logs".into(), ..Bucket::default() };
/// assert_eq!(bucket.rule, Value::Null);
/// ```
#[macro_export]
macro_rules! model {
    ($(
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            $( $(#[$field_meta:meta])* $field_visibility:vis $field:ident: $ty:ty ),* $(,)?
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $visibility struct $name {
            $( $(#[$field_meta])* $field_visibility $field: $ty, )*
        }

        impl $crate::sdk::Model for $name {
            const FIELDS: &'static [&'static str] = &[$( $crate::sdk::field_name(stringify!($field)) ),*];
        }

        impl $crate::sdk::Convert for $name {
            fn from_raw(
                raw: &$crate::sdk::Raw,
                path: &$crate::sdk::Path,
            ) -> ::core::result::Result<Self, $crate::sdk::ConvertError> {
                $crate::sdk::expect_object(raw, path)?;
                ::core::result::Result::Ok(Self {
                    $( $field: $crate::sdk::field_from_raw(raw, path, stringify!($field))?, )*
                })
            }

            fn to_raw(&self) -> $crate::sdk::Raw {
                $crate::sdk::Raw::Map(
                    [$( (
                        $crate::sdk::field_name(stringify!($field)).to_owned(),
                        $crate::sdk::Convert::to_raw(&self.$field),
                    ), )*]
                    .into(),
                )
            }

            fn fits(ty: &$crate::sdk::Type) -> bool {
                $crate::sdk::object_fits(
                    ty,
                    &[$( (stringify!($field), <$ty as $crate::sdk::Convert>::fits) ),*],
                )
            }
        }
    )+};
}

/// The attribute name of a field: raw identifiers lose their `r#`. For [`model!`](crate::model).
#[doc(hidden)]
pub const fn field_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// For [`model!`](crate::model).
#[doc(hidden)]
pub fn expect_object(raw: &Raw, path: &Path) -> Result<(), ConvertError> {
    match raw {
        Raw::Map(_) => Ok(()),
        Raw::Unknown => Err(ConvertError::Unknown(path.clone())),
        _ => Err(ConvertError::unfit(path, "an object")),
    }
}

/// For [`model!`](crate::model).
#[doc(hidden)]
pub fn field_from_raw<T: Convert>(raw: &Raw, path: &Path, field: &'static str) -> Result<T, ConvertError> {
    let name = field_name(field);
    T::from_raw(raw.get(name), &path.attribute(name))
}

/// A field's name and [`Convert::fits`] of its type. For [`model!`](crate::model).
#[doc(hidden)]
pub type Field = (&'static str, fn(&Type) -> bool);

/// For [`model!`](crate::model).
#[doc(hidden)]
pub fn object_fits(ty: &Type, fields: &[Field]) -> bool {
    let Type::Object(attributes) = ty else { return false };
    attributes.len() == fields.len()
        && fields.iter().all(|(field, fits)| attributes.get(field_name(field)).is_some_and(fits))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::sdk::Value;

    crate::model! {
        struct Outer {
            name: Value<String>,
            r#type: Value<i64>,
            inner: Value<Vec<Inner>>,
            labels: Value<BTreeMap<String, String>>,
            tags: Value<BTreeSet<String>>,
            key: Value<Secret>,
        }

        struct Inner {
            ratio: Value<f64>,
            port: Value<u16>,
        }
    }

    fn object<const N: usize>(attributes: [(&str, Raw); N]) -> Raw {
        Raw::Map(attributes.into_iter().map(|(name, raw)| (name.to_owned(), raw)).collect())
    }

    fn outer() -> Outer {
        Outer {
            name: "a".into(),
            r#type: Value::Unknown,
            inner: Value::Known(vec![Inner { ratio: 0.1.into(), port: Value::Null }]),
            labels: Value::Known([("k".to_owned(), "v".to_owned())].into()),
            tags: Value::Known(["t".to_owned()].into()),
            key: Secret::new("hush").into(),
        }
    }

    #[test]
    fn models_survive_the_way_to_terraform_and_back() {
        let raw = outer().to_raw();
        assert_eq!(raw.get("inner").elements()[0].get("ratio"), &Raw::Number("0.1".parse().unwrap()));
        assert_eq!(Outer::from_raw(&raw, &Path::root()), Ok(outer()));
        assert_eq!(Outer::FIELDS, ["name", "type", "inner", "labels", "tags", "key"]);
    }

    #[test]
    fn errors_point_at_the_value() {
        let inner = object([("port", Raw::from(65_536))]);
        let raw = object([("inner", Raw::List(vec![inner]))]);
        let error = Diagnostic::from(Outer::from_raw(&raw, &Path::root()).unwrap_err());
        assert_eq!(error.path.to_string(), "inner[0].port");
        assert_eq!(error.detail, "The value of `inner[0].port` must be a whole number between 0 and 65535.");

        let raw = object([("type", Raw::Number("1.5".parse().unwrap()))]);
        let error = Diagnostic::from(Outer::from_raw(&raw, &Path::root()).unwrap_err());
        assert_eq!(error.path, Path::from("type"));
    }

    #[test]
    fn one_unknown_element_makes_the_collection_unknown() {
        let raw =
            object([("labels", object([("k", Raw::Unknown)])), ("tags", Raw::List(vec![Raw::Unknown]))]);
        let outer = Outer::from_raw(&raw, &Path::root()).unwrap();
        assert_eq!((outer.labels, outer.tags), (Value::Unknown, Value::Unknown));
        // The element of a nested object is unknown by itself.
        let raw = object([("inner", Raw::List(vec![object([("port", Raw::Unknown)])]))]);
        let outer = Outer::from_raw(&raw, &Path::root()).unwrap();
        assert_eq!(outer.inner, Value::Known(vec![Inner { ratio: Value::Null, port: Value::Unknown }]));
    }

    #[test]
    fn a_model_fits_exactly_its_schema() {
        let inner = Type::object([("ratio", Type::Number), ("port", Type::Number)]);
        assert!(Inner::fits(&inner));
        assert!(!Inner::fits(&Type::object([("ratio", Type::Number)])));
        assert!(!Inner::fits(&Type::object([("ratio", Type::Number), ("port", Type::String)])));
        assert!(Value::<Vec<Inner>>::fits(&Type::list(inner)));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", outer()).contains("hush"));
    }
}
