//! For tests: takes a resource through plan, apply, refresh and destroy as Terraform does, without Terraform, and checks
//! what Terraform would: that what was applied is what was planned, and that nothing is unknown afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use super::cty::json;
use crate::sdk::plan::{Computed, merge, propose, replacements, with_write_only, without_write_only};
use crate::sdk::{Context, Convert, Diagnostic, Path, Raw, Resource, Saved};

/// What a plan says will happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nothing is to be changed.
    Nothing,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and made anew.
    Replace,
}

/// A resource with its state.
#[derive(Debug)]
pub struct Stage<R: Resource> {
    /// The resource.
    pub resource: R,
    /// What Terraform would have in its state.
    pub state: Option<R::Model>,
    /// What the next operations find when they ask whether they should stop.
    pub stop: CancellationToken,
    /// What the resource remembers without showing it.
    private: BTreeMap<String, Json>,
}

impl<R: Resource> Stage<R> {
    /// A resource that does not exist yet.
    pub fn new(resource: R) -> Self {
        Self { resource, state: None, stop: CancellationToken::new(), private: BTreeMap::default() }
    }

    /// The configuration that `text` is in JSON; what it lacks is null.
    ///
    /// # Panics
    /// When it is not one.
    pub fn config(text: &str) -> R::Model {
        let raw = json::decode(text.as_bytes(), &R::schema().ty());
        model::<R>(&raw.unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// The state, which must be there.
    ///
    /// # Panics
    /// When it is not.
    pub fn state(&self) -> &R::Model {
        let Some(state) = &self.state else { panic!("nothing is in the state") };
        state
    }

    /// What would happen, and the planned values.
    pub async fn plan(&self, config: &R::Model) -> Result<(Action, R::Model), Diagnostic> {
        if let Some(diagnostic) = R::validate(config).into_iter().next() {
            return Err(diagnostic);
        }
        let schema = R::schema();
        let (body, ty) = (&schema.body, schema.ty());
        let prior = self.state.as_ref().map_or(Raw::Null, Convert::to_raw).canonical(&ty);
        let raw_config = config.to_raw();
        let stay = propose(body, &raw_config, &prior, Computed::Stay).canonical(&ty);
        let change = propose(body, &raw_config, &prior, Computed::MayChange).canonical(&ty);
        let unchanged = !prior.is_null() && stay == prior;
        let base = if unchanged { stay } else { change.clone() };
        let mut planned = model::<R>(&base);
        let ctx = self.context();
        self.resource.plan(&ctx, self.state.as_ref(), config, &mut planned).await?;
        let adjusted = planned.to_raw().canonical(&ty);
        let planned = if unchanged && adjusted != base { merge(&change, &base, adjusted) } else { adjusted };
        let planned = planned.canonical(&ty);
        let action = if prior.is_null() {
            Action::Create
        } else if planned == prior {
            Action::Nothing
        } else if replacements(body, &prior, &planned).is_empty() && ctx.into_told().replace.is_empty() {
            Action::Update
        } else {
            Action::Replace
        };
        Ok((action, model::<R>(&planned)))
    }

    /// Does what the plan says. After a failure the state is what was saved.
    ///
    /// # Panics
    /// When what was applied is not what was planned.
    pub async fn apply(&mut self, config: &R::Model) -> Result<Action, Diagnostic> {
        let (action, planned) = self.plan(config).await?;
        if action == Action::Replace {
            self.destroy().await?;
            let (_, planned) = self.plan(config).await?;
            self.create_or_update(planned, config).await?;
        } else if action != Action::Nothing {
            self.create_or_update(planned, config).await?;
        }
        Ok(action)
    }

    /// Reads what is there.
    pub async fn refresh(&mut self) -> Result<(), Diagnostic> {
        if let Some(state) = self.state.take() {
            self.state = self.resource.read(&self.context(), state).await?;
        }
        Ok(())
    }

    /// Refreshes, and says what the plan then is.
    ///
    /// # Panics
    /// When either fails.
    pub async fn drift(&mut self, config: &R::Model) -> Action {
        let planned = match self.refresh().await {
            Ok(()) => self.plan(config).await,
            Err(failed) => Err(failed),
        };
        planned.unwrap_or_else(|failed| panic!("{failed}")).0
    }

    /// Deletes it. After a failure the state stays.
    pub async fn destroy(&mut self) -> Result<(), Diagnostic> {
        if let Some(state) = self.state.clone() {
            self.resource.delete(&self.context(), state).await?;
            self.state = None;
        }
        Ok(())
    }

    /// What an import of `id` brings into the state.
    pub async fn imported(&self, id: &str) -> Result<Option<R::Model>, Diagnostic> {
        let ctx = self.context();
        let model = self.resource.import(&ctx, id).await?;
        self.resource.read(&ctx, model).await
    }

    /// What an import by the identity of what is in the state brings into it, given whole and with nothing but what it
    /// needs.
    ///
    /// # Panics
    /// When there is no identity, or one of the two fails.
    pub async fn imported_by_identity(&self) -> [Option<R::Model>; 2] {
        let Some(identity) = R::identity() else { panic!("{} has no identity", R::NAME) };
        let Some(whole) = identity.of(self.state()) else { panic!("the state does not say who it is") };
        let Raw::Map(mut parts) = whole.clone() else { panic!("an identity is an object") };
        for attribute in identity.schema().attributes.iter().filter(|attribute| !attribute.required) {
            parts.insert(attribute.name.to_owned(), Raw::Null);
        }
        let ctx = self.context();
        let read = async |given: Raw| {
            let named = identity.import(&given).unwrap_or_else(|failed| panic!("{failed}"));
            self.resource.read(&ctx, named).await.unwrap_or_else(|failed| panic!("{failed}"))
        };
        [read(whole).await, read(Raw::Map(parts)).await]
    }

    async fn create_or_update(&mut self, planned: R::Model, config: &R::Model) -> Result<(), Diagnostic> {
        let body = &R::schema().body;
        let plan = model::<R>(&with_write_only(body, planned.to_raw(), &config.to_raw()));
        let ctx = self.context();
        let mut saved = Saved::new();
        let result = match self.state.clone() {
            // On the heap, as the server has them: they are large.
            None => Box::pin(self.resource.create(&ctx, plan, &mut saved)).await,
            Some(prior) => Box::pin(self.resource.update(&ctx, prior, plan, &mut saved)).await,
        };
        if let Some(model) = saved.into_inner() {
            self.state = Some(self::model::<R>(&without_write_only(body, model.to_raw())));
        }
        self.private = ctx.into_told().private;
        result?;
        conforms(&planned.to_raw(), &self.state().to_raw(), &Path::root());
        Ok(())
    }

    fn context(&self) -> Context {
        Context::new(self.stop.clone(), Duration::from_mins(20), self.private.clone())
    }
}

fn model<R: Resource>(raw: &Raw) -> R::Model {
    R::Model::from_raw(raw, &Path::root()).unwrap_or_else(|error| panic!("{error:?}"))
}

/// What Terraform demands of an applied value: known, and as planned where the plan was known.
fn conforms(planned: &Raw, applied: &Raw, path: &Path) {
    assert!(!applied.is_unknown(), "{path} is unknown after apply");
    match (planned, applied) {
        (Raw::Unknown, _) => {}
        (Raw::Map(planned), Raw::Map(applied)) => {
            for (name, planned) in planned {
                conforms(planned, applied.get(name).unwrap_or(&Raw::Null), &path.attribute(name));
            }
        }
        _ => assert_eq!(planned, applied, "{path} is not as planned"),
    }
}
