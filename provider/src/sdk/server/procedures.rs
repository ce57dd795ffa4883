//! The service itself: one method a procedure, each no more than a call of what does the work.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::check::check;
use super::wire::{decode, diagnostics};
use super::{Server, describe, panic, proto};
use crate::sdk::context::Private;
use crate::sdk::validate::Client;
use crate::sdk::{Convert, Diagnostic, Path, Provider, Raw};

/// A [`Server`] that gRPC can call.
pub(crate) struct Service<P: Provider>(pub(crate) Arc<Server<P>>);

/// The answer to a call.
type Answer<T> = Result<Response<T>, Status>;

impl<P: Provider> Service<P> {
    /// Lets `work` run to its end even if the caller goes away, and writes to the log what was asked for and how long it
    /// took: never what was in it.
    async fn run<T, F>(
        &self,
        procedure: &'static str,
        subject: &str,
        work: impl FnOnce(Arc<Server<P>>) -> F,
    ) -> Answer<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let started = Instant::now();
        tracing::debug!(tf_rpc = procedure, tf_resource_type = subject, "received request");
        let answer = tokio::spawn(work(Arc::clone(&self.0))).await;
        let milliseconds = started.elapsed().as_secs_f64() * 1_000.0;
        tracing::debug!(tf_rpc = procedure, tf_resource_type = subject, milliseconds, "answered request");
        answer.map(Response::new).map_err(|error| Status::internal(format!("{procedure} failed: {error}")))
    }
}

#[tonic::async_trait]
impl<P: Provider> proto::provider_server::Provider for Service<P> {
    async fn get_metadata(
        &self,
        _: Request<proto::get_metadata::Request>,
    ) -> Answer<proto::get_metadata::Response> {
        use proto::get_metadata::{Action, DataSource, EphemeralResource, Resource};
        let full = |name: &str| format!("{}{name}", P::PREFIX);
        let catalog = &self.0.catalog;
        Ok(Response::new(proto::get_metadata::Response {
            server_capabilities: Some(describe::capabilities()),
            diagnostics: Vec::new(),
            data_sources: catalog
                .data_sources()
                .map(|(name, _)| DataSource { type_name: full(name) })
                .collect(),
            actions: catalog.actions().map(|(name, _)| Action { type_name: full(name) }).collect(),
            ephemeral_resources: catalog
                .ephemeral_resources()
                .map(|(name, _)| EphemeralResource { type_name: full(name) })
                .collect(),
            resources: catalog.resources().map(|(name, _)| Resource { type_name: full(name) }).collect(),
        }))
    }

    async fn get_provider_schema(
        &self,
        _: Request<proto::get_provider_schema::Request>,
    ) -> Answer<proto::get_provider_schema::Response> {
        self.run("GetProviderSchema", "", async |server: Arc<Server<P>>| server.describe()).await
    }

    async fn get_resource_identity_schemas(
        &self,
        _: Request<proto::get_resource_identity_schemas::Request>,
    ) -> Answer<proto::get_resource_identity_schemas::Response> {
        self.run("GetResourceIdentitySchemas", "", async |server: Arc<Server<P>>| server.identities()).await
    }

    async fn validate_provider_config(
        &self,
        request: Request<proto::validate_provider_config::Request>,
    ) -> Answer<proto::validate_provider_config::Response> {
        let request = request.into_inner();
        self.run("ValidateProviderConfig", "", async move |server: Arc<Server<P>>| {
            let client = Client { write_only: false };
            let further = |config: &Raw| match P::Config::from_raw(config, &Path::root()) {
                Ok(config) => P::validate(&config),
                Err(error) => vec![error.into()],
            };
            let found = check(&server.schema, request.config.as_ref(), client, further).await;
            proto::validate_provider_config::Response { diagnostics: diagnostics(found) }
        })
        .await
    }

    async fn configure_provider(
        &self,
        request: Request<proto::configure_provider::Request>,
    ) -> Answer<proto::configure_provider::Response> {
        let request = request.into_inner();
        self.run("ConfigureProvider", "", async move |server: Arc<Server<P>>| {
            let found = server.configure(&request).await;
            proto::configure_provider::Response { diagnostics: diagnostics(found) }
        })
        .await
    }

    async fn stop_provider(
        &self,
        _: Request<proto::stop_provider::Request>,
    ) -> Answer<proto::stop_provider::Response> {
        tracing::info!("Terraform asks to stop");
        self.0.stop.stop();
        Ok(Response::new(proto::stop_provider::Response::default()))
    }

    async fn validate_resource_config(
        &self,
        request: Request<proto::validate_resource_config::Request>,
    ) -> Answer<proto::validate_resource_config::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("ValidateResourceConfig", &subject, async move |server: Arc<Server<P>>| {
            let capabilities = request.client_capabilities.unwrap_or_default();
            let client = Client { write_only: capabilities.write_only_attributes_allowed };
            let found = match server.resource(&request.type_name) {
                Ok(resource) => {
                    let further = |config: &Raw| resource.validate(config);
                    check(resource.schema(), request.config.as_ref(), client, further).await
                }
                Err(diagnostic) => vec![diagnostic],
            };
            proto::validate_resource_config::Response { diagnostics: diagnostics(found) }
        })
        .await
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<proto::upgrade_resource_state::Request>,
    ) -> Answer<proto::upgrade_resource_state::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("UpgradeResourceState", &subject, async move |server: Arc<Server<P>>| {
            server.upgrade(request).await
        })
        .await
    }

    async fn upgrade_resource_identity(
        &self,
        request: Request<proto::upgrade_resource_identity::Request>,
    ) -> Answer<proto::upgrade_resource_identity::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("UpgradeResourceIdentity", &subject, async move |server: Arc<Server<P>>| {
            server.upgrade_identity(request).await
        })
        .await
    }

    async fn move_resource_state(
        &self,
        request: Request<proto::move_resource_state::Request>,
    ) -> Answer<proto::move_resource_state::Response> {
        let request = request.into_inner();
        let subject = request.target_type_name.clone();
        self.run("MoveResourceState", &subject, async move |server: Arc<Server<P>>| {
            server.move_state(request).await
        })
        .await
    }

    async fn import_resource_state(
        &self,
        request: Request<proto::import_resource_state::Request>,
    ) -> Answer<proto::import_resource_state::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("ImportResourceState", &subject, async move |server: Arc<Server<P>>| {
            server.import(request).await
        })
        .await
    }

    async fn read_resource(
        &self,
        request: Request<proto::read_resource::Request>,
    ) -> Answer<proto::read_resource::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("ReadResource", &subject, async move |server: Arc<Server<P>>| server.read(request).await)
            .await
    }

    async fn plan_resource_change(
        &self,
        request: Request<proto::plan_resource_change::Request>,
    ) -> Answer<proto::plan_resource_change::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("PlanResourceChange", &subject, async move |server: Arc<Server<P>>| {
            server.plan(request).await
        })
        .await
    }

    async fn apply_resource_change(
        &self,
        request: Request<proto::apply_resource_change::Request>,
    ) -> Answer<proto::apply_resource_change::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("ApplyResourceChange", &subject, async move |server: Arc<Server<P>>| {
            server.apply(request).await
        })
        .await
    }

    async fn validate_data_resource_config(
        &self,
        request: Request<proto::validate_data_resource_config::Request>,
    ) -> Answer<proto::validate_data_resource_config::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("ValidateDataResourceConfig", &subject, async move |server: Arc<Server<P>>| {
            let client = Client { write_only: false };
            let found = match server.data_source(&request.type_name) {
                Ok(data_source) => {
                    let further = |config: &Raw| data_source.validate(config);
                    check(data_source.schema(), request.config.as_ref(), client, further).await
                }
                Err(diagnostic) => vec![diagnostic],
            };
            proto::validate_data_resource_config::Response { diagnostics: diagnostics(found) }
        })
        .await
    }

    async fn read_data_source(
        &self,
        request: Request<proto::read_data_source::Request>,
    ) -> Answer<proto::read_data_source::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("ReadDataSource", &subject, async move |server: Arc<Server<P>>| {
            server.read_data(request).await
        })
        .await
    }

    async fn validate_ephemeral_resource_config(
        &self,
        request: Request<proto::validate_ephemeral_resource_config::Request>,
    ) -> Answer<proto::validate_ephemeral_resource_config::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("ValidateEphemeralResourceConfig", &subject, async move |server: Arc<Server<P>>| {
            let client = Client { write_only: false };
            let found = match server.ephemeral_resource(&request.type_name) {
                Ok(ephemeral) => {
                    let further = |config: &Raw| ephemeral.validate(config);
                    check(ephemeral.schema(), request.config.as_ref(), client, further).await
                }
                Err(diagnostic) => vec![diagnostic],
            };
            proto::validate_ephemeral_resource_config::Response { diagnostics: diagnostics(found) }
        })
        .await
    }

    async fn open_ephemeral_resource(
        &self,
        request: Request<proto::open_ephemeral_resource::Request>,
    ) -> Answer<proto::open_ephemeral_resource::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("OpenEphemeralResource", &subject, async move |server: Arc<Server<P>>| {
            server.open(request).await
        })
        .await
    }

    async fn renew_ephemeral_resource(
        &self,
        request: Request<proto::renew_ephemeral_resource::Request>,
    ) -> Answer<proto::renew_ephemeral_resource::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("RenewEphemeralResource", &subject, async move |server: Arc<Server<P>>| {
            server.renew(request).await
        })
        .await
    }

    async fn close_ephemeral_resource(
        &self,
        request: Request<proto::close_ephemeral_resource::Request>,
    ) -> Answer<proto::close_ephemeral_resource::Response> {
        let request = request.into_inner();
        let subject = request.type_name.clone();
        self.run("CloseEphemeralResource", &subject, async move |server: Arc<Server<P>>| {
            server.close(request).await
        })
        .await
    }

    async fn validate_action_config(
        &self,
        request: Request<proto::validate_action_config::Request>,
    ) -> Answer<proto::validate_action_config::Response> {
        let request = request.into_inner();
        let subject = request.action_type.clone();
        self.run("ValidateActionConfig", &subject, async move |server: Arc<Server<P>>| {
            let client = Client { write_only: false };
            let found = match server.action(&request.action_type) {
                Ok(action) => {
                    let further = |config: &Raw| action.validate(config);
                    check(action.schema(), request.config.as_ref(), client, further).await
                }
                Err(diagnostic) => vec![diagnostic],
            };
            proto::validate_action_config::Response { diagnostics: diagnostics(found) }
        })
        .await
    }

    async fn plan_action(
        &self,
        request: Request<proto::plan_action::Request>,
    ) -> Answer<proto::plan_action::Response> {
        let request = request.into_inner();
        let subject = request.action_type.clone();
        self.run("PlanAction", &subject, async move |server: Arc<Server<P>>| server.plan_action(&request))
            .await
    }

    type InvokeActionStream =
        Pin<Box<dyn Stream<Item = Result<proto::invoke_action::Event, Status>> + Send + 'static>>;

    async fn invoke_action(
        &self,
        request: Request<proto::invoke_action::Request>,
    ) -> Answer<Self::InvokeActionStream> {
        let request = request.into_inner();
        tracing::debug!(tf_rpc = "InvokeAction", tf_resource_type = request.action_type, "received request");
        Ok(Response::new(Box::pin(Arc::clone(&self.0).invoke(request).map(Ok))))
    }
}

impl<P: Provider> Server<P> {
    /// Makes the client; the result is what to tell the user.
    async fn configure(&self, request: &proto::configure_provider::Request) -> Vec<Diagnostic> {
        let can_wait =
            request.client_capabilities.as_ref().is_some_and(|capabilities| capabilities.deferral_allowed);
        let ctx = self.context(Private::new());
        let configure = async {
            let config = decode(request.config.as_ref(), &self.schema)?;
            let config = P::Config::from_raw(&config, &Path::root())?;
            if can_wait && P::is_deferred(&config) {
                return Ok(None);
            }
            self.provider.configure(&ctx, config).await.map(Some)
        };
        let result = panic::catch(configure).await.flatten();
        let mut told = ctx.into_told();
        self.deferred.store(matches!(result, Ok(None)), Ordering::Release);
        match result {
            Ok(None) => tracing::info!("the configuration is not known yet; everything is deferred"),
            Ok(Some(client)) => self.set_client(client),
            Err(diagnostic) => told.diagnostics.push(diagnostic),
        }
        told.diagnostics
    }
}
