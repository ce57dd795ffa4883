//! The policies on a role: one inline, or several managed ones where the document is too long for that.
//!
//! A managed policy is the role's own by its ARN (the role's, with a number) together with its description, which IAM
//! lets nobody change: what somebody else made is taken off the role, but neither changed nor deleted.

use std::collections::BTreeSet;

use scanner_policy::{MANAGED_POLICIES_OF_ROLE, Packed, PolicyDocument, PolicyError, Region, merged};
use serde_json::Value as Json;

use super::super::tagging::Change;
use super::documents::{parsed, says_the_same};
use crate::aws::{
    AwsError, IAM_PROPAGATION, Iam, Kind, ManagedPolicies, ManagedPolicy, NewManagedPolicy, Tags, retry,
};
use crate::sdk::{Context, Diagnostic, Path, Value};

/// The name of the inline policy.
pub(crate) const INLINE: &str = "agentless-scanner";

/// How many versions of a managed policy there may be ("IAM and AWS STS quotas").
const VERSIONS_OF_POLICY: usize = 5;

/// The policies of one role.
pub(crate) struct OwnPolicies<'a, A> {
    pub(crate) aws: &'a A,
    pub(crate) region: &'a Region,
    pub(crate) role: &'a str,
    /// The role's ARN, from which those of its managed policies follow.
    pub(crate) role_arn: &'a str,
}

/// The policies that were found on a role.
#[derive(Debug)]
pub(crate) struct Found {
    /// What its own policies grant together, as JSON.
    pub(crate) document: Option<String>,
    /// Its own managed policies: those attached, and those that were known before and still exist.
    pub(crate) managed: BTreeSet<String>,
    /// What is not its own: ARNs of attached policies, and names of inline ones after `inline:`.
    pub(crate) foreign: BTreeSet<String>,
}

/// The managed policies that a role with this document has; none where it fits inline.
pub(crate) fn expected_policies(
    document: &PolicyDocument,
    role_arn: &str,
) -> Result<BTreeSet<String>, Diagnostic> {
    Ok(match pack(document)? {
        Packed::Inline(_) => BTreeSet::new(),
        Packed::Managed(documents) => {
            (1..).zip(&documents).map(|(number, _)| policy_arn(role_arn, number)).collect()
        }
    })
}

fn pack(document: &PolicyDocument) -> Result<Packed, Diagnostic> {
    document.packed().map_err(|error: PolicyError| {
        Diagnostic::caused_by("The role's policy is too long", &error).at(Path::from("kms_key_arns"))
    })
}

/// The ARN of the role's managed policy of this number.
fn policy_arn(role_arn: &str, number: usize) -> String {
    format!("{}-{number}", role_arn.replacen(":role/", ":policy/", 1))
}

impl<A: Iam + ManagedPolicies> OwnPolicies<'_, A> {
    /// Looks what the role has. `before` are the managed policies that it had when last seen.
    pub(crate) async fn read(&self, before: &Value<BTreeSet<String>>) -> Result<Found, AwsError> {
        let (mut inline, attached) = tokio::try_join!(
            self.aws.inline_policies(self.region, self.role),
            self.aws.attached_policies(self.region, self.role)
        )?;
        let (mut documents, mut managed) = (Vec::new(), BTreeSet::new());
        documents.extend(inline.remove(INLINE));
        let mut foreign: BTreeSet<String> = inline.into_keys().map(|name| format!("inline:{name}")).collect();
        foreign.extend(attached.iter().filter(|arn| !self.has_own_name(arn)).cloned());
        for arn in self.own_names() {
            let (is_attached, was_known) =
                (attached.contains(&arn), before.get().is_some_and(|before| before.contains(&arn)));
            if !is_attached && !was_known {
                continue;
            }
            match self.aws.managed_policy(self.region, &arn).await? {
                Some(policy) if self.is_own(&policy) => {
                    if is_attached {
                        documents.push(policy.document);
                    }
                    managed.insert(arn);
                }
                Some(_) if is_attached => _ = foreign.insert(arn),
                _ => {}
            }
        }
        let document = match documents.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => {
                let several: Vec<Json> = several.iter().map(|text| parsed(Some(text))).collect();
                Some(merged(&several).to_string())
            }
        };
        Ok(Found { document, managed, foreign })
    }

    /// Takes what is not the role's own off it.
    pub(crate) async fn remove_foreign(&self) -> Result<(), AwsError> {
        for arn in self.aws.attached_policies(self.region, self.role).await? {
            let is_own = self.has_own_name(&arn)
                && match self.aws.managed_policy(self.region, &arn).await? {
                    Some(policy) => self.is_own(&policy),
                    None => false,
                };
            if !is_own {
                self.aws.detach_policy(self.region, self.role, &arn).await?;
            }
        }
        for name in self.aws.inline_policies(self.region, self.role).await?.into_keys() {
            if name != INLINE {
                self.aws.delete_inline_policy(self.region, self.role, &name).await?;
            }
        }
        Ok(())
    }

    /// Gives the role exactly this document. `before` are the managed policies that it has or may have; those that are no
    /// longer needed are deleted.
    pub(crate) async fn put(
        &self,
        ctx: &Context,
        document: &PolicyDocument,
        tags: &Tags,
        path: &str,
        before: &Value<BTreeSet<String>>,
    ) -> Result<(), Diagnostic> {
        let failed = |error: AwsError| {
            error.diagnostic(format!("Could not set the policy of IAM role {:?}", self.role))
        };
        let what = format!("waiting until IAM role {:?} and its policies are there", self.role);
        let wanted = expected_policies(document, self.role_arn)?;
        match pack(document)? {
            Packed::Inline(document) => {
                let document = document.to_json();
                retry(ctx, IAM_PROPAGATION, &what, AwsError::is_not_found, || {
                    self.aws.put_inline_policy(self.region, self.role, INLINE, &document)
                })
                .await?
                .map_err(failed)?;
            }
            Packed::Managed(documents) => {
                for (number, document) in (1..).zip(documents) {
                    let policy = NewManagedPolicy {
                        name: format!("{}-{number}", self.role),
                        path: path.to_owned(),
                        description: self.description(),
                        document: document.to_json(),
                        tags: tags.clone(),
                    };
                    let arn = policy_arn(self.role_arn, number);
                    self.settle(&arn, &policy).await.map_err(|error| {
                        let diagnostic = error.diagnostic(format!("Could not set up managed policy {arn}"));
                        if error.kind() == Kind::AlreadyExists { diagnostic.at("name") } else { diagnostic }
                    })?;
                    retry(ctx, IAM_PROPAGATION, &what, AwsError::is_not_found, || {
                        self.aws.attach_policy(self.region, self.role, &arn)
                    })
                    .await?
                    .map_err(failed)?;
                }
                self.aws.delete_inline_policy(self.region, self.role, INLINE).await.map_err(failed)?;
            }
        }
        for arn in before.get().into_iter().flatten().filter(|arn| !wanted.contains(*arn)) {
            self.aws.detach_policy(self.region, self.role, arn).await.map_err(failed)?;
            self.delete(ctx, arn).await?;
        }
        Ok(())
    }

    /// Takes everything off the role and deletes what is its own, `before` included. That the role is gone already is a
    /// success.
    pub(crate) async fn remove_all(
        &self,
        ctx: &Context,
        before: &Value<BTreeSet<String>>,
    ) -> Result<(), Diagnostic> {
        let failed = |error: AwsError| {
            error.diagnostic(format!("Could not remove the policies of IAM role {:?}", self.role))
        };
        let mut own: BTreeSet<String> = before.clone().unwrap_or_default();
        match self.take_off().await {
            Err(error) if error.is_not_found() => {}
            attached => {
                own.extend(attached.map_err(failed)?.into_iter().filter(|arn| self.has_own_name(arn)));
            }
        }
        for arn in own {
            self.delete(ctx, &arn).await?;
        }
        Ok(())
    }

    /// Takes everything off the role and returns the ARNs of what was attached.
    async fn take_off(&self) -> Result<Vec<String>, AwsError> {
        let attached = self.aws.attached_policies(self.region, self.role).await?;
        for arn in &attached {
            self.aws.detach_policy(self.region, self.role, arn).await?;
        }
        for name in self.aws.inline_policies(self.region, self.role).await?.into_keys() {
            self.aws.delete_inline_policy(self.region, self.role, &name).await?;
        }
        Ok(attached)
    }

    /// Makes the managed policy, or brings the one that is there to its document and tags.
    async fn settle(&self, arn: &str, policy: &NewManagedPolicy) -> Result<(), AwsError> {
        let found = match self.aws.managed_policy(self.region, arn).await? {
            Some(found) => found,
            None => match self.aws.create_policy(self.region, policy).await {
                // An answer that was lost makes the SDK ask again.
                Err(error) if error.kind() == Kind::AlreadyExists => {
                    self.aws.managed_policy(self.region, arn).await?.ok_or(error)?
                }
                answer => return answer.map(|_| ()),
            },
        };
        if !self.is_own(&found) {
            // So that the error is that of a name which is taken.
            self.aws.create_policy(self.region, policy).await?;
            return Ok(());
        }
        if !says_the_same(&found.document, &policy.document) {
            self.put_version(arn, &policy.document).await?;
        }
        let tags = Change::between(&found.tags.into(), &policy.tags.clone().into());
        if !tags.is_empty() {
            self.aws.tag_policy(self.region, arn, &tags.set, &tags.remove).await?;
        }
        Ok(())
    }

    /// Adds a version, in place of the oldest where there are as many as IAM keeps.
    async fn put_version(&self, arn: &str, document: &str) -> Result<(), AwsError> {
        let versions = self.aws.policy_versions(self.region, arn).await?;
        let number = |id: &str| id.trim_start_matches('v').parse::<u64>().unwrap_or_default();
        let mut old: Vec<_> = versions.iter().filter(|version| !version.is_default).collect();
        old.sort_by_key(|version| number(&version.id));
        for oldest in old.iter().take((versions.len() + 1).saturating_sub(VERSIONS_OF_POLICY)) {
            self.aws.delete_policy_version(self.region, arn, &oldest.id).await?;
        }
        match self.aws.create_policy_version(self.region, arn, document).await {
            // When an answer was lost, the SDK asked again and the version is there.
            Err(error) if error.kind() == Kind::Limit => {
                let found = self.aws.managed_policy(self.region, arn).await?;
                let is_there = found.is_some_and(|policy| says_the_same(&policy.document, document));
                if is_there { Ok(()) } else { Err(error) }
            }
            answer => answer,
        }
    }

    /// Deletes a managed policy with its versions, if it is the role's own.
    async fn delete(&self, ctx: &Context, arn: &str) -> Result<(), Diagnostic> {
        let failed = |error: AwsError| error.diagnostic(format!("Could not delete managed policy {arn}"));
        match self.aws.managed_policy(self.region, arn).await.map_err(failed)? {
            Some(policy) if self.is_own(&policy) => {}
            _ => return Ok(()),
        }
        match self.aws.policy_versions(self.region, arn).await {
            Err(error) if error.is_not_found() => return Ok(()),
            versions => {
                for version in versions.map_err(failed)?.iter().filter(|version| !version.is_default) {
                    self.aws.delete_policy_version(self.region, arn, &version.id).await.map_err(failed)?;
                }
            }
        }
        // IAM may still count the role that it was just detached from.
        let what = format!("waiting until nothing uses managed policy {arn} any more");
        let delete = || self.aws.delete_policy(self.region, arn);
        retry(ctx, IAM_PROPAGATION, &what, AwsError::is_in_use, delete).await?.map_err(failed)
    }

    fn own_names(&self) -> impl Iterator<Item = String> {
        (1..=MANAGED_POLICIES_OF_ROLE).map(|number| policy_arn(self.role_arn, number))
    }

    fn has_own_name(&self, arn: &str) -> bool {
        self.own_names().any(|own| own == arn)
    }

    fn is_own(&self, policy: &ManagedPolicy) -> bool {
        policy.description == self.description()
    }

    fn description(&self) -> String {
        format!("Part of what role {} permits, with the others of its name. Managed by Terraform.", self.role)
    }
}
