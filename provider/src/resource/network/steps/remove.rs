//! What goes, and in which order.

use super::{Planner, Step, key_of};
use crate::aws::{Change, Part, PartKind, Status, What};

impl Planner<'_> {
    /// What is ours and not wanted goes, in the order that EC2 demands: first what uses something, then that.
    pub(super) fn remove(&mut self) {
        let situation = self.situation;
        for part in &situation.parts {
            let Some(key) = key_of(part, self.token) else { continue };
            if self.kept.contains(part.id.as_str()) {
                continue;
            }
            let kind = part.what.kind();
            match &part.status {
                Status::Leaving => {
                    self.steps.waiting.push(format!("the deletion of {kind} {}", part.id));
                    continue;
                }
                Status::Failed(reason) => {
                    let why = format!("{kind} {} ({key}) has failed: {reason}", part.id);
                    self.steps.build.push(Step::Delete { kind, id: part.id.clone(), why });
                    continue;
                }
                Status::Pending | Status::Ready => {}
            }
            let step = match &part.what {
                What::InternetGateway { is_attached: true } => {
                    // EC2 does not detach it while addresses are mapped through it.
                    let is_nat = |it: &Part| it.what.kind() == PartKind::NatGateway;
                    if situation.parts.iter().any(|it| is_nat(it) && !matches!(it.status, Status::Failed(_)))
                    {
                        continue;
                    }
                    let why = format!("internet gateway {} is attached", part.id);
                    Step::Change { change: Change::Detach(part.id.clone()), why }
                }
                What::RouteTable { subnets, .. } if !subnets.is_empty() => {
                    for (association, subnet) in subnets {
                        let why = format!("route table {} serves subnet {subnet}", part.id);
                        let change = Change::Disassociate(association.clone());
                        self.steps.remove.push(Step::Change { change, why });
                    }
                    continue;
                }
                _ if situation.parts.iter().any(|user| uses(user, &part.id)) => continue,
                _ => Step::Delete {
                    kind,
                    id: part.id.clone(),
                    why: format!("{kind} {} ({key}) is not wanted", part.id),
                },
            };
            self.steps.remove.push(step);
        }
    }
}

/// Whether the part `id` cannot be deleted because of `user`, be it leaving.
fn uses(user: &Part, id: &str) -> bool {
    let has = |ids: &[String]| ids.iter().any(|it| it == id);
    match &user.what {
        What::NatGateway { subnet, allocations } => {
            !matches!(user.status, Status::Failed(_)) && (subnet == id || has(allocations))
        }
        What::Endpoint(endpoint) => has(&endpoint.subnets) || has(&endpoint.groups) || has(&endpoint.tables),
        _ => false,
    }
}
