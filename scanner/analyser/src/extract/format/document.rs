//! Values of JSON and TOML documents, for readers who want some of them: one odd field must not cost what stands beside it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use agentless_core::number::to_u64;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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

/// Reads a value of any type that takes no more than so many bytes of memory. `None` if it takes more: it is passed over then.
pub(in crate::extract) fn value<'de, D: Deserializer<'de>>(
    deserializer: D,
    most: u64,
) -> Result<Option<Value<'de>>, D::Error> {
    let room = Room(Cell::new(Some(most)));
    let value = Any(&room).deserialize(deserializer)?;
    Ok((!room.is_exceeded()).then_some(value))
}

/// The bytes of memory that a value may still take; `None` once it would have taken more.
#[derive(Debug)]
struct Room(Cell<Option<u64>>);

impl Room {
    fn is_exceeded(&self) -> bool {
        self.0.get().is_none()
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(to_u64(bytes))));
        !self.is_exceeded()
    }

    /// Adds to a list, if there is room for its growth.
    fn push<T>(&self, list: &mut Vec<T>, item: T) -> bool {
        /// Most lists and maps have a few items.
        const FIRST: usize = 2;

        if list.len() == list.capacity() {
            let more = list.capacity().max(FIRST);
            if !self.take(more.saturating_mul(size_of::<T>())) {
                return false;
            }
            list.reserve_exact(more);
        }
        list.push(item);
        !self.is_exceeded()
    }
}

/// Any value, as far as there is room for it.
#[derive(Clone, Copy)]
struct Any<'r>(&'r Room);

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(if self.0.take(text.len()) { Value::Text(Cow::Owned(text.to_owned())) } else { Value::Other })
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
        while let Some(item) = items.next_element_seed(self)? {
            if !self.0.push(&mut list, item) {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry_seed(Key(self.0), self)? {
            if !self.0.push(&mut map, entry) {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                break;
            }
        }
        Ok(Value::Map(map))
    }
}

/// The key of a map.
struct Key<'r>(&'r Room);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match deserializer.deserialize_str(Any(self.0))? {
            Value::Text(text) => Ok(text),
            _ => Ok(Cow::Borrowed("")),
        }
    }
}

/// What is done with the section, the name and the value of an entry. There is no value where it would take too much memory.
type Entry<'e, 'de> = dyn FnMut(&str, Cow<'de, str>, Option<Value<'de>>) + 'e;

/// Calls `entry` for each entry of those sections of a JSON document that are wanted: with the section's name, the entry's
/// (empty, if the section is a list) and its value. Only one value is in memory at a time, of no more than `most` bytes, and
/// those before an error have been seen.
///
/// # Errors
///
/// What is wrong and where, without anything of the document.
pub(in crate::extract) fn json_entries<'de>(
    text: &'de str,
    sections: &[&str],
    most: u64,
    entry: &mut Entry<'_, 'de>,
) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Deserializer::deserialize_map(&mut deserializer, Sections { wanted: sections, most, entry });
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
    wanted: &'s [&'s str],
    most: u64,
    entry: &'e mut Entry<'e, 'de>,
}

impl<'de> Visitor<'de> for Sections<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut document: A) -> Result<(), A::Error> {
        loop {
            let room = Room(Cell::new(Some(self.most)));
            let Some(section) = document.next_key_seed(Key(&room))? else { return Ok(()) };
            if self.wanted.iter().any(|&wanted| wanted == section) {
                let (name, most, entry) = (&*section, self.most, &mut *self.entry);
                document.next_value_seed(Section { name, most, entry })?;
            } else {
                document.next_value::<IgnoredAny>()?;
            }
        }
    }
}

/// One section, whose entries are passed on.
struct Section<'s, 'e, 'de> {
    name: &'s str,
    most: u64,
    entry: &'s mut Entry<'e, 'de>,
}

impl<'de> Section<'_, '_, 'de> {
    fn room(&self) -> Room {
        Room(Cell::new(Some(self.most)))
    }

    fn pass_on(&mut self, key: Cow<'de, str>, value: Value<'de>, room: &Room) {
        (self.entry)(self.name, key, (!room.is_exceeded()).then_some(value));
    }
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

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        loop {
            let room = self.room();
            let Some(item) = items.next_element_seed(Any(&room))? else { return Ok(()) };
            self.pass_on(Cow::Borrowed(""), item, &room);
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        loop {
            let room = self.room();
            let Some((key, value)) = entries.next_entry_seed(Key(&room), Any(&room))? else { return Ok(()) };
            self.pass_on(key, value, &room);
        }
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
        let error = json_entries(text, &["a", "l"], 1 << 20, &mut |section, key, value| {
            seen.push((section.to_owned(), key.into_owned(), value.unwrap()));
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
        let error = json_entries(&text, &["a"], 1 << 20, &mut |_, _, _| {}).unwrap_err();
        assert!(error.contains("recursion limit"), "{error}");
    }

    #[test]
    fn an_entry_that_takes_too_much_memory_costs_itself() {
        let many = |item: &str| vec![item; 10_000].join(",");
        for large in [
            format!("[{}]", many("0")),
            format!("[{}]", many("[0]")),
            format!("[{}]", many("[[],{}]")),
            format!("{{{}}}", many("\"a\":0")),
            format!("[{}]", many("{\"a\":[{\"b\":0}]}")),
            format!("\"{}\"", "\\n".repeat(100_000)),
            format!("{{\"{}\": 1}}", "\\n".repeat(100_000)),
        ] {
            let text = format!("{{\"a\": {{\"before\": 1, \"large\": {large}, \"after\": [1]}}}}");
            let mut seen = Vec::new();
            json_entries(&text, &["a"], 50_000, &mut |_, key, value| {
                seen.push((key.into_owned(), value.is_some()));
            })
            .unwrap();
            let seen: Vec<_> = seen.iter().map(|(key, is_there)| (&key[..], *is_there)).collect();
            assert_eq!(seen, [("before", true), ("large", false), ("after", true)], "{large:.20}");
        }
    }
}
