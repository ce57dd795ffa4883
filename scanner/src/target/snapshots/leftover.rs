//! What may be left of a scan's snapshots, and how a person finds it.

use std::fmt;

use scanner_policy::tags;
use uuid::Uuid;

use crate::aws::AwsError;

/// Snapshots that exist, or may, after the scan.
#[derive(Debug)]
pub struct Leftover {
    /// Those whose ids are known.
    pub ids: Vec<String>,
    pub(super) scan: Uuid,
    pub(super) region: String,
    pub(super) reason: Option<AwsError>,
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ids, scan, region, reason } = self;
        let find = format!(
            "`aws ec2 describe-snapshots --region {region} --owner-ids self --filters Name=tag:{},Values={scan}`",
            tags::SCAN_ID
        );
        if ids.is_empty() {
            write!(f, "a snapshot may be left behind: find it with {find} and delete it")?;
        } else {
            write!(f, "left behind and to be deleted:")?;
            for id in ids {
                write!(f, " `aws ec2 delete-snapshot --region {region} --snapshot-id {id}`")?;
            }
            write!(f, "; {find} shows what is left")?;
        }
        match reason {
            Some(reason) => write!(f, "; {}", crate::chain(reason)),
            None => Ok(()),
        }
    }
}
