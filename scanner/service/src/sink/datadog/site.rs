//! Datadog's sites, and the address of each one's intake.

use reqwest::Url;

use crate::http::{HttpError, endpoint};

/// A site that takes package lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Site(&'static str);

/// Why a site cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// Datadog for governments.
    #[error("Datadog has no SBOM intake for GovCloud ({0}): leave out `sinks.datadog`, and use another sink")]
    Government(String),
    /// None of Datadog's.
    #[error("{site:?} is not one of Datadog's sites, which are {}; for another address set `sinks.datadog.url`", SITES.join(", "))]
    Unknown {
        /// What was given.
        site: String,
    },
}

impl Site {
    /// The site of this name.
    pub fn parse(name: &str) -> Result<Self, SiteError> {
        if name == "ddog-gov.com" || name.ends_with(".ddog-gov.com") {
            return Err(SiteError::Government(name.to_owned()));
        }
        let known = SITES.into_iter().find(|site| *site == name);
        known.map(Self).ok_or_else(|| SiteError::Unknown { site: name.to_owned() })
    }

    /// Where its intake is.
    pub fn intake(self) -> Result<Url, HttpError> {
        endpoint(&format!("https://sbom-intake.{}{PATH}", self.0))
    }

    /// An intake at an address of the user's own: the whole address, or only its host.
    pub fn intake_at(url: &str) -> Result<Url, HttpError> {
        let mut url = endpoint(url)?;
        if url.path() == "/" {
            url.set_path(PATH);
        }
        Ok(url)
    }
}

impl Default for Site {
    fn default() -> Self {
        Self("datadoghq.com")
    }
}

const SITES: [&str; 6] = [
    "datadoghq.com",
    "datadoghq.eu",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
];
const PATH: &str = "/api/v2/sbom";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_has_its_intake_and_governments_none() {
        assert_eq!(Site::parse("datadoghq.com"), Ok(Site::default()));
        let intake = Site::parse("us3.datadoghq.com").unwrap().intake().unwrap();
        assert_eq!(intake.as_str(), "https://sbom-intake.us3.datadoghq.com/api/v2/sbom");
        let error = Site::parse("ddog-gov.com").unwrap_err().to_string();
        assert!(error.contains("GovCloud"), "{error}");
        let error = Site::parse("datadog.com").unwrap_err().to_string();
        assert!(error.contains("datadoghq.eu"), "{error}");
    }

    #[test]
    fn an_address_of_the_users_own_is_used_as_it_is() {
        let at = |url| Site::intake_at(url).unwrap().to_string();
        assert_eq!(at("http://127.0.0.1:8126"), "http://127.0.0.1:8126/api/v2/sbom");
        assert_eq!(at("https://relay.example/sbom"), "https://relay.example/sbom");
        assert!(Site::intake_at("http://relay.example").is_err());
    }
}
