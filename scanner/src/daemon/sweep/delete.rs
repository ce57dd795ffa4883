//! Deleting a snapshot until it is known to be gone.

use std::time::Duration;

use scanner_policy::actions;
use tokio::time::sleep;

use crate::aws::{AwsError, Ec2};

/// How often it is tried. With doubled pauses, for about a minute.
const ATTEMPTS: u32 = 6;
/// The first pause.
const PAUSE: Duration = Duration::from_secs(2);
/// How often EC2 must say that it does not know a snapshot that it never showed before that means that it is gone.
const UNKNOWN_LOOKS: u32 = 3;

/// Deletes a snapshot, and looks until EC2 does not know it any more. Its word that it deletes one is not enough: a snapshot
/// that stayed would cost its owner money without anybody looking for it. `is_shown` says whether a list showed it.
pub async fn delete(ec2: &impl Ec2, id: &str, is_shown: bool) -> Result<(), AwsError> {
    let mut unknown = 0;
    let needed = if is_shown { 1 } else { UNKNOWN_LOOKS };
    let mut pause = PAUSE;
    let mut last = None;
    for attempt in 1..=ATTEMPTS {
        let refused = match ec2.delete_snapshot(id).await {
            Ok(()) => {
                // It was there.
                unknown = needed;
                None
            }
            Err(AwsError::NotFound { .. }) => None,
            Err(error) => Some(error),
        };
        // Where a role may delete only what has a tag, what is gone may be refused as well.
        match ec2.snapshots(&[id.to_owned()]).await {
            Err(AwsError::NotFound { .. }) => {
                unknown += 1;
                if unknown >= needed {
                    return Ok(());
                }
            }
            Ok(_) => {}
            Err(error) if error.is_passing() => last = Some(error),
            Err(error) => return Err(error),
        }
        match refused {
            Some(error) if !error.is_passing() => return Err(error),
            Some(error) => last = Some(error),
            None => {}
        }
        if attempt < ATTEMPTS {
            sleep(pause).await;
            pause *= 2;
        }
    }
    let call = actions::EC2_DELETE_SNAPSHOT.name();
    Err(last.unwrap_or_else(|| AwsError::Refused { call, detail: format!("{id} is still there") }))
}
