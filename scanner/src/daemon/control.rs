//! The two orders of the status interface: scan now, and cancel.

use std::sync::Arc;

use agentless_service::queue::{self, Cause, Order, Pushed};
use agentless_service::status::{Accepted, Control, Refused};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::inventory::Lookup;
use super::service::Service;
use super::world::World;

/// Carries out orders.
#[derive(Debug)]
pub struct Orders<W>(pub Arc<Service<W>>);

impl<W: World> Control for Orders<W> {
    fn scan_now<'c>(&'c self, target: &'c str) -> BoxFuture<'c, Result<Accepted, Refused>> {
        std::future::ready(self.scan(target)).boxed()
    }

    fn cancel<'c>(&'c self, target: &'c str) -> BoxFuture<'c, Result<Accepted, Refused>> {
        std::future::ready(self.end(target)).boxed()
    }
}

impl<W: World> Orders<W> {
    fn scan(&self, name: &str) -> Result<Accepted, Refused> {
        let target = match self.0.inventory.find(name) {
            Lookup::Found(target) => *target,
            Lookup::Skipped(reason) => return Err(Refused::Excluded(reason)),
            Lookup::Unknown => {
                return Err(Refused::Unknown(format!(
                    "{name} is none of the targets that were found: `agentless-scanner discover` lists them"
                )));
            }
        };
        let arn = target.arn.clone();
        match self.0.queue.push(Order::new(target, Cause::User)) {
            Ok(Pushed::Queued(_)) => Ok(Accepted { target: arn, state: "queued".to_owned() }),
            Ok(Pushed::Joined(_)) => {
                Ok(Accepted { target: arn, state: "queued or scanned already".to_owned() })
            }
            Err(full @ (queue::Refused::Full { .. } | queue::Refused::Closed)) => {
                Err(Refused::Busy(full.to_string()))
            }
        }
    }

    fn end(&self, name: &str) -> Result<Accepted, Refused> {
        let snapshot = self.0.queue.snapshot(self.0.clock.now());
        let of_scan = snapshot.running.iter().find(|running| running.scan.to_string() == name);
        let arn = match (of_scan, self.0.inventory.find(name)) {
            (Some(running), _) => running.target.clone(),
            (None, Lookup::Found(target)) => target.arn,
            (None, _) => name.to_owned(),
        };
        let cancelled = self.0.queue.cancel(&arn);
        let state = match (cancelled.waiting.is_some(), cancelled.running.is_some()) {
            (_, true) => "cancelling",
            (true, false) => "no longer queued",
            (false, false) => {
                return Err(Refused::Unknown(format!("{name} is neither queued nor scanned")));
            }
        };
        Ok(Accepted { target: arn, state: state.to_owned() })
    }
}
