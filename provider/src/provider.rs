//! [`Agentless`]: the provider as a whole.

use crate::action::rotate::Rotate;
use crate::config::{self, Client, Config};
use crate::data_source::image::Image;
use crate::data_source::policy::Policy;
use crate::ephemeral_resource::session::ScannerSession;
use crate::resource::api_key::ApiKey;
use crate::resource::delegate_role::DelegateRole;
use crate::resource::network::Network;
use crate::resource::role::Role;
use crate::resource::scanner::Scanner;
use crate::resource::security_group::SecurityGroup;
use crate::sdk::{Catalog, Context, Diagnostic, Provider, Schema};

/// The provider `agentless/datadog-agentless`.
#[derive(Debug)]
pub struct Agentless;

impl Provider for Agentless {
    const ADDRESS: &'static str = "registry.terraform.io/agentless/datadog-agentless";
    const PREFIX: &'static str = "datadog_";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    type Config = Config;
    type Client = Client;

    fn schema() -> Schema {
        config::schema()
    }

    fn catalog() -> Catalog<Client> {
        Catalog::new()
            .resource(|client: &Client| Scanner::new(client.aws.clone(), client.settings.clone()))
            .resource(|client: &Client| Role::new(client.aws.clone(), client.settings.clone()))
            .resource(|client: &Client| DelegateRole::new(client.aws.clone(), client.settings.clone()))
            .resource(|client: &Client| ApiKey::new(client.aws.clone(), client.settings.clone()))
            .resource(|client: &Client| SecurityGroup::new(client.aws.clone(), client.settings.clone()))
            .resource(|client: &Client| Network::new(client.aws.clone(), client.settings.clone()))
            .data_source(|client: &Client| Image::new(client.aws.clone(), client.settings.clone()))
            .data_source(|client: &Client| Policy::new(client.aws.clone(), client.settings.clone()))
            .ephemeral_resource(|client: &Client| {
                ScannerSession::new(client.aws.clone(), client.settings.clone())
            })
            .action(|client: &Client| Rotate::new(client.aws.clone(), client.settings.clone()))
    }

    fn is_deferred(config: &Config) -> bool {
        config::unknown_argument(config).is_some()
    }

    fn validate(config: &Config) -> Vec<Diagnostic> {
        config::validate(config)
    }

    async fn configure(&self, ctx: &Context, config: Config) -> Result<Client, Diagnostic> {
        config::configure(ctx, config).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::mistakes;

    #[test]
    fn every_schema_is_sound_and_fits_its_model() {
        assert_eq!(mistakes::<Agentless>(), Vec::<String>::new());
    }
}
