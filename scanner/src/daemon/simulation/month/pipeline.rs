//! What happens to the group from outside: an image each day, zones without capacity, hosts that fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::DAYS;
use super::group::{BAKE, Group, Version};
use super::instance::{Fleet, Quality};

/// The images, and which of them the pointer `current` names.
#[derive(Debug)]
pub(super) struct Images {
    all: Mutex<Vec<Quality>>,
    current: Mutex<Version>,
}

const DAY: Duration = Duration::from_hours(24);
/// How often it is looked whether something has ended.
const LOOK: Duration = Duration::from_secs(15);

impl Images {
    /// One image, which is good.
    pub(super) fn new() -> Self {
        Self { all: Mutex::new(vec![Quality::Good]), current: Mutex::new(0) }
    }

    pub(super) fn quality(&self, version: Version) -> Quality {
        self.all.lock().unwrap()[version]
    }

    pub(super) fn all(&self) -> Vec<Quality> {
        self.all.lock().unwrap().clone()
    }

    pub(super) fn current(&self) -> Version {
        *self.current.lock().unwrap()
    }

    /// A new image, in a new version of the launch template.
    fn publish(&self, quality: Quality) -> Version {
        let mut all = self.all.lock().unwrap();
        all.push(quality);
        all.len() - 1
    }
}

/// Builds an image each day, applies it, and makes it the current one when that has succeeded.
pub(super) async fn deliver(fleet: &Fleet, images: &Images, mut random: fastrand::Rng) {
    let start = Instant::now();
    let (group, ledger) = (&fleet.group, &fleet.account.ledger);
    // One that never gets healthy, and one that does not stay so: on different days.
    let bad = random.u32(1..DAYS);
    let short_lived =
        (1..DAYS).filter(|day| *day != bad).nth(random.usize(0..usize::try_from(DAYS).unwrap() - 2));
    for day in 0..DAYS {
        let hours = Duration::from_secs(random.u64(0..16 * 3600));
        sleep_until(start + DAY * day + hours).await;
        let quality = if day == bad {
            if random.bool() { Quality::Broken } else { Quality::Stuck }
        } else if Some(day) == short_lived {
            Quality::DiesAfter(Duration::from_secs(random.u64(60..BAKE.as_secs() * 2 / 3)))
        } else if random.u32(0..6) == 0 {
            // Nothing was built today.
            continue;
        } else {
            Quality::Good
        };
        let version = images.publish(quality);
        let refresh = async {
            while !group.is_settled() || !group.has_capacity() || !group.start_refresh(version) {
                sleep(LOOK).await;
            }
            loop {
                match group.refreshed() {
                    Some(is_success) => break is_success,
                    None => sleep(LOOK).await,
                }
            }
        };
        let Ok(is_success) = tokio::time::timeout(DAY, refresh).await else {
            ledger.violation(format!("the refresh to image {version}, {quality:?}, does not end"));
            return;
        };
        if is_success != (quality == Quality::Good) {
            ledger.violation(format!("image {version} is {quality:?}; its refresh succeeded: {is_success}"));
        }
        if is_success {
            *images.current.lock().unwrap() = version;
        }
        if group.version() != images.current() {
            let text = format!("the group launches {}, not {}", group.version(), images.current());
            ledger.violation(text);
        }
    }
}

/// Zones lose their capacity for hours: one, two, or for a short time all of them, which nothing new is started in.
pub(super) async fn zones(group: &Arc<Group>, mut random: fastrand::Rng, end: Instant) {
    while Instant::now() < end {
        sleep(Duration::from_mins(random.u64(120..1800))).await;
        let mut zones = [true; 3];
        let lost = random.usize(1..4);
        if lost == 3 && !group.is_settled() {
            continue;
        }
        for zone in zones.iter_mut().take(lost) {
            *zone = false;
        }
        group.set_zones(zones);
        let most = if lost == 3 { 60 } else { 600 };
        sleep(Duration::from_mins(random.u64(10..most))).await;
        group.set_zones([true; 3]);
    }
}

/// Now and then a host fails, while nothing else is going on: who loses one of two things at once has lost both.
pub(super) async fn hosts(fleet: &Fleet, mut random: fastrand::Rng, end: Instant) {
    loop {
        sleep(Duration::from_hours(random.u64(48..200))).await;
        if Instant::now() >= end {
            return;
        }
        if fleet.group.is_settled()
            && fleet.group.has_capacity()
            && let [(id, _)] = fleet.group.in_service()[..]
        {
            fleet.strike(id);
        }
    }
}
