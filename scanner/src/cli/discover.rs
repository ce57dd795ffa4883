//! `agentless-scanner discover`: what the service would scan, what it would leave alone, and why.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

use agentless_service::target::{Place, Target};
use clap::{Args, ValueEnum};
use futures_util::future::try_join_all;
use scanner_policy::{ExternalId, Feature, RoleArn};
use serde_json::json;

use super::{Exit, say, unless_closed, write_stdout};
use crate::aws::{AccountSettings, Accounts, Connection, Delegate, Home, Http, Rates};
use crate::daemon::discovery::{DiscoverySettings, Skipped, Survey, survey};
use crate::output::table;

/// List what there is to scan in an account, and what of it is left alone and why. Nothing is scanned, and nothing is made.
#[derive(Clone, Debug, Args)]
pub(super) struct Discover {
    /// AWS regions to look in, with commas between them. Without it, the region that AWS tools would take.
    #[arg(long, value_name = "REGIONS", value_delimiter = ',', help_heading = "AWS")]
    regions: Vec<String>,
    /// Profile of the shared AWS configuration.
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    profile: Option<String>,
    /// Role of another account to look with, instead of the credentials themselves.
    #[arg(long, value_name = "ARN", help_heading = "AWS")]
    role: Option<RoleArn>,
    /// What the trust policy of that role asks for.
    #[arg(long, value_name = "ID", requires = "role", help_heading = "AWS")]
    external_id: Option<ExternalId>,
    /// What to look for, with commas between them.
    #[arg(
        long,
        value_enum,
        value_name = "FEATURES",
        value_delimiter = ',',
        default_value = "hosts,images,functions"
    )]
    features: Vec<Wanted>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// As [`Feature`], on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// EC2 instances.
    Hosts,
    /// Amazon Machine Images.
    Images,
    /// Versions of Lambda functions.
    Functions,
}

impl From<Wanted> for Feature {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Hosts => Self::Hosts,
            Wanted::Images => Self::Images,
            Wanted::Functions => Self::Functions,
        }
    }
}

impl Discover {
    pub(super) fn run(&self) -> Result<Exit, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let surveys = runtime.block_on(self.surveys())?;
        let (mut targets, mut skipped, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for survey in surveys {
            targets.extend(survey.targets);
            skipped.extend(survey.skipped);
            errors.extend(survey.errors);
        }
        let survey = Survey { targets, skipped, errors };
        unless_closed(write_stdout(|out| if self.json { json(&survey, out) } else { text(&survey, out) }))?;
        if survey.errors.is_empty() {
            return Ok(Exit::Complete);
        }
        for error in &survey.errors {
            say(&format!("error: {}", agentless_core::text::printable(&error.to_string())));
        }
        Ok(Exit::Incomplete)
    }

    /// Of each region once, in the order in which they were given.
    async fn surveys(&self) -> Result<Vec<Survey>, Box<dyn Error>> {
        let mut regions: Vec<Option<String>> = Vec::new();
        for region in &self.regions {
            if !regions.contains(&Some(region.clone())) {
                regions.push(Some(region.clone()));
            }
        }
        if regions.is_empty() {
            regions.push(None);
        }
        let features = self.features.iter().copied().map(Feature::from).collect();
        let settings = DiscoverySettings { features, ..DiscoverySettings::default() };
        try_join_all(regions.into_iter().map(|region| self.survey(region, &settings))).await
    }

    async fn survey(
        &self,
        region: Option<String>,
        settings: &DiscoverySettings,
    ) -> Result<Survey, Box<dyn Error>> {
        let connection = Connection { region, profile: self.profile.clone() };
        let home = Arc::new(Home::connect(&connection, Http::default()).await?);
        let region = home.region().to_owned();
        let delegate = self.role.clone().map(|role| Delegate { role, external_id: self.external_id.clone() });
        let accounts = AccountSettings {
            scanner_id: "discover".to_owned(),
            own_account: delegate.is_none(),
            delegates: delegate.into_iter().collect(),
            rates: Rates::default(),
        };
        let accounts = Accounts::new(home, accounts)?;
        let mut all = Survey::default();
        for account in accounts.ids().await? {
            let place = Place { account, region: region.clone() };
            let found = Box::pin(survey(&*accounts.at(&place).await?, &place, settings)).await;
            all.targets.extend(found.targets);
            all.skipped.extend(found.skipped);
            all.errors.extend(found.errors);
        }
        Ok(all)
    }
}

fn text(survey: &Survey, out: &mut dyn Write) -> io::Result<()> {
    let name = |target: &Target| target.tags.get("Name").cloned().unwrap_or_default();
    let targets = survey.targets.iter();
    let targets = targets.map(|target| [target.kind.name().to_owned(), target.arn.clone(), name(target)]);
    table::render(out, &["KIND", "TO BE SCANNED", "NAME"], targets)?;
    if !survey.skipped.is_empty() {
        writeln!(out)?;
        let skipped = survey.skipped.iter();
        let skipped = skipped.map(|Skipped { arn, reason }| [arn.clone(), reason.to_string()]);
        table::render(out, &["LEFT ALONE", "BECAUSE"], skipped)?;
    }
    Ok(())
}

fn json(survey: &Survey, out: &mut dyn Write) -> io::Result<()> {
    let skipped = survey.skipped.iter();
    let skipped: Vec<_> = skipped.map(|it| json!({"arn": it.arn, "reason": it.reason.to_string()})).collect();
    let errors = survey.errors.iter();
    let errors: Vec<_> = errors
        .map(|error| json!({"kind": error.kind, "place": error.place, "message": error.message}))
        .collect();
    let value = json!({"targets": survey.targets, "skipped": skipped, "errors": errors});
    serde_json::to_writer_pretty(&mut *out, &value)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use agentless_service::target::Kind;

    use super::*;
    use crate::daemon::discovery::{PartError, Reason};

    fn found() -> Survey {
        let place = Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() };
        let target = Target {
            arn: "arn:aws:ec2:eu-central-1:111122223333:instance/i-1".to_owned(),
            place: place.clone(),
            kind: Kind::Instance,
            id: "i-1".to_owned(),
            tags: [("Name".to_owned(), "shop\u{1b}[2J".to_owned())].into(),
        };
        let skipped = Skipped {
            arn: "arn:aws:ec2:eu-central-1:111122223333:volume/vol-1".to_owned(),
            reason: Reason::OptedOut,
        };
        let error = PartError { kind: Kind::Function, place, message: "denied".to_owned() };
        Survey { targets: vec![target], skipped: vec![skipped], errors: vec![error] }
    }

    #[test]
    fn people_read_what_is_scanned_and_what_is_not() {
        let mut out = Vec::new();
        text(&found(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<_> = out.lines().collect();
        assert!(lines[1].starts_with("instance  arn:aws:ec2:"), "{out}");
        assert!(lines[1].contains("shop") && !out.contains('\u{1b}'), "{out}");
        assert!(lines[4].contains("volume/vol-1") && lines[4].contains("opted out"), "{out}");
    }

    #[test]
    fn programs_read_the_same() {
        let mut out = Vec::new();
        json(&found(), &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["targets"][0]["id"], "i-1");
        assert_eq!(value["targets"][0]["kind"], "instance");
        assert!(value["skipped"][0]["reason"].as_str().unwrap().contains("opted out"));
        assert_eq!(value["errors"][0]["kind"], "function");
    }
}
