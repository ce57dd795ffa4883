//! A value as Terraform speaks it.

use std::collections::BTreeMap;

use super::{Number, Type};

/// A value that may be unknown or null at any depth.
///
/// Two values of one type are equal exactly when Terraform holds them equal, provided both were made canonical
/// ([`Raw::canonical`]): the elements of a set have no order, so they are kept sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Raw {
    /// Absent.
    #[default]
    Null,
    /// Known only after apply.
    Unknown,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(String),
    /// A list, set or tuple: the type tells which.
    List(Vec<Self>),
    /// A map or object: the type tells which.
    Map(BTreeMap<String, Self>),
    /// A value whose type the schema leaves open, with the type it has.
    Dynamic(Box<(Type, Self)>),
}

impl Raw {
    /// Whether this is [`Raw::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this is [`Raw::Unknown`] itself; what it contains does not count.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Whether nothing unknown is in it, at any depth.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => true,
            Self::List(elements) => elements.iter().all(Self::is_wholly_known),
            Self::Map(elements) => elements.values().all(Self::is_wholly_known),
            Self::Dynamic(inner) => inner.1.is_wholly_known(),
        }
    }

    /// The attribute or map element `name`; null when there is none.
    pub fn get(&self, name: &str) -> &Self {
        match self {
            Self::Map(elements) => elements.get(name).unwrap_or(&Self::Null),
            _ => &Self::Null,
        }
    }

    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list, set or tuple; none for anything else.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// The same value with every set in it sorted and without repetition.
    #[must_use]
    pub fn canonical(self, ty: &Type) -> Self {
        match (self, ty) {
            (Self::List(elements), Type::Set(element)) => {
                let mut elements: Vec<_> = elements.into_iter().map(|raw| raw.canonical(element)).collect();
                elements.sort();
                // Two unknown elements may turn out different, so only known ones are merged.
                elements.dedup_by(|later, earlier| later == earlier && later.is_wholly_known());
                Self::List(elements)
            }
            (Self::List(elements), Type::List(element)) => {
                Self::List(elements.into_iter().map(|raw| raw.canonical(element)).collect())
            }
            (Self::List(elements), Type::Tuple(types)) => {
                Self::List(elements.into_iter().zip(types).map(|(raw, ty)| raw.canonical(ty)).collect())
            }
            (Self::Map(elements), Type::Map(element)) => {
                Self::Map(elements.into_iter().map(|(key, raw)| (key, raw.canonical(element))).collect())
            }
            (Self::Map(elements), Type::Object(types)) => Self::Map(
                elements
                    .into_iter()
                    .map(|(key, raw)| match types.get(&key) {
                        Some(ty) => (key, raw.canonical(ty)),
                        None => (key, raw),
                    })
                    .collect(),
            ),
            (Self::Dynamic(inner), _) => {
                let (ty, raw) = *inner;
                let raw = raw.canonical(&ty);
                Self::Dynamic(Box::new((ty, raw)))
            }
            (raw, _) => raw,
        }
    }

    /// The same value with null in place of everything unknown, at any depth.
    #[must_use]
    pub fn unknown_as_null(self) -> Self {
        match self {
            Self::Unknown => Self::Null,
            Self::List(elements) => Self::List(elements.into_iter().map(Self::unknown_as_null).collect()),
            Self::Map(elements) => {
                Self::Map(elements.into_iter().map(|(key, raw)| (key, raw.unknown_as_null())).collect())
            }
            Self::Dynamic(inner) => {
                let (ty, raw) = *inner;
                Self::Dynamic(Box::new((ty, raw.unknown_as_null())))
            }
            known => known,
        }
    }
}

impl From<bool> for Raw {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Raw {
    fn from(value: i64) -> Self {
        Self::Number(value.into())
    }
}

impl From<Number> for Raw {
    fn from(value: Number) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Raw {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Raw {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Raw {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>, const N: usize> From<[T; N]> for Raw {
    fn from(values: [T; N]) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<BTreeMap<String, T>> for Raw {
    fn from(values: BTreeMap<String, T>) -> Self {
        Self::Map(values.into_iter().map(|(key, value)| (key, value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_no_order_and_no_repetition() {
        let set = Type::Set(Box::new(Type::String));
        assert_eq!(Raw::from(["b", "a", "b"]).canonical(&set), Raw::from(["a", "b"]));
        let list = Type::List(Box::new(Type::String));
        assert_eq!(Raw::from(["b", "a", "b"]).canonical(&list), Raw::from(["b", "a", "b"]));
        let unknowns = Raw::List(vec![Raw::Unknown, Raw::Unknown]);
        assert_eq!(unknowns.clone().canonical(&set), unknowns);
    }

    #[test]
    fn unknown_is_found_at_any_depth() {
        let raw = Raw::Map([("a".to_owned(), Raw::List(vec![Raw::Unknown]))].into());
        assert!(!raw.is_wholly_known());
        assert!(raw.unknown_as_null().is_wholly_known());
    }
}
