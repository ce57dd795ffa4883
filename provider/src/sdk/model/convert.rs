//! Which Rust types values of Terraform become.

use std::collections::{BTreeMap, BTreeSet};

use super::{Convert, ConvertError, Secret};
use crate::sdk::{Number, Path, Raw, Type, Value};

impl<T: Convert> Convert for Value<T> {
    fn from_raw(raw: &Raw, path: &Path) -> Result<Self, ConvertError> {
        match raw {
            Raw::Null => Ok(Self::Null),
            Raw::Unknown => Ok(Self::Unknown),
            // A list with one unknown element is no list of Rust values: for a model it is unknown as a whole.
            _ => match T::from_raw(raw, path) {
                Err(ConvertError::Unknown(_)) => Ok(Self::Unknown),
                converted => converted.map(Self::Known),
            },
        }
    }

    fn to_raw(&self) -> Raw {
        match self {
            Self::Known(value) => value.to_raw(),
            Self::Unknown => Raw::Unknown,
            Self::Null => Raw::Null,
        }
    }

    fn fits(ty: &Type) -> bool {
        T::fits(ty)
    }
}

/// Implements [`Convert`] for a type that one kind of [`Raw`] becomes.
macro_rules! convert {
    ($ty:ty, $expected:literal, $fits:pat, $raw:ident => $from:expr, $this:ident => $to:expr) => {
        impl Convert for $ty {
            fn from_raw($raw: &Raw, path: &Path) -> Result<Self, ConvertError> {
                if $raw.is_unknown() {
                    return Err(ConvertError::Unknown(path.clone()));
                }
                // Where a value may be null it is a `Value`; an element of a collection is not.
                let null = if $raw.is_null() { ", not null" } else { "" };
                $from.ok_or_else(|| ConvertError::unfit(path, &format!("{}{null}", $expected)))
            }

            fn to_raw(&self) -> Raw {
                let $this = self;
                $to
            }

            fn fits(ty: &Type) -> bool {
                matches!(ty, $fits)
            }
        }
    };
}

convert!(String, "a text", Type::String, raw => raw.as_str().map(str::to_owned), this => Raw::String(this.clone()));
convert!(
    bool, "true or false", Type::Bool,
    raw => match raw { Raw::Bool(value) => Some(*value), _ => None },
    this => Raw::Bool(*this)
);
convert!(
    i64, "a whole number between -9223372036854775808 and 9223372036854775807", Type::Number,
    raw => number(raw).and_then(Number::as_i64), this => Raw::Number((*this).into())
);
convert!(
    u64, "a whole number between 0 and 18446744073709551615", Type::Number,
    raw => number(raw).and_then(Number::as_u64), this => Raw::Number((*this).into())
);
convert!(
    i32, "a whole number between -2147483648 and 2147483647", Type::Number,
    raw => number(raw).and_then(Number::as_i64).and_then(|int| int.try_into().ok()),
    this => Raw::Number(i64::from(*this).into())
);
convert!(
    u32, "a whole number between 0 and 4294967295", Type::Number,
    raw => number(raw).and_then(Number::as_u64).and_then(|int| int.try_into().ok()),
    this => Raw::Number(u64::from(*this).into())
);
convert!(
    u16, "a whole number between 0 and 65535", Type::Number,
    raw => number(raw).and_then(Number::as_u64).and_then(|int| int.try_into().ok()),
    this => Raw::Number(u64::from(*this).into())
);
convert!(
    // A float that is no number has no counterpart in Terraform: it becomes null.
    f64, "a number", Type::Number,
    raw => number(raw).and_then(Number::as_f64),
    this => Number::try_from(*this).map_or(Raw::Null, Raw::Number)
);
convert!(Number, "a number", Type::Number, raw => number(raw).cloned(), this => Raw::Number(this.clone()));

convert!(
    Secret, "a text", Type::String,
    raw => raw.as_str().map(Self::new), this => Raw::from(this.expose())
);

fn number(raw: &Raw) -> Option<&Number> {
    match raw {
        Raw::Number(number) => Some(number),
        _ => None,
    }
}

impl Convert for Raw {
    fn from_raw(raw: &Raw, _path: &Path) -> Result<Self, ConvertError> {
        Ok(raw.clone())
    }

    fn to_raw(&self) -> Raw {
        self.clone()
    }

    fn fits(_ty: &Type) -> bool {
        true
    }
}

impl<T: Convert> Convert for Vec<T> {
    fn from_raw(raw: &Raw, path: &Path) -> Result<Self, ConvertError> {
        match raw {
            Raw::List(elements) => {
                elements.iter().enumerate().map(|(index, raw)| T::from_raw(raw, &path.index(index))).collect()
            }
            Raw::Unknown => Err(ConvertError::Unknown(path.clone())),
            _ => Err(ConvertError::unfit(path, "a list")),
        }
    }

    fn to_raw(&self) -> Raw {
        Raw::List(self.iter().map(T::to_raw).collect())
    }

    fn fits(ty: &Type) -> bool {
        matches!(ty, Type::List(element) | Type::Set(element) if T::fits(element))
    }
}

impl<T: Convert + Ord> Convert for BTreeSet<T> {
    fn from_raw(raw: &Raw, path: &Path) -> Result<Self, ConvertError> {
        match raw {
            // Elements of a set have no address of their own: errors point at the set.
            Raw::List(elements) => elements.iter().map(|raw| T::from_raw(raw, path)).collect(),
            Raw::Unknown => Err(ConvertError::Unknown(path.clone())),
            _ => Err(ConvertError::unfit(path, "a set")),
        }
    }

    fn to_raw(&self) -> Raw {
        Raw::List(self.iter().map(T::to_raw).collect())
    }

    fn fits(ty: &Type) -> bool {
        matches!(ty, Type::Set(element) if T::fits(element))
    }
}

impl<T: Convert> Convert for BTreeMap<String, T> {
    fn from_raw(raw: &Raw, path: &Path) -> Result<Self, ConvertError> {
        match raw {
            Raw::Map(elements) => elements
                .iter()
                .map(|(key, raw)| Ok((key.clone(), T::from_raw(raw, &path.key(key))?)))
                .collect(),
            Raw::Unknown => Err(ConvertError::Unknown(path.clone())),
            _ => Err(ConvertError::unfit(path, "a map")),
        }
    }

    fn to_raw(&self) -> Raw {
        Raw::Map(self.iter().map(|(key, value)| (key.clone(), value.to_raw())).collect())
    }

    fn fits(ty: &Type) -> bool {
        matches!(ty, Type::Map(element) if T::fits(element))
    }
}
