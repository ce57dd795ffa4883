//! An AWS for the tests of the resources: maps instead of services, a list of the calls, and errors on demand.
//!
//! It knows the rules that the resources rely on (what must be empty before it can be deleted, what names are unique)
//! and nothing else.

mod iam;
mod images;
mod instance_refreshes;
mod launch_templates;
mod lifecycle_hooks;
mod managed_policies;
mod network;
mod scaling_groups;
mod secrets;
mod security_groups;
mod sessions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

pub(crate) use instance_refreshes::{Course, FakeRefresh};
use scanner_policy::{AccountId, Region};

pub(crate) use managed_policies::FakePolicy;
pub(crate) use network::FakeNetworks;

use super::{
    AwsError, Group, Hook, Identity, ImageQuery, InstanceProfile, LaunchTemplate, MachineImage, Role, Rule,
    ScalingGroup, SessionRequest, Tags, TemplateContent,
};

pub(crate) use secrets::FakeSecret;

/// The account of everything.
pub(crate) const ACCOUNT: &str = "111122223333";

/// The fake.
#[derive(Debug, Default)]
pub(crate) struct FakeAws {
    world: Mutex<World>,
}

/// What there is.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) roles: BTreeMap<String, FakeRole>,
    pub(crate) policies: BTreeMap<String, FakePolicy>,
    pub(crate) profiles: BTreeMap<String, InstanceProfile>,
    pub(crate) groups: BTreeMap<String, (Group, Vec<Rule>)>,
    pub(crate) templates: BTreeMap<String, (LaunchTemplate, Vec<TemplateContent>)>,
    pub(crate) scaling_groups: BTreeMap<String, ScalingGroup>,
    /// The lifecycle hooks of each Auto Scaling group.
    pub(crate) hooks: BTreeMap<String, Vec<Hook>>,
    /// All instance refreshes, the newest last.
    pub(crate) refreshes: Vec<FakeRefresh>,
    /// How instance refreshes go.
    pub(crate) course: Course,
    /// What sessions were asked for with.
    pub(crate) sessions: Vec<SessionRequest>,
    pub(crate) networks: FakeNetworks,
    pub(crate) secrets: BTreeMap<String, FakeSecret>,
    pub(crate) images: Vec<MachineImage>,
    /// The images that were deregistered.
    pub(crate) gone_images: BTreeSet<String>,
    /// What images were last looked for.
    pub(crate) image_query: Option<ImageQuery>,
    /// For how many more looks a deleted Auto Scaling group is still listed.
    pub(crate) lingering: u32,
    /// How often the creation of a secret still meets one of its name that was deleted at once.
    pub(crate) vanishing_secrets: u32,
    /// The next such operation is carried out, its answer lost, and asked for again.
    pub(crate) loses_answer_of: Option<&'static str>,
    /// The code that such an answer has, where it is not what a second request gets.
    pub(crate) lost_answer_is: Option<&'static str>,
    /// Roles of other accounts that trust policies may name; those of `roles` they may in any case.
    pub(crate) foreign_roles: BTreeSet<String>,
    /// Every operation, in order.
    pub(crate) calls: Vec<&'static str>,
    /// The next answers of an operation, instead of what it would do. `None` lets one through.
    failures: BTreeMap<&'static str, VecDeque<Option<AwsError>>>,
    next_id: u32,
}

/// A role with its policies.
#[derive(Debug, Default)]
pub(crate) struct FakeRole {
    pub(crate) role: Role,
    pub(crate) inline: BTreeMap<String, String>,
    pub(crate) attached: Vec<String>,
}

impl FakeAws {
    /// To look at what there is, or to change it behind a resource's back.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The next call of `operation` fails.
    pub(crate) fn fail(&self, operation: &'static str, code: &str, message: &str) {
        let error = AwsError::answered(operation, code, message);
        self.world().failures.entry(operation).or_default().push_back(Some(error));
    }

    /// The next `count` calls of `operation` do what they would.
    pub(crate) fn skip(&self, operation: &'static str, count: usize) {
        self.world().failures.entry(operation).or_default().extend((0..count).map(|_| None));
    }

    /// One call of `operation` fails, after `passing` ones that do not.
    pub(crate) fn fail_after(&self, passing: usize, operation: &'static str, code: &str) {
        self.skip(operation, passing);
        self.fail(operation, code, "it failed");
    }

    /// The operations since the last look.
    pub(crate) fn take_calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.world().calls)
    }

    /// The same without those that change nothing.
    pub(crate) fn take_changes(&self) -> Vec<&'static str> {
        let mut calls = self.take_calls();
        calls.retain(|call| {
            !["Get", "List", "Describe"].iter().any(|verb| call.contains(&format!(":{verb}")))
        });
        calls
    }

    fn call(&self, operation: &'static str) -> Result<MutexGuard<'_, World>, AwsError> {
        let mut world = self.world();
        world.calls.push(operation);
        match world.failures.get_mut(operation).and_then(VecDeque::pop_front).flatten() {
            Some(error) => Err(error),
            None => Ok(world),
        }
    }
}

impl World {
    fn id(&mut self, prefix: &str) -> String {
        self.next_id += 1;
        format!("{prefix}-{:017x}", self.next_id)
    }

    /// The answer to what was just done, when that answer is to be lost: the SDK asked again.
    fn lost_answer(&mut self, operation: &'static str, code: &str) -> Result<(), AwsError> {
        if self.loses_answer_of == Some(operation) {
            self.loses_answer_of = None;
            let code = self.lost_answer_is.unwrap_or(code);
            return Err(AwsError::answered(operation, code, "asked a second time"));
        }
        Ok(())
    }
}

fn missing(operation: &'static str) -> AwsError {
    AwsError::answered(operation, "NoSuchEntity", "not there")
}

fn retag(tags: &mut Tags, set: &Tags, remove: &[String]) {
    tags.retain(|key, _| !remove.contains(key));
    tags.extend(set.clone());
}

impl Identity for FakeAws {
    async fn account(&self, _region: &Region) -> Result<AccountId, AwsError> {
        drop(self.call("sts:GetCallerIdentity")?);
        Ok(ACCOUNT.parse().unwrap())
    }
}
