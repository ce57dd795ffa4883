//! `OpenEphemeralResource`, `RenewEphemeralResource` and `CloseEphemeralResource`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::apply::finished;
use super::wire::{decode, decode_private, diagnostics, encode, encode_private};
use super::{Server, deferred, panic, proto};
use crate::sdk::context::Private;
use crate::sdk::{Diagnostic, Provider, Raw};

use proto::{
    close_ephemeral_resource as close, open_ephemeral_resource as open, renew_ephemeral_resource as renew,
};

impl<P: Provider> Server<P> {
    pub(super) async fn open(&self, request: open::Request) -> open::Response {
        self.try_open(&request).await.unwrap_or_else(|diagnostic| open::Response {
            diagnostics: diagnostics([diagnostic]),
            ..open::Response::default()
        })
    }

    async fn try_open(&self, request: &open::Request) -> Result<open::Response, Diagnostic> {
        let ephemeral = self.ephemeral_resource(&request.type_name)?;
        let schema = ephemeral.schema();
        let config = decode(request.config.as_ref(), schema)?;
        if self.defers(request.client_capabilities.as_ref()) {
            return Ok(open::Response {
                result: Some(encode(&Raw::Unknown, schema)?),
                deferred: Some(deferred()),
                ..open::Response::default()
            });
        }
        let client = self.client()?;
        let ctx = self.context(Private::new());
        let opened = panic::catch(ephemeral.open(&client, &ctx, &config)).await.flatten()?;
        let (result, problem) = finished(schema, opened.result);
        let mut told = ctx.into_told();
        told.diagnostics.extend(problem);
        Ok(open::Response {
            result: Some(encode(&result, schema)?),
            renew_at: opened.renew_at.map(timestamp),
            private: Some(encode_private(&told.private)),
            deferred: None,
            diagnostics: diagnostics(told.diagnostics),
        })
    }

    pub(super) async fn renew(&self, request: renew::Request) -> renew::Response {
        let renewed = async {
            let ephemeral = self.ephemeral_resource(&request.type_name)?;
            let client = self.client()?;
            let ctx = self.context(decode_private(request.private()));
            let renew_at = panic::catch(ephemeral.renew(&client, &ctx)).await.flatten()?;
            Ok((renew_at, ctx.into_told()))
        };
        match renewed.await {
            Ok((renew_at, told)) => renew::Response {
                renew_at: renew_at.map(timestamp),
                private: Some(encode_private(&told.private)),
                diagnostics: diagnostics(told.diagnostics),
            },
            Err(diagnostic) => renew::Response {
                diagnostics: diagnostics([diagnostic]),
                private: request.private,
                renew_at: None,
            },
        }
    }

    pub(super) async fn close(&self, request: close::Request) -> close::Response {
        let closed = async {
            let ephemeral = self.ephemeral_resource(&request.type_name)?;
            let client = self.client()?;
            let ctx = self.context(decode_private(request.private()));
            panic::catch(ephemeral.close(&client, &ctx)).await.flatten()?;
            Ok(ctx.into_told().diagnostics)
        };
        let told = closed.await.unwrap_or_else(|diagnostic: Diagnostic| vec![diagnostic]);
        close::Response { diagnostics: diagnostics(told) }
    }
}

/// A time as the protocol writes it. None before 1970 is ever meant.
fn timestamp(time: SystemTime) -> proto::Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    proto::Timestamp {
        seconds: since.as_secs().try_into().unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().try_into().unwrap_or_default(),
    }
}
