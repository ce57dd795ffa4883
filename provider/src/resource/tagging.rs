//! The attributes `tags` and `tags_all`, and how they differ from what is there.

use crate::aws::Tags;
use crate::config::Settings;
use crate::sdk::{Attribute, Type, Value};

/// The attributes `tags` and `tags_all`.
pub(super) fn attributes() -> [Attribute; 2] {
    [
        Attribute::map(
            "tags",
            Type::String,
            "Tags, beside the provider's `default_tags`, which they override.",
        )
        .optional(),
        Attribute::map("tags_all", Type::String, "All tags: the resource's own and the provider's.")
            .computed()
            .keeps_state(),
    ]
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
