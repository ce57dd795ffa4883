//! `PlanResourceChange`.

use super::wire::{attribute_path, decode, decode_private, diagnostics, encode, encode_private};
use super::{Server, deferred, panic, proto};
use crate::sdk::erased::Change;
use crate::sdk::plan::{Computed, merge, propose, replacements, without_write_only};
use crate::sdk::schema::with_empty_blocks;
use crate::sdk::{Diagnostic, Provider};

use proto::plan_resource_change::{Request, Response};

impl<P: Provider> Server<P> {
    pub(super) async fn plan(&self, request: Request) -> Response {
        self.try_plan(&request).await.unwrap_or_else(|diagnostic| Response {
            diagnostics: diagnostics([diagnostic]),
            ..Response::default()
        })
    }

    async fn try_plan(&self, request: &Request) -> Result<Response, Diagnostic> {
        let resource = self.resource(&request.type_name)?;
        let schema = resource.schema();
        let (body, ty) = (&schema.body, schema.ty());
        if decode(request.proposed_new_state.as_ref(), schema)?.is_null() {
            // To be destroyed: there is nothing to decide.
            return Ok(Response {
                planned_state: request.proposed_new_state.clone(),
                planned_private: request.prior_private.clone(),
                planned_identity: request.prior_identity.clone(),
                ..Response::default()
            });
        }
        let prior = decode(request.prior_state.as_ref(), schema)?;
        let config = decode(request.config.as_ref(), schema)?;

        let stay = propose(body, &config, &prior, Computed::Stay).canonical(&ty);
        let change = || propose(body, &config, &prior, Computed::MayChange).canonical(&ty);
        let unchanged = !prior.is_null() && stay == prior;
        let base = if unchanged { stay } else { change() };

        if self.defers(request.client_capabilities.as_ref()) {
            return Ok(Response {
                planned_state: Some(encode(&base, schema)?),
                planned_private: request.prior_private.clone(),
                planned_identity: request.prior_identity.clone(),
                deferred: Some(deferred()),
                ..Response::default()
            });
        }

        let client = self.client()?;
        let ctx = self.context(decode_private(&request.prior_private));
        let inputs = Change { prior: &prior, config: &config, planned: &base };
        let adjusted = panic::catch(resource.plan(&client, &ctx, inputs)).await.flatten()?;
        let adjusted = with_empty_blocks(body, without_write_only(body, adjusted)).canonical(&ty);
        let planned = if unchanged && adjusted != base {
            // The resource itself has found a change, so other computed values may change with it.
            merge(&change(), &base, adjusted).canonical(&ty)
        } else {
            adjusted
        };

        let told = ctx.into_told();
        let mut replace = Vec::new();
        if !prior.is_null() {
            replace = replacements(body, &prior, &planned);
            replace.extend(told.replace);
        }
        Ok(Response {
            planned_state: Some(encode(&planned, schema)?),
            requires_replace: replace.iter().map(attribute_path).collect(),
            planned_private: encode_private(&told.private),
            diagnostics: diagnostics(told.diagnostics),
            deferred: None,
            // A thing keeps its name for life, and gets it when it is made.
            planned_identity: request.prior_identity.clone(),
        })
    }
}
