//! [`Value`]: what a field of a model holds.

/// A value that may be unknown or absent.
///
/// While Terraform plans, an attribute that depends on a resource not made yet is [`Unknown`](Self::Unknown). In
/// create, update and delete nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value<T> {
    /// The value is there.
    Known(T),
    /// The value is told only by apply.
    Unknown,
    /// There is no value.
    #[default]
    Null,
}

impl<T> Value<T> {
    /// The value, when it is known and there.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown | Self::Null => None,
        }
    }

    /// The same with a reference to what is inside.
    pub fn as_ref(&self) -> Value<&T> {
        match self {
            Self::Known(value) => Value::Known(value),
            Self::Unknown => Value::Unknown,
            Self::Null => Value::Null,
        }
    }

    /// A reference to the value, when it is known and there.
    pub fn get(&self) -> Option<&T> {
        self.as_ref().known()
    }

    /// The value, or `default` when it is unknown or absent.
    pub fn unwrap_or(self, default: T) -> T {
        self.known().unwrap_or(default)
    }

    /// The value, or the default of its type when it is unknown or absent.
    pub fn unwrap_or_default(self) -> T
    where
        T: Default,
    {
        self.known().unwrap_or_default()
    }

    /// The same with `convert` applied to what is inside.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Value<U> {
        match self {
            Self::Known(value) => Value::Known(convert(value)),
            Self::Unknown => Value::Unknown,
            Self::Null => Value::Null,
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether the value is told only by apply.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Whether the value is there.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

impl Value<String> {
    /// The text, when it is known and there.
    pub fn as_str(&self) -> Option<&str> {
        self.get().map(String::as_str)
    }
}

impl<T> From<T> for Value<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl From<&str> for Value<String> {
    fn from(value: &str) -> Self {
        Self::Known(value.to_owned())
    }
}

impl<T> From<Option<T>> for Value<T> {
    /// `None` is null.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_values_are_there() {
        assert_eq!(Value::from("a").as_str(), Some("a"));
        assert_eq!(Value::<String>::Unknown.as_str(), None);
        assert_eq!(Value::<i64>::Null.unwrap_or(3), 3);
        let some: Value<i64> = Some(2).into();
        assert_eq!(some.map(|int| int + 1), Value::Known(3));
        let none: Value<bool> = None.into();
        assert_eq!(none, Value::Null);
    }
}
