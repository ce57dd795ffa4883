//! What there is to scan, as far as it is known: the last survey of each place that succeeded, part by part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use agentless_service::board::Due;
use agentless_service::schedule::Schedule;
use agentless_service::target::{Kind, Place, Target};
use time::OffsetDateTime;
use tokio::sync::Notify;

use super::discovery::{Skipped, Survey};

/// What is known of all places.
#[derive(Debug, Default)]
pub struct Inventory {
    known: Mutex<BTreeMap<Place, Known>>,
    /// There is a kind of targets in a place of which nothing was known before.
    learned: Notify,
}

/// What is known of one place.
#[derive(Debug, Default)]
struct Known {
    targets: BTreeMap<String, Target>,
    skipped: BTreeMap<String, Skipped>,
    /// The kinds that a survey found once: what appears in these from now on is new.
    surveyed: BTreeSet<Kind>,
}

/// The kinds that a survey looks for.
pub const KINDS: [Kind; 3] = [Kind::Instance, Kind::Image, Kind::Function];

/// Why a name is no target that is scanned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lookup {
    /// It is one.
    Found(Box<Target>),
    /// It is known, and left alone for this reason.
    Skipped(String),
    /// Nobody knows it.
    Unknown,
}

impl Inventory {
    /// Takes a survey over, and returns the targets that were not there before: none when a kind is surveyed for the first
    /// time, as everything is new then. The kinds that could not be surveyed stay as they were.
    pub fn take(&self, place: &Place, survey: &Survey) -> Vec<Target> {
        let mut all = self.lock();
        let known = all.entry(place.clone()).or_default();
        let failed: BTreeSet<Kind> = survey.errors.iter().map(|error| error.kind).collect();
        let fresh: BTreeMap<_, _> =
            survey.targets.iter().map(|target| (target.arn.clone(), target.clone())).collect();
        let is_new = |target: &&Target| {
            known.surveyed.contains(&target.kind) && !known.targets.contains_key(&target.arn)
        };
        let appeared: Vec<_> = fresh.values().filter(is_new).cloned().collect();
        known.targets.retain(|_, target| failed.contains(&target.kind));
        known.targets.extend(fresh);
        if failed.is_empty() {
            known.skipped.clear();
        }
        known.skipped.extend(survey.skipped.iter().map(|skipped| (skipped.arn.clone(), skipped.clone())));
        let before = known.surveyed.len();
        known.surveyed.extend(KINDS.into_iter().filter(|kind| !failed.contains(kind)));
        if known.surveyed.len() > before {
            self.learned.notify_one();
        }
        appeared
    }

    /// Waits until a survey found out what there is of a kind in a place, and that was not known before.
    pub async fn learned(&self) {
        self.learned.notified().await;
    }

    /// These places are scanned, whether or not they can be surveyed yet.
    pub fn expect(&self, places: &[Place]) {
        let mut all = self.lock();
        for place in places {
            all.entry(place.clone()).or_default();
        }
    }

    /// The places that are scanned.
    pub fn places(&self) -> Vec<Place> {
        self.lock().keys().cloned().collect()
    }

    /// Whether it is known what there is of a kind in a place.
    pub fn is_surveyed(&self, place: &Place, kind: Kind) -> bool {
        self.lock().get(place).is_some_and(|known| known.surveyed.contains(&kind))
    }

    /// How many targets of each kind there are in a place.
    pub fn counts(&self, place: &Place) -> BTreeMap<Kind, u64> {
        let mut counts: BTreeMap<Kind, u64> = BTreeMap::new();
        for target in self.lock().get(place).into_iter().flat_map(|known| known.targets.values()) {
            let count = counts.entry(target.kind).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    /// The targets of a kind in a place that are due after `from`, up to `to`, in the order of their slots.
    pub fn due(
        &self,
        place: &Place,
        kind: Kind,
        schedule: Schedule,
        (from, to): (OffsetDateTime, OffsetDateTime),
    ) -> Vec<Target> {
        let all = self.lock();
        let targets = all.get(place).into_iter().flat_map(|known| known.targets.values());
        let of_kind = targets.filter(|target| target.kind == kind);
        schedule.due(of_kind, from, to).into_iter().cloned().collect()
    }

    /// The first `most` targets that are due after a time.
    pub fn upcoming(&self, schedule: Schedule, after: OffsetDateTime, most: usize) -> Vec<Due> {
        let all = self.lock();
        let targets = all.values().flat_map(|known| known.targets.values());
        let mut due: Vec<_> = targets.map(|target| (schedule.next(&target.arn, after), target)).collect();
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().take(most).map(|(at, target)| Due { target: target.into(), at }).collect()
    }

    /// Only these places are scanned from now on.
    pub fn retain(&self, keep: impl Fn(&Place) -> bool) {
        self.lock().retain(|place, _| keep(place));
    }

    /// Finds a target by its ARN, or by its id where only one has it.
    pub fn find(&self, name: &str) -> Lookup {
        let all = self.lock();
        let mut found = all
            .values()
            .flat_map(|known| known.targets.values())
            .filter(|target| target.arn == name || target.id == name);
        if let (Some(target), None) = (found.next(), found.next()) {
            return Lookup::Found(Box::new(target.clone()));
        }
        let ends = |arn: &str| arn == name || arn.rsplit(['/', ':']).next() == Some(name);
        let mut skipped = all.values().flat_map(|known| known.skipped.values());
        match skipped.find(|skipped| ends(&skipped.arn)) {
            Some(skipped) => Lookup::Skipped(format!("{} is not scanned: {}", skipped.arn, skipped.reason)),
            None => Lookup::Unknown,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::discovery::{PartError, Reason};

    fn place() -> Place {
        Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() }
    }

    fn target(kind: Kind, id: &str) -> Target {
        Target { arn: format!("arn:{id}"), place: place(), kind, id: id.to_owned(), tags: BTreeMap::new() }
    }

    /// All targets that are known.
    fn all(inventory: &Inventory) -> Vec<Target> {
        inventory.lock().values().flat_map(|known| known.targets.values().cloned()).collect()
    }

    fn survey(targets: &[Target]) -> Survey {
        Survey { targets: targets.to_vec(), ..Survey::default() }
    }

    #[test]
    fn what_appears_after_the_first_survey_is_new() {
        let inventory = Inventory::default();
        let (one, two) = (target(Kind::Instance, "i-1"), target(Kind::Instance, "i-2"));
        let both = [one, two];
        let [one, two] = both.each_ref().map(std::slice::from_ref);
        assert_eq!(inventory.take(&place(), &survey(one)), []);
        assert_eq!(inventory.take(&place(), &survey(&both)), two);
        assert_eq!(inventory.take(&place(), &survey(two)), []);
        assert_eq!(all(&inventory), two);
        assert_eq!(inventory.find("i-1"), Lookup::Unknown);
    }

    #[test]
    fn a_part_that_fails_leaves_what_was_known() {
        let inventory = Inventory::default();
        let (host, function) = (target(Kind::Instance, "i-1"), target(Kind::Function, "f"));
        inventory.take(&place(), &survey(&[host, function.clone()]));
        let error = PartError { kind: Kind::Function, place: place(), message: "denied".to_owned() };
        let failed = Survey { errors: vec![error], ..survey(&[]) };
        assert_eq!(inventory.take(&place(), &failed), []);
        assert_eq!(all(&inventory), [function]);
    }

    #[test]
    fn a_kind_counts_as_surveyed_when_that_succeeded_once() {
        let inventory = Inventory::default();
        inventory.expect(&[place()]);
        assert_eq!(inventory.places(), [place()]);
        let error = PartError { kind: Kind::Function, place: place(), message: "denied".to_owned() };
        inventory.take(&place(), &Survey { errors: vec![error], ..survey(&[]) });
        assert!(inventory.is_surveyed(&place(), Kind::Instance));
        assert!(!inventory.is_surveyed(&place(), Kind::Function));
        inventory.take(&place(), &survey(&[]));
        assert!(inventory.is_surveyed(&place(), Kind::Function));
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_known_for_the_first_time_is_news_and_later_it_is_not() {
        let inventory = Inventory::default();
        let is_news = || tokio::time::timeout(std::time::Duration::from_secs(1), inventory.learned());
        inventory.take(&place(), &survey(&[]));
        is_news().await.unwrap();
        inventory.take(&place(), &survey(&[target(Kind::Instance, "i-1")]));
        is_news().await.unwrap_err();
    }

    #[test]
    fn names_are_arns_or_ids() {
        let inventory = Inventory::default();
        let skipped = Skipped { arn: "arn:aws:ec2:x:1:instance/i-2".to_owned(), reason: Reason::OptedOut };
        let survey = Survey { skipped: vec![skipped], ..survey(&[target(Kind::Instance, "i-1")]) };
        inventory.take(&place(), &survey);
        for name in ["i-1", "arn:i-1"] {
            assert!(matches!(inventory.find(name), Lookup::Found(_)), "{name}");
        }
        let Lookup::Skipped(reason) = inventory.find("i-2") else { panic!() };
        assert!(reason.contains("opted out"), "{reason}");
    }
}
