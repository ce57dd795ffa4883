//! Whose turn it is: accounts take turns, and the regions of an account take turns.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::state::Entry;
use crate::target::Place;

/// All that waits, by account and region.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    accounts: BTreeMap<String, Account>,
    /// Counts turns, and what else has to have an order.
    turn: u64,
}

/// What waits of one account.
#[derive(Debug)]
struct Account {
    /// The turn that it had last. One that comes back after it had nothing to do stands behind all others.
    last_turn: u64,
    regions: BTreeMap<String, Lane>,
}

/// What waits in one region of one account.
#[derive(Debug)]
struct Lane {
    last_turn: u64,
    running: usize,
    waiting: BTreeMap<Rank, Entry>,
}

/// The order within a lane: the urgent first, then the order in which they came.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Rank {
    is_due_only: bool,
    number: u64,
}

impl Lanes {
    /// Adds an entry at the end of those as urgent as it, and says where it is now.
    pub(super) fn add(&mut self, entry: Entry) -> Rank {
        let rank = Rank { is_due_only: !entry.order.cause.is_urgent(), number: self.next_turn() };
        let place = &entry.order.target.place;
        let last_turn = rank.number;
        let account = self
            .accounts
            .entry(place.account.clone())
            .or_insert_with(|| Account { last_turn, regions: BTreeMap::new() });
        let lane = account.regions.entry(place.region.clone()).or_insert_with(|| Lane {
            last_turn,
            running: 0,
            waiting: BTreeMap::new(),
        });
        lane.waiting.insert(rank, entry);
        rank
    }

    /// An entry that waits.
    pub(super) fn get_mut(&mut self, place: &Place, rank: Rank) -> Option<&mut Entry> {
        self.lane(place)?.waiting.get_mut(&rank)
    }

    /// Removes an entry that waits.
    pub(super) fn remove(&mut self, place: &Place, rank: Rank) -> Option<Entry> {
        let removed = self.lane(place)?.waiting.remove(&rank);
        self.tidy(place);
        removed
    }

    /// Moves an entry that waits behind the urgent ones, and says where it is now.
    pub(super) fn promote(&mut self, place: &Place, rank: Rank) -> Option<Rank> {
        let urgent = Rank { is_due_only: false, number: self.next_turn() };
        let lane = self.lane(place)?;
        let entry = lane.waiting.remove(&rank)?;
        lane.waiting.insert(urgent, entry);
        Some(urgent)
    }

    /// Removes the entry whose turn it is, and counts it as running. At most `per_place` run in one lane.
    pub(super) fn take(&mut self, per_place: usize) -> Option<Entry> {
        let lanes = self.accounts.iter().flat_map(|(account, it)| {
            it.regions.iter().map(move |(region, lane)| (account, it.last_turn, region, lane))
        });
        let (_, account, region) = lanes
            .filter(|(_, _, _, lane)| lane.running < per_place)
            .filter_map(|(account, last_turn, region, lane)| {
                let (rank, _) = lane.waiting.first_key_value()?;
                Some(((rank.is_due_only, last_turn, lane.last_turn), account, region))
            })
            .min()?;
        let place = Place { account: account.clone(), region: region.clone() };

        let turn = self.next_turn();
        let account = self.accounts.get_mut(&place.account)?;
        account.last_turn = turn;
        let lane = account.regions.get_mut(&place.region)?;
        lane.last_turn = turn;
        let (_, entry) = lane.waiting.pop_first()?;
        lane.running = lane.running.saturating_add(1);
        Some(entry)
    }

    /// A scan in this place is over.
    pub(super) fn finish(&mut self, place: &Place) {
        if let Some(lane) = self.lane(place) {
            lane.running = lane.running.saturating_sub(1);
        }
        self.tidy(place);
    }

    /// Removes all that waits, the most urgent first and otherwise in the order in which it came.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let mut drained = Vec::new();
        for account in self.accounts.values_mut() {
            for lane in account.regions.values_mut() {
                drained.extend(std::mem::take(&mut lane.waiting));
            }
            account.regions.retain(|_, lane| lane.running > 0);
        }
        self.accounts.retain(|_, account| !account.regions.is_empty());
        drained.sort_by_key(|(rank, _)| *rank);
        drained.into_iter().map(|(_, entry)| entry).collect()
    }

    /// How many wait in each place: the urgent, and the others.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Place, usize, usize)> {
        self.accounts.iter().flat_map(|(account, it)| {
            it.regions.iter().filter(|(_, lane)| !lane.waiting.is_empty()).map(move |(region, lane)| {
                let place = Place { account: account.clone(), region: region.clone() };
                let urgent = lane.waiting.keys().take_while(|it| !it.is_due_only).count();
                (place, urgent, lane.waiting.len().saturating_sub(urgent))
            })
        })
    }

    /// Since when the one waits that waits longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let lanes = self.accounts.values().flat_map(|it| it.regions.values());
        lanes.flat_map(|it| it.waiting.values()).map(Entry::since).min()
    }

    fn lane(&mut self, place: &Place) -> Option<&mut Lane> {
        self.accounts.get_mut(&place.account)?.regions.get_mut(&place.region)
    }

    /// Forgets a place with nothing in it: tasks may name any number of accounts.
    fn tidy(&mut self, place: &Place) {
        if let Some(account) = self.accounts.get_mut(&place.account) {
            account.regions.retain(|_, lane| lane.running > 0 || !lane.waiting.is_empty());
            if account.regions.is_empty() {
                self.accounts.remove(&place.account);
            }
        }
    }

    fn next_turn(&mut self) -> u64 {
        self.turn = self.turn.saturating_add(1);
        self.turn
    }
}
