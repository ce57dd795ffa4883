//! Making a report fit into the limits, so that a disk with too much of something does not cost the whole report.
//!
//! What is cut says so: a text ends with its length, a list with how many more there are, and a tree has an unknown about
//! what was left out of it. [`Assembly`](super::assembly::Assembly) takes whatever comes out of here.

use agentless_core::findings::{Findings, Gap};
use agentless_core::limits::Limits;
use agentless_core::number::{to_u64, to_usize};
use agentless_core::package::{Details, Package};
use agentless_core::report::{StorageReport, TreeReport};
use agentless_core::text::cut;

use super::texts::{MOST_SHORT, Room, Texts, longest_place, most_text, repeated};

/// Makes a report of any size one that fits into the limits and, part by part, into frames.
pub fn fit(report: &mut StorageReport, limits: &Limits) {
    let mut packages = Room::for_packages(limits);
    let mut places = Room::for_places(limits);
    let mut notes = Room::for_notes(limits);
    let longest = most_text(limits);

    for device in &mut report.devices {
        cut_all(device, MOST_SHORT);
        // Two lists are in one message.
        shorten(&mut device.problems, longest, &mut notes);
        shorten(&mut device.notes, longest, &mut notes);
    }
    for filesystem in &mut report.filesystems {
        cut_all(filesystem, MOST_SHORT);
        shorten(&mut filesystem.features, longest, &mut notes);
    }
    let place = longest_place(&report.devices, &report.filesystems);
    notes.each = place;
    for tree in &mut report.trees {
        let TreeReport {
            is_system: _,
            agent_lists_packages: _,
            container,
            mounts,
            unmounted,
            findings,
            held_by,
        } = tree;
        let Findings { operating_system, packages: installed, gaps, sources } = findings;
        cut_all(operating_system, MOST_SHORT);
        cut_all(container, MOST_SHORT);
        if let Some(container) = container {
            shorten(&mut container.tags, longest, &mut notes);
            shorten(&mut container.layers, longest, &mut notes);
        }
        packages.each = place.saturating_add(repeated(operating_system.as_ref()));
        // The root is what the tree is.
        let mut is_root = true;
        let lost_mounts = lose(mounts, |mount| {
            if std::mem::take(&mut is_root) {
                cut_all(mount, MOST_SHORT);
                return true;
            }
            takes(mount, longest, &mut notes)
        });
        let lost = [
            // A package whose name or version is cut would be another package.
            (lose(installed, |package| keeps(package, longest, &mut packages)), "packages"),
            (lose(gaps, |gap| takes(gap, longest, &mut notes)), "unknowns"),
            (lose(unmounted, |entry| takes(entry, longest, &mut notes)), "filesystems that are not mounted"),
            (lost_mounts, "filesystems that are mounted"),
            (lose(sources, |source| takes(source, longest, &mut notes)), "package databases"),
        ];
        held_by.retain(|path, _| {
            let length = to_u64(path.len());
            length <= longest && places.take(length)
        });
        let lost: Vec<_> = lost
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !lost.is_empty() {
            let reason = format!("left out of the report, which the limits keep small: {}", lost.join(", "));
            gaps.push(Gap::new(None, None, reason));
        }
    }
}

fn cut_all(item: &mut impl Texts, most: u64) {
    item.texts(&mut |text| cut(text, to_usize(most)));
}

/// Whether there is room for an item, whose texts may be cut.
fn takes(item: &mut impl Texts, longest: u64, room: &mut Room) -> bool {
    cut_all(item, longest);
    room.take(item.lengths().1)
}

/// Whether there is room for a package as it is. What it needs and its licences are not worth losing it for.
fn keeps(package: &mut Package, longest: u64, room: &mut Room) -> bool {
    /// Bytes of these lists. With a dozen texts beside them they are one message.
    const MOST: u64 = 48 << 10;

    let Details { licenses, depends_on, .. } = &mut package.details;
    for list in [licenses, depends_on] {
        let mut left = MOST;
        list.retain(|text| {
            let length = to_u64(text.len());
            // A message has some bytes for each text beside itself.
            let rest = left.checked_sub(length.saturating_add(5)).filter(|_| length <= longest);
            left = rest.unwrap_or(left);
            rest.is_some()
        });
    }
    let (length, sum) = package.lengths();
    length <= longest && room.take(sum)
}

/// Keeps the items that `keep` says, and counts the others.
fn lose<T>(items: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> usize {
    let before = items.len();
    items.retain_mut(keep);
    before.saturating_sub(items.len())
}

/// Makes a list that is a part of one item fit, and says at its end how many texts it lost.
fn shorten(list: &mut Vec<String>, longest: u64, room: &mut Room) {
    /// Bytes of a list in a message. Two of them, with all else that a device has, are in one.
    const MOST: u64 = 96 << 10;
    /// Bytes of a message that a text has beside itself.
    const HEAD: u64 = 5;

    let mut left = MOST;
    let more = lose(list, |text| {
        cut(text, to_usize(longest));
        let length = to_u64(text.len());
        let Some(rest) = left.checked_sub(length.saturating_add(HEAD)) else { return false };
        let has_room = room.take(length);
        if has_room {
            left = rest;
        }
        has_room
    });
    if more > 0 {
        list.push(format!("… ({more} more)"));
    }
}

#[cfg(test)]
mod tests {
    use agentless_core::report::{DeviceReport, MountReport};

    use super::super::samples;
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_its_length() {
        let mut text = "é".repeat(100);
        cut(&mut text, 200);
        assert_eq!(text, "é".repeat(100));
        cut(&mut text, 41);
        assert_eq!(text, format!("{}… (200 bytes)", "é".repeat(13)));
        assert!(text.len() <= 41);
    }

    #[test]
    fn a_device_with_too_many_problems_keeps_the_first_of_them() {
        let mut report = samples::report();
        let device: &mut DeviceReport = report.devices.last_mut().unwrap();
        device.problems = (0..100_000).map(|number| format!("problem {number}")).collect();
        fit(&mut report, &Limits::default());
        let problems = &report.devices.last().unwrap().problems;
        assert_eq!(problems[0], "problem 0");
        let kept = problems.len() - 1;
        assert!(kept > 1000);
        assert_eq!(problems[kept], format!("… ({} more)", 100_000 - kept));
    }

    #[test]
    fn a_reason_of_megabytes_is_cut_and_the_rest_of_the_report_stays() {
        let mut report = samples::report();
        let gap = Gap { path: None, extractor: None, reason: "r".repeat(2 << 20) };
        report.trees[0].findings.gaps.insert(0, gap);
        let before = report.clone();
        fit(&mut report, &Limits::default());
        let reason = &report.trees[0].findings.gaps[0].reason;
        assert!(reason.len() <= 16 << 10);
        assert!(reason.ends_with("… (2097152 bytes)"));
        assert_eq!(report.trees[0].findings.packages, before.trees[0].findings.packages);
        assert_eq!(report.devices, before.devices);
    }

    #[test]
    fn what_is_left_out_of_a_tree_is_an_unknown_of_it() {
        let mut report = samples::report();
        let tree = &mut report.trees[0];
        let mount = MountReport { path: "/srv".to_owned(), filesystem: 0, part: None, assumed: None };
        tree.mounts.push(mount);
        let package = tree.findings.packages[0].clone();
        tree.findings.packages.extend([package.clone(), package]);
        tree.findings.packages[1].version = "9".repeat(20_000);
        let kept = tree.findings.packages[0].clone();
        fit(&mut report, &Limits { packages: 1, notes: 0, ..Limits::default() });
        let tree = &report.trees[0];
        assert_eq!(tree.findings.packages, [kept]);
        assert_eq!(tree.mounts.len(), 1);
        let reasons: Vec<_> = tree.findings.gaps.iter().map(|gap| &*gap.reason).collect();
        assert_eq!(
            reasons,
            ["left out of the report, which the limits keep small: 2 packages, 1 unknowns, \
              1 filesystems that are not mounted, 1 filesystems that are mounted, 1 package databases"]
        );
    }
}
