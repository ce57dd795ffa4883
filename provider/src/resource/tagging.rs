//! The attributes `tags` and `tags_all`, and how they differ from what is there.

use crate::aws::Tags;
use crate::config::Settings;
use crate::sdk::validator::Validator;
use crate::sdk::{Attribute, MoveSource, Raw, Type, Value};

/// The attributes `tags` and `tags_all`.
pub(super) fn attributes() -> [Attribute; 2] {
    [
        Attribute::map(
            "tags",
            Type::String,
            "Tags, beside the provider's `default_tags`, which they override.",
        )
        .optional()
        .validate(validator()),
        Attribute::map("tags_all", Type::String, "All tags: the resource's own and the provider's.")
            .computed()
            .keeps_state(),
    ]
}

/// Tags that AWS accepts ("Tag naming limits and requirements"), as far as every service agrees.
pub(crate) fn validator() -> Validator {
    let description = "at most 50 tags, with keys of 1 to 128 characters that do not begin with `aws:`, and values of \
                       at most 256 characters";
    Validator::new(description, |raw| {
        let Raw::Map(tags) = raw else { return Ok(()) };
        if tags.len() > 50 {
            return Err(format!("must have at most 50 tags, but has {}", tags.len()));
        }
        for (key, value) in tags {
            if !(1..=128).contains(&key.chars().count()) {
                return Err(format!("must have keys of 1 to 128 characters, but has {key:?}"));
            }
            if key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
                return Err(format!("has {key:?}, but AWS keeps keys that begin with \"aws:\" to itself"));
            }
            if value.as_str().is_some_and(|text| text.chars().count() > 256) {
                return Err(format!(
                    "must have values of at most 256 characters, but that of {key:?} is longer"
                ));
            }
        }
        Ok(())
    })
}

/// What `tags_all` is to be.
pub(super) fn plan(settings: &Settings, tags: &Value<Tags>) -> Value<Tags> {
    match (&settings.default_tags, tags) {
        (Value::Unknown, _) | (_, Value::Unknown) => Value::Unknown,
        (default, own) => {
            let mut all = default.clone().unwrap_or_default();
            all.extend(own.clone().unwrap_or_default());
            all.into()
        }
    }
}

/// `tags` and `tags_all` of a resource that has `actual` tags. A tag is the resource's own when it was before, or when
/// the provider's defaults do not explain it.
pub(super) fn read(settings: &Settings, before: &Value<Tags>, actual: Tags) -> (Value<Tags>, Value<Tags>) {
    let own: Tags = actual
        .iter()
        .filter(|(key, value)| {
            before.get().is_some_and(|before| before.contains_key(*key))
                || settings.default_tags.get().and_then(|default| default.get(*key)) != Some(*value)
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // No tags and an empty map of tags are the same in AWS, but not in a configuration.
    let own = if own.is_empty() && !before.is_known() { Value::Null } else { own.into() };
    (own, actual.into())
}

/// The own tags of what a `moved` block takes from the AWS provider.
pub(super) fn moved(source: &MoveSource) -> Value<Tags> {
    let tags = source.state.get("tags").and_then(|tags| tags.as_object());
    let tags: Tags = tags
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    if tags.is_empty() { Value::Null } else { tags.into() }
}

/// What turns one set of tags into another.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Change {
    /// New or with another value.
    pub(super) set: Tags,
    /// The keys of those to go.
    pub(super) remove: Vec<String>,
}

impl Change {
    pub(super) fn between(have: &Value<Tags>, want: &Value<Tags>) -> Self {
        let (have, want) = (have.clone().unwrap_or_default(), want.clone().unwrap_or_default());
        Self {
            remove: have.keys().filter(|key| !want.contains_key(*key)).cloned().collect(),
            set: want.into_iter().filter(|(key, value)| have.get(key) != Some(value)).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    fn settings() -> Settings {
        Settings { default_tags: tags([("team", "security"), ("env", "prod")]).into(), ..Settings::default() }
    }

    #[test]
    fn own_tags_override_the_providers() {
        let all = plan(&settings(), &tags([("env", "test"), ("a", "b")]).into());
        assert_eq!(all, tags([("a", "b"), ("env", "test"), ("team", "security")]).into());
        assert_eq!(plan(&settings(), &Value::Null), settings().default_tags);
        assert_eq!(plan(&settings(), &Value::Unknown), Value::Unknown);
    }

    #[test]
    fn what_was_planned_reads_back_without_difference() {
        for own in [
            Value::Null,
            Value::Known(tags([])),
            tags([("a", "b")]).into(),
            tags([("env", "prod")]).into(),
            tags([("env", "test")]).into(),
        ] {
            let all = plan(&settings(), &own);
            assert_eq!(read(&settings(), &own, all.clone().known().unwrap()), (own, all));
        }
    }

    #[test]
    fn tags_that_aws_refuses_are_refused_when_validated() {
        let checked = |key: &str, value: Raw| validator().check(&Raw::Map([(key.to_owned(), value)].into()));
        for (key, value) in
            [("a", "".into()), (&"k".repeat(128), "v".repeat(256).into()), ("äaws:", Raw::Unknown)]
        {
            assert_eq!(checked(key, value), Ok(()), "{key}");
        }
        for (key, value) in
            [("", "a".to_owned()), ("aws:a", String::new()), ("AWS:a", String::new()), ("a", "v".repeat(257))]
        {
            assert!(checked(key, value.into()).is_err(), "{key}");
        }
        let many = (0..51).map(|number| (number.to_string(), Raw::from("v"))).collect();
        assert!(validator().check(&Raw::Map(many)).unwrap_err().contains("51"));
    }

    #[test]
    fn a_foreign_tag_is_seen() {
        let mut actual = settings().default_tags.known().unwrap();
        actual.insert("who".to_owned(), "somebody".to_owned());
        let (own, _) = read(&settings(), &Value::Null, actual);
        assert_eq!(own, tags([("who", "somebody")]).into());
    }

    #[test]
    fn a_change_sets_and_removes() {
        let change = Change::between(
            &tags([("a", "1"), ("b", "1"), ("c", "1")]).into(),
            &tags([("a", "1"), ("b", "2"), ("d", "1")]).into(),
        );
        assert_eq!(change, Change { set: tags([("b", "2"), ("d", "1")]), remove: vec!["c".to_owned()] });
        assert!(Change::between(&Value::Null, &Value::Known(tags([]))).is_empty());
    }
}
