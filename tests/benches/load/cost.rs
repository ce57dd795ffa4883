//! What AWS would ask for the scans. Prices are those of us-east-1 in US dollars, without any discount; other regions differ by a
//! few tenths.

use std::collections::BTreeMap;
use std::time::SystemTime;

use agentless_tests::local_aws::Call;

/// What is paid for.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) what: &'static str,
    pub(crate) quantity: String,
    pub(crate) price: &'static str,
    /// For everything that was scanned.
    pub(crate) cost: f64,
    /// Whether it is part of every scan, and not only of those in a network of a certain kind or of other disks.
    pub(crate) is_sure: bool,
}

/// Reading blocks: "Pricing for the EBS direct APIs" in the Amazon EBS user guide.
const PER_BLOCK: f64 = 0.003 / 1000.0;
/// Listing them: the same.
const PER_LIST: f64 = 0.0006 / 1000.0;
/// A gigabyte of a snapshot in the standard tier for a month: "Amazon EBS pricing".
const PER_GB_MONTH: f64 = 0.05;
/// A gigabyte through a NAT gateway: "Amazon VPC pricing".
const PER_GB_NAT: f64 = 0.045;
/// A gigabyte through an interface endpoint: "AWS `PrivateLink` pricing".
const PER_GB_ENDPOINT: f64 = 0.01;
const SECONDS_OF_MONTH: f64 = 730.0 * 3600.0;
const GB: f64 = 1024.0 * 1024.0 * 1024.0;
/// A server's root volume as one imagines it: what is written of it, and how long a snapshot of it lives in AWS, where it takes
/// minutes to be complete.
const SERVER_GB: f64 = 8.0;
const SERVER_SECONDS: f64 = 600.0;

/// All items. `disk` is what is written of each disk, in bytes.
pub(crate) fn items(calls: &[Call], disk: u64) -> Vec<Item> {
    let done: Vec<&Call> = calls.iter().filter(|call| call.status == Some(200)).collect();
    let count = |actions: &[&str]| {
        let of = done.iter().filter(|call| actions.contains(&call.action.as_str()));
        number(of.count())
    };
    let blocks = count(&["GetSnapshotBlock"]);
    let lists = count(&["ListSnapshotBlocks", "ListChangedBlocks"]);
    let lives = lives(&done);
    let snapshots = number(lives.len());
    let life: f64 = lives.iter().sum();
    let read = bytes_read(calls) / GB;
    let held = |gb: f64, seconds: f64| gb * seconds / SECONDS_OF_MONTH;
    let of_disk = held(float(disk) / GB, life);
    vec![
        Item {
            what: "blocks read",
            quantity: format!("{blocks:.0}"),
            price: "$0.003 for 1,000",
            cost: blocks * PER_BLOCK,
            is_sure: true,
        },
        Item {
            what: "lists of blocks",
            quantity: format!("{lists:.0}"),
            price: "$0.0006 for 1,000",
            cost: lists * PER_LIST,
            is_sure: true,
        },
        Item {
            what: "snapshots of these disks, for their life here",
            quantity: format!("{snapshots:.0}, {:.1} s each", life / snapshots.max(1.0)),
            price: "$0.05 for a GB and month",
            cost: of_disk * PER_GB_MONTH,
            is_sure: true,
        },
        Item {
            what: "the same, of 8 GB written, for 10 minutes",
            quantity: format!("{snapshots:.0}"),
            price: "$0.05 for a GB and month",
            cost: snapshots * held(SERVER_GB, SERVER_SECONDS) * PER_GB_MONTH,
            is_sure: false,
        },
        Item {
            what: "all that was read, through a NAT gateway",
            quantity: format!("{read:.2} GB"),
            price: "$0.045 for a GB",
            cost: read * PER_GB_NAT,
            is_sure: false,
        },
        Item {
            what: "the same, through interface endpoints",
            quantity: format!("{read:.2} GB"),
            price: "$0.01 for a GB",
            cost: read * PER_GB_ENDPOINT,
            is_sure: false,
        },
    ]
}

/// Bytes of disks and code that came from AWS.
pub(crate) fn bytes_read(calls: &[Call]) -> f64 {
    let read = calls.iter().filter(|call| matches!(call.action.as_str(), "GetSnapshotBlock" | "GetObject"));
    read.map(|call| float(call.reply_bytes)).sum()
}

/// How long each snapshot of a volume lived, in seconds. Copies within a region have no data of their own.
fn lives(calls: &[&Call]) -> Vec<f64> {
    let mut made: BTreeMap<&str, SystemTime> = BTreeMap::new();
    let mut lives = Vec::new();
    for call in calls {
        match (call.action.as_str(), &call.snapshot_id, call.parameters.get("SnapshotId")) {
            ("CreateSnapshot", Some(id), _) => {
                made.insert(id, call.time);
            }
            ("DeleteSnapshot", _, Some(id)) => {
                let life = made.remove(id.as_str()).and_then(|since| call.time.duration_since(since).ok());
                lives.extend(life.map(|life| life.as_secs_f64()));
            }
            _ => {}
        }
    }
    lives
}

fn number(count: usize) -> f64 {
    float(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Exact up to 2^52.
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "figures that are shown with a few digits"
)]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}
