//! `datadog_agentless_scanner_session`: temporary credentials of a scanner's or delegate role.

use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::aws::{Kind, SessionRequest, Sessions};
use crate::config::Settings;
use crate::model;
use crate::resource::place::{region_of, region_validator};
use crate::sdk::{
    Attribute, Context, Diagnostic, EphemeralResource, Opened, Schema, Secret, Value, parse_duration,
    validator,
};

/// The name of a session that has none of its own.
const SESSION_NAME: &str = "agentless-scanner-session";

/// The limits of a session's length in seconds (STS API Reference, `AssumeRole`: `DurationSeconds`).
const SECONDS: std::ops::RangeInclusive<u64> = 900..=43_200;

/// Takes a role on.
#[derive(Debug)]
pub struct ScannerSession<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> ScannerSession<A> {
    /// The ephemeral resource over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

model! {
    /// One session.
    pub struct Model {
        /// The role.
        pub role_arn: Value<String>,
        /// What CloudTrail shows.
        pub session_name: Value<String>,
        /// What the role's trust policy asks for.
        pub external_id: Value<String>,
        /// How long it lasts.
        pub duration: Value<String>,
        /// Where STS is asked.
        pub region: Value<String>,
        /// Who the credentials are.
        pub arn: Value<String>,
        /// The access key.
        pub access_key_id: Value<String>,
        /// Its secret.
        pub secret_access_key: Value<Secret>,
        /// Its session token.
        pub session_token: Value<Secret>,
        /// When they end.
        pub expiration: Value<String>,
    }
}

impl<A: Sessions> EphemeralResource for ScannerSession<A> {
    const NAME: &'static str = "agentless_scanner_session";
    type Model = Model;

    fn schema() -> Schema {
        Schema::new(
            "Temporary credentials of a scanner's role, or of the delegate role in a scanned account, for as long as \
             Terraform runs. They are in no plan and no state. Use them to check in the same run that a trust policy \
             lets in whom it should, or to configure another provider with exactly the scanner's permissions.\n\n\
             STS cannot prolong credentials or take them back: they end by themselves. Needs Terraform 1.10.",
        )
        .attribute(
            Attribute::string("role_arn", "The ARN of the role.").required().validate(validator::pattern(
                "the ARN of a role",
                |arn| arn.starts_with("arn:") && arn.contains(":role/"),
            )),
        )
        .attribute(
            Attribute::string(
                "session_name",
                format!("The name of the session, as CloudTrail shows it. Default: `{SESSION_NAME}`."),
            )
            .optional()
            .validate(validator::length(2..=64))
            .validate(validator::characters("letters, digits and `+=,.@-_`", |character| {
                character.is_ascii_alphanumeric() || "+=,.@-_".contains(character)
            })),
        )
        .attribute(
            Attribute::string("external_id", "The external id that the role's trust policy asks for.")
                .optional()
                .validate(validator::length(2..=1_224)),
        )
        .attribute(
            Attribute::string(
                "duration",
                "How long the credentials last, such as `30m`: from 15 minutes to the role's longest session. \
                 Default: an hour.",
            )
            .optional()
            .validate(validator::duration()),
        )
        .attribute(
            Attribute::string("region", "The AWS region whose STS is asked. Default: the provider's.")
                .optional()
                .computed()
                .validate(region_validator()),
        )
        .attribute(Attribute::string("arn", "The ARN of the assumed role with the name of the session.").computed())
        .attribute(Attribute::string("access_key_id", "The access key.").computed())
        .attribute(Attribute::string("secret_access_key", "The secret of the access key.").computed().sensitive())
        .attribute(Attribute::string("session_token", "The session token.").computed().sensitive())
        .attribute(Attribute::string("expiration", "When the credentials end, as in RFC 3339.").computed())
    }

    fn validate(config: &Model) -> Vec<Diagnostic> {
        let duration = config.duration.as_str().and_then(|text| parse_duration(text).ok());
        match duration {
            Some(duration) if !SECONDS.contains(&duration.as_secs()) => {
                let detail = "A session lasts from 15 minutes (`15m`) to 12 hours (`12h`).";
                vec![Diagnostic::error("Invalid duration", detail).at("duration")]
            }
            _ => Vec::new(),
        }
    }

    async fn open(&self, ctx: &Context, config: Model) -> Result<Opened<Model>, Diagnostic> {
        let region = region_of(&self.settings, &config.region)?;
        let role_arn = config.role_arn.as_str().unwrap_or_default();
        let request = SessionRequest {
            role_arn: role_arn.to_owned(),
            session_name: config.session_name.as_str().unwrap_or(SESSION_NAME).to_owned(),
            external_id: config.external_id.clone().known(),
            duration: config.duration.as_str().and_then(|text| parse_duration(text).ok()),
        };
        let what = format!("waiting for a session of {role_arn}");
        let answer = ctx.wait(&what, self.aws.assume_role(&region, &request)).await?;
        let session = answer.map_err(|error| {
            let mut diagnostic = error.diagnostic(format!("Could not take on role {role_arn}"));
            if error.kind() == Kind::AccessDenied {
                diagnostic.detail.push_str(
                    "\n\nThe role's trust policy must name these credentials, and the external id must be the one it \
                     asks for. A role that was made seconds ago may not be known everywhere yet: apply again.",
                );
            }
            diagnostic.at("role_arn")
        })?;
        let expires = OffsetDateTime::from_unix_timestamp(session.expires);
        let expiration = expires.ok().and_then(|time| time.format(&Rfc3339).ok());
        Ok(Opened {
            result: Model {
                region: region.to_string().into(),
                arn: session.arn.into(),
                access_key_id: session.access_key_id.into(),
                secret_access_key: session.secret_access_key.into(),
                session_token: session.session_token.into(),
                expiration: expiration.into(),
                ..config
            },
            renew_at: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::fake::FakeAws;

    const ROLE: &str = "arn:aws:iam::111122223333:role/security/delegate";

    fn config() -> Model {
        Model { role_arn: ROLE.into(), ..Model::default() }
    }

    async fn open(aws: &Arc<FakeAws>, config: Model) -> Result<Model, Diagnostic> {
        let region = Value::Known("eu-central-1".parse().unwrap());
        let settings = Arc::new(Settings { region, ..Settings::default() });
        let ctx = Context::detached(Duration::from_secs(1));
        let opened = ScannerSession::new(Arc::clone(aws), settings).open(&ctx, config).await?;
        assert_eq!(opened.renew_at, None, "its credentials cannot change");
        Ok(opened.result)
    }

    #[tokio::test]
    async fn a_session_is_what_sts_gives() {
        let aws = Arc::new(FakeAws::default());
        let asked = Model { external_id: "1234".into(), duration: "30m".into(), ..config() };
        let session = open(&aws, asked).await.unwrap();
        let request = aws.world().sessions.pop().unwrap();
        assert_eq!(request.duration, Some(Duration::from_mins(30)));
        assert_eq!((request.external_id.as_deref(), request.role_arn.as_str()), (Some("1234"), ROLE));
        assert_eq!(
            session.arn,
            "arn:aws:sts::111122223333:assumed-role/delegate/agentless-scanner-session".into()
        );
        assert_eq!(session.secret_access_key.get().map(Secret::expose), Some("secret"));
        assert_eq!(
            (session.expiration.as_str(), session.region.as_str()),
            (Some("2026-01-01T00:00:00Z"), Some("eu-central-1"))
        );
    }

    #[tokio::test]
    async fn a_refusal_says_where_to_look() {
        let aws = Arc::new(FakeAws::default());
        aws.fail("sts:AssumeRole", "AccessDenied", "not authorized");
        let error = open(&aws, config()).await.unwrap_err();
        assert!(error.detail.contains("trust policy"), "{}", error.detail);
        assert_eq!(error.path.to_string(), "role_arn");
    }

    #[test]
    fn a_duration_has_bounds() {
        let with = |duration: &str| {
            ScannerSession::<FakeAws>::validate(&Model { duration: duration.into(), ..config() })
        };
        assert!(with("15m").is_empty() && with("12h").is_empty());
        assert_eq!((with("14m").len(), with("13h").len()), (1, 1));
    }
}
