//! `ReadResource`, `ImportResourceState`, `MoveResourceState` and `ReadDataSource`.

use super::apply::finished;
use super::wire::{
    decode, decode_identity, decode_private, diagnostics, encode, encode_private, identity_of,
};
use super::{Server, deferred, panic, proto};
use crate::sdk::context::Private;
use crate::sdk::erased::ErasedResource;
use crate::sdk::identity::contradiction;
use crate::sdk::{Diagnostic, MoveSource, Provider, Raw};

use proto::import_resource_state::{self as import, ImportedResource};
use proto::{move_resource_state as moved, read_data_source as data, read_resource as read};

impl<P: Provider> Server<P> {
    pub(super) async fn read(&self, request: read::Request) -> read::Response {
        self.try_read(&request).await.unwrap_or_else(|diagnostic| read::Response {
            new_state: request.current_state,
            private: request.private,
            diagnostics: diagnostics([diagnostic]),
            new_identity: request.current_identity,
            deferred: None,
        })
    }

    async fn try_read(&self, request: &read::Request) -> Result<read::Response, Diagnostic> {
        let resource = self.resource(&request.type_name)?;
        let schema = resource.schema();
        let current = decode(request.current_state.as_ref(), schema)?;
        if self.defers(request.client_capabilities.as_ref()) {
            return Ok(read::Response {
                new_state: request.current_state.clone(),
                private: request.private.clone(),
                new_identity: request.current_identity.clone(),
                deferred: Some(deferred()),
                diagnostics: Vec::new(),
            });
        }
        let client = self.client()?;
        let ctx = self.context(decode_private(&request.private));
        let found = panic::catch(resource.read(&client, &ctx, &current)).await.flatten()?;
        let (state, problem) = finished(schema, found);
        let mut told = ctx.into_told();
        told.diagnostics.extend(problem);
        refuse_another(resource, request.current_identity.as_ref(), &state)?;
        Ok(read::Response {
            new_state: Some(encode(&state, schema)?),
            new_identity: identity_of(resource, &state)?.or_else(|| request.current_identity.clone()),
            deferred: None,
            private: encode_private(&told.private),
            diagnostics: diagnostics(told.diagnostics),
        })
    }

    pub(super) async fn import(&self, request: import::Request) -> import::Response {
        self.try_import(&request).await.unwrap_or_else(|diagnostic| import::Response {
            diagnostics: diagnostics([diagnostic]),
            ..import::Response::default()
        })
    }

    async fn try_import(&self, request: &import::Request) -> Result<import::Response, Diagnostic> {
        let resource = self.resource(&request.type_name)?;
        let schema = resource.schema();
        if self.defers(request.client_capabilities.as_ref()) {
            return Ok(import::Response {
                imported_resources: vec![ImportedResource {
                    type_name: request.type_name.clone(),
                    state: Some(encode(&Raw::Unknown, schema)?),
                    identity: request.identity.clone(),
                    private: Vec::new(),
                }],
                deferred: Some(deferred()),
                diagnostics: Vec::new(),
            });
        }
        let client = self.client()?;
        let ctx = self.context(Private::new());
        let imported = match request.identity.as_ref().filter(|_| request.id.is_empty()) {
            Some(identity) => panic::catch(async { by_identity(resource, identity) }).await.flatten()?,
            None => panic::catch(resource.import(&client, &ctx, &request.id)).await.flatten()?,
        };
        // Whatever the id does not say is null; the read that follows finds it.
        let (state, _) = finished(schema, imported);
        let told = ctx.into_told();
        Ok(import::Response {
            imported_resources: vec![ImportedResource {
                type_name: request.type_name.clone(),
                state: Some(encode(&state, schema)?),
                identity: request.identity.clone().or(identity_of(resource, &state)?),
                private: encode_private(&told.private),
            }],
            diagnostics: diagnostics(told.diagnostics),
            deferred: None,
        })
    }

    pub(super) async fn move_state(&self, request: moved::Request) -> moved::Response {
        panic::catch(async { self.try_move(request) }).await.flatten().unwrap_or_else(|diagnostic| {
            moved::Response { diagnostics: diagnostics([diagnostic]), ..moved::Response::default() }
        })
    }

    fn try_move(&self, request: moved::Request) -> Result<moved::Response, Diagnostic> {
        let resource = self.resource(&request.target_type_name)?;
        let schema = resource.schema();
        let state = request.source_state.map(|state| state.json).unwrap_or_default();
        let source = MoveSource {
            state: serde_json::from_slice(&state)
                .map_err(|error| Diagnostic::caused_by("The state to move is not valid JSON", &error))?,
            provider: request.source_provider_address,
            type_name: request.source_type_name,
            schema_version: request.source_schema_version,
        };
        let moved = resource.move_from(&source)?.ok_or_else(|| {
            Diagnostic::error(
                "Move is not supported",
                format!(
                    "A {} of provider {} cannot become a {}. Remove the moved block; import what exists, or let it be \
                     made anew.",
                    source.type_name, source.provider, request.target_type_name
                ),
            )
        })?;
        // As after an import: the read that follows finds what the source did not say.
        let (state, _) = finished(schema, moved);
        Ok(moved::Response {
            target_state: Some(encode(&state, schema)?),
            target_identity: identity_of(resource, &state)?,
            // Private state is of the provider that wrote it.
            target_private: Vec::new(),
            diagnostics: Vec::new(),
        })
    }

    pub(super) async fn read_data(&self, request: data::Request) -> data::Response {
        self.try_read_data(&request).await.unwrap_or_else(|diagnostic| data::Response {
            diagnostics: diagnostics([diagnostic]),
            ..data::Response::default()
        })
    }

    async fn try_read_data(&self, request: &data::Request) -> Result<data::Response, Diagnostic> {
        let data_source = self.data_source(&request.type_name)?;
        let schema = data_source.schema();
        let config = decode(request.config.as_ref(), schema)?;
        if self.defers(request.client_capabilities.as_ref()) {
            return Ok(data::Response {
                state: Some(encode(&Raw::Unknown, schema)?),
                deferred: Some(deferred()),
                diagnostics: Vec::new(),
            });
        }
        let client = self.client()?;
        let ctx = self.context(Private::new());
        let found = panic::catch(data_source.read(&client, &ctx, &config)).await.flatten()?;
        let (state, problem) = finished(schema, found);
        let mut told = ctx.into_told();
        told.diagnostics.extend(problem);
        Ok(data::Response {
            state: Some(encode(&state, schema)?),
            deferred: None,
            diagnostics: diagnostics(told.diagnostics),
        })
    }
}

/// The state that an identity says, when it says enough.
fn by_identity<C>(
    resource: &dyn ErasedResource<C>,
    identity: &proto::ResourceIdentityData,
) -> Result<Raw, Diagnostic> {
    let Some(schema) = resource.identity_schema() else { return resource.import_identity(&Raw::Null) };
    let identity = decode_identity(Some(identity), &schema)?;
    let missing = schema.attributes.iter().find(|attribute| {
        let given = identity.get(attribute.name);
        attribute.required && (given.is_null() || given.is_unknown())
    });
    if let Some(missing) = missing {
        return Err(Diagnostic::error(
            "Incomplete identity",
            format!("An import of {} by identity needs `{}`.", resource.name(), missing.name),
        ));
    }
    resource.import_identity(&identity)
}

/// Fails when `state` is of another thing than the one with this identity: of the same name in another account, for
/// example.
fn refuse_another<C>(
    resource: &dyn ErasedResource<C>,
    identity: Option<&proto::ResourceIdentityData>,
    state: &Raw,
) -> Result<(), Diagnostic> {
    let Some(schema) = resource.identity_schema().filter(|_| identity.is_some() && !state.is_null()) else {
        return Ok(());
    };
    let (expected, found) = (decode_identity(identity, &schema)?, resource.identity_of(state));
    let found = found.unwrap_or_default();
    let Some((name, expected, found)) = contradiction(&expected, &found) else { return Ok(()) };
    let text = |raw: &Raw| raw.as_str().map_or_else(|| format!("{raw:?}"), str::to_owned);
    Err(Diagnostic::error(
        format!("Found another {}", resource.name()),
        format!(
            "Its identity has `{name}` {}, but what was found there has {}. Are these the credentials of the right \
             account, and the right region?",
            text(expected),
            text(found)
        ),
    ))
}
