//! Between the protocol's messages and our types.

use std::collections::BTreeSet;

use super::proto;
use crate::sdk::context::Private;
use crate::sdk::cty::codec::CodecError;
use crate::sdk::cty::{json, msgpack};
use crate::sdk::erased::ErasedResource;
use crate::sdk::schema::{collect_sensitive, with_empty_blocks};
use crate::sdk::serve::log;
use crate::sdk::{Body, Diagnostic, IdentitySchema, Path, Raw, Schema, Severity, Step};

/// Reads a value of `schema`; an absent one is null. Its sensitive parts are hidden from the log from here on.
pub(super) fn decode(value: Option<&proto::DynamicValue>, schema: &Schema) -> Result<Raw, Diagnostic> {
    let ty = schema.ty();
    let raw = match value {
        Some(value) if !value.msgpack.is_empty() => msgpack::decode(&value.msgpack, &ty),
        Some(value) if !value.json.is_empty() => json::decode(&value.json, &ty),
        _ => Ok(Raw::Null),
    };
    let raw = with_empty_blocks(&schema.body, raw.map_err(undecodable)?);
    hide_secrets(&schema.body, &raw);
    Ok(raw)
}

/// Reads a state file's JSON.
pub(super) fn decode_json(bytes: &[u8], schema: &Schema) -> Result<Raw, Diagnostic> {
    let raw = with_empty_blocks(&schema.body, json::decode(bytes, &schema.ty()).map_err(undecodable)?);
    hide_secrets(&schema.body, &raw);
    Ok(raw)
}

fn undecodable(error: CodecError) -> Diagnostic {
    Diagnostic::error(
        "Value does not fit the schema",
        format!(
            "Terraform sent a value that the provider's schema does not allow: {error}. If the state was written by \
             another version of the provider, run `terraform init -upgrade`; otherwise please report it."
        ),
    )
    .at(error.path)
}

/// Writes a value of `schema`.
pub(super) fn encode(raw: &Raw, schema: &Schema) -> Result<proto::DynamicValue, Diagnostic> {
    let msgpack = msgpack::encode(raw, &schema.ty()).map_err(|error| {
        Diagnostic::bug(format_args!("The provider made a value that its schema does not allow: {error}."))
            .at(error.path)
    })?;
    Ok(proto::DynamicValue { msgpack, json: Vec::new() })
}

/// Reads an identity; an absent one is null.
pub(super) fn decode_identity(
    identity: Option<&proto::ResourceIdentityData>,
    schema: &IdentitySchema,
) -> Result<Raw, Diagnostic> {
    match identity.and_then(|identity| identity.identity_data.as_ref()) {
        Some(value) if !value.msgpack.is_empty() => msgpack::decode(&value.msgpack, &schema.ty()),
        Some(value) if !value.json.is_empty() => json::decode(&value.json, &schema.ty()),
        _ => Ok(Raw::Null),
    }
    .map_err(undecodable)
}

/// Reads the JSON of a stored identity.
pub(super) fn decode_identity_json(bytes: &[u8], schema: &IdentitySchema) -> Result<Raw, Diagnostic> {
    json::decode(bytes, &schema.ty()).map_err(undecodable)
}

/// Writes an identity.
pub(super) fn encode_identity(
    identity: &Raw,
    schema: &IdentitySchema,
) -> Result<proto::ResourceIdentityData, Diagnostic> {
    let msgpack = msgpack::encode(identity, &schema.ty()).map_err(|error| {
        Diagnostic::bug(format_args!(
            "The provider made an identity that its schema does not allow: {error}."
        ))
    })?;
    Ok(proto::ResourceIdentityData { identity_data: Some(proto::DynamicValue { msgpack, json: Vec::new() }) })
}

/// The identity of what has the state `state`; none when it has none, or not yet.
pub(super) fn identity_of<C>(
    resource: &dyn ErasedResource<C>,
    state: &Raw,
) -> Result<Option<proto::ResourceIdentityData>, Diagnostic> {
    if state.is_null() {
        return Ok(None);
    }
    let (Some(schema), Some(identity)) = (resource.identity_schema(), resource.identity_of(state)) else {
        return Ok(None);
    };
    encode_identity(&identity, &schema).map(Some)
}

/// Tells the log which texts are secrets.
fn hide_secrets(body: &Body, raw: &Raw) {
    let mut secrets = BTreeSet::new();
    collect_sensitive(body, raw, &mut secrets);
    log::hide(secrets);
}

pub(super) fn diagnostics(diagnostics: impl IntoIterator<Item = Diagnostic>) -> Vec<proto::Diagnostic> {
    diagnostics.into_iter().map(diagnostic).collect()
}

fn diagnostic(diagnostic: Diagnostic) -> proto::Diagnostic {
    let severity = match diagnostic.severity {
        Severity::Error => proto::diagnostic::Severity::Error,
        Severity::Warning => proto::diagnostic::Severity::Warning,
    };
    let attribute = (!diagnostic.path.is_root()).then(|| attribute_path(&diagnostic.path));
    proto::Diagnostic {
        severity: severity.into(),
        summary: diagnostic.summary,
        detail: diagnostic.detail,
        attribute,
    }
}

pub(super) fn attribute_path(path: &Path) -> proto::AttributePath {
    use proto::attribute_path::{Step as ProtoStep, step::Selector};
    let steps = path.steps().iter().map(|step| {
        let selector = match step {
            Step::Attribute(name) => Selector::AttributeName(name.clone()),
            Step::Index(index) => Selector::ElementKeyInt(*index),
            Step::Key(key) => Selector::ElementKeyString(key.clone()),
        };
        ProtoStep { selector: Some(selector) }
    });
    proto::AttributePath { steps: steps.collect() }
}

/// Reads private state. One that is not ours (written by another program) is as good as none.
pub(super) fn decode_private(bytes: &[u8]) -> Private {
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// Writes private state; none is no bytes.
pub(super) fn encode_private(private: &Private) -> Vec<u8> {
    if private.is_empty() {
        return Vec::new();
    }
    // A map of JSON values cannot fail to be JSON.
    serde_json::to_vec(private).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::Attribute;

    #[test]
    fn values_are_read_in_both_encodings() {
        let schema = Schema::new("Test.").attribute(Attribute::string("name", "Name.").required());
        let json = proto::DynamicValue { msgpack: vec![], json: br#"{"name":"a"}"#.to_vec() };
        let raw = decode(Some(&json), &schema).unwrap();
        assert_eq!(raw.get("name"), &Raw::from("a"));
        assert_eq!(decode(Some(&encode(&raw, &schema).unwrap()), &schema), Ok(raw));
        assert_eq!(decode(None, &schema), Ok(Raw::Null));
    }

    #[test]
    fn undecodable_values_name_the_attribute() {
        let schema = Schema::new("Test.").attribute(Attribute::bool("on", "On.").required());
        let json = proto::DynamicValue { msgpack: vec![], json: br#"{"on":"maybe"}"#.to_vec() };
        assert_eq!(decode(Some(&json), &schema).unwrap_err().path, Path::from("on"));
    }

    #[test]
    fn private_state_survives() {
        let private: Private = [("etag".to_owned(), serde_json::json!({"a": 1}))].into();
        assert_eq!(decode_private(&encode_private(&private)), private);
        assert_eq!(encode_private(&Private::new()), Vec::<u8>::new());
        assert_eq!(decode_private(b"\x80"), Private::new());
    }
}
