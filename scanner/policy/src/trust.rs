//! Who may take on the roles.

use std::collections::BTreeMap;

use crate::document::Values;
use crate::{ExternalId, PolicyDocument, PolicyError, Region, RoleArn, Statement};

impl PolicyDocument {
    /// Who may take on a delegate role: exactly these scanner roles, where an external id is given only if they name it.
    ///
    /// # Errors
    /// [`PolicyError::NoScanner`] without any.
    pub fn trust_scanners(
        scanner_roles: &[RoleArn],
        external_id: Option<&ExternalId>,
    ) -> Result<Self, PolicyError> {
        if scanner_roles.is_empty() {
            return Err(PolicyError::NoScanner);
        }
        let condition = external_id.map(|id| {
            let id = Values::One(id.to_string());
            ("StringEquals", BTreeMap::from([("sts:ExternalId".to_owned(), id)]))
        });
        Ok(Self::new(vec![Statement {
            sid: "AssumedByScanners".to_owned(),
            effect: "Allow",
            principal: BTreeMap::from([("AWS", Values::new(scanner_roles.iter().map(ToString::to_string)))]),
            action: vec!["sts:AssumeRole"],
            resource: Vec::new(),
            condition: condition.into_iter().collect(),
        }]))
    }

    /// Who may take on the role: EC2, for its instances, and nobody else.
    pub fn trust_ec2(region: &Region) -> Self {
        Self::new(vec![Statement {
            sid: "AssumedByInstances".to_owned(),
            effect: "Allow",
            principal: BTreeMap::from([(
                "Service",
                Values::One(format!("ec2.{}", region.partition().dns_suffix())),
            )]),
            action: vec!["sts:AssumeRole"],
            resource: Vec::new(),
            condition: BTreeMap::new(),
        }])
    }
}
