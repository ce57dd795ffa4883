//! What was sent, by class, region and scanner, and whether AWS would have taken it.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use crate::local_aws::Call;

use super::rates::{Bucket, CLASSES, Class};

/// The times at which requests of one class arrived, in seconds, in order.
#[derive(Clone, Debug, Default)]
pub struct Flow(Vec<f64>);

/// All recorded requests that AWS counts in classes.
#[derive(Debug, Default)]
pub struct Traffic {
    /// By class, region, and the role that sent them.
    flows: BTreeMap<(&'static str, String, String), Flow>,
    throttled: BTreeMap<&'static str, u64>,
}

impl Traffic {
    /// Sorts calls.
    pub fn new(calls: &[Call]) -> Self {
        let mut traffic = Self::default();
        for call in calls {
            let Some(class) = Class::of(call) else { continue };
            let at = call.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let by = call.principal.as_ref().map(|principal| principal.arn.clone()).unwrap_or_default();
            traffic.flows.entry((class.name, call.region.clone(), by)).or_default().0.push(at);
            if call.error_code.as_deref().is_some_and(is_throttle) {
                *traffic.throttled.entry(class.name).or_default() += 1;
            }
        }
        for flow in traffic.flows.values_mut() {
            flow.0.sort_by(f64::total_cmp);
        }
        traffic
    }

    /// What each scanner sent to each region.
    pub fn by_scanner(&self, class: &Class) -> Vec<&Flow> {
        let of_class = self.flows.iter().filter(|((name, ..), _)| *name == class.name);
        of_class.map(|(_, flow)| flow).collect()
    }

    /// What all of them sent to each region: that is what AWS counts.
    pub fn by_region(&self, class: &Class) -> Vec<Flow> {
        let mut regions: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for ((name, region, _), flow) in &self.flows {
            if *name == class.name {
                regions.entry(region).or_default().extend(&flow.0);
            }
        }
        let sorted = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            Flow(times)
        };
        regions.into_values().map(sorted).collect()
    }

    /// How many there were.
    pub fn count(&self, class: &Class) -> usize {
        self.by_scanner(class).iter().map(|flow| flow.0.len()).sum()
    }

    /// How many of these were too many, as AWS said it.
    pub fn throttled(&self, class: &Class) -> u64 {
        self.throttled.get(class.name).copied().unwrap_or_default()
    }

    /// All of them.
    pub fn total(&self) -> usize {
        CLASSES.iter().map(|class| self.count(class)).sum()
    }
}

impl Flow {
    /// How many came.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The most that came within one second, wherever it begins.
    pub fn busiest_second(&self) -> usize {
        let mut first = self.0.iter().peekable();
        let (mut within, mut most) = (0, 0);
        for at in &self.0 {
            within += 1;
            while first.next_if(|first| *at - **first >= 1.0).is_some() {
                within -= 1;
            }
            most = most.max(within);
        }
        most
    }

    /// The smallest bucket, filled at this rate, that holds enough for all of them.
    pub fn needed(&self, per_second: f64) -> f64 {
        let (mut missing, mut most, mut before) = (0.0_f64, 0.0_f64, None);
        for at in &self.0 {
            let passed = before.map_or(0.0, |before| at - before);
            missing = (missing - passed * per_second).max(0.0) + 1.0;
            most = most.max(missing);
            before = Some(at);
        }
        most
    }

    /// Whether a bucket lets all of them pass, if they may have come closer together on the way by so many seconds.
    pub fn fits(&self, bucket: Bucket, delay: f64) -> bool {
        self.needed(bucket.per_second) <= bucket.size + bucket.per_second * delay + 1.0
    }
}

/// Whether a call looks for targets, or for what is left of scans, and belongs to no scan.
pub fn is_discovery(call: &Call) -> bool {
    let is_given = |name: &str| call.parameters.contains_key(name);
    match call.action.as_str() {
        "ListFunctions" | "ListTags" | "ListAliases" => true,
        "DescribeInstances" => !is_given("InstanceId.1"),
        "DescribeImages" => !is_given("ImageId.1"),
        "DescribeSnapshots" => !is_given("SnapshotId.1"),
        "DescribeVolumes" => {
            call.parameters.get("Filter.1.Name").is_some_and(|name| name != "attachment.instance-id")
        }
        _ => false,
    }
}

fn is_throttle(code: &str) -> bool {
    code.contains("Throttl") || code.contains("TooManyRequests") || code == "RequestLimitExceeded"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_second_begins_anywhere() {
        assert_eq!(Flow::default().busiest_second(), 0);
        let flow = Flow(vec![0.0, 0.9, 1.0, 1.1, 1.89, 3.0]);
        assert_eq!(flow.busiest_second(), 4);
        assert_eq!(flow.count(), 6);
    }

    #[test]
    fn a_bucket_that_is_large_enough_lets_all_pass() {
        // Five at once, then four a second.
        let flow = Flow((0..5).map(|_| 0.0).chain((1..40).map(|n| f64::from(n) / 4.0)).collect());
        assert!((flow.needed(4.0) - 5.0).abs() < 1e-9, "{}", flow.needed(4.0));
        assert!(flow.needed(2.0) > 20.0, "{}", flow.needed(2.0));
        assert!(flow.fits(Bucket { size: 5.0, per_second: 4.0 }, 0.0));
        assert!(!flow.fits(Bucket { size: 3.0, per_second: 4.0 }, 0.0));
        assert!(flow.fits(Bucket { size: 3.0, per_second: 4.0 }, 0.5));
        assert!(!flow.fits(Bucket { size: 5.0, per_second: 3.0 }, 0.5));
    }
}
