//! The classes in which AWS counts requests: how many it takes, and how many a scanner sends unless told otherwise.

use scanner_policy::{RateClass, Trigger, actions};

use crate::local_aws::Call;

/// What AWS counts together, for each account and region.
#[derive(Debug)]
pub struct Class {
    /// As in the configuration: `rate_limits.NAME`.
    pub name: &'static str,
    /// What a scanner sends a second unless it is told otherwise.
    pub usual: u32,
    /// What AWS takes of an account in a region.
    pub aws: Bucket,
    counted_as: RateClass,
    /// How many seconds' requests a scanner that was idle sends at once: a numerator and a denominator.
    burst: (u32, u32),
}

/// So many requests at once, and so many a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// What it holds.
    pub size: f64,
    /// How fast it is filled again.
    pub per_second: f64,
}

/// Every class. AWS's sides are from "Request throttling for the Amazon EC2 API", "Quotas for Amazon EBS", "Lambda quotas" and
/// "Amazon ECR service quotas"; of the two operations of ECR the slower one counts.
pub static CLASSES: [Class; 7] = [
    class("read", RateClass::Read, 10, (5, 1), (100.0, 20.0)),
    class("mutating", RateClass::Mutating, 4, (25, 4), (50.0, 5.0)),
    class("block_get", RateClass::BlockGet, 800, (1, 4), (1000.0, 1000.0)),
    class("block_list", RateClass::BlockList, 25, (1, 1), (50.0, 50.0)),
    class("function_get", RateClass::FunctionGet, 50, (1, 1), (100.0, 100.0)),
    class("lambda", RateClass::Lambda, 7, (1, 1), (15.0, 15.0)),
    class("registry", RateClass::Registry, 500, (1, 5), (2000.0, 2000.0)),
];

const fn class(
    name: &'static str,
    counted_as: RateClass,
    usual: u32,
    burst: (u32, u32),
    (size, per_second): (f64, f64),
) -> Class {
    Class { name, usual, aws: Bucket { size, per_second }, counted_as, burst }
}

impl Class {
    /// That of a call; none for what AWS counts elsewhere or so seldom that it does not matter.
    pub fn of(call: &Call) -> Option<&'static Self> {
        let permission = call.permission();
        let mut known = actions::ALL.iter().chain(actions::SERVICE);
        let action = known.find(|action| action.name == permission)?;
        let Trigger::Request(class) = action.trigger else { return None };
        CLASSES.iter().find(|it| it.counted_as == class)
    }

    /// The part of one of several scanners of an account, at least one request a second.
    pub fn share(&self, scanners: usize) -> u32 {
        let scanners = u32::try_from(scanners).unwrap_or(u32::MAX).max(1);
        (self.usual / scanners).max(1)
    }

    /// What a scanner with this rate sends at most.
    pub fn allowed(&self, rate: u32) -> Bucket {
        let burst = (rate.saturating_mul(self.burst.0) / self.burst.1).max(1);
        Bucket { size: f64::from(burst), per_second: f64::from(rate) }
    }
}

#[cfg(test)]
mod tests {
    use agentless_service::settings::Settings;

    use super::*;

    #[test]
    fn the_usual_rates_are_those_of_the_configuration() {
        let keys = "sinks: {files: {directory: /tmp}}";
        let settings = Settings::parse(std::path::Path::new("config.yaml"), keys).unwrap();
        let limits = &settings.rate_limits;
        let usual = [
            limits.read,
            limits.mutating,
            limits.block_get,
            limits.block_list,
            limits.function_get,
            limits.lambda,
            limits.registry,
        ];
        assert_eq!(CLASSES.each_ref().map(|class| class.usual), usual);
    }

    #[test]
    fn usual_rates_stay_below_those_of_aws_whole_and_in_parts() {
        for class in &CLASSES {
            for scanners in [1_u32, 2, 4] {
                let allowed = class.allowed(class.share(usize::try_from(scanners).unwrap()));
                let (size, per_second) =
                    (allowed.size * f64::from(scanners), allowed.per_second * f64::from(scanners));
                assert!(size <= class.aws.size && per_second <= class.aws.per_second, "{}", class.name);
            }
        }
    }
}
