//! Values of JSON and TOML documents, for readers who want some of them: one odd field must not cost what stands beside it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value as far as it is wanted. Texts without escapes are borrowed from the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::extract) enum Value<'a> {
    Text(Cow<'a, str>),
    Flag(bool),
    List(Vec<Self>),
    /// In the order of the document.
    Map(Vec<(Cow<'a, str>, Self)>),
    /// Anything else: numbers, times, nothing.
    #[default]
    Other,
}

impl<'a> Value<'a> {
    /// The first value of this name, if this is a map that has one.
    pub(in crate::extract) fn get(&self, name: &str) -> &Self {
        self.map().iter().find(|(key, _)| key == name).map_or(&Value::Other, |(_, value)| value)
    }

    pub(in crate::extract) fn text(&self) -> Option<&Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its entries; none if it is not a map.
    pub(in crate::extract) fn map(&self) -> &[(Cow<'a, str>, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Its items; none if it is not a list.
    pub(in crate::extract) fn list(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The names of its entries; none if it is not a map.
    pub(in crate::extract) fn keys(&self) -> impl Iterator<Item = &Cow<'a, str>> {
        self.map().iter().map(|(key, _)| key)
    }

    /// Its text, or the texts that it lists.
    pub(in crate::extract) fn texts(&self) -> impl Iterator<Item = &Cow<'a, str>> {
        self.text().into_iter().chain(self.list().iter().filter_map(Self::text))
    }

    pub(in crate::extract) fn is_true(&self) -> bool {
        *self == Self::Flag(true)
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text)))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry_seed(Key, Any)? {
            map.push((key, value));
        }
        Ok(Value::Map(map))
    }
}

/// The key of a map.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match deserializer.deserialize_str(AnyValue)? {
            Value::Text(text) => Ok(text),
            _ => Ok(Cow::Borrowed("")),
        }
    }
}

/// A value of a map.
struct Any;

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Value::deserialize(deserializer)
    }
}

/// Calls `entry` for each entry of those sections of a JSON document that are wanted: with the section's name, the entry's
/// (empty, if the section is a list) and its value. Only one value is in memory at a time, and those before an error have
/// been seen.
///
/// # Errors
///
/// What is wrong and where, without anything of the document.
pub(in crate::extract) fn json_entries<'de>(
    text: &'de str,
    sections: &[&str],
    entry: &mut dyn FnMut(&str, Cow<'de, str>, Value<'de>),
) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Deserializer::deserialize_map(&mut deserializer, Sections { sections, entry });
    read.and_then(|()| deserializer.end()).map_err(|error| {
        // An error of syntax names what was expected; one of types quotes the value that is of another one.
        if error.is_data() {
            format!("another type of value than expected at line {} column {}", error.line(), error.column())
        } else {
            error.to_string()
        }
    })
}

struct Sections<'s, 'e, 'de> {
    sections: &'s [&'s str],
    entry: &'e mut dyn FnMut(&str, Cow<'de, str>, Value<'de>),
}

impl<'de> Visitor<'de> for Sections<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut document: A) -> Result<(), A::Error> {
        while let Some(section) = document.next_key_seed(Key)? {
            if self.sections.iter().any(|&wanted| wanted == section) {
                document.next_value_seed(Section { section: &section, entry: &mut *self.entry })?;
            } else {
                document.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// One section, whose entries are passed on.
struct Section<'s, 'e, 'de> {
    section: &'s str,
    entry: &'e mut dyn FnMut(&str, Cow<'de, str>, Value<'de>),
}

impl<'de> DeserializeSeed<'de> for Section<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Section<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.entry)(self.section, Cow::Borrowed(""), item);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some((key, value)) = entries.next_entry_seed(Key, Any)? {
            (self.entry)(self.section, key, value);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_passed_on_up_to_an_error() {
        let mut seen = Vec::new();
        let text = r#"{"x": [1, {"y": 2}], "a": {"k\n": "v", "n": 1.5, "t": true}, "l": [null, ["x"]], "a": {"b": }"#;
        let error = json_entries(text, &["a", "l"], &mut |section, key, value| {
            seen.push((section.to_owned(), key.into_owned(), value));
        });
        assert!(error.unwrap_err().contains("line 1"));
        let seen: Vec<_> = seen.iter().map(|(section, key, value)| (&section[..], &key[..], value)).collect();
        let x = Value::List(vec![Value::Text("x".into())]);
        let expected = [
            ("a", "k\n", &Value::Text("v".into())),
            ("a", "n", &Value::Other),
            ("a", "t", &Value::Flag(true)),
            ("l", "", &Value::Other),
            ("l", "", &x),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn depth_is_bounded() {
        let text = format!("{{\"a\": {}", "[".repeat(1 << 20));
        let error = json_entries(&text, &["a"], &mut |_, _, _| {}).unwrap_err();
        assert!(error.contains("recursion limit"), "{error}");
    }
}
