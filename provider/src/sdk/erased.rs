//! Resources, data sources and ephemeral resources without their types: what the server holds.
//!
//! The blanket implementations convert between [`Raw`] and the models, so that nothing behind them needs to know a
//! model, and nothing before them the protocol.

use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use serde_json::Value as Json;

use super::plan::merge;
use super::provider::schema_mistakes;
use super::{
    Action, Context, Convert, DataSource, Diagnostic, EphemeralResource, Identity, IdentitySchema,
    MoveSource, Opened, Path, Progress, Raw, Resource, Role, Saved, Schema,
};

/// A future of a trait object.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A [`Resource`] without its type.
pub(crate) trait ErasedResource<C>: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn schema(&self) -> &Schema;
    fn mistakes(&self) -> Vec<String>;
    fn validate(&self, config: &Raw) -> Vec<Diagnostic>;
    fn upgrade(&self, from: i64, state: Json) -> Result<Json, Diagnostic>;
    /// The state that `source` becomes, if it can.
    fn move_from(&self, source: &MoveSource) -> Result<Option<Raw>, Diagnostic>;
    fn identity_schema(&self) -> Option<IdentitySchema>;
    /// The identity of what has the state `state`, when it can be told.
    fn identity_of(&self, state: &Raw) -> Option<Raw>;
    /// The state that `identity` says.
    fn import_identity(&self, identity: &Raw) -> Result<Raw, Diagnostic>;
    fn upgrade_identity(&self, from: i64, identity: Json) -> Result<Json, Diagnostic>;
    /// The adjusted plan.
    fn plan<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        change: Change<'a>,
    ) -> BoxFuture<'a, Result<Raw, Diagnostic>>;
    /// `slot` has what was saved, even when the future panics or is dropped.
    fn create<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        plan: &'a Raw,
        slot: &'a mut Option<Raw>,
    ) -> BoxFuture<'a, Result<(), Diagnostic>>;
    fn read<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        state: &'a Raw,
    ) -> BoxFuture<'a, Result<Raw, Diagnostic>>;
    /// `slot` as in [`create`](Self::create).
    fn update<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        prior: &'a Raw,
        plan: &'a Raw,
        slot: &'a mut Option<Raw>,
    ) -> BoxFuture<'a, Result<(), Diagnostic>>;
    fn delete<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        state: &'a Raw,
    ) -> BoxFuture<'a, Result<(), Diagnostic>>;
    fn import<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Raw, Diagnostic>>;
}

/// What a plan is made of. `prior` is null on create.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) prior: &'a Raw,
    pub(crate) config: &'a Raw,
    pub(crate) planned: &'a Raw,
}

/// A [`DataSource`] without its type.
pub(crate) trait ErasedDataSource<C>: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn schema(&self) -> &Schema;
    fn mistakes(&self) -> Vec<String>;
    fn validate(&self, config: &Raw) -> Vec<Diagnostic>;
    fn read<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        config: &'a Raw,
    ) -> BoxFuture<'a, Result<Raw, Diagnostic>>;
}

/// An [`EphemeralResource`] without its type.
pub(crate) trait ErasedEphemeralResource<C>: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn schema(&self) -> &Schema;
    fn mistakes(&self) -> Vec<String>;
    fn validate(&self, config: &Raw) -> Vec<Diagnostic>;
    fn open<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        config: &'a Raw,
    ) -> BoxFuture<'a, Result<Opened<Raw>, Diagnostic>>;
    fn renew<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
    ) -> BoxFuture<'a, Result<Option<SystemTime>, Diagnostic>>;
    fn close<'a>(&'a self, client: &'a C, ctx: &'a Context) -> BoxFuture<'a, Result<(), Diagnostic>>;
}

/// An [`Action`] without its type.
pub(crate) trait ErasedAction<C>: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn schema(&self) -> &Schema;
    fn mistakes(&self) -> Vec<String>;
    fn validate(&self, config: &Raw) -> Vec<Diagnostic>;
    fn time_limit(&self, config: &Raw) -> Result<Duration, Diagnostic>;
    fn invoke<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        config: &'a Raw,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), Diagnostic>>;
}

/// A resource or data source of type `T`, made from a client `C` when it is needed.
pub(crate) struct Made<T, C> {
    schema: Schema,
    make: Box<dyn Fn(&C) -> T + Send + Sync>,
    kind: PhantomData<fn() -> T>,
}

impl<T, C> Made<T, C> {
    pub(crate) fn new(schema: Schema, make: Box<dyn Fn(&C) -> T + Send + Sync>) -> Self {
        Self { schema, make, kind: PhantomData }
    }
}

impl<T, C> Debug for Made<T, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Made").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// The model at the root.
fn root<M: Convert>(raw: &Raw) -> Result<M, Diagnostic> {
    M::from_raw(raw, &Path::root()).map_err(Diagnostic::from)
}

/// The identity of `R`, which must have one.
fn named<R: Resource>() -> Result<Identity<R::Model>, Diagnostic> {
    R::identity().ok_or_else(|| {
        Diagnostic::error("Import by identity is not supported", format!("{} has no identity.", R::NAME))
    })
}

/// Runs `work` with a [`Saved`] whose content is left in `slot` however the work ends.
struct Keep<'a, M: Convert> {
    saved: Saved<M>,
    slot: &'a mut Option<Raw>,
}

impl<M: Convert> Drop for Keep<'_, M> {
    fn drop(&mut self) {
        *self.slot = self.saved.get().map(M::to_raw);
    }
}

impl<R: Resource, C: Send + Sync + 'static> ErasedResource<C> for Made<R, C> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = schema_mistakes::<R::Model>(R::NAME, &self.schema, Role::Resource);
        let identity = R::identity().map(|identity| identity.mistakes()).unwrap_or_default();
        mistakes.extend(identity.into_iter().map(|mistake| format!("{}: {mistake}", R::NAME)));
        mistakes
    }

    fn validate(&self, config: &Raw) -> Vec<Diagnostic> {
        match root(config) {
            Ok(model) => R::validate(&model),
            Err(diagnostic) => vec![diagnostic],
        }
    }

    fn upgrade(&self, from: i64, state: Json) -> Result<Json, Diagnostic> {
        R::upgrade(from, state)
    }

    fn move_from(&self, source: &MoveSource) -> Result<Option<Raw>, Diagnostic> {
        Ok(R::move_from(source)?.map(|model| model.to_raw()))
    }

    fn identity_schema(&self) -> Option<IdentitySchema> {
        R::identity().map(|identity| identity.schema().clone())
    }

    fn identity_of(&self, state: &Raw) -> Option<Raw> {
        R::identity()?.of(&root(state).ok()?)
    }

    fn import_identity(&self, identity: &Raw) -> Result<Raw, Diagnostic> {
        Ok(named::<R>()?.import(identity)?.to_raw())
    }

    fn upgrade_identity(&self, from: i64, identity: Json) -> Result<Json, Diagnostic> {
        named::<R>()?.upgrade(from, identity)
    }

    fn plan<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        change: Change<'a>,
    ) -> BoxFuture<'a, Result<Raw, Diagnostic>> {
        Box::pin(async move {
            let prior = if change.prior.is_null() { None } else { Some(root::<R::Model>(change.prior)?) };
            let config = root::<R::Model>(change.config)?;
            let before = root::<R::Model>(change.planned)?;
            let mut after = before.clone();
            (self.make)(client).plan(ctx, prior.as_ref(), &config, &mut after).await?;
            Ok(merge(change.planned, &before.to_raw(), after.to_raw()))
        })
    }

    fn create<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        plan: &'a Raw,
        slot: &'a mut Option<Raw>,
    ) -> BoxFuture<'a, Result<(), Diagnostic>> {
        Box::pin(async move {
            let plan = root(plan)?;
            let mut keep = Keep { saved: Saved::new(), slot };
            (self.make)(client).create(ctx, plan, &mut keep.saved).await
        })
    }

    fn read<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        state: &'a Raw,
    ) -> BoxFuture<'a, Result<Raw, Diagnostic>> {
        Box::pin(async move {
            let found = (self.make)(client).read(ctx, root(state)?).await?;
            Ok(found.map_or(Raw::Null, |model| model.to_raw()))
        })
    }

    fn update<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        prior: &'a Raw,
        plan: &'a Raw,
        slot: &'a mut Option<Raw>,
    ) -> BoxFuture<'a, Result<(), Diagnostic>> {
        Box::pin(async move {
            let (prior, plan) = (root(prior)?, root(plan)?);
            let mut keep = Keep { saved: Saved::new(), slot };
            (self.make)(client).update(ctx, prior, plan, &mut keep.saved).await
        })
    }

    fn delete<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        state: &'a Raw,
    ) -> BoxFuture<'a, Result<(), Diagnostic>> {
        Box::pin(async move { (self.make)(client).delete(ctx, root(state)?).await })
    }

    fn import<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        id: &'a str,
    ) -> BoxFuture<'a, Result<Raw, Diagnostic>> {
        Box::pin(async move { Ok((self.make)(client).import(ctx, id).await?.to_raw()) })
    }
}

impl<D: DataSource, C: Send + Sync + 'static> ErasedDataSource<C> for Made<D, C> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn mistakes(&self) -> Vec<String> {
        schema_mistakes::<D::Model>(D::NAME, &self.schema, Role::DataSource)
    }

    fn validate(&self, config: &Raw) -> Vec<Diagnostic> {
        match root(config) {
            Ok(model) => D::validate(&model),
            Err(diagnostic) => vec![diagnostic],
        }
    }

    fn read<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        config: &'a Raw,
    ) -> BoxFuture<'a, Result<Raw, Diagnostic>> {
        Box::pin(async move { Ok((self.make)(client).read(ctx, root(config)?).await?.to_raw()) })
    }
}

impl<E: EphemeralResource, C: Send + Sync + 'static> ErasedEphemeralResource<C> for Made<E, C> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn mistakes(&self) -> Vec<String> {
        schema_mistakes::<E::Model>(E::NAME, &self.schema, Role::EphemeralResource)
    }

    fn validate(&self, config: &Raw) -> Vec<Diagnostic> {
        match root(config) {
            Ok(model) => E::validate(&model),
            Err(diagnostic) => vec![diagnostic],
        }
    }

    fn open<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        config: &'a Raw,
    ) -> BoxFuture<'a, Result<Opened<Raw>, Diagnostic>> {
        Box::pin(async move {
            let Opened { result, renew_at } = (self.make)(client).open(ctx, root(config)?).await?;
            Ok(Opened { result: result.to_raw(), renew_at })
        })
    }

    fn renew<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
    ) -> BoxFuture<'a, Result<Option<SystemTime>, Diagnostic>> {
        Box::pin(async move { (self.make)(client).renew(ctx).await })
    }

    fn close<'a>(&'a self, client: &'a C, ctx: &'a Context) -> BoxFuture<'a, Result<(), Diagnostic>> {
        Box::pin(async move { (self.make)(client).close(ctx).await })
    }
}

impl<A: Action, C: Send + Sync + 'static> ErasedAction<C> for Made<A, C> {
    fn name(&self) -> &'static str {
        A::NAME
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn mistakes(&self) -> Vec<String> {
        schema_mistakes::<A::Model>(A::NAME, &self.schema, Role::Action)
    }

    fn validate(&self, config: &Raw) -> Vec<Diagnostic> {
        match root(config) {
            Ok(model) => A::validate(&model),
            Err(diagnostic) => vec![diagnostic],
        }
    }

    fn time_limit(&self, config: &Raw) -> Result<Duration, Diagnostic> {
        Ok(A::time_limit(&root(config)?))
    }

    fn invoke<'a>(
        &'a self,
        client: &'a C,
        ctx: &'a Context,
        config: &'a Raw,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<(), Diagnostic>> {
        Box::pin(async move { (self.make)(client).invoke(ctx, root(config)?, progress).await })
    }
}
