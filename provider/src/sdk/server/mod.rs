//! The protocol's side of a provider: every procedure that Terraform calls.
//!
//! Each procedure decodes its request by the schema, lets the erased resource do its work, and encodes the answer.
//! The work runs in a task of its own, so that it is not abandoned half-way when the connection breaks, and a panic in
//! it becomes a diagnostic.

mod action;
mod apply;
mod check;
mod describe;
mod ephemeral;
mod panic;
mod plan;
mod procedures;
mod read;
mod stop;
mod upgrade;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub(crate) use panic::remember_panics;
pub(crate) use procedures::Service;
pub(crate) use stop::Stop;
pub(crate) use upgrade::upgraded;

use super::context::Private;
use super::erased::{ErasedAction, ErasedDataSource, ErasedEphemeralResource, ErasedResource};
use super::proto::tfplugin6 as proto;
use super::timeouts::parse_duration;
use super::{Catalog, Context, Diagnostic, Provider, Raw, Schema};

/// How long an operation without a `timeouts` attribute of its own may take: reading, importing, configuring, planning.
const TIMEOUT: Duration = Duration::from_mins(20);

/// A provider and its state between calls.
pub(crate) struct Server<P: Provider> {
    provider: P,
    schema: Schema,
    catalog: Catalog<P::Client>,
    /// What the last `ConfigureProvider` made. Under a debugger one process serves many runs of Terraform.
    client: RwLock<Option<Arc<P::Client>>>,
    /// Whether the last `ConfigureProvider` knew too little to make one, and Terraform can wait.
    deferred: AtomicBool,
    stop: Arc<Stop>,
}

/// The operations whose deadline a user may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Create,
    Update,
    Delete,
}

impl<P: Provider> Server<P> {
    pub(crate) fn new(provider: P, stop: Arc<Stop>) -> Self {
        Self {
            provider,
            schema: P::schema(),
            catalog: P::catalog(),
            client: RwLock::new(None),
            deferred: AtomicBool::new(false),
            stop,
        }
    }

    /// The client, once the provider is configured.
    fn client(&self) -> Result<Arc<P::Client>, Diagnostic> {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        client.clone().ok_or_else(|| {
            Diagnostic::error(
                "Provider is not configured",
                "Terraform asked for a resource before it configured the provider, or although that had failed. See \
                 the errors about the provider's own configuration.",
            )
        })
    }

    fn set_client(&self, client: P::Client) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(client));
    }

    /// Whether to put off what was asked for: nothing can be done yet, and the caller can wait.
    fn defers(&self, capabilities: Option<&proto::ClientCapabilities>) -> bool {
        self.deferred.load(Ordering::Acquire)
            && capabilities.is_some_and(|capabilities| capabilities.deferral_allowed)
    }

    /// The resource of the full name `type_name`.
    fn resource(&self, type_name: &str) -> Result<&dyn ErasedResource<P::Client>, Diagnostic> {
        let resources = self.catalog.resources.iter().map(AsRef::as_ref);
        named::<P, _>(resources, |resource| resource.name(), "resource", type_name)
    }

    /// The data source of the full name `type_name`.
    fn data_source(&self, type_name: &str) -> Result<&dyn ErasedDataSource<P::Client>, Diagnostic> {
        let data_sources = self.catalog.data_sources.iter().map(AsRef::as_ref);
        named::<P, _>(data_sources, |data_source| data_source.name(), "data source", type_name)
    }

    /// The ephemeral resource of the full name `type_name`.
    fn ephemeral_resource(
        &self,
        type_name: &str,
    ) -> Result<&dyn ErasedEphemeralResource<P::Client>, Diagnostic> {
        let all = self.catalog.ephemeral_resources.iter().map(AsRef::as_ref);
        named::<P, _>(all, |ephemeral| ephemeral.name(), "ephemeral resource", type_name)
    }

    /// The action of the full name `type_name`.
    fn action(&self, type_name: &str) -> Result<&dyn ErasedAction<P::Client>, Diagnostic> {
        let actions = self.catalog.actions.iter().map(AsRef::as_ref);
        named::<P, _>(actions, |action| action.name(), "action", type_name)
    }

    /// The context of an operation without `timeouts`.
    fn context(&self, private: Private) -> Context {
        Context::new(self.stop.token(), TIMEOUT, private)
    }

    /// The context of an operation on a resource whose `timeouts`, if any, are in `values`.
    fn context_of(&self, schema: &Schema, operation: Operation, values: &Raw, private: Private) -> Context {
        let timeout = schema.timeouts.map_or(TIMEOUT, |defaults| {
            let (name, default) = match operation {
                Operation::Create => ("create", defaults.create),
                Operation::Update => ("update", defaults.update),
                Operation::Delete => ("delete", defaults.delete),
            };
            let set = values.get("timeouts").get(name).as_str();
            set.and_then(|text| parse_duration(text).ok()).unwrap_or(default)
        });
        Context::new(self.stop.token(), timeout, private)
    }
}

/// What a deferred operation answers.
fn deferred() -> proto::Deferred {
    proto::Deferred { reason: proto::deferred::Reason::ProviderConfigUnknown.into() }
}

fn named<P: Provider, T>(
    mut all: impl Iterator<Item = T>,
    name: impl Fn(&T) -> &'static str,
    kind: &str,
    type_name: &str,
) -> Result<T, Diagnostic> {
    let wanted = type_name.strip_prefix(P::PREFIX);
    all.find(|item| Some(name(item)) == wanted).ok_or_else(|| {
        Diagnostic::error(
            format!("No {kind} {type_name:?}"),
            format!("Version {} of this provider has no such {kind}.", P::VERSION),
        )
    })
}
