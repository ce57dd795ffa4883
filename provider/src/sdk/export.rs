//! Schemas as `terraform providers schema -json` prints them.

use serde_json::{Map, Value as Json, json};

use super::schema::{Attribute, Block, Body, Nesting, Shape};
use super::{Catalog, IdentitySchema, Provider, Schema};

/// The schemas of `P` in the form of `terraform providers schema -json`.
///
/// Generators of documentation read this form, and as a file in the repository it shows in a review how the public
/// interface changes.
pub fn provider_schemas<P: Provider>() -> Json {
    let catalog: Catalog<P::Client> = P::catalog();
    let named = |(name, schema): (&str, &Schema)| (format!("{}{name}", P::PREFIX), schema_json(schema));
    let mut provider = Map::new();
    provider.insert("provider".to_owned(), schema_json(&P::schema()));
    for (key, schemas) in [
        ("resource_schemas", catalog.resources().map(named).collect::<Map<_, _>>()),
        ("data_source_schemas", catalog.data_sources().map(named).collect()),
        ("ephemeral_resource_schemas", catalog.ephemeral_resources().map(named).collect()),
        ("action_schemas", catalog.actions().map(named).collect()),
        (
            "resource_identity_schemas",
            catalog
                .identities()
                .map(|(name, schema)| (format!("{}{name}", P::PREFIX), identity_json(&schema)))
                .collect(),
        ),
    ] {
        if !schemas.is_empty() {
            provider.insert(key.to_owned(), schemas.into());
        }
    }
    json!({"format_version": "1.0", "provider_schemas": {P::ADDRESS: provider}})
}

fn schema_json(schema: &Schema) -> Json {
    json!({
        "version": schema.version,
        "block": block_json(&schema.body, &schema.description, schema.deprecation.is_some()),
    })
}

fn identity_json(schema: &IdentitySchema) -> Json {
    let attributes = schema.attributes.iter().map(|attribute| {
        let import = if attribute.required { "required_for_import" } else { "optional_for_import" };
        let attribute_json =
            json!({"type": attribute.ty.to_json(), "description": attribute.description, import: true});
        (attribute.name.to_owned(), attribute_json)
    });
    json!({"version": schema.version, "attributes": attributes.collect::<Map<_, _>>()})
}

fn block_json(body: &Body, description: &str, deprecated: bool) -> Json {
    let mut block = Map::new();
    if !body.attributes.is_empty() {
        block.insert("attributes".to_owned(), attributes_json(&body.attributes));
    }
    if !body.blocks.is_empty() {
        let blocks = body.blocks.iter().map(|block| (block.name.to_owned(), nested_block_json(block)));
        block.insert("block_types".to_owned(), Json::Object(blocks.collect()));
    }
    describe_json(&mut block, description, deprecated);
    Json::Object(block)
}

fn describe_json(object: &mut Map<String, Json>, description: &str, deprecated: bool) {
    if !description.is_empty() {
        object.insert("description".to_owned(), description.into());
    }
    object.insert("description_kind".to_owned(), "markdown".into());
    if deprecated {
        object.insert("deprecated".to_owned(), true.into());
    }
}

fn attributes_json(attributes: &[Attribute]) -> Json {
    let attributes = attributes.iter();
    Json::Object(attributes.map(|attribute| (attribute.name.to_owned(), attribute_json(attribute))).collect())
}

fn attribute_json(attribute: &Attribute) -> Json {
    let mut object = Map::new();
    match &attribute.shape {
        Shape::Plain(ty) => object.insert("type".to_owned(), ty.to_json()),
        Shape::Nested(nesting, body) => {
            let nested = json!({"attributes": attributes_json(&body.attributes), "nesting_mode": nesting_json(*nesting)});
            object.insert("nested_type".to_owned(), nested)
        }
    };
    describe_json(&mut object, &attribute.description, attribute.deprecation.is_some());
    for (key, set) in [
        ("required", attribute.is_required()),
        ("optional", attribute.is_optional()),
        ("computed", attribute.is_computed()),
        ("sensitive", attribute.sensitive),
        ("write_only", attribute.write_only),
    ] {
        if set {
            object.insert(key.to_owned(), true.into());
        }
    }
    Json::Object(object)
}

fn nested_block_json(block: &Block) -> Json {
    let mut object = Map::new();
    object.insert("nesting_mode".to_owned(), nesting_json(block.nesting).into());
    let body = block_json(&block.body, &block.description, block.deprecation.is_some());
    object.insert("block".to_owned(), body);
    let (min, max) = block.limits();
    for (key, count) in [("min_items", min), ("max_items", max)] {
        if count > 0 {
            object.insert(key.to_owned(), count.into());
        }
    }
    Json::Object(object)
}

fn nesting_json(nesting: Nesting) -> &'static str {
    match nesting {
        Nesting::Single => "single",
        Nesting::List => "list",
        Nesting::Set => "set",
        Nesting::Map => "map",
    }
}
