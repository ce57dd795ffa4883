//! AWS partitions: what the name of a region says about ARNs and host names.

/// One partition of AWS: a set of regions with its own accounts, ARNs and DNS suffix.
///
/// Ids, prefixes and suffixes as in the endpoint rules of the AWS SDKs (`partitions.json`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Partition {
    id: &'static str,
    region_prefix: &'static str,
    dns_suffix: &'static str,
}

/// What every region that no special partition claims belongs to.
const COMMERCIAL: Partition = Partition { id: "aws", region_prefix: "", dns_suffix: "amazonaws.com" };

/// The partitions whose regions share a prefix.
const SPECIAL: &[Partition] = &[
    Partition { id: "aws-cn", region_prefix: "cn-", dns_suffix: "amazonaws.com.cn" },
    Partition { id: "aws-eusc", region_prefix: "eusc-", dns_suffix: "amazonaws.eu" },
    Partition { id: "aws-iso", region_prefix: "us-iso-", dns_suffix: "c2s.ic.gov" },
    Partition { id: "aws-iso-b", region_prefix: "us-isob-", dns_suffix: "sc2s.sgov.gov" },
    Partition { id: "aws-iso-e", region_prefix: "eu-isoe-", dns_suffix: "cloud.adc-e.uk" },
    Partition { id: "aws-iso-f", region_prefix: "us-isof-", dns_suffix: "csp.hci.ic.gov" },
    Partition { id: "aws-us-gov", region_prefix: "us-gov-", dns_suffix: "amazonaws.com" },
];

impl Partition {
    /// The partition of the region of this name. An unknown name is taken for one of the commercial partition.
    pub fn of_region(region: &str) -> Self {
        SPECIAL
            .iter()
            .copied()
            .find(|special| region.starts_with(special.region_prefix))
            .unwrap_or(COMMERCIAL)
    }

    /// The second field of the partition's ARNs, such as `aws-us-gov`.
    pub const fn id(self) -> &'static str {
        self.id
    }

    /// What the host names of its services, and the service principals of EC2, end in.
    pub const fn dns_suffix(self) -> &'static str {
        self.dns_suffix
    }

    /// What values of the condition key `kms:ViaService` end in: KMS writes `amazonaws.com` in every partition but
    /// China's, whatever the DNS suffix.
    pub(crate) fn via_service_suffix(self) -> &'static str {
        if self.id == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_tells_its_partition() {
        for (region, id, suffix) in [
            ("eu-central-1", "aws", "amazonaws.com"),
            ("us-east-1", "aws", "amazonaws.com"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("cn-northwest-1", "aws-cn", "amazonaws.com.cn"),
            ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"),
            ("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
        ] {
            let partition = Partition::of_region(region);
            assert_eq!((partition.id(), partition.dns_suffix()), (id, suffix), "{region}");
        }
    }
}
