//! `UpgradeResourceState`: the first thing asked of every state that Terraform has stored; and the same for identities.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::wire::{decode_identity_json, decode_json, diagnostics, encode, encode_identity};
use super::{Server, panic, proto};
use crate::sdk::erased::ErasedResource;
use crate::sdk::{Diagnostic, IdentitySchema, Provider, Raw};

use proto::upgrade_resource_identity as identity;
use proto::upgrade_resource_state::{Request, Response};

impl<P: Provider> Server<P> {
    pub(super) async fn upgrade(&self, request: Request) -> Response {
        let upgrade = async {
            let resource = self.resource(&request.type_name)?;
            let state = request.raw_state.map(|state| state.json).unwrap_or_default();
            encode(&upgraded(resource, request.version, &state)?, resource.schema())
        };
        match panic::catch(upgrade).await.flatten() {
            Ok(state) => Response { upgraded_state: Some(state), diagnostics: Vec::new() },
            Err(diagnostic) => Response { upgraded_state: None, diagnostics: diagnostics([diagnostic]) },
        }
    }

    pub(super) async fn upgrade_identity(&self, request: identity::Request) -> identity::Response {
        let upgrade = async {
            let resource = self.resource(&request.type_name)?;
            let stored = request.raw_identity.map(|identity| identity.json).unwrap_or_default();
            let (identity, schema) = upgraded_identity(resource, request.version, &stored)?;
            encode_identity(&identity, &schema)
        };
        match panic::catch(upgrade).await.flatten() {
            Ok(identity) => identity::Response { upgraded_identity: Some(identity), diagnostics: Vec::new() },
            Err(diagnostic) => {
                identity::Response { upgraded_identity: None, diagnostics: diagnostics([diagnostic]) }
            }
        }
    }
}

/// The identity that version `version` of its schema wrote, as the present one does.
fn upgraded_identity<C>(
    resource: &dyn ErasedResource<C>,
    version: i64,
    stored: &[u8],
) -> Result<(Raw, IdentitySchema), Diagnostic> {
    let schema = resource.identity_schema().ok_or_else(|| {
        Diagnostic::bug(format_args!("{} has no identity that could be upgraded.", resource.name()))
    })?;
    let json: Json = serde_json::from_slice(stored)
        .map_err(|error| Diagnostic::caused_by("The stored identity is not valid JSON", &error))?;
    if version > schema.version {
        return Err(newer("identity", version, schema.version, resource.name()));
    }
    let json =
        (version..schema.version).try_fold(json, |json, from| resource.upgrade_identity(from, json))?;
    Ok((decode_identity_json(json.to_string().as_bytes(), &schema)?, schema))
}

fn newer(what: &str, version: i64, known: i64, name: &str) -> Diagnostic {
    Diagnostic::error(
        "State was written by a newer provider",
        format!(
            "The stored {what} has schema version {version} of {name}, and this version of the provider knows only \
             {known}. Run `terraform init -upgrade` to get a newer one."
        ),
    )
}

/// The state that schema version `version` wrote, as the present version reads it.
pub(crate) fn upgraded<C>(
    resource: &dyn ErasedResource<C>,
    version: i64,
    state: &[u8],
) -> Result<Raw, Diagnostic> {
    let schema = resource.schema();
    if state.is_empty() {
        return Err(Diagnostic::error(
            "State is too old",
            "The state was written by Terraform 0.11 or older, whose form this provider does not read.",
        ));
    }
    match version.cmp(&schema.version) {
        Ordering::Equal => decode_json(state, schema),
        Ordering::Greater => Err(newer("state", version, schema.version, resource.name())),
        Ordering::Less => {
            let json: Json = serde_json::from_slice(state)
                .map_err(|error| Diagnostic::caused_by("The stored state is not valid JSON", &error))?;
            let json = (version..schema.version).try_fold(json, |json, from| resource.upgrade(from, json))?;
            decode_json(json.to_string().as_bytes(), schema)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::{Attribute, Catalog, Context, Resource, Saved, Schema, Value, model};

    struct Steps;

    model! {
        struct Model {
            name: Value<String>,
            size: Value<i64>,
        }
    }

    impl Resource for Steps {
        const NAME: &'static str = "steps";
        type Model = Model;

        fn schema() -> Schema {
            Schema::new("Test.")
                .version(2)
                .attribute(Attribute::string("name", "Name.").required())
                .attribute(Attribute::int("size", "Size.").optional())
        }

        async fn create(&self, _: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
            state.save(plan);
            Ok(())
        }

        async fn read(&self, _: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
            Ok(Some(state))
        }

        async fn delete(&self, _: &Context, _: Model) -> Result<(), Diagnostic> {
            Ok(())
        }

        fn upgrade(from: i64, mut state: Json) -> Result<Json, Diagnostic> {
            match from {
                // Version 0 called the name a title.
                0 => state["name"] = state["title"].take(),
                // Version 1 wrote the size as text.
                1 => state["size"] = state["size"].as_str().and_then(|text| text.parse::<i64>().ok()).into(),
                _ => return Err(Diagnostic::bug("no such version")),
            }
            Ok(state)
        }
    }

    fn upgraded(version: i64, state: &str) -> Result<Raw, Diagnostic> {
        let catalog = Catalog::<()>::new().resource(|()| Steps);
        super::upgraded(catalog.resources[0].as_ref(), version, state.as_bytes())
    }

    #[test]
    fn states_are_upgraded_version_by_version() {
        let expected = upgraded(2, r#"{"name":"a","size":3}"#).unwrap();
        assert_eq!(expected.get("size"), &Raw::from(3));
        assert_eq!(upgraded(1, r#"{"name":"a","size":"3"}"#).as_ref(), Ok(&expected));
        assert_eq!(upgraded(0, r#"{"title":"a","size":"3","gone":true}"#).as_ref(), Ok(&expected));
    }

    #[test]
    fn states_that_cannot_be_read_are_explained() {
        assert_eq!(upgraded(3, "{}").unwrap_err().summary, "State was written by a newer provider");
        assert_eq!(upgraded(0, "").unwrap_err().summary, "State is too old");
        assert_eq!(upgraded(0, "{").unwrap_err().summary, "The stored state is not valid JSON");
        assert_eq!(upgraded(2, r#"{"name":1}"#).unwrap_err().path.to_string(), "name");
    }
}
