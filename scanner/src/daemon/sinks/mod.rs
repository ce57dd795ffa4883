//! The sinks that the configuration names.

mod s3;

use std::sync::Arc;

use agentless_service::http::{self, HttpError, Network, Redirects};
use agentless_service::secret::SecretValue;
use agentless_service::secrets::{SecretError, Secrets};
use agentless_service::settings::Settings;
use agentless_service::sink::datadog::{self, Datadog, Site, SiteError};
use agentless_service::sink::files::Files;
use agentless_service::sink::https::Https;
use agentless_service::sink::{Credential, Sink};
use scanner_policy::ReportStore;
use tokio::sync::watch;

use crate::aws::{Bucket, Home};

/// Why a sink cannot be made. All are mistakes of the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Its address, or the client that it is reached with.
    #[error("the sink {sink} cannot be used")]
    Http {
        /// The sink.
        sink: &'static str,
        /// Why not.
        source: HttpError,
    },
    /// Datadog's site.
    #[error("the sink datadog cannot be used")]
    Site(#[source] SiteError),
    /// Its secret.
    #[error("the sink {sink} has no secret")]
    Secret {
        /// The sink.
        sink: &'static str,
        /// Why not.
        source: SecretError,
    },
    /// The bucket, its prefix or its key.
    #[error("the sink s3 cannot be used: {0}")]
    Bucket(String),
}

/// Where the sinks find their secrets, which change when the configuration is read again.
pub type CurrentSecrets = watch::Receiver<Arc<Secrets>>;

/// The sinks that the configuration names. `host` is where the scanner runs.
pub fn sinks(
    settings: &Settings,
    secrets: &CurrentSecrets,
    home: &Arc<Home>,
    host: &str,
) -> Result<Vec<Arc<dyn Sink>>, SinkError> {
    let client = |sink| {
        let network = Network { ca_file: settings.ca_file.clone() };
        http::client(&network, Redirects::Refused).map_err(|source| SinkError::Http { sink, source })
    };
    let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
    if let Some(files) = &settings.sinks.files {
        sinks.push(Arc::new(Files::new(files.directory.clone())));
    }
    if let Some(s3) = &settings.sinks.s3 {
        let wrong = |error: &dyn std::fmt::Display| SinkError::Bucket(error.to_string());
        let store = ReportStore {
            bucket: s3.bucket.parse().map_err(|error| wrong(&error))?,
            prefix: s3.prefix.parse().map_err(|error| wrong(&error))?,
            kms_key: match &s3.kms_key_arn {
                Some(key) => Some(key.parse().map_err(|error| wrong(&error))?),
                None => None,
            },
        };
        sinks.push(Arc::new(s3::S3::new(Bucket::new(Arc::clone(home), store, s3.region.clone()))));
    }
    if let Some(sink) = &settings.sinks.datadog {
        let failed = |source| SinkError::Http { sink: "datadog", source };
        let url = match &sink.url {
            Some(url) => Site::intake_at(url),
            None => Site::parse(&sink.site).map_err(SinkError::Site)?.intake(),
        }
        .map_err(failed)?;
        let api_key = credential("datadog", &sink.api_key, secrets)?;
        let directory = settings.state_directory.join("heartbeats");
        let of_sink =
            datadog::Settings { url, api_key, env: sink.env.clone(), host: host.to_owned(), directory };
        sinks.push(Arc::new(Datadog::new(client("datadog")?, of_sink)));
    }
    if let Some(sink) = &settings.sinks.https {
        let url = http::endpoint(&sink.url).map_err(|source| SinkError::Http { sink: "https", source })?;
        let authorization = sink.authorization.as_ref();
        let authorization = authorization.map(|value| credential("https", value, secrets)).transpose()?;
        sinks.push(Arc::new(Https::new(client("https")?, url, authorization)));
    }
    Ok(sinks)
}

/// A secret as it is at the time of each request.
fn credential(
    sink: &'static str,
    value: &SecretValue,
    secrets: &CurrentSecrets,
) -> Result<Credential, SinkError> {
    // Said now, and not with the first request.
    secrets.borrow().get(value).map_err(|source| SinkError::Secret { sink, source })?;
    let (value, secrets) = (value.clone(), secrets.clone());
    Ok(Credential::new(move || {
        let secrets = secrets.borrow();
        secrets.get(&value).map(|secret| secret.expose().to_owned()).unwrap_or_default()
    }))
}
