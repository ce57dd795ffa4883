//! Volumes made of volumes: mirrors, RAID, caches and snapshots of the older kind. Their groups are written as text,
//! because the tools make them with device-mapper only; the tools check the text and report what they see in it.

use super::tools::{MIB, Machine, Text, content, pattern, reason, volume};
use agentless_disk_tests::image::can_mount;

/// A record of device-mapper's `raid` target.
fn raid_record(events: u64, failed: u64, recovered: u64) -> Vec<u8> {
    let mut record = vec![0; 4096];
    record[..4].copy_from_slice(b"DmRd");
    record[16..24].copy_from_slice(&events.to_le_bytes());
    record[24..32].copy_from_slice(&failed.to_le_bytes());
    record[32..40].copy_from_slice(&recovered.to_le_bytes());
    record
}

/// A RAID volume with images on the disks from 0 on: for each image, where its record and its data are.
fn raid(text: &mut Text, name: &str, kind: &str, images: usize, extents: u64, each: u64) -> Vec<(u64, u64)> {
    let names: Vec<_> =
        (0..images).map(|image| format!("\"{name}_rmeta_{image}\", \"{name}_rimage_{image}\"")).collect();
    let geometry = match kind {
        "raid1" => "region_size = 4096",
        "raid0_meta" => "stripe_size = 128",
        _ => "region_size = 4096 stripe_size = 128",
    };
    text.visible(
        name,
        extents,
        &format!("type = \"{kind}\" device_count = {images} {geometry} raids = [{}]", names.join(", ")),
    );
    (0..images)
        .map(|image| {
            let record = text.hidden(&format!("{name}_rmeta_{image}"), image, 1);
            (record, text.hidden(&format!("{name}_rimage_{image}"), image, each))
        })
        .collect()
}

/// The kinds that the tools see, by name.
fn kinds(machine: &Machine) -> Vec<(String, String)> {
    let report = machine.report("lvs system", &["lv_name", "seg_type"]);
    report.into_iter().map(|line| (line[0].clone(), line[1].clone())).collect()
}

#[test]
fn mirrors_and_raid_are_read_from_a_current_image() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(4);
    let mut text = Text::default();
    let fresh = raid(&mut text, "fresh", "raid1", 2, 4, 4);
    let used = raid(&mut text, "used", "raid1", 2, 4, 4);
    let ten = raid(&mut text, "ten", "raid10", 4, 6, 3);
    let meta = raid(&mut text, "meta", "raid0_meta", 2, 4, 2);
    raid(&mut text, "five", "raid5_ls", 3, 4, 2);
    let mirror = "type = \"mirror\" mirror_count = 2 region_size = 2048 \
                  mirrors = [\"old_mimage_0\", 0, \"old_mimage_1\", 0]";
    text.visible("old", 3, mirror);
    let old = [text.hidden("old_mimage_0", 0, 3), text.hidden("old_mimage_1", 1, 3)];
    machine.restore("system", &text.finish(&machine));
    assert_eq!(
        kinds(&machine),
        [
            ("five", "raid5_ls"),
            ("fresh", "raid1"),
            ("meta", "raid0_meta"),
            ("old", "mirror"),
            ("ten", "raid10"),
            ("used", "raid1")
        ]
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
    );

    let start = machine.data_start();
    let place = |extent: u64| start + extent * MIB;
    let whole = u64::MAX;
    // Never in use: the first image has the data.
    machine.write(0, place(fresh[0].1), &pattern(1, 4 * MIB));
    // The first image failed, the second one went on.
    machine.write(0, place(used[0].0), &raid_record(5, 0, whole));
    machine.write(1, place(used[1].0), &raid_record(9, 0b01, whole));
    machine.write(0, place(used[0].1), &pattern(2, 4 * MIB));
    machine.write(1, place(used[1].1), &pattern(3, 4 * MIB));
    // Of each pair one: the second image is being filled, the third one failed.
    for (image, events, recovered) in [(0, 7, whole), (1, 7, 0), (2, 6, whole), (3, 7, whole)] {
        machine.write(image, place(ten[image].0), &raid_record(events, 0b0100, recovered));
    }
    let striped = pattern(4, 6 * MIB);
    for (index, chunk) in (0..).zip(striped.chunks(64 << 10)) {
        let image = [0, 3][usize::try_from(index % 2).unwrap()];
        machine.write(image, place(ten[image].1) + index / 2 * (64 << 10), chunk);
    }
    let turns = pattern(5, 4 * MIB);
    for (index, chunk) in (0..).zip(turns.chunks(64 << 10)) {
        let image = usize::try_from(index % 2).unwrap();
        machine.write(image, place(meta[image].1) + index / 2 * (64 << 10), chunk);
    }
    machine.write(0, place(old[0]), &pattern(6, 3 * MIB));

    let group = machine.group();
    for (name, expected) in [
        ("fresh", pattern(1, 4 * MIB)),
        ("used", pattern(3, 4 * MIB)),
        ("ten", striped),
        ("meta", turns),
        ("old", pattern(6, 3 * MIB)),
    ] {
        assert!(content(&*volume(&group, name)) == expected, "{name}");
    }
    assert_eq!(reason(&group, "five"), "a logical volume of type raid5_ls is not supported");

    // Without the disk of one image the other one is read, also where nothing else is known of it.
    let mut groups = machine.groups(&[1, 2, 3]);
    let group = groups.remove(0);
    assert_eq!(content(&*volume(&group, "fresh")).len(), 4 << 20);
    assert!(content(&*volume(&group, "used")) == pattern(3, 4 * MIB));
    assert_eq!(
        reason(&group, "ten"),
        "physical volume diskNo-0000-0000-0000-0000-0000-000000 is missing",
        "the other image of the first pair is not filled"
    );
}

#[test]
fn a_cache_is_passed_over_where_the_origin_has_everything() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(2);
    let mut text = Text::default();
    let mut origins = Vec::new();
    for mode in ["writethrough", "writeback"] {
        let segment = format!("type = \"cache\" cache_pool = \"{mode}_pool\" origin = \"{mode}_corig\"");
        text.visible(mode, 4, &segment);
        origins.push(text.hidden(&format!("{mode}_corig"), 0, 4));
        let segment = format!(
            "type = \"cache-pool\" data = \"{mode}_pool_cdata\" metadata = \"{mode}_pool_cmeta\" chunk_size = 128 \
             metadata_format = 2 cache_mode = \"{mode}\" policy = \"smq\""
        );
        text.add(&format!("{mode}_pool"), "\"READ\", \"WRITE\"", 2, &segment);
        text.hidden(&format!("{mode}_pool_cdata"), 1, 2);
        text.hidden(&format!("{mode}_pool_cmeta"), 1, 1);
    }
    machine.restore("system", &text.finish(&machine));
    machine.write(0, machine.data_start() + origins[0] * MIB, &pattern(1, 4 * MIB));
    let group = machine.group();
    assert!(content(&*volume(&group, "writethrough")) == pattern(1, 4 * MIB));
    assert_eq!(
        reason(&group, "writeback"),
        "a volume with a cache in the mode writeback, whose own data is out of date, is not supported"
    );
    let shown: Vec<_> = group.logical_volumes.iter().filter(|lv| lv.visible).map(|lv| &lv.name).collect();
    assert_eq!(shown, ["writethrough", "writeback"]);
}

/// The store of a snapshot: a header, then areas of exceptions each with their chunks behind it.
fn store(chunk: usize, exceptions: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut store = vec![0; chunk];
    for (at, value) in [(0, 0x7041_6e53), (4, 1), (8, 1), (12, u32::try_from(chunk / 512).unwrap())] {
        store[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    for area in exceptions.chunks(chunk / 16) {
        let first = store.len() / chunk + 1;
        let mut table = vec![0; chunk];
        for (index, (old, _)) in area.iter().enumerate() {
            table[index * 16..index * 16 + 8].copy_from_slice(&old.to_le_bytes());
            let new = u64::try_from(first + index).unwrap();
            table[index * 16 + 8..index * 16 + 16].copy_from_slice(&new.to_le_bytes());
        }
        store.extend(table);
        store.extend(area.iter().flat_map(|(_, content)| content));
    }
    // The area behind the last one that is full was cleared when that one was filled.
    store.extend(vec![0; chunk]);
    store
}

/// A chunk of a snapshot, in bytes.
const CHUNK: usize = 4096;

#[test]
fn snapshots_of_the_older_kind_show_the_origin_as_it_was() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(2);
    let mut text = Text::default();
    let (segment, origin) = text.linear(0, 8);
    text.visible("origin", 8, &segment);
    let mut stores = Vec::new();
    for name in ["before", "full"] {
        let (segment, at) = text.linear(1, 4);
        text.visible(name, 4, &segment);
        stores.push(at);
        let segment =
            format!("type = \"snapshot\" chunk_size = 8 origin = \"origin\" cow_store = \"{name}\"");
        text.visible(&format!("snapshot_{name}"), 8, &segment);
    }
    let (segment, target) = text.linear(0, 8);
    text.visible("target", 8, &segment);
    let (segment, merging) = text.linear(1, 4);
    text.visible("merging", 4, &segment);
    let segment = "type = \"snapshot\" chunk_size = 8 origin = \"target\" merging_store = \"merging\"";
    text.visible("snapshot_merging", 8, segment);
    machine.restore("system", &text.finish(&machine));

    let now = pattern(1, 8 * MIB);
    let mut then = now.clone();
    // More than one area: each has 256 exceptions. In an order that is not theirs.
    let exceptions: Vec<(u64, Vec<u8>)> = (0..600)
        .map(|index| {
            let chunk = index * 1237 % 2048;
            let old = pattern(100 + index, u64::try_from(CHUNK).unwrap());
            let at = usize::try_from(chunk).unwrap() * CHUNK;
            then[at..at + CHUNK].copy_from_slice(&old);
            (chunk, old)
        })
        .collect();
    let start = machine.data_start();
    machine.write(0, start + origin * MIB, &now);
    machine.write(0, start + target * MIB, &now);
    let valid = store(CHUNK, &exceptions);
    machine.write(1, start + stores[0] * MIB, &valid);
    machine.write(1, start + merging * MIB, &valid);
    let mut invalid = valid;
    invalid[4] = 0;
    machine.write(1, start + stores[1] * MIB, &invalid);

    let group = machine.group();
    assert!(content(&*volume(&group, "origin")) == now);
    assert!(content(&*volume(&group, "before")) == then);
    assert!(content(&*volume(&group, "target")) == then, "it is becoming what the snapshot is");
    assert_eq!(
        reason(&group, "full"),
        "the snapshot's store is damaged: it was marked invalid, as when it was full"
    );
    let shown: Vec<_> = group
        .logical_volumes
        .iter()
        .filter(|lv| lv.visible)
        .map(|lv| (lv.name.clone(), lv.kind.clone(), lv.size))
        .collect();
    let expected =
        [("origin", "striped"), ("before", "snapshot"), ("full", "snapshot"), ("target", "striped")];
    assert_eq!(shown, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned(), 8 * MIB)));
    let mut tools: Vec<_> = machine.report("lvs system", &["lv_name"]).concat();
    let mut ours: Vec<_> = shown.into_iter().map(|(name, ..)| name).collect();
    tools.sort();
    ours.sort();
    assert_eq!(tools, ours);
}
