//! JSON as it stands in Terraform's state files.
//!
//! Numbers are read from their text, so that none loses digits on its way through a float.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::codec::CodecError;
use super::{MAX_DEPTH, Path, Raw, Type};

/// Reads a value of type `ty`. Attributes that an object lacks are null, those that the type lacks are passed over: a
/// state may have been written by an older version of the schema. The result is canonical.
pub(crate) fn decode(bytes: &[u8], ty: &Type) -> Result<Raw, CodecError> {
    let text: &RawValue = parse(bytes, &Path::root())?;
    Ok(value(text, ty, &Path::root(), 0)?.canonical(ty))
}

/// A value of dynamic type with its type.
#[derive(Deserialize)]
struct Dynamic<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, rename = "type")]
    ty: &'a RawValue,
}

fn value(json: &RawValue, ty: &Type, path: &Path, depth: usize) -> Result<Raw, CodecError> {
    if depth > MAX_DEPTH {
        return Err(CodecError::new(path, "the value is nested too deeply"));
    }
    let text = json.get();
    if text == "null" {
        return Ok(Raw::Null);
    }
    let bytes = text.as_bytes();
    match ty {
        Type::String => parse(bytes, path).map(Raw::String),
        Type::Bool => parse(bytes, path).map(Raw::Bool),
        Type::Number => text
            .parse()
            .map(Raw::Number)
            .map_err(|error| CodecError::new(path, format!("{text} is not a number: {error}"))),
        Type::List(element) | Type::Set(element) => parse::<Vec<&RawValue>>(bytes, path)?
            .into_iter()
            .enumerate()
            .map(|(index, json)| value(json, element, &path.index(index), depth + 1))
            .collect::<Result<_, _>>()
            .map(Raw::List),
        Type::Tuple(types) => {
            let elements = parse::<Vec<&RawValue>>(bytes, path)?;
            if elements.len() != types.len() {
                return Err(CodecError::new(path, format!("a value of type {ty} is needed")));
            }
            let elements = elements.into_iter().zip(types).enumerate();
            elements
                .map(|(index, (json, ty))| value(json, ty, &path.index(index), depth + 1))
                .collect::<Result<_, _>>()
                .map(Raw::List)
        }
        Type::Map(element) => parse::<BTreeMap<String, &RawValue>>(bytes, path)?
            .into_iter()
            .map(|(key, json)| {
                let raw = value(json, element, &path.key(&key), depth + 1)?;
                Ok((key, raw))
            })
            .collect::<Result<_, _>>()
            .map(Raw::Map),
        Type::Object(types) => {
            let attributes = parse::<BTreeMap<String, &RawValue>>(bytes, path)?;
            types
                .iter()
                .map(|(name, ty)| {
                    let raw = match attributes.get(name) {
                        Some(json) => value(json, ty, &path.attribute(name), depth + 1)?,
                        None => Raw::Null,
                    };
                    Ok((name.clone(), raw))
                })
                .collect::<Result<_, _>>()
                .map(Raw::Map)
        }
        Type::Dynamic => {
            let dynamic: Dynamic<'_> = parse(bytes, path)?;
            let ty = Type::from_json(dynamic.ty.get().as_bytes())
                .map_err(|error| CodecError::new(path, error.to_string()))?;
            let raw = value(dynamic.value, &ty, path, depth + 1)?;
            Ok(Raw::Dynamic(Box::new((ty, raw))))
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], path: &Path) -> Result<T, CodecError> {
    serde_json::from_slice(bytes).map_err(|error| CodecError::new(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::super::codec::strategy::{any_type, any_typed};
    use super::*;

    #[test]
    fn numbers_lose_no_digit() {
        for text in
            ["0.1", "18446744073709551616", "3.14159265358979323846264338327950288", "-9223372036854775809"]
        {
            assert_eq!(decode(text.as_bytes(), &Type::Number), Ok(Raw::Number(text.parse().unwrap())));
        }
    }

    #[test]
    fn attributes_come_and_go() {
        let ty = Type::object([("kept", Type::String), ("new", Type::Bool)]);
        let raw = decode(br#"{"kept":"a","gone":[1]}"#, &ty).unwrap();
        assert_eq!((raw.get("kept"), raw.get("new")), (&Raw::from("a"), &Raw::Null));
    }

    #[test]
    fn problems_name_the_place() {
        let ty = Type::object([("rule", Type::list(Type::map(Type::Number)))]);
        let error = decode(br#"{"rule":[{"k":"x"}]}"#, &ty).unwrap_err();
        assert_eq!(error.path.to_string(), r#"rule[0]["k"]"#);
        assert!(decode(b"{", &ty).is_err());
        let deep = format!("{}1{}", r#"{"type":"dynamic","value":"#.repeat(100), "}".repeat(100));
        assert!(decode(deep.as_bytes(), &Type::Dynamic).unwrap_err().problem.contains("nested"));
    }

    /// The JSON that Terraform would write, except for numbers that serde's own value cannot hold.
    fn json(raw: &Raw, ty: &Type) -> Json {
        match (raw, ty) {
            (Raw::Null | Raw::Unknown, _) => Json::Null,
            (Raw::Bool(value), _) => json!(value),
            (Raw::Number(number), _) => serde_json::from_str(number.as_str()).unwrap(),
            (Raw::String(text), _) => json!(text),
            (Raw::List(elements), Type::List(ty) | Type::Set(ty)) => {
                elements.iter().map(|raw| json(raw, ty)).collect()
            }
            (Raw::List(elements), Type::Tuple(types)) => {
                elements.iter().zip(types).map(|(raw, ty)| json(raw, ty)).collect()
            }
            (Raw::Map(elements), Type::Map(ty)) => {
                elements.iter().map(|(key, raw)| (key.clone(), json(raw, ty))).collect()
            }
            (Raw::Map(elements), Type::Object(types)) => {
                elements.iter().map(|(key, raw)| (key.clone(), json(raw, &types[key]))).collect()
            }
            (Raw::Dynamic(inner), _) => json!({"type": inner.0.to_json(), "value": json(&inner.1, &inner.0)}),
            _ => unreachable!("{raw:?} is not of type {ty}"),
        }
    }

    /// Whether serde's own number holds every number in `raw` exactly.
    fn plain_numbers(raw: &Raw) -> bool {
        match raw {
            Raw::Number(number) => number.as_i64().is_some(),
            Raw::List(elements) => elements.iter().all(plain_numbers),
            Raw::Map(elements) => elements.values().all(plain_numbers),
            Raw::Dynamic(inner) => plain_numbers(&inner.1),
            _ => true,
        }
    }

    proptest! {
        #[test]
        fn values_come_back((ty, raw) in any_typed(false).prop_filter("numbers", |(_, raw)| plain_numbers(raw))) {
            let text = json(&raw, &ty).to_string();
            prop_assert_eq!(decode(text.as_bytes(), &ty), Ok(raw));
        }

        #[test]
        fn no_bytes_panic(ty in any_type(), bytes: Vec<u8>) {
            let _ = decode(&bytes, &ty);
        }
    }
}
