//! What the verbs for images know of AWS.

use time::OffsetDateTime;

use super::super::Tags;

/// A machine image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineImage {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The account that it belongs to.
    pub owner: String,
    /// Its state in EC2's words, such as `available`.
    pub state: String,
    /// Its architecture in EC2's words, such as `arm64`.
    pub architecture: String,
    /// When it was made.
    pub created: Option<OffsetDateTime>,
    /// When it is or was deprecated.
    pub deprecated: Option<OffsetDateTime>,
    /// When an instance was last started from it, by anybody, as far as EC2 says: it does a day later.
    pub launched: Option<OffsetDateTime>,
    /// Which versions of the metadata service its instances have, such as `v2.0`.
    pub imds: Option<String>,
    /// Whether it is protected from being deregistered, in EC2's words, such as `enabled-with-cooldown`.
    pub protection: String,
    /// The snapshots of its volumes, each with whether it is encrypted, if that is known.
    pub snapshots: Vec<(String, Option<bool>)>,
    /// Its tags, of an image of the account.
    pub tags: Tags,
}

/// A snapshot that carries the tag of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSnapshot {
    /// Its id.
    pub id: String,
    /// When it was begun.
    pub started: Option<OffsetDateTime>,
    /// Its tags.
    pub tags: Tags,
}

/// An instance, and the image that it was started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The instance.
    pub instance: String,
    /// The image.
    pub image: String,
    /// When.
    pub launched: Option<OffsetDateTime>,
}

/// An Auto Scaling group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What it launches: several where it mixes kinds of instances.
    pub templates: Vec<TemplateRef>,
    /// How many instances it is to have.
    pub desired: i32,
    /// Those that it has.
    pub instances: Vec<GroupInstance>,
}

/// A version of a launch template, as a group names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateRef {
    /// The template's id.
    pub template: String,
    /// A number, `$Latest` or `$Default`.
    pub version: String,
}

/// An instance of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupInstance {
    /// Its id.
    pub id: String,
    /// Where it is in its life, such as `InService`.
    pub state: String,
    /// Whether the group thinks it healthy.
    pub healthy: bool,
    /// What it was launched from.
    pub template: Option<TemplateRef>,
}

/// An instance refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// Its id.
    pub id: String,
    /// How far it is, in the words of Auto Scaling, such as `Successful`.
    pub status: String,
    /// Why, in the same.
    pub reason: Option<String>,
    /// What it makes the group launch, if it changes that.
    pub template: Option<TemplateRef>,
}

/// What a version of a launch template launches.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateVersion {
    /// The template's id.
    pub template: String,
    /// The template's name.
    pub name: String,
    /// The version's number.
    pub number: i64,
    /// Whether it is the default one.
    pub is_default: bool,
    /// The image as it names it: an id, or `resolve:ssm:` and a parameter.
    pub image: String,
    /// Whether it tags what it launches as a scanner, as those of the Terraform provider do.
    pub is_scanner: bool,
}

/// A parameter of Systems Manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameter {
    /// What it says.
    pub value: String,
    /// Its data type, such as `aws:ec2:image`.
    pub data_type: String,
    /// When that was set.
    pub changed: Option<OffsetDateTime>,
}
