//! [`MoveSource`]: where a `moved` block takes a resource from.

use serde_json::Value as Json;

/// The state of a resource of another type, or of another provider, that is to become one of ours.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MoveSource {
    /// The address of its provider, such as `registry.terraform.io/hashicorp/aws`.
    pub provider: String,
    /// Its full type, such as `aws_iam_role`.
    pub type_name: String,
    /// The version of its schema.
    pub schema_version: i64,
    /// Its state, as its provider wrote it. A missing key of it is null.
    pub state: Json,
}

impl MoveSource {
    /// A source, for tests.
    pub fn new(provider: &str, type_name: &str, schema_version: i64, state: Json) -> Self {
        Self { provider: provider.to_owned(), type_name: type_name.to_owned(), schema_version, state }
    }

    /// Whether it is of this type of a provider that is called so, in any registry or mirror: `hashicorp/aws`.
    pub fn is(&self, provider: &str, type_name: &str) -> bool {
        self.type_name == type_name && self.provider.split_once('/').is_some_and(|(_, name)| name == provider)
    }

    /// The text of an attribute, when it is one and not empty.
    pub fn text(&self, attribute: &str) -> Option<String> {
        self.state.get(attribute)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_is_known_by_provider_and_type() {
        let state = json!({"name": "a", "path": "", "size": 1});
        let source = MoveSource::new("registry.terraform.io/hashicorp/aws", "aws_iam_role", 0, state);
        assert!(source.is("hashicorp/aws", "aws_iam_role"));
        assert!(!source.is("example/aws", "aws_iam_role"));
        assert!(!source.is("hashicorp/aws", "aws_iam_user"));
        assert_eq!(source.text("name").as_deref(), Some("a"));
        assert_eq!((source.text("path"), source.text("size"), source.text("none")), (None, None, None));
    }
}
