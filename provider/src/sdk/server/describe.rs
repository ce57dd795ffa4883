//! Schemas as the protocol sends them.

use std::collections::HashMap;

use super::{Server, proto};
use crate::sdk::schema::{Attribute, Block, Body, Nesting, Shape};
use crate::sdk::{IdentitySchema, Provider, Schema};

impl<P: Provider> Server<P> {
    /// Everything there is, by full name.
    pub(super) fn describe(&self) -> proto::get_provider_schema::Response {
        let named = |(name, schema): (&str, &Schema)| (format!("{}{name}", P::PREFIX), message(schema));
        proto::get_provider_schema::Response {
            provider: Some(message(&self.schema)),
            resource_schemas: self.catalog.resources().map(named).collect::<HashMap<_, _>>(),
            data_source_schemas: self.catalog.data_sources().map(named).collect::<HashMap<_, _>>(),
            ephemeral_resource_schemas: self
                .catalog
                .ephemeral_resources()
                .map(named)
                .collect::<HashMap<_, _>>(),
            action_schemas: self
                .catalog
                .actions()
                .map(named)
                .map(|(name, schema)| (name, proto::ActionSchema { schema: Some(schema) }))
                .collect::<HashMap<_, _>>(),
            diagnostics: Vec::new(),
            server_capabilities: Some(capabilities()),
        }
    }

    /// The identities of all resources that have one, by full name.
    pub(super) fn identities(&self) -> proto::get_resource_identity_schemas::Response {
        let identities = self.catalog.identities();
        let identities =
            identities.map(|(name, schema)| (format!("{}{name}", P::PREFIX), identity_message(schema)));
        proto::get_resource_identity_schemas::Response {
            identity_schemas: identities.collect::<HashMap<_, _>>(),
            diagnostics: Vec::new(),
        }
    }
}

fn identity_message(schema: IdentitySchema) -> proto::ResourceIdentitySchema {
    use proto::resource_identity_schema::IdentityAttribute;
    let attributes = schema.attributes.into_iter().map(|attribute| IdentityAttribute {
        name: attribute.name.to_owned(),
        r#type: attribute.ty.to_json().to_string().into_bytes(),
        required_for_import: attribute.required,
        optional_for_import: !attribute.required,
        description: attribute.description.to_owned(),
    });
    proto::ResourceIdentitySchema { version: schema.version, identity_attributes: attributes.collect() }
}

pub(super) fn capabilities() -> proto::ServerCapabilities {
    proto::ServerCapabilities {
        plan_destroy: false,
        // Every procedure works without `GetProviderSchema` before it, so Terraform may use a schema it has cached.
        get_provider_schema_optional: true,
        // Without it Terraform does not ask. Which resource takes what is the resource's answer.
        move_resource_state: true,
    }
}

fn message(schema: &Schema) -> proto::Schema {
    let block = proto::schema::Block {
        version: schema.version,
        ..block_message(&schema.body, &schema.description, schema.deprecation.is_some())
    };
    proto::Schema { version: schema.version, block: Some(block) }
}

fn block_message(body: &Body, description: &str, deprecated: bool) -> proto::schema::Block {
    proto::schema::Block {
        version: 0,
        attributes: body.attributes.iter().map(attribute_message).collect(),
        block_types: body.blocks.iter().map(nested_block_message).collect(),
        description: description.to_owned(),
        description_kind: proto::StringKind::Markdown.into(),
        deprecated,
    }
}

fn attribute_message(attribute: &Attribute) -> proto::schema::Attribute {
    // Terraform refuses an attribute that has both, or neither.
    let (ty, nested_type) = match &attribute.shape {
        Shape::Plain(ty) => (ty.to_json().to_string().into_bytes(), None),
        Shape::Nested(nesting, body) => {
            use proto::schema::object::NestingMode;
            let nesting = match nesting {
                Nesting::Single => NestingMode::Single,
                Nesting::List => NestingMode::List,
                Nesting::Set => NestingMode::Set,
                Nesting::Map => NestingMode::Map,
            };
            let attributes = body.attributes.iter().map(attribute_message).collect();
            (Vec::new(), Some(proto::schema::Object { attributes, nesting: nesting.into() }))
        }
    };
    proto::schema::Attribute {
        name: attribute.name.to_owned(),
        r#type: ty,
        description: attribute.description.clone(),
        required: attribute.is_required(),
        optional: attribute.is_optional(),
        computed: attribute.is_computed(),
        sensitive: attribute.sensitive,
        description_kind: proto::StringKind::Markdown.into(),
        deprecated: attribute.deprecation.is_some(),
        nested_type,
        write_only: attribute.write_only,
    }
}

fn nested_block_message(block: &Block) -> proto::schema::NestedBlock {
    use proto::schema::nested_block::NestingMode;
    let nesting = match block.nesting {
        Nesting::Single => NestingMode::Single,
        Nesting::List => NestingMode::List,
        Nesting::Set => NestingMode::Set,
        Nesting::Map => NestingMode::Map,
    };
    let (min, max) = block.limits();
    proto::schema::NestedBlock {
        type_name: block.name.to_owned(),
        block: Some(block_message(&block.body, &block.description, block.deprecation.is_some())),
        nesting: nesting.into(),
        min_items: min.into(),
        max_items: max.into(),
    }
}
