//! `agentless-scanner cleanup`: what scans left behind.

use std::collections::BTreeSet;
use std::error::Error;

use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::target::scanner_id;
use super::{Exit, say, unless_closed, write_stdout};
use crate::aws::{Aws, AwsError, Connection, Ec2};
use crate::chain;
use crate::daemon::sweep::{self, Doomed, Rules};
use crate::output::table;

/// Delete snapshots that scans left behind in one region.
///
/// Those of a scanner that have expired or are older than an hour: do not use it while that scanner has scans that take
/// longer. The service does the same by itself, at its start and every hour, and knows which of its scans run.
///
/// Exit status: 0 nothing is left, or nothing was to be deleted; 1 something could not be deleted, or not be found out; 2
/// the command line is not understood.
#[derive(Debug, Args)]
pub(super) struct Cleanup {
    /// Only list what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// The scanner that made them. Without it, `scan` and `inspect` on this machine.
    #[arg(long, value_name = "ID")]
    scanner_id: Option<String>,
    /// Those of every other scanner as well, if they have expired.
    #[arg(long)]
    all_expired: bool,
    /// AWS region.
    #[arg(long, value_name = "REGION", help_heading = "AWS")]
    region: Option<String>,
    /// Profile of the shared AWS configuration.
    #[arg(long, value_name = "NAME", help_heading = "AWS")]
    profile: Option<String>,
}

impl Cleanup {
    pub(super) fn run(self) -> Result<Exit, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let cleaned = runtime.block_on(async {
            let connection = Connection { region: self.region.clone(), profile: self.profile.clone() };
            let aws = Aws::connect(&connection).await?;
            Ok::<_, Box<dyn Error>>(self.clean(&aws, OffsetDateTime::now_utc()).await?)
        })?;
        if cleaned.rows.is_empty() {
            say(&format!("nothing is to be deleted, and {} snapshots are in use", cleaned.in_use));
            return Ok(Exit::Complete);
        }
        let head = ["SNAPSHOT", "SCANNER", "TARGET", "STARTED", "EXPIRES", "REASON", "RESULT"];
        unless_closed(write_stdout(|out| table::render(out, &head, cleaned.rows.iter())))?;
        for (id, error) in &cleaned.failed {
            say(&format!("error: {id} could not be deleted: {}", chain(error)));
        }
        Ok(if cleaned.failed.is_empty() { Exit::Complete } else { Exit::Failed })
    }

    async fn clean(&self, ec2: &impl Ec2, now: OffsetDateTime) -> Result<Cleaned, AwsError> {
        let scanner = self.scanner_id.clone().unwrap_or_else(scanner_id);
        let rules = Rules { scanner: &scanner, ended: BTreeSet::new(), of_others: self.all_expired };
        let listed = sweep::list(ec2).await?;
        let doomed = rules.doomed(&listed, &|_: Uuid| false, now);
        let mut cleaned = Cleaned { in_use: listed.len().saturating_sub(doomed.len()), ..Cleaned::default() };
        for doomed in doomed {
            let result = if self.dry_run {
                "would be deleted"
            } else {
                match sweep::delete(ec2, &doomed.id, true).await {
                    Ok(()) => "deleted",
                    Err(error) => {
                        cleaned.failed.push((doomed.id.clone(), error));
                        "left"
                    }
                }
            };
            cleaned.rows.push(row(doomed, result));
        }
        Ok(cleaned)
    }
}

/// What became of the snapshots.
#[derive(Debug, Default)]
struct Cleaned {
    rows: Vec<[String; 7]>,
    failed: Vec<(String, AwsError)>,
    in_use: usize,
}

fn row(Doomed { id, reason, scanner, target, started, expires }: Doomed, result: &str) -> [String; 7] {
    let text = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    [id, text(scanner), text(target), date(started), date(expires), reason.to_string(), result.to_owned()]
}

fn date(time: Option<OffsetDateTime>) -> String {
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use scanner_policy::tags;
    use time::Duration;

    use super::*;
    use crate::aws::Tags;
    use crate::target::fake::{BEGINNING, Cloud, Mishap};

    fn tagged(scanner: &str, expires: OffsetDateTime) -> Tags {
        [
            (tags::SCANNER, tags::TRUE.to_owned()),
            (tags::SCAN_ID, Uuid::from_u128(1).to_string()),
            (tags::SCANNER_ID, scanner.to_owned()),
            (tags::TARGET, "i-1".to_owned()),
            (tags::EXPIRES_AT, expires.format(&Rfc3339).unwrap()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    fn cleanup(dry_run: bool, all_expired: bool) -> Cleanup {
        let scanner_id = Some("cli@here".to_owned());
        Cleanup { dry_run, scanner_id, all_expired, region: None, profile: None }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_deleted_is_what_was_announced() {
        let hour = Duration::HOUR;
        let now = BEGINNING + hour * 5;
        for (all_expired, expected) in [
            (false, &["snap-expired", "snap-old"][..]),
            (true, &["snap-expired", "snap-old", "snap-other"][..]),
        ] {
            let cloud = Cloud::new(&["vol-1"])
                .snapshot("snap-old", now - hour * 2, tagged("cli@here", now + hour))
                .snapshot("snap-expired", now - hour / 2, tagged("cli@here", now - hour / 4))
                .snapshot("snap-new", now - hour / 2, tagged("cli@here", now + hour))
                .snapshot("snap-other", now - hour * 4, tagged("service", now - hour))
                .snapshot("snap-live", now - hour * 4, tagged("service", now + hour))
                .snapshot("snap-users", now - hour * 4, Tags::new());
            let planned = cleanup(true, all_expired).clean(&*cloud, now).await.unwrap();
            assert_eq!(cloud.left().len(), 5);
            let done = cleanup(false, all_expired).clean(&*cloud, now).await.unwrap();
            let ids = |cleaned: &Cleaned| cleaned.rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
            assert_eq!(ids(&planned), expected);
            assert_eq!(ids(&done), expected);
            assert_eq!(planned.rows[0][6], "would be deleted");
            assert_eq!(
                done.rows[0],
                [
                    "snap-expired",
                    "cli@here",
                    "i-1",
                    "2026-11-21T10:30:00Z",
                    "2026-11-21T10:45:00Z",
                    "expired",
                    "deleted"
                ]
            );
            assert_eq!((cloud.left().len(), done.in_use), (5 - expected.len(), 5 - expected.len()));
            assert!(done.failed.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_deleted_is_named() {
        let now = BEGINNING + Duration::DAY;
        let cloud = Cloud::new(&["vol-1"])
            .snapshot("snap-old", BEGINNING, tagged("cli@here", now))
            .with(&[Mishap::DeleteDenied]);
        let cleaned = cleanup(false, false).clean(&*cloud, now).await.unwrap();
        assert_eq!((cleaned.rows[0][6].as_str(), cleaned.failed[0].0.as_str()), ("left", "snap-old"));
    }
}
