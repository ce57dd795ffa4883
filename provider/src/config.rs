//! The provider block: what users may write in it, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use scanner_policy::Region;

use crate::aws::{Aws, Endpoints, Identity, Kind, Tags};
use crate::model;
use crate::resource::tagging;
use crate::sdk::{
    Attribute, Block, Context, Diagnostic, Path, Schema, Secret, Type, Value, parse_duration, validator,
};

/// How often the SDK makes a request in all when AWS throttles it, fails or cannot be reached.
const ATTEMPTS: u32 = 8;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long AWS may take to answer one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);

model! {
    /// The provider block.
    pub struct Config {
        /// The region of resources that name none.
        pub region: Value<String>,
        /// A profile of the AWS configuration files.
        pub profile: Value<String>,
        /// A static access key.
        pub access_key: Value<String>,
        /// Its secret.
        pub secret_key: Value<Secret>,
        /// Its session token.
        pub token: Value<Secret>,
        /// The role that all work is done as.
        pub assume_role: Value<AssumeRole>,
        /// Where the services are.
        pub endpoints: Value<EndpointUrls>,
        /// Tags for everything.
        pub default_tags: Value<DefaultTags>,
    }

    /// The block `assume_role`.
    pub struct AssumeRole {
        /// The role.
        pub role_arn: Value<String>,
        /// What CloudTrail shows.
        pub session_name: Value<String>,
        /// What the role's trust policy asks for.
        pub external_id: Value<String>,
        /// How long the session lasts.
        pub duration: Value<String>,
    }

    /// The block `endpoints`.
    pub struct EndpointUrls {
        /// EC2 Auto Scaling.
        pub autoscaling: Value<String>,
        /// EC2.
        pub ec2: Value<String>,
        /// IAM.
        pub iam: Value<String>,
        /// Secrets Manager.
        pub secretsmanager: Value<String>,
        /// STS.
        pub sts: Value<String>,
    }

    /// The block `default_tags`.
    pub struct DefaultTags {
        /// The tags.
        pub tags: Value<BTreeMap<String, String>>,
    }
}

/// What resources get: AWS, and what the provider block says about all of them.
#[derive(Clone, Debug)]
pub struct Client {
    /// AWS with the block's credentials.
    pub aws: Arc<Aws>,
    /// The rest of the block.
    pub settings: Arc<Settings>,
}

/// What the provider block says about all resources.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The region of resources that name none.
    pub region: Value<Region>,
    /// The tags that every resource gets beside its own.
    pub default_tags: Value<Tags>,
}

pub(crate) fn schema() -> Schema {
    Schema::new(
        "Puts what agentless scanning needs into AWS regions: a least-privilege role, a security group without \
         inbound, and machines, to list what is installed on the hosts of the account by reading snapshots of their \
         volumes, with nothing installed on those hosts.\n\n\
         The image and the service that scan by themselves on those machines are not part of this version; \
         scans are started by hand, with `agentless-scanner scan`.\n\n\
         Credentials and region are found as every AWS tool finds them (environment, configuration files, SSO, \
         container and instance roles) unless the arguments say otherwise.",
    )
    .attribute(
        Attribute::string(
            "region",
            "The AWS region of resources that name none, such as `eu-central-1`. Default: `AWS_REGION` or the \
             profile's.",
        )
        .optional()
        .validate(validator::pattern("an AWS region such as eu-central-1", |text| {
            text.parse::<Region>().is_ok()
        })),
    )
    .attribute(Attribute::string("profile", "A profile of the AWS configuration files.").optional())
    .attribute(
        Attribute::string("access_key", "A static access key id. Prefer the usual AWS sources of credentials.")
            .optional(),
    )
    .attribute(Attribute::string("secret_key", "The secret of `access_key`.").optional().sensitive())
    .attribute(
        Attribute::string("token", "The session token of `access_key`, where it is a temporary one.")
            .optional()
            .sensitive(),
    )
    .block(
        Block::single("assume_role", "A role to take on, with the credentials found, for everything.").attributes([
            Attribute::string("role_arn", "The ARN of the role.").required().validate(validator::pattern(
                "the ARN of a role",
                |arn| arn.starts_with("arn:") && arn.contains(":role/"),
            )),
            Attribute::string(
                "session_name",
                "The name of the session, as CloudTrail shows it. Default `terraform-provider-datadog-agentless`.",
            )
            .optional(),
            Attribute::string("external_id", "The external id that the role's trust policy asks for.").optional(),
            Attribute::string("duration", "How long a session lasts, such as `1h`. Default: 15 minutes, renewed.")
                .optional()
                .validate(validator::duration()),
        ]),
    )
    .block(
        Block::single(
            "endpoints",
            "URLs of AWS services, for private endpoints or a local AWS. `AWS_ENDPOINT_URL` and \
             `AWS_ENDPOINT_URL_EC2` and its like do the same.",
        )
        .attributes(
            [
                ("autoscaling", "EC2 Auto Scaling"),
                ("ec2", "EC2"),
                ("iam", "IAM"),
                ("secretsmanager", "Secrets Manager"),
                ("sts", "STS"),
            ]
            .map(
                |(name, service)| {
                    Attribute::string(name, format!("URL of {service}."))
                        .optional()
                        .validate(validator::pattern("a URL with http or https", |text| {
                            text.starts_with("https://") || text.starts_with("http://")
                        }))
                },
            ),
        ),
    )
    .block(
        Block::single("default_tags", "Tags for every resource of this provider, beside the resource's own.")
            .attribute(
                Attribute::map("tags", Type::String, "The tags.").optional().validate(tagging::validator()),
            ),
    )
}

pub(crate) fn validate(config: &Config) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if config.access_key.is_known() && config.secret_key.is_null() {
        problems.push(
            Diagnostic::error("Incomplete credentials", "With access_key, secret_key is needed too.")
                .at("access_key"),
        );
    }
    for (name, is_set) in [("secret_key", config.secret_key.is_known()), ("token", config.token.is_known())] {
        if is_set && config.access_key.is_null() {
            problems.push(
                Diagnostic::error(
                    "Incomplete credentials",
                    format!("With {name}, access_key is needed too."),
                )
                .at(name),
            );
        }
    }
    problems
}

/// Makes the client, and checks the credentials once, so that bad ones give one message and not one a resource.
pub(crate) async fn configure(ctx: &Context, config: Config) -> Result<Client, Diagnostic> {
    refuse_unknown(&config)?;
    let sdk = load(&config).await?;
    let region = match &config.region {
        Value::Unknown => Value::Unknown,
        // A variable that is set to nothing is as good as unset.
        _ => match sdk.region().filter(|region| !region.as_ref().is_empty()) {
            Some(region) => Value::Known(
                region
                    .as_ref()
                    .parse::<Region>()
                    .map_err(|error| Diagnostic::caused_by("Invalid AWS region", &error).at("region"))?,
            ),
            None => Value::Null,
        },
    };
    if region.is_null() && config.assume_role.is_known() {
        return Err(Diagnostic::error(
            "No AWS region",
            "To take on assume_role, STS is asked in a region. Set region in the provider block, or the environment \
             variable AWS_REGION.",
        )
        .at("assume_role"));
    }
    let aws = Aws::new(sdk, endpoints(&config));
    if let Some(region) = region.get() {
        let account = ctx.wait("checking the AWS credentials", aws.account(region)).await?;
        let account = account.map_err(|error| {
            error.diagnostic(match error.kind() {
                Kind::Unreachable => "Could not reach AWS",
                _ => "Could not use the AWS credentials",
            })
        })?;
        tracing::info!(%account, %region, "configured");
    }
    let default_tags = match config.default_tags {
        Value::Known(default) => default.tags,
        Value::Unknown => Value::Unknown,
        Value::Null => Value::Null,
    };
    Ok(Client { aws: Arc::new(aws), settings: Arc::new(Settings { region, default_tags }) })
}

/// Nothing can be planned without credentials and endpoints.
fn refuse_unknown(config: &Config) -> Result<(), Diagnostic> {
    match unknown_argument(config) {
        None => Ok(()),
        Some(name) => Err(Diagnostic::error(
            "Provider configuration is not known yet",
            format!(
                "{name} depends on a resource that is not made yet, but is needed to plan. Make that resource first \
                 (`terraform apply -target=…`), or configure the provider from variables."
            ),
        )
        .at(Path::from(name))),
    }
}

/// The first argument that must be known to do anything at all, and is not; region and default tags may come later.
pub(crate) fn unknown_argument(config: &Config) -> Option<&'static str> {
    let role = config.assume_role.get();
    let urls = config.endpoints.get();
    let unknown = [
        ("profile", config.profile.is_unknown()),
        ("access_key", config.access_key.is_unknown()),
        ("secret_key", config.secret_key.is_unknown()),
        ("token", config.token.is_unknown()),
        (
            "assume_role",
            config.assume_role.is_unknown()
                || role.is_some_and(|role| {
                    role.role_arn.is_unknown()
                        || role.session_name.is_unknown()
                        || role.external_id.is_unknown()
                        || role.duration.is_unknown()
                }),
        ),
        (
            "endpoints",
            config.endpoints.is_unknown()
                || urls.is_some_and(|urls| {
                    [&urls.autoscaling, &urls.ec2, &urls.iam, &urls.secretsmanager, &urls.sts]
                        .iter()
                        .any(|url| url.is_unknown())
                }),
        ),
    ];
    unknown.into_iter().find_map(|(name, is_unknown)| is_unknown.then_some(name))
}

async fn load(config: &Config) -> Result<SdkConfig, Diagnostic> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        );
    if let Some(region) = config.region.as_str() {
        loader = loader.region(aws_config::Region::new(region.to_owned()));
    }
    if let Some(profile) = config.profile.as_str() {
        loader = loader.profile_name(profile);
    }
    if let (Some(key), Some(secret)) = (config.access_key.as_str(), config.secret_key.get()) {
        let token = config.token.get().map(|token| token.expose().to_owned());
        loader = loader.credentials_provider(Credentials::new(
            key,
            secret.expose(),
            token,
            None,
            "provider block",
        ));
    }
    let sdk = loader.load().await;
    let Some(role) = config.assume_role.get() else { return Ok(sdk) };
    assume(&sdk, role, config.endpoints.get()).await
}

/// The same configuration with the credentials of `role`. They are fetched when first needed; a failure then is final,
/// never a reason to go on with the credentials before.
async fn assume(
    sdk: &SdkConfig,
    role: &AssumeRole,
    endpoints: Option<&EndpointUrls>,
) -> Result<SdkConfig, Diagnostic> {
    let mut base = sdk.to_builder();
    if let Some(url) = endpoints.and_then(|endpoints| endpoints.sts.as_str()) {
        base = base.endpoint_url(url);
    }
    let mut provider = AssumeRoleProvider::builder(role.role_arn.as_str().unwrap_or_default())
        .session_name(role.session_name.as_str().unwrap_or("terraform-provider-datadog-agentless"))
        .configure(&base.build());
    if let Some(id) = role.external_id.as_str() {
        provider = provider.external_id(id);
    }
    if let Some(text) = role.duration.as_str() {
        let duration = parse_duration(text).map_err(|error| {
            Diagnostic::caused_by("Invalid duration", &error)
                .at(Path::from("assume_role").attribute("duration"))
        })?;
        provider = provider.session_length(duration);
    }
    let credentials = SharedCredentialsProvider::new(provider.build().await);
    Ok(sdk.to_builder().credentials_provider(credentials).build())
}

fn endpoints(config: &Config) -> Endpoints {
    let urls = config.endpoints.clone().unwrap_or_default();
    Endpoints {
        autoscaling: urls.autoscaling.known(),
        ec2: urls.ec2.known(),
        iam: urls.iam.known(),
        secretsmanager: urls.secretsmanager.known(),
        sts: urls.sts.known(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(access: Value<String>, secret: Value<Secret>) -> Config {
        Config { access_key: access, secret_key: secret, ..Config::default() }
    }

    #[test]
    fn half_a_key_is_refused() {
        assert!(validate(&Config::default()).is_empty());
        assert!(validate(&keys("AKIA".into(), Secret::new("s").into())).is_empty());
        assert!(validate(&keys("AKIA".into(), Value::Unknown)).is_empty());
        assert_eq!(validate(&keys("AKIA".into(), Value::Null)).len(), 1);
        assert_eq!(validate(&keys(Value::Null, Secret::new("s").into())).len(), 1);
    }

    #[tokio::test]
    async fn unknown_credentials_are_told_at_the_argument() {
        let ctx = Context::detached(Duration::from_secs(1));
        let error = configure(&ctx, keys("AKIA".into(), Value::Unknown)).await.unwrap_err();
        assert_eq!(error.path, Path::from("secret_key"));
        assert!(error.detail.contains("-target"), "{}", error.detail);
    }

    #[test]
    fn only_what_nothing_can_be_done_without_defers() {
        let region = Config { region: Value::Unknown, default_tags: Value::Unknown, ..Config::default() };
        assert_eq!(unknown_argument(&region), None);
        assert_eq!(unknown_argument(&keys("AKIA".into(), Value::Unknown)), Some("secret_key"));
        let role = AssumeRole { external_id: Value::Unknown, ..AssumeRole::default() };
        assert_eq!(
            unknown_argument(&Config { assume_role: role.into(), ..Config::default() }),
            Some("assume_role")
        );
    }
}
