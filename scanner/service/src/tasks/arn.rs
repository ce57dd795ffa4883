//! ARNs, read strictly: a name that is nearly right is somebody else's.

/// The parts of an ARN, each checked for its form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Arn {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: &'static str,
    /// `ec2`, `lambda`, `iam`.
    pub service: String,
    /// Of this partition. Empty where the service has none.
    pub region: String,
    /// 12 digits. Empty where AWS leaves it out, as of public images.
    pub account: String,
    /// The rest, not empty.
    pub resource: String,
}

/// Why something is not an ARN.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ArnError {
    /// Too long.
    #[error("longer than {MAX_LENGTH} bytes")]
    Length,
    /// Not six parts.
    #[error("not of the form arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE")]
    Form,
    /// Of no partition that is known.
    #[error("its partition is unknown (aws, aws-cn, aws-us-gov, aws-eusc, aws-iso, …)")]
    Partition,
    /// A service of impossible form.
    #[error("its service has an impossible name")]
    Service,
    /// A region of impossible form.
    #[error("its region has an impossible name (such as eu-central-1)")]
    Region,
    /// A region of another partition.
    #[error("its region is one of the partition {0}")]
    RegionOfOther(&'static str),
    /// An account of impossible form.
    #[error("its account is not 12 digits")]
    Account,
    /// No resource, or one with control characters.
    #[error("its resource is empty or has characters that no resource has")]
    Resource,
}

impl Arn {
    /// Reads an ARN.
    ///
    /// # Errors
    ///
    /// It is none, of a form that AWS does not give.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        if text.len() > MAX_LENGTH {
            return Err(ArnError::Length);
        }
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next().ok_or(ArnError::Form);
        let (prefix, partition, service, region, account, resource) =
            (part()?, part()?, part()?, part()?, part()?, part()?);
        if prefix != "arn" {
            return Err(ArnError::Form);
        }
        let partition = PARTITIONS.iter().find(|it| it.name == partition).ok_or(ArnError::Partition)?.name;
        let is_service = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if service.is_empty() || !service.bytes().all(is_service) {
            return Err(ArnError::Service);
        }
        if !region.is_empty() {
            check_region(region, partition)?;
        }
        if !matches!(account.len(), 0 | 12) || !account.bytes().all(|it| it.is_ascii_digit()) {
            return Err(ArnError::Account);
        }
        if resource.is_empty() || !resource.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(ArnError::Resource);
        }
        Ok(Self {
            partition,
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        })
    }
}

fn check_region(region: &str, partition: &'static str) -> Result<(), ArnError> {
    let words: Vec<_> = region.splitn(6, '-').collect();
    let Some((number, [first, names @ ..])) = words.split_last() else { return Err(ArnError::Region) };
    let is_word =
        |word: &str| (1..=12).contains(&word.len()) && word.bytes().all(|it| it.is_ascii_lowercase());
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|it| it.is_ascii_digit());
    if !is_number
        || first.len() < 2
        || names.is_empty()
        || !is_word(first)
        || !names.iter().all(|it| is_word(it))
    {
        return Err(ArnError::Region);
    }
    let other = PARTITIONS.iter().find(|it| !it.regions.is_empty() && region.starts_with(it.regions));
    match other.map_or("aws", |it| it.name) {
        its if its == partition => Ok(()),
        its => Err(ArnError::RegionOfOther(its)),
    }
}

/// A partition of AWS.
struct Partition {
    name: &'static str,
    /// How the names of its regions begin. Those of `aws` begin in no other way.
    regions: &'static str,
}

const PARTITIONS: &[Partition] = &[
    Partition { name: "aws", regions: "" },
    Partition { name: "aws-cn", regions: "cn-" },
    Partition { name: "aws-eusc", regions: "eusc-" },
    Partition { name: "aws-iso", regions: "us-iso-" },
    Partition { name: "aws-iso-b", regions: "us-isob-" },
    Partition { name: "aws-iso-e", regions: "eu-isoe-" },
    Partition { name: "aws-iso-f", regions: "us-isof-" },
    Partition { name: "aws-us-gov", regions: "us-gov-" },
];

/// The longest ARN.
const MAX_LENGTH: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_arn_are_read() {
        let arn = Arn::parse("arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:f:7").unwrap();
        assert_eq!((arn.partition, arn.service.as_str()), ("aws-us-gov", "lambda"));
        assert_eq!((arn.region.as_str(), arn.account.as_str()), ("us-gov-west-1", "111122223333"));
        assert_eq!(arn.resource, "function:f:7");
        for region in ["eu-central-1", "us-east-1", "ap-southeast-10", "il-central-1", "mx-central-1"] {
            Arn::parse(&format!("arn:aws:ec2:{region}:111122223333:x")).unwrap();
        }
        Arn::parse("arn:aws-eusc:ec2:eusc-de-east-1::image/ami-0123456789abcdef0").unwrap();
        Arn::parse("arn:aws-iso-b:ec2:us-isob-east-1:111122223333:x").unwrap();
    }

    #[test]
    fn what_is_nearly_an_arn_is_refused() {
        let long = format!("arn:aws:ec2:eu-central-1:111122223333:{}", "x".repeat(2048));
        for (text, error) in [
            ("", ArnError::Form),
            ("arn:aws:ec2:eu-central-1:111122223333", ArnError::Form),
            ("ARN:aws:ec2:eu-central-1:111122223333:x", ArnError::Form),
            ("arn:aws-mars:ec2:eu-central-1:111122223333:x", ArnError::Partition),
            ("arn::ec2:eu-central-1:111122223333:x", ArnError::Partition),
            ("arn:aws::eu-central-1:111122223333:x", ArnError::Service),
            ("arn:aws:EC2:eu-central-1:111122223333:x", ArnError::Service),
            ("arn:aws:ec2:eu-central:111122223333:x", ArnError::Region),
            ("arn:aws:ec2:eu-central-1a:111122223333:x", ArnError::Region),
            ("arn:aws:ec2:1:111122223333:x", ArnError::Region),
            ("arn:aws:ec2:eu--1:111122223333:x", ArnError::Region),
            ("arn:aws:ec2:../..:111122223333:x", ArnError::Region),
            ("arn:aws:ec2:cn-north-1:111122223333:x", ArnError::RegionOfOther("aws-cn")),
            ("arn:aws-cn:ec2:eu-central-1:111122223333:x", ArnError::RegionOfOther("aws")),
            ("arn:aws:ec2:eu-central-1:11112222333:x", ArnError::Account),
            ("arn:aws:ec2:eu-central-1:11112222333x:x", ArnError::Account),
            ("arn:aws:ec2:eu-central-1:111122223333:", ArnError::Resource),
            ("arn:aws:ec2:eu-central-1:111122223333:volume/vol 1", ArnError::Resource),
            ("arn:aws:ec2:eu-central-1:111122223333:x\n", ArnError::Resource),
            (&long, ArnError::Length),
        ] {
            assert_eq!(Arn::parse(text), Err(error), "{text:.60}");
        }
    }
}
