//! [`Resource`]: what Terraform creates, reads, updates and deletes.

use serde_json::Value as Json;

use super::{Context, Diagnostic, Identity, Model, MoveSource, Schema};

/// One kind of thing that Terraform manages.
///
/// Implementations hold what they need to do their work (a client); see the example in [`sdk`](super). They are made
/// anew for each operation, by the function given to [`Catalog::resource`](super::Catalog::resource).
pub trait Resource: Send + Sync + 'static {
    /// The name without the provider's prefix, such as `scanner_role`.
    const NAME: &'static str;

    /// What its configuration, plan and state look like.
    type Model: Model;

    /// Its attributes and blocks.
    fn schema() -> Schema;

    /// What names it for good, for Terraform 1.12 and later: at best account, place and name. None by default.
    fn identity() -> Option<Identity<Self::Model>> {
        None
    }

    /// Checks a configuration beyond single attributes: what excludes or needs each other. Values may be unknown.
    fn validate(_config: &Self::Model) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Adjusts a plan: `planned` is what the schema makes of `config` and `prior` (none on create), with computed
    /// values unknown where they may change. What the user has set cannot be changed. Not called for destroy.
    fn plan(
        &self,
        _ctx: &Context,
        _prior: Option<&Self::Model>,
        _config: &Self::Model,
        _planned: &mut Self::Model,
    ) -> impl Future<Output = Result<(), Diagnostic>> + Send {
        async { Ok(()) }
    }

    /// Makes it. `plan` has every value that the user set, write-only ones included; computed ones are unknown. Save
    /// as soon as anything exists, and again as more becomes known: what was saved is kept when create fails, and the
    /// next apply or destroy removes it.
    fn create(
        &self,
        ctx: &Context,
        plan: Self::Model,
        state: &mut Saved<Self::Model>,
    ) -> impl Future<Output = Result<(), Diagnostic>> + Send;

    /// Looks how it is now. `None` says that it is gone. After an import, only what
    /// [`import`](Self::import) has set is known.
    fn read(
        &self,
        ctx: &Context,
        state: Self::Model,
    ) -> impl Future<Output = Result<Option<Self::Model>, Diagnostic>> + Send;

    /// Changes it from `prior` to `plan`. What was saved is kept when update fails; without a save, `prior` is.
    ///
    /// The default is for resources whose every attribute makes a new one.
    fn update(
        &self,
        _ctx: &Context,
        _prior: Self::Model,
        _plan: Self::Model,
        _state: &mut Saved<Self::Model>,
    ) -> impl Future<Output = Result<(), Diagnostic>> + Send {
        async {
            Err(Diagnostic::bug(format_args!("{} cannot be updated, but an update was planned.", Self::NAME)))
        }
    }

    /// Removes it. That it is gone already is a success.
    fn delete(
        &self,
        ctx: &Context,
        state: Self::Model,
    ) -> impl Future<Output = Result<(), Diagnostic>> + Send;

    /// Sets what `id` says; the read that follows fills in the rest.
    fn import(
        &self,
        _ctx: &Context,
        _id: &str,
    ) -> impl Future<Output = Result<Self::Model, Diagnostic>> + Send {
        async {
            Err(Diagnostic::error("Import is not supported", format!("{} cannot be imported.", Self::NAME)))
        }
    }

    /// Takes over a resource of another type, whose address a `moved` block gives to this one. `None` says that this
    /// cannot be done with `source`. Sets what can be told from its state; the read that follows fills in the rest.
    fn move_from(_source: &MoveSource) -> Result<Option<Self::Model>, Diagnostic> {
        Ok(None)
    }

    /// Turns the JSON of a state that schema version `from` wrote into what version `from + 1` would have written.
    /// Called once for each version up to the current one. Attributes that no longer exist may be left in.
    fn upgrade(from: i64, state: Json) -> Result<Json, Diagnostic> {
        drop(state);
        Err(Diagnostic::bug(format_args!("{} has no upgrade from schema version {from}.", Self::NAME)))
    }
}

/// The state of a resource under way: what is saved here reaches Terraform, whether or not the operation succeeds.
#[derive(Debug)]
pub struct Saved<M> {
    model: Option<M>,
}

impl<M> Saved<M> {
    /// Nothing saved.
    pub fn new() -> Self {
        Self { model: None }
    }

    /// Saves `model` in place of what was saved before.
    pub fn save(&mut self, model: M) {
        self.model = Some(model);
    }

    /// What was saved last.
    pub fn get(&self) -> Option<&M> {
        self.model.as_ref()
    }

    /// What was saved last, to save it with a change.
    pub fn get_mut(&mut self) -> Option<&mut M> {
        self.model.as_mut()
    }

    /// Takes back what was saved: nothing exists any more, because the operation has cleaned up after its failure.
    pub fn forget(&mut self) {
        self.model = None;
    }

    /// What was saved last.
    pub fn into_inner(self) -> Option<M> {
        self.model
    }
}

impl<M> Default for Saved<M> {
    fn default() -> Self {
        Self::new()
    }
}
