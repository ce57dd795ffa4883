//! Policy documents in other words.

use serde_json::{Map, Value as Json};

use crate::sdk::Value;

/// `before` when `now` says the same in other words.
pub(crate) fn keep_if_equal(before: Value<String>, now: Option<String>) -> Value<String> {
    match (before.as_str(), now.as_deref()) {
        (Some(text), Some(now)) if says_the_same(text, now) => before,
        _ => now.into(),
    }
}

/// Whether two documents mean the same to IAM, which returns lists in an order of its own and a list of one element
/// sometimes as that element.
pub(super) fn says_the_same(one: &str, other: &str) -> bool {
    let plain = |text| serde_json::from_str::<Json>(text).ok().map(normalized);
    matches!((plain(one), plain(other)), (Some(one), Some(other)) if one == other)
}

/// The document, or null where the text is none.
pub(crate) fn parsed(text: Option<&str>) -> Json {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Lists of texts are sets in a policy: sorted, once, and without the list where there is one.
fn normalized(value: Json) -> Json {
    match value {
        Json::Array(elements) => {
            let mut elements: Vec<Json> = elements.into_iter().map(normalized).collect();
            if elements.iter().all(Json::is_string) {
                elements.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
                elements.dedup();
            }
            match <[Json; 1]>::try_from(elements) {
                Ok([element]) => element,
                Err(elements) => Json::Array(elements),
            }
        }
        Json::Object(fields) => {
            let fields: Map<_, _> =
                fields.into_iter().map(|(name, value)| (name, normalized(value))).collect();
            Json::Object(fields)
        }
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_are_no_change() {
        let ours = r#"{"Statement":[{"Action":["b","a"],"Principal":{"AWS":"x"}}]}"#;
        for same in [
            r#"{"Statement": [ {"Action": ["a", "b"], "Principal": {"AWS": ["x"]}} ]}"#,
            r#"{"Statement":{"Principal":{"AWS":"x"},"Action":["a","b","a"]}}"#,
        ] {
            assert_eq!(keep_if_equal(ours.into(), Some(same.to_owned())), ours.into(), "{same}");
        }
    }

    #[test]
    fn other_meanings_are() {
        let ours = r#"{"Statement":[{"Action":["b","a"]}]}"#;
        for other in [
            r#"{"Statement":[{"Action":["a"]}]}"#,
            r#"{"Statement":[{"Action":["a","b","c"]}]}"#,
            r#"{"Statement":[{"Action":["a","b"]},{"Action":"*"}]}"#,
            "not JSON",
        ] {
            assert_eq!(keep_if_equal(ours.into(), Some(other.to_owned())), other.into(), "{other}");
        }
        assert_eq!(keep_if_equal(ours.into(), None), Value::Null);
    }
}
