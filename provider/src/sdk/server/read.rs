//! `ReadResource`, `ImportResourceState` and `ReadDataSource`.

use super::apply::finished;
use super::wire::{decode, decode_private, diagnostics, encode, encode_private};
use super::{Server, panic, proto};
use crate::sdk::context::Private;
use crate::sdk::{Diagnostic, Provider};

use proto::import_resource_state::{self as import, ImportedResource};
use proto::{read_data_source as data, read_resource as read};

impl<P: Provider> Server<P> {
    pub(super) async fn read(&self, request: read::Request) -> read::Response {
        self.try_read(&request).await.unwrap_or_else(|diagnostic| read::Response {
            new_state: request.current_state,
            private: request.private,
            diagnostics: diagnostics([diagnostic]),
        })
    }

    async fn try_read(&self, request: &read::Request) -> Result<read::Response, Diagnostic> {
        let resource = self.resource(&request.type_name)?;
        let schema = resource.schema();
        let current = decode(request.current_state.as_ref(), schema)?;
        let client = self.client()?;
        let ctx = self.context(decode_private(&request.private));
        let found = panic::catch(resource.read(&client, &ctx, &current)).await.flatten()?;
        let (state, problem) = finished(schema, found);
        let mut told = ctx.into_told();
        told.diagnostics.extend(problem);
        Ok(read::Response {
            new_state: Some(encode(&state, schema)?),
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
        let client = self.client()?;
        let ctx = self.context(Private::new());
        let imported = panic::catch(resource.import(&client, &ctx, &request.id)).await.flatten()?;
        // Whatever the id does not say is null; the read that follows finds it.
        let (state, _) = finished(schema, imported);
        let told = ctx.into_told();
        Ok(import::Response {
            imported_resources: vec![ImportedResource {
                type_name: request.type_name.clone(),
                state: Some(encode(&state, schema)?),
                private: encode_private(&told.private),
            }],
            diagnostics: diagnostics(told.diagnostics),
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
        let client = self.client()?;
        let ctx = self.context(Private::new());
        let found = panic::catch(data_source.read(&client, &ctx, &config)).await.flatten()?;
        let (state, problem) = finished(schema, found);
        let mut told = ctx.into_told();
        told.diagnostics.extend(problem);
        Ok(data::Response {
            state: Some(encode(&state, schema)?),
            diagnostics: diagnostics(told.diagnostics),
        })
    }
}
