//! [`Provider`]: the whole of a provider, and [`Catalog`], the list of what it offers.

use super::erased::{ErasedAction, ErasedDataSource, ErasedEphemeralResource, ErasedResource, Made};
use super::{
    Action, Context, DataSource, Diagnostic, EphemeralResource, IdentitySchema, Model, Resource, Role, Schema,
};

/// A provider: its own configuration, and what it offers.
pub trait Provider: Send + Sync + 'static {
    /// Its source address, such as `registry.terraform.io/example/cloud`.
    const ADDRESS: &'static str;

    /// What the names of its resources and data sources start with, such as `cloud_`.
    const PREFIX: &'static str;

    /// Its version, for the log and `--version`.
    const VERSION: &'static str;

    /// What its configuration looks like.
    type Config: Model;

    /// What a configured provider hands to its resources: clients and settings.
    type Client: Send + Sync + 'static;

    /// The attributes and blocks of its configuration.
    fn schema() -> Schema;

    /// Its resources and data sources.
    fn catalog() -> Catalog<Self::Client>;

    /// Checks a configuration beyond single attributes. Values may be unknown.
    fn validate(_config: &Self::Config) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Whether so much of a configuration is unknown that nothing can be planned with it. A Terraform that can defer
    /// changes then plans them when more is known; [`configure`](Self::configure) is not called. Any other does call
    /// it.
    fn is_deferred(_config: &Self::Config) -> bool {
        false
    }

    /// Makes the client from the configuration. While Terraform plans, values may be unknown: what then cannot be
    /// done should fail where it is needed, not here.
    fn configure(
        &self,
        ctx: &Context,
        config: Self::Config,
    ) -> impl Future<Output = Result<Self::Client, Diagnostic>> + Send;
}

/// The resources, data sources, ephemeral resources and actions of a provider whose client is `C`.
#[derive(Debug)]
pub struct Catalog<C> {
    pub(crate) resources: Vec<Box<dyn ErasedResource<C>>>,
    pub(crate) data_sources: Vec<Box<dyn ErasedDataSource<C>>>,
    pub(crate) ephemeral_resources: Vec<Box<dyn ErasedEphemeralResource<C>>>,
    pub(crate) actions: Vec<Box<dyn ErasedAction<C>>>,
}

impl<C: Send + Sync + 'static> Catalog<C> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            resources: Vec::new(),
            data_sources: Vec::new(),
            ephemeral_resources: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Adds a resource. `make` takes from the client what the resource needs; it is called for each operation, so it
    /// should be cheap.
    #[must_use]
    pub fn resource<R: Resource>(mut self, make: impl Fn(&C) -> R + Send + Sync + 'static) -> Self {
        self.resources.push(Box::new(Made::<R, C>::new(R::schema(), Box::new(make))));
        self
    }

    /// Adds a data source. `make` takes from the client what it needs; it is called for each operation.
    #[must_use]
    pub fn data_source<D: DataSource>(mut self, make: impl Fn(&C) -> D + Send + Sync + 'static) -> Self {
        self.data_sources.push(Box::new(Made::<D, C>::new(D::schema(), Box::new(make))));
        self
    }

    /// Adds an ephemeral resource. `make` takes from the client what it needs; it is called for each operation.
    #[must_use]
    pub fn ephemeral_resource<E: EphemeralResource>(
        mut self,
        make: impl Fn(&C) -> E + Send + Sync + 'static,
    ) -> Self {
        self.ephemeral_resources.push(Box::new(Made::<E, C>::new(E::schema(), Box::new(make))));
        self
    }

    /// Adds an action. `make` takes from the client what it needs; it is called for each invocation.
    #[must_use]
    pub fn action<A: Action>(mut self, make: impl Fn(&C) -> A + Send + Sync + 'static) -> Self {
        self.actions.push(Box::new(Made::<A, C>::new(A::schema(), Box::new(make))));
        self
    }

    /// The names without prefix and the schemas of all resources, in the order they were added.
    pub fn resources(&self) -> impl Iterator<Item = (&'static str, &Schema)> {
        self.resources.iter().map(|resource| (resource.name(), resource.schema()))
    }

    /// The names without prefix and the schemas of all data sources, in the order they were added.
    pub fn data_sources(&self) -> impl Iterator<Item = (&'static str, &Schema)> {
        self.data_sources.iter().map(|data_source| (data_source.name(), data_source.schema()))
    }

    /// The names without prefix and the schemas of all ephemeral resources, in the order they were added.
    pub fn ephemeral_resources(&self) -> impl Iterator<Item = (&'static str, &Schema)> {
        self.ephemeral_resources.iter().map(|ephemeral| (ephemeral.name(), ephemeral.schema()))
    }

    /// The names without prefix and the schemas of all actions, in the order they were added.
    pub fn actions(&self) -> impl Iterator<Item = (&'static str, &Schema)> {
        self.actions.iter().map(|action| (action.name(), action.schema()))
    }

    /// The names without prefix and the identities of all resources that have one, in the order they were added.
    pub fn identities(&self) -> impl Iterator<Item = (&'static str, IdentitySchema)> {
        self.resources.iter().filter_map(|resource| Some((resource.name(), resource.identity_schema()?)))
    }
}

impl<C: Send + Sync + 'static> Default for Catalog<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// The mistakes in the schemas of `P`, and in how its models match them; none in a good provider. Every provider
/// should have a test that there are none; the server refuses to start otherwise.
pub fn mistakes<P: Provider>() -> Vec<String> {
    let catalog = P::catalog();
    let mut mistakes = schema_mistakes::<P::Config>("provider", &P::schema(), Role::Provider);
    mistakes.extend(catalog.resources.iter().flat_map(|resource| resource.mistakes()));
    mistakes.extend(catalog.data_sources.iter().flat_map(|data_source| data_source.mistakes()));
    mistakes.extend(catalog.ephemeral_resources.iter().flat_map(|ephemeral| ephemeral.mistakes()));
    mistakes.extend(catalog.actions.iter().flat_map(|action| action.mistakes()));
    let mut names: Vec<_> = catalog.resources().map(|(name, _)| name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        mistakes.push("two resources have the same name".to_owned());
    }
    mistakes
}

/// The mistakes in one schema, and in how its model `M` matches it.
pub(crate) fn schema_mistakes<M: Model>(name: &str, schema: &Schema, role: Role) -> Vec<String> {
    let mut mistakes: Vec<_> =
        schema.mistakes(role).into_iter().map(|mistake| format!("{name}: {mistake}")).collect();
    if !M::fits(&schema.ty()) {
        mistakes.push(format!(
            "{name}: the model does not fit the schema. Fields: {}. Schema: {}",
            M::FIELDS.join(", "),
            schema.ty()
        ));
    }
    mistakes
}
