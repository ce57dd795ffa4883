//! Values in JSON of which a few parts are read.
//!
//! Records of package managers are written by people and by many programs: a member may be of any type, be there twice, or
//! be nested without end. So what is not wanted is skipped as it comes, a wanted member of another type is one that is
//! not there, and what was read before an error is kept.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What is wanted of a value: nothing of any kind of value, unless a function says otherwise.
pub(in crate::extract) trait Wanted {
    /// The value is a text.
    fn text(&mut self, _text: &str) {}

    /// The value is `true` or `false`.
    fn truth(&mut self, _is_true: bool) {}

    /// The value is an object that has a member. Of a member that is there twice the last one stands, as in JavaScript.
    fn member<'de, A: MapAccess<'de>>(&mut self, _name: &str, member: Member<'_, A>) -> Result<(), A::Error> {
        member.skip()
    }

    /// The value is a list that has an element.
    fn element<'de, A: SeqAccess<'de>>(&mut self, element: Element<'_, A>) -> Result<bool, A::Error> {
        element.skip()
    }
}

/// Reads what is wanted of the value that `content` is. After an error `wanted` has what was read before.
pub(in crate::extract) fn read(content: &str, wanted: &mut impl Wanted) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(content);
    Take(wanted).deserialize(&mut deserializer)?;
    deserializer.end()
}

/// The value of one member of an object.
#[derive(Debug)]
pub(in crate::extract) struct Member<'a, A>(&'a mut A);

impl<'de, A: MapAccess<'de>> Member<'_, A> {
    /// Leaves it out.
    pub(in crate::extract) fn skip(self) -> Result<(), A::Error> {
        self.0.next_value::<IgnoredAny>().map(drop)
    }

    /// Reads it.
    pub(in crate::extract) fn read(self, wanted: &mut impl Wanted) -> Result<(), A::Error> {
        self.0.next_value_seed(Take(wanted))
    }
}

/// One element of a list, or its end.
#[derive(Debug)]
pub(in crate::extract) struct Element<'a, A>(&'a mut A);

impl<'de, A: SeqAccess<'de>> Element<'_, A> {
    /// Leaves it out, and says whether there was one.
    pub(in crate::extract) fn skip(self) -> Result<bool, A::Error> {
        Ok(self.0.next_element::<IgnoredAny>()?.is_some())
    }

    /// Reads it, and says whether there was one.
    pub(in crate::extract) fn read(self, wanted: &mut impl Wanted) -> Result<bool, A::Error> {
        Ok(self.0.next_element_seed(Take(wanted))?.is_some())
    }
}

/// The value, if it is a text.
impl Wanted for Option<String> {
    fn text(&mut self, text: &str) {
        *self = Some(text.to_owned());
    }
}

/// The value, if it is `true` or `false`.
impl Wanted for bool {
    fn truth(&mut self, is_true: bool) {
        *self = is_true;
    }
}

/// The texts of a value that is one, or a list of them. Instead of a text, an object may have it as its `type` or `name`:
/// so licences were written in `package.json` once.
#[derive(Debug)]
pub(in crate::extract) struct Texts<F>(pub(in crate::extract) F);

impl<F: FnMut(&str)> Wanted for Texts<F> {
    fn text(&mut self, text: &str) {
        (self.0)(text);
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, member: Member<'_, A>) -> Result<(), A::Error> {
        if matches!(name, "type" | "name") { member.read(self) } else { member.skip() }
    }

    fn element<'de, A: SeqAccess<'de>>(&mut self, element: Element<'_, A>) -> Result<bool, A::Error> {
        element.read(self)
    }
}

/// The names of the members of an object, each with its value if that is a text.
#[derive(Debug)]
pub(in crate::extract) struct Names<F>(pub(in crate::extract) F);

impl<F: FnMut(&str, Option<&str>)> Wanted for Names<F> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, member: Member<'_, A>) -> Result<(), A::Error> {
        let mut value = None::<String>;
        member.read(&mut value)?;
        (self.0)(name, value.as_deref());
        Ok(())
    }
}

/// Takes what is wanted of a value.
struct Take<'a, W>(&'a mut W);

impl<'de, W: Wanted> DeserializeSeed<'de> for Take<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, W: Wanted> Visitor<'de> for Take<'_, W> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text);
        Ok(())
    }

    fn visit_bool<E: Error>(self, is_true: bool) -> Result<(), E> {
        self.0.truth(is_true);
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            self.0.member(&name, Member(&mut map))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while self.0.element(Element(&mut list))? {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Record {
        name: Option<String>,
        licenses: Vec<String>,
    }

    impl Wanted for Record {
        fn member<'de, A: MapAccess<'de>>(
            &mut self,
            name: &str,
            member: Member<'_, A>,
        ) -> Result<(), A::Error> {
            match name {
                "name" => member.read(&mut self.name),
                "license" => member.read(&mut Texts(|text: &str| self.licenses.push(text.to_owned()))),
                _ => member.skip(),
            }
        }
    }

    fn record(content: &str) -> (Record, bool) {
        let mut record = Record::default();
        let outcome = read(content, &mut record);
        (record, outcome.is_ok())
    }

    #[test]
    fn members_of_other_types_are_not_there() {
        for name in ["1", "-1", "1.5", "true", "null", "[\"a\"]", "{\"name\": \"a\"}"] {
            let (record, is_whole) = record(&format!("{{\"name\": {name}, \"x\": [{{}}]}}"));
            assert_eq!((record.name, is_whole), (None, true), "{name}");
        }
        let (record, is_whole) = record("[{\"name\": \"a\"}]");
        assert_eq!((record.name, is_whole), (None, true));
    }

    #[test]
    fn of_a_member_that_is_there_twice_the_last_stands() {
        assert_eq!(record("{\"name\": \"a\", \"name\": \"b\"}").0.name.as_deref(), Some("b"));
    }

    #[test]
    fn licences_are_texts_objects_and_lists() {
        for license in [
            "[\"A\", \"B\"]",
            "[{\"type\": \"A\", \"url\": \"u\"}, {\"name\": \"B\"}]",
            "[1, \"A\", [\"B\"], null]",
        ] {
            let (record, _) = record(&format!("{{\"license\": {license}}}"));
            assert_eq!(record.licenses, ["A", "B"], "{license}");
        }
    }

    #[test]
    fn what_was_read_before_an_error_is_kept() {
        let deep = format!("{{\"name\": \"a\", \"license\": {}", "[".repeat(10_000));
        for content in ["{\"name\": \"a\", \"license\"", "{\"name\": \"a\"} x", &deep] {
            let (record, is_whole) = record(content);
            assert_eq!((record.name.as_deref(), is_whole), (Some("a"), false), "{content:.40}");
        }
    }

    #[test]
    fn what_is_skipped_may_be_nested_without_end() {
        let content =
            format!("{{\"x\": {}{}, \"name\": \"a\"}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let (record, is_whole) = record(&content);
        assert_eq!((record.name.as_deref(), is_whole), (Some("a"), true));
    }
}
