//! Types of values, and the JSON in which the protocol writes them.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde_json::Value as Json;
use thiserror::Error;

use super::MAX_DEPTH;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// Text.
    String,
    /// A decimal number.
    Number,
    /// A truth value.
    Bool,
    /// Any type; each value brings its own.
    Dynamic,
    /// Elements of one type, in order.
    List(Box<Self>),
    /// Elements of one type, each once, without order.
    Set(Box<Self>),
    /// Elements of one type by text keys.
    Map(Box<Self>),
    /// Named attributes, each of its own type.
    Object(BTreeMap<String, Self>),
    /// A fixed number of elements, each of its own type.
    Tuple(Vec<Self>),
}

/// Why a JSON text is not a type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TypeError {
    /// The text is not JSON.
    #[error("a type is not valid JSON")]
    Json,
    /// The JSON is no type that Terraform has.
    #[error("{0} is not a type")]
    Unknown(String),
    /// The type nests deeper than any real one.
    #[error("a type is nested too deeply")]
    TooDeep,
}

impl Type {
    /// The object type with these attributes.
    pub fn object<'a>(attributes: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::Object(attributes.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect())
    }

    /// The list of `element`.
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// The set of `element`.
    pub fn set(element: Self) -> Self {
        Self::Set(Box::new(element))
    }

    /// The map of `element`.
    pub fn map(element: Self) -> Self {
        Self::Map(Box::new(element))
    }

    /// The JSON form that the protocol and `terraform providers schema -json` use: `"string"`, `["list","string"]`,
    /// `["object",{"a":"bool"}]`.
    pub fn to_json(&self) -> Json {
        match self {
            Self::String => Json::from("string"),
            Self::Number => Json::from("number"),
            Self::Bool => Json::from("bool"),
            Self::Dynamic => Json::from("dynamic"),
            Self::List(element) => Json::Array(vec![Json::from("list"), element.to_json()]),
            Self::Set(element) => Json::Array(vec![Json::from("set"), element.to_json()]),
            Self::Map(element) => Json::Array(vec![Json::from("map"), element.to_json()]),
            Self::Object(attributes) => Json::Array(vec![
                Json::from("object"),
                attributes.iter().map(|(name, ty)| (name.clone(), ty.to_json())).collect(),
            ]),
            Self::Tuple(elements) => {
                Json::Array(vec![Json::from("tuple"), elements.iter().map(Self::to_json).collect()])
            }
        }
    }

    /// Reads the JSON form.
    pub fn from_json(text: &[u8]) -> Result<Self, TypeError> {
        let json = serde_json::from_slice(text).map_err(|_| TypeError::Json)?;
        Self::from_json_value(&json, 0)
    }

    fn from_json_value(json: &Json, depth: usize) -> Result<Self, TypeError> {
        if depth > MAX_DEPTH {
            return Err(TypeError::TooDeep);
        }
        let nested = |json| Self::from_json_value(json, depth + 1);
        let unknown = || TypeError::Unknown(json.to_string());
        match json {
            Json::String(name) => match name.as_str() {
                "string" => Ok(Self::String),
                "number" => Ok(Self::Number),
                "bool" => Ok(Self::Bool),
                "dynamic" => Ok(Self::Dynamic),
                _ => Err(unknown()),
            },
            Json::Array(parts) => {
                let (Some(Json::String(name)), Some(argument)) = (parts.first(), parts.get(1)) else {
                    return Err(unknown());
                };
                match (name.as_str(), argument) {
                    ("list", element) => Ok(Self::list(nested(element)?)),
                    ("set", element) => Ok(Self::set(nested(element)?)),
                    ("map", element) => Ok(Self::map(nested(element)?)),
                    // A third part may list optional attributes; the values have them all, as null.
                    ("object", Json::Object(attributes)) => attributes
                        .iter()
                        .map(|(name, ty)| Ok((name.clone(), nested(ty)?)))
                        .collect::<Result<_, _>>()
                        .map(Self::Object),
                    ("tuple", Json::Array(elements)) => {
                        elements.iter().map(nested).collect::<Result<_, _>>().map(Self::Tuple)
                    }
                    _ => Err(unknown()),
                }
            }
            _ => Err(unknown()),
        }
    }
}

impl Display for Type {
    /// As a configuration writes it: `list(string)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => formatter.write_str("string"),
            Self::Number => formatter.write_str("number"),
            Self::Bool => formatter.write_str("bool"),
            Self::Dynamic => formatter.write_str("any"),
            Self::List(element) => write!(formatter, "list({element})"),
            Self::Set(element) => write!(formatter, "set({element})"),
            Self::Map(element) => write!(formatter, "map({element})"),
            Self::Object(attributes) => {
                formatter.write_str("object({")?;
                for (position, (name, ty)) in attributes.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(formatter, "{comma}{name} = {ty}")?;
                }
                formatter.write_str("})")
            }
            Self::Tuple(elements) => {
                formatter.write_str("tuple([")?;
                for (position, ty) in elements.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(formatter, "{comma}{ty}")?;
                }
                formatter.write_str("])")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_survive_their_json_form() {
        let ty = Type::object([
            ("a", Type::list(Type::Number)),
            ("b", Type::Tuple(vec![Type::Bool, Type::set(Type::Dynamic)])),
            ("c", Type::map(Type::String)),
        ]);
        assert_eq!(Type::from_json(ty.to_json().to_string().as_bytes()), Ok(ty.clone()));
        assert_eq!(
            ty.to_string(),
            "object({a = list(number), b = tuple([bool, set(any)]), c = map(string)})"
        );
    }

    #[test]
    fn optional_attributes_are_accepted() {
        assert_eq!(
            Type::from_json(br#"["object",{"a":"bool"},["a"]]"#),
            Ok(Type::object([("a", Type::Bool)]))
        );
    }

    #[test]
    fn what_is_no_type_is_refused() {
        assert_eq!(Type::from_json(b"{"), Err(TypeError::Json));
        for text in ["null", "[]", r#"["list"]"#, r#"["object",[]]"#, r#""strings""#, r#"[["list"],1]"#] {
            assert!(matches!(Type::from_json(text.as_bytes()), Err(TypeError::Unknown(_))), "{text}");
        }
        let deep = format!("{}\"bool\"{}", r#"["list","#.repeat(100), "]".repeat(100));
        assert_eq!(Type::from_json(deep.as_bytes()), Err(TypeError::TooDeep));
    }
}
