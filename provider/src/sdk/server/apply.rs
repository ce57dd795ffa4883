//! `ApplyResourceChange`: create, update and delete.

use super::wire::{decode, decode_private, diagnostics, encode, encode_private, identity_of};
use super::{Operation, Server, panic, proto};
use crate::sdk::context::Told;
use crate::sdk::erased::ErasedResource;
use crate::sdk::plan::{with_write_only, without_write_only};
use crate::sdk::schema::with_empty_blocks;
use crate::sdk::{Context, Diagnostic, Path, Provider, Raw, Schema};

use proto::apply_resource_change::{Request, Response};

/// What an operation leaves behind.
struct Applied {
    /// The state to keep; null when nothing exists.
    state: Raw,
    told: Told,
}

impl<P: Provider> Server<P> {
    pub(super) async fn apply(&self, request: Request) -> Response {
        self.try_apply(&request).await.unwrap_or_else(|diagnostic| Response {
            // Nothing was done, so everything is as it was.
            new_state: request.prior_state,
            private: request.planned_private,
            diagnostics: diagnostics([diagnostic]),
            new_identity: request.planned_identity,
        })
    }

    async fn try_apply(&self, request: &Request) -> Result<Response, Diagnostic> {
        let resource = self.resource(&request.type_name)?;
        let schema = resource.schema();
        let prior = decode(request.prior_state.as_ref(), schema)?;
        let planned = decode(request.planned_state.as_ref(), schema)?;
        let config = decode(request.config.as_ref(), schema)?;
        let client = self.client()?;
        let private = decode_private(&request.planned_private);

        let Applied { state, mut told } = if planned.is_null() {
            let ctx = self.context_of(schema, Operation::Delete, &prior, private);
            delete(resource, &client, ctx, prior).await
        } else {
            let plan = with_write_only(&schema.body, planned, &config);
            let operation = if prior.is_null() { Operation::Create } else { Operation::Update };
            let ctx = self.context_of(schema, operation, &plan, private);
            create_or_update(resource, &client, ctx, prior, plan).await
        };
        // What exists must reach the state, even if its identity is wrong.
        let identity = identity_of(resource, &state).unwrap_or_else(|diagnostic| {
            told.diagnostics.push(diagnostic);
            None
        });
        // What was saved half-way may not say enough yet for its identity.
        let planned_identity = request.planned_identity.as_ref().filter(|_| !state.is_null());
        Ok(Response {
            new_state: Some(encode(&state, schema)?),
            new_identity: identity.or_else(|| planned_identity.cloned()),
            private: encode_private(&told.private),
            diagnostics: diagnostics(told.diagnostics),
        })
    }
}

async fn delete<C>(resource: &dyn ErasedResource<C>, client: &C, ctx: Context, prior: Raw) -> Applied {
    let result = panic::catch(resource.delete(client, &ctx, &prior)).await.flatten();
    let mut told = ctx.into_told();
    told.diagnostics.extend(result.err());
    let failed = told.diagnostics.iter().any(Diagnostic::is_error);
    Applied { state: if failed { prior } else { Raw::Null }, told }
}

async fn create_or_update<C>(
    resource: &dyn ErasedResource<C>,
    client: &C,
    ctx: Context,
    prior: Raw,
    plan: Raw,
) -> Applied {
    let mut saved = None;
    let result = if prior.is_null() {
        panic::catch(resource.create(client, &ctx, &plan, &mut saved)).await
    } else {
        panic::catch(resource.update(client, &ctx, &prior, &plan, &mut saved)).await
    };
    let mut told = ctx.into_told();
    told.diagnostics.extend(result.flatten().err());
    let failed = told.diagnostics.iter().any(Diagnostic::is_error);
    let (state, mistake) = if let Some(raw) = saved {
        finished(resource.schema(), raw)
    } else {
        let detail = format!("{} was applied, but saved no state.", resource.name());
        (prior, Some(Diagnostic::bug(detail)))
    };
    // After a failure it is no surprise that something is missing.
    told.diagnostics.extend(mistake.filter(|_| !failed));
    Applied { state, told }
}

/// `raw` as a state: canonical, without write-only values, with null for what is still unknown. If anything is, that
/// is the resource's mistake.
pub(super) fn finished(schema: &Schema, raw: Raw) -> (Raw, Option<Diagnostic>) {
    let raw = with_empty_blocks(&schema.body, without_write_only(&schema.body, raw));
    let problem = first_unknown(&raw, &Path::root()).map(|path| {
        Diagnostic::bug(format_args!("The value of `{path}` is still unknown after the operation.")).at(path)
    });
    (raw.unknown_as_null().canonical(&schema.ty()), problem)
}

fn first_unknown(raw: &Raw, path: &Path) -> Option<Path> {
    match raw {
        Raw::Unknown => Some(path.clone()),
        Raw::List(elements) => {
            let mut elements = elements.iter().enumerate();
            elements.find_map(|(index, raw)| first_unknown(raw, &path.index(index)))
        }
        Raw::Map(elements) => {
            elements.iter().find_map(|(name, raw)| first_unknown(raw, &path.attribute(name)))
        }
        Raw::Dynamic(inner) => first_unknown(&inner.1, path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::Attribute;
    use crate::sdk::plan::tests::object;

    #[test]
    fn what_is_left_unknown_is_named_and_becomes_null() {
        let schema = Schema::new("Test.")
            .attribute(Attribute::string("arn", "ARN.").computed())
            .attribute(Attribute::string("key", "Key.").optional().write_only());
        let (state, problem) = finished(&schema, object([("arn", Raw::Unknown), ("key", "hush".into())]));
        assert_eq!(state, object([("arn", Raw::Null), ("key", Raw::Null)]));
        assert_eq!(problem.unwrap().path, Path::from("arn"));
    }
}
