//! The last result of each target: as many as there is room for, the newest.

use std::collections::{BTreeMap, HashMap};

use super::view::Last;

/// The last results.
#[derive(Debug)]
pub(super) struct Recent {
    most: usize,
    next: u64,
    by_age: BTreeMap<u64, Last>,
    by_arn: HashMap<String, u64>,
}

impl Recent {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), next: 0, by_age: BTreeMap::new(), by_arn: HashMap::new() }
    }

    /// Takes a result, in place of the one that its target had.
    pub(super) fn put(&mut self, last: Last) {
        let age = self.next;
        self.next = self.next.saturating_add(1);
        if let Some(former) = self.by_arn.insert(last.target.arn.clone(), age) {
            self.by_age.remove(&former);
        }
        self.by_age.insert(age, last);
        while self.by_age.len() > self.most {
            if let Some((_, oldest)) = self.by_age.pop_first() {
                self.by_arn.remove(&oldest.target.arn);
            }
        }
    }

    /// Of one target.
    pub(super) fn of(&self, arn: &str) -> Option<&Last> {
        self.by_age.get(self.by_arn.get(arn)?)
    }

    /// The newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Last> {
        self.by_age.values().rev()
    }

    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }
}
