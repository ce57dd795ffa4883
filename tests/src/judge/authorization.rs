//! What AWS checks a request against.
//!
//! One request may be checked several times: `CreateSnapshot` with tags needs `ec2:CreateSnapshot` on the volume and on
//! the snapshot to be, and `ec2:CreateTags` on that snapshot. The mapping follows "Actions, resources, and condition
//! keys for Amazon EC2", "… for Amazon Elastic Block Store", "… for AWS Key Management Service", "… for AWS Lambda", "… for Amazon Elastic
//! Container Registry" and "… for Amazon S3" of the Service Authorization Reference. What a service asks of KMS in the caller's name
//! is in that service's own guide: "Using server-side encryption with AWS KMS keys" of S3, "Secret encryption and decryption" of
//! Secrets Manager.

use std::collections::BTreeMap;
use std::fmt;

use crate::local_aws::{Call, ENCRYPTION, ENCRYPTION_KEY};

/// One check that AWS makes before it serves a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The recorded call that it is made for.
    pub sequence: u64,
    /// The IAM action, for example `ec2:CreateSnapshot`.
    pub action: String,
    /// The ARN that it is checked on; one with `*` as its resource where AWS names none.
    pub resource: String,
    /// The condition keys that AWS sets.
    pub context: BTreeMap<String, KeyValue>,
}

/// The value of a condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValue {
    /// Of a single-valued key.
    One(String),
    /// Of a multivalued key, such as `aws:TagKeys`.
    Many(Vec<String>),
    /// Of a key that is true or false.
    Truth(bool),
}

/// What AWS knows of the resources that requests name.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The account's id.
    pub id: String,
    /// Its volumes, by id.
    pub volumes: BTreeMap<String, Disk>,
    /// Every snapshot that was ever there, by id.
    pub snapshots: BTreeMap<String, Disk>,
    /// The tags of its functions, by ARN.
    pub functions: BTreeMap<String, BTreeMap<String, String>>,
    /// The ARN of the customer's key that encrypts a secret, by the secret's ARN, if one does.
    pub secret_keys: BTreeMap<String, String>,
    /// The tags of its machine images, by id.
    pub images: BTreeMap<String, BTreeMap<String, String>>,
}

/// What AWS knows of a volume or a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The ARN of the KMS key that encrypts it, if one does.
    pub kms_key: Option<String>,
}

impl Account {
    /// Adds the snapshots that the recorded calls made: with the tags of their request, and encrypted as what they show.
    #[must_use]
    pub fn with_snapshots_of(mut self, calls: &[Call]) -> Self {
        for call in calls {
            let Some(id) = &call.snapshot_id else { continue };
            let volume = call.parameters.get("VolumeId").and_then(|id| self.volumes.get(id));
            let copied = call.parameters.get("SourceSnapshotId").and_then(|id| self.snapshots.get(id));
            let kms_key = volume.or(copied).and_then(|origin| origin.kms_key.clone());
            self.snapshots.insert(id.clone(), Disk { tags: tags_for(call, "snapshot"), kms_key });
        }
        self
    }
}

/// A request that the judge does not know how to judge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call {sequence}, {action}: {problem}")]
pub struct Unknown {
    /// The recorded call.
    pub sequence: u64,
    /// Its action.
    pub action: String,
    /// What is not known.
    pub problem: String,
}

/// Every check that AWS makes for a call.
pub fn authorizations(call: &Call, account: &Account) -> Result<Vec<Authorization>, Unknown> {
    let checks = Checks { call, account };
    match call.permission().as_str() {
        "ec2:DescribeImages"
        | "ec2:DescribeInstances"
        | "ec2:DescribeVolumes"
        | "ec2:DescribeSnapshots"
        | "ec2:DescribeLaunchTemplateVersions"
        | "autoscaling:DescribeAutoScalingGroups"
        | "autoscaling:DescribeInstanceRefreshes"
        | "lambda:ListFunctions" => Ok(vec![checks.on_anything()]),
        "ec2:CopySnapshot" => checks.copy_snapshot(),
        "ec2:CreateSnapshot" => checks.create_snapshot(),
        "ec2:DeleteSnapshot" => Ok(vec![checks.on_snapshot("SnapshotId")?.1]),
        "ec2:DeregisterImage" | "ec2:DisableImageDeregistrationProtection" => Ok(vec![checks.on_image()?]),
        "ssm:GetParameters" => checks.on_parameters("Names"),
        "ssm:PutParameter" => checks.put_parameter(),
        "ebs:ListSnapshotBlocks" => Ok(vec![checks.on_snapshot("snapshotId")?.1]),
        "ebs:ListChangedBlocks" => checks.list_changed_blocks(),
        "ebs:GetSnapshotBlock" => checks.get_snapshot_block(),
        "lambda:GetFunction" | "lambda:ListAliases" => Ok(vec![checks.on_function("FunctionName")?]),
        "lambda:ListTags" => Ok(vec![checks.on_function("Resource")?]),
        "lambda:GetLayerVersion" => Ok(vec![checks.on_layer()?]),
        "ecr:BatchGetImage" | "ecr:GetDownloadUrlForLayer" => Ok(vec![checks.on_repository()?]),
        "autoscaling:CompleteLifecycleAction" | "autoscaling:RecordLifecycleActionHeartbeat" => {
            Ok(vec![checks.on_scaling_group()?])
        }
        "secretsmanager:GetSecretValue" => checks.get_secret_value(),
        "sts:AssumeRole" => Ok(vec![checks.on_named("RoleArn")?]),
        "s3:PutObject" => checks.put_object(),
        // The URL is the permission, of the service that gave it out; and who one is, everybody may ask.
        "presigned:GetObject" | "sts:GetCallerIdentity" => Ok(Vec::new()),
        _ => Err(checks.unknown("the judge has not been taught how AWS authorizes it; see tests/src/judge")),
    }
}

struct Checks<'a> {
    call: &'a Call,
    account: &'a Account,
}

impl Checks<'_> {
    fn on_anything(&self) -> Authorization {
        self.check(
            &self.call.permission(),
            format!("arn:aws:{}:{}:{}:*", self.call.service, self.call.region, self.account.id),
            [],
        )
    }

    fn on_snapshot(&self, parameter: &str) -> Result<(&Disk, Authorization), Unknown> {
        let id = self.parameter(parameter)?;
        let snapshot = self
            .account
            .snapshots
            .get(id)
            .ok_or_else(|| self.unknown(&format!("there was never a snapshot {id}")))?;
        let check = self.check(&self.call.permission(), self.snapshot_arn(id), resource_tags(&snapshot.tags));
        Ok((snapshot, check))
    }

    fn on_image(&self) -> Result<Authorization, Unknown> {
        let id = self.parameter("ImageId")?;
        let tags = self.account.images.get(id);
        let tags = tags.ok_or_else(|| self.unknown(&format!("there was never an image {id}")))?;
        let arn = format!("arn:aws:ec2:{}::image/{id}", self.call.region);
        Ok(self.check(&self.call.permission(), arn, resource_tags(tags)))
    }

    /// Against each parameter that is named.
    fn on_parameters(&self, list: &str) -> Result<Vec<Authorization>, Unknown> {
        let names = (1..).map_while(|number| self.call.parameters.get(&format!("{list}.{number}")));
        let checks: Vec<_> =
            names.map(|name| self.check(&self.call.permission(), self.parameter_arn(name), [])).collect();
        if checks.is_empty() { Err(self.unknown("it names no parameter")) } else { Ok(checks) }
    }

    /// Systems Manager looks an image up with the caller's permission ("Native parameter support for Amazon Machine Image IDs").
    fn put_parameter(&self) -> Result<Vec<Authorization>, Unknown> {
        let arn = self.parameter_arn(self.parameter("Name")?);
        let mut checks = vec![self.check("ssm:PutParameter", arn, [])];
        if self.call.parameters.get("DataType").is_some_and(|name| name == "aws:ec2:image") {
            let anything = format!("arn:aws:ec2:{}:{}:*", self.call.region, self.account.id);
            checks.push(self.check("ec2:DescribeImages", anything, []));
        }
        Ok(checks)
    }

    fn parameter_arn(&self, name: &str) -> String {
        let slash = if name.starts_with('/') { "" } else { "/" };
        format!("arn:aws:ssm:{}:{}:parameter{slash}{name}", self.call.region, self.account.id)
    }

    /// Against the function with its tags, and with its qualifier where one is asked for.
    fn on_function(&self, parameter: &str) -> Result<Authorization, Unknown> {
        let name = self.parameter(parameter)?;
        let arn = match name.strip_prefix("arn:") {
            Some(_) => name.to_owned(),
            None => format!("arn:aws:lambda:{}:{}:function:{name}", self.call.region, self.account.id),
        };
        let tags =
            self.account.functions.get(&arn).ok_or_else(|| self.unknown(&format!("there is no {arn}")))?;
        let qualifier = self.call.parameters.get("Qualifier").map(|qualifier| format!(":{qualifier}"));
        let resource = arn + qualifier.as_deref().unwrap_or_default();
        Ok(self.check(&self.call.permission(), resource, resource_tags(tags)))
    }

    fn on_layer(&self) -> Result<Authorization, Unknown> {
        let (layer, version) = (self.parameter("LayerName")?, self.parameter("VersionNumber")?);
        Ok(self.check(&self.call.permission(), format!("{layer}:{version}"), []))
    }

    fn on_repository(&self) -> Result<Authorization, Unknown> {
        let (registry, name) = (self.parameter("registryId")?, self.parameter("repositoryName")?);
        let arn = format!("arn:aws:ecr:{}:{registry}:repository/{name}", self.call.region);
        Ok(self.check(&self.call.permission(), arn, []))
    }

    /// Against the group, whatever the id within its ARN.
    fn on_scaling_group(&self) -> Result<Authorization, Unknown> {
        let (name, region, account) =
            (self.parameter("AutoScalingGroupName")?, &self.call.region, &self.account.id);
        let arn = format!(
            "arn:aws:autoscaling:{region}:{account}:autoScalingGroup:{SOME_ID}:autoScalingGroupName/{name}"
        );
        Ok(self.check(&self.call.permission(), arn, []))
    }

    /// Against the resource whose ARN is a parameter.
    fn on_named(&self, parameter: &str) -> Result<Authorization, Unknown> {
        let arn = self.parameter(parameter)?.to_owned();
        Ok(self.check(&self.call.permission(), arn, []))
    }

    /// Against the object, with what the request says of encryption. With a key of KMS, S3 asks for a data key in the caller's
    /// name.
    fn put_object(&self) -> Result<Vec<Authorization>, Unknown> {
        let arn = format!("arn:aws:s3:::{}/{}", self.parameter("Bucket")?, self.parameter("Key")?);
        let encryption = [ENCRYPTION, ENCRYPTION_KEY]
            .into_iter()
            .filter_map(|name| Some((format!("s3:{name}"), self.call.parameters.get(name)?.clone())))
            .map(|(name, value)| (name, KeyValue::One(value)));
        let mut checks = vec![self.check(&self.call.permission(), arn, encryption)];
        if self.call.parameters.get(ENCRYPTION).is_some_and(|method| method == "aws:kms") {
            let key = self.parameter(ENCRYPTION_KEY)?.to_owned();
            checks.push(self.check("kms:GenerateDataKey", key, self.through("s3", "aws:s3:arn")));
        }
        Ok(checks)
    }

    /// Against the secret. One that a customer's key encrypts is decrypted in the caller's name.
    fn get_secret_value(&self) -> Result<Vec<Authorization>, Unknown> {
        let secret = self.on_named("SecretId")?;
        let key = self.account.secret_keys.get(&secret.resource);
        let decrypt = key
            .map(|key| self.check("kms:Decrypt", key.clone(), self.through("secretsmanager", "SecretARN")));
        Ok([secret].into_iter().chain(decrypt).collect())
    }

    /// Against both snapshots.
    fn list_changed_blocks(&self) -> Result<Vec<Authorization>, Unknown> {
        let snapshots = ["firstSnapshotId", "secondSnapshotId"];
        snapshots.into_iter().map(|snapshot| Ok(self.on_snapshot(snapshot)?.1)).collect()
    }

    fn create_snapshot(&self) -> Result<Vec<Authorization>, Unknown> {
        let id = self.parameter("VolumeId")?;
        let volume =
            self.account.volumes.get(id).ok_or_else(|| self.unknown(&format!("there is no volume {id}")))?;
        let tags = tags_for(self.call, "snapshot");
        let of_request = request_tags(&tags);
        let volume_arn = format!("arn:aws:ec2:{}:{}:volume/{id}", self.call.region, self.account.id);
        // Its id is not known yet: AWS checks on the wildcard.
        let snapshot_arn = self.snapshot_arn("*");
        let mut checks = vec![
            self.check(
                "ec2:CreateSnapshot",
                volume_arn,
                resource_tags(&volume.tags).into_iter().chain(of_request.clone()),
            ),
            self.check("ec2:CreateSnapshot", snapshot_arn.clone(), of_request.clone()),
        ];
        if !tags.is_empty() {
            let creating = [("ec2:CreateAction".to_owned(), KeyValue::One("CreateSnapshot".to_owned()))];
            checks.push(self.check("ec2:CreateTags", snapshot_arn, of_request.into_iter().chain(creating)));
        }
        Ok(checks)
    }

    /// Against the source, with its tags, and against the copy to be. Of an encrypted source EC2 uses the key, by a grant that
    /// it makes in the caller's name.
    fn copy_snapshot(&self) -> Result<Vec<Authorization>, Unknown> {
        let (source, on_source) = self.on_snapshot("SourceSnapshotId")?;
        let tags = tags_for(self.call, "snapshot");
        let of_request = request_tags(&tags);
        let copy_arn = self.snapshot_arn("*");
        let mut checks = vec![
            Authorization {
                context: on_source.context.into_iter().chain(of_request.clone()).collect(),
                ..on_source
            },
            self.check("ec2:CopySnapshot", copy_arn.clone(), of_request.clone()),
        ];
        if !tags.is_empty() {
            let creating = [("ec2:CreateAction".to_owned(), KeyValue::One("CopySnapshot".to_owned()))];
            checks.push(self.check("ec2:CreateTags", copy_arn, of_request.into_iter().chain(creating)));
        }
        if let Some(key) = &source.kms_key {
            let for_ec2 = ("kms:GrantIsForAWSResource".to_owned(), KeyValue::Truth(true));
            let context = self.through_ec2().into_iter().chain([for_ec2]);
            checks.push(self.check("kms:CreateGrant", key.clone(), context));
        }
        Ok(checks)
    }

    /// What KMS sees of a request that EC2 sends it.
    fn through_ec2(&self) -> [(String, KeyValue); 2] {
        self.through("ec2", "aws:ebs:id")
    }

    /// What KMS sees of a request that a service sends it, with a value of this name in the encryption context.
    fn through(&self, service: &str, context: &str) -> [(String, KeyValue); 2] {
        let service = format!("{service}.{}.amazonaws.com", self.call.region);
        [
            ("kms:ViaService".to_owned(), KeyValue::One(service)),
            ("kms:EncryptionContextKeys".to_owned(), KeyValue::Many(vec![context.to_owned()])),
        ]
    }

    /// For an encrypted snapshot AWS calls KMS with the caller's permission.
    fn get_snapshot_block(&self) -> Result<Vec<Authorization>, Unknown> {
        let (snapshot, check) = self.on_snapshot("snapshotId")?;
        let mut checks = vec![check];
        if let Some(key) = &snapshot.kms_key {
            let context = self.through_ec2();
            checks.push(self.check("kms:Decrypt", key.clone(), context));
        }
        Ok(checks)
    }

    fn check(
        &self,
        action: &str,
        resource: String,
        context: impl IntoIterator<Item = (String, KeyValue)>,
    ) -> Authorization {
        let region = ("aws:RequestedRegion".to_owned(), KeyValue::One(self.call.region.clone()));
        Authorization {
            sequence: self.call.sequence,
            action: action.to_owned(),
            resource,
            context: context.into_iter().chain([region]).collect(),
        }
    }

    /// Snapshots have no account in their ARN.
    fn snapshot_arn(&self, id: &str) -> String {
        format!("arn:aws:ec2:{}::snapshot/{id}", self.call.region)
    }

    fn parameter(&self, name: &str) -> Result<&str, Unknown> {
        self.call
            .parameters
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| self.unknown(&format!("it has no parameter {name}")))
    }

    fn unknown(&self, problem: &str) -> Unknown {
        Unknown { sequence: self.call.sequence, action: self.call.permission(), problem: problem.to_owned() }
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} with {:?}", self.action, self.resource, self.context)
    }
}

/// The tags that a request sets on new resources of a type.
fn tags_for(call: &Call, resource_type: &str) -> BTreeMap<String, String> {
    let parameters = &call.parameters;
    let specification = (1..)
        .map(|n| format!("TagSpecification.{n}"))
        .map_while(|prefix| Some((parameters.get(&format!("{prefix}.ResourceType"))?, prefix)))
        .find(|(tagged, _)| *tagged == resource_type);
    let Some((_, prefix)) = specification else { return BTreeMap::new() };
    (1..)
        .map_while(|n| {
            let key = parameters.get(&format!("{prefix}.Tag.{n}.Key"))?;
            let value = parameters.get(&format!("{prefix}.Tag.{n}.Value")).cloned().unwrap_or_default();
            Some((key.clone(), value))
        })
        .collect()
}

fn resource_tags(tags: &BTreeMap<String, String>) -> Vec<(String, KeyValue)> {
    tags.iter().map(|(key, value)| (format!("aws:ResourceTag/{key}"), KeyValue::One(value.clone()))).collect()
}

fn request_tags(tags: &BTreeMap<String, String>) -> Vec<(String, KeyValue)> {
    if tags.is_empty() {
        return Vec::new();
    }
    let keys = ("aws:TagKeys".to_owned(), KeyValue::Many(tags.keys().cloned().collect()));
    tags.iter()
        .map(|(key, value)| (format!("aws:RequestTag/{key}"), KeyValue::One(value.clone())))
        .chain([keys])
        .collect()
}

/// Of a group: made up by AWS, and a wildcard in policies.
const SOME_ID: &str = "930d940e-891e-4781-a11a-7b0acd480f03";
