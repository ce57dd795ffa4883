//! Thin pools whose metadata the pool's own tools write from XML: `thin_restore`, and `thin_check` as a judge.

use std::fmt::Write as _;
use std::process::Command;

use agentless_analyser::fs;
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::Volume;

use super::tools::{MIB, Machine, Text, content, pattern, reason, volume};
use agentless_disk_tests::image::{Mount, can_mount, run};
use agentless_disk_tests::{fill, manifest};

pub(super) const BLOCK: u64 = 64 << 10;

/// A thin volume: its number, and its blocks with the data blocks that they are in.
pub(super) type Device = (u64, Vec<(u64, u64)>);

/// The metadata of a pool, in `MIB` bytes.
pub(super) fn metadata(machine: &Machine, data_blocks: u64, devices: &[Device]) -> Vec<u8> {
    let mut xml = format!(
        "<superblock uuid=\"\" time=\"3\" transaction=\"1\" version=\"2\" data_block_size=\"{}\" \
         nr_data_blocks=\"{data_blocks}\">\n",
        BLOCK / 512
    );
    for (number, blocks) in devices {
        let count = blocks.len();
        writeln!(
            xml,
            "<device dev_id=\"{number}\" mapped_blocks=\"{count}\" transaction=\"0\" creation_time=\"0\" snap_time=\"2\">"
        )
        .unwrap();
        for (block, data) in blocks {
            writeln!(
                xml,
                "<single_mapping origin_block=\"{block}\" data_block=\"{data}\" time=\"{}\"/>",
                block % 3
            )
            .unwrap();
        }
        xml += "</device>\n";
    }
    xml += "</superblock>\n";
    let (source, target) = (machine.workspace.path("thin.xml"), machine.workspace.path("thin.bin"));
    std::fs::write(&source, xml).unwrap();
    std::fs::File::create(&target).unwrap().set_len(METADATA * MIB).unwrap();
    run(Command::new("thin_restore").arg("-i").arg(&source).arg("-o").arg(&target));
    run(Command::new("thin_check").arg(&target));
    std::fs::read(target).unwrap()
}

/// Extents of the metadata volume.
const METADATA: u64 = 4;

/// A pool whose data is on two disks, and where its metadata and its data are.
fn pool(text: &mut Text) -> u64 {
    let segment = "type = \"thin-pool\" metadata = \"pool_tmeta\" pool = \"pool_tdata\" transaction_id = 1 \
                   chunk_size = 128 discards = \"passdown\" zero_new_blocks = 1";
    text.visible("pool", 32, segment);
    let metadata = text.hidden("pool_tmeta", 0, METADATA);
    let (_, first) = text.linear(0, 16);
    let (_, second) = text.linear(1, 16);
    assert_eq!((first, second), (METADATA, 0));
    let stripes = format!(
        "type = \"striped\" stripe_count = 2 stripe_size = 512 stripes = [\"pv0\", {first}, \"pv1\", {second}]"
    );
    text.add("pool_tdata", "\"READ\", \"WRITE\"", 32, &stripes);
    metadata
}

/// Writes to the pool's data: stripes of 256 KiB on two disks.
fn write_data(machine: &Machine, block: u64, bytes: &[u8]) {
    let chunk = block * BLOCK / (256 << 10);
    let disk = usize::try_from(chunk % 2).unwrap();
    let first = if disk == 0 { METADATA * MIB } else { 0 };
    let offset = chunk / 2 * (256 << 10) + block * BLOCK % (256 << 10);
    machine.write(disk, machine.data_start() + first + offset, bytes);
}

/// All data blocks of the pool, in an order that jumps about.
fn shuffled() -> impl Iterator<Item = u64> {
    (0..512).map(|index| index * 199 % 512)
}

#[test]
fn a_filesystem_on_a_thin_volume_equals_the_kernels() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(2);
    let mut text = Text::default();
    let metadata_at = pool(&mut text);
    text.visible("root", 64, "type = \"thin\" thin_pool = \"pool\" transaction_id = 0 device_id = 7");
    machine.restore("system", &text.finish(&machine));

    let image = machine.workspace.format("image", 64 * MIB, &["mkfs.ext4"]);
    fill::fill(Mount::writable(&image).path(), 100);
    let kernel = manifest::of_kernel(Mount::read_only(&image).path());
    let bytes = std::fs::read(&image).unwrap();
    // As if each block had been written when the pool had others to serve.
    let written = bytes.chunks(usize::try_from(BLOCK).unwrap()).zip(0..);
    let written = written.filter(|(block, _)| block.iter().any(|&byte| byte != 0));
    let mut mappings = Vec::new();
    for ((block, number), data) in written.zip(shuffled()) {
        write_data(&machine, data, block);
        mappings.push((number, data));
    }
    assert!(mappings.len() > 100, "{}", mappings.len());
    let bytes_of_metadata = metadata(&machine, 512, &[(7, mappings)]);
    machine.write(0, machine.data_start() + metadata_at * MIB, &bytes_of_metadata);

    let group = machine.group();
    assert!(content(&*volume(&group, "root")) == bytes);
    let ours = manifest::of_ours(fs::open(volume(&group, "root"), &Limits::default()).unwrap());
    manifest::assert_equal(&kernel, &ours, "thin volume");
    let shown: Vec<_> = group.logical_volumes.iter().filter(|lv| lv.visible).map(|lv| &lv.name).collect();
    assert_eq!(shown, ["root"]);
}

#[test]
fn snapshots_share_blocks_and_external_origins_show_through() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(2);
    let mut text = Text::default();
    let metadata_at = pool(&mut text);
    let (segment, image_at) = text.linear(1, 2);
    text.add("image", "\"READ\", \"VISIBLE\"", 2, &segment);
    let thin = |device: u64, more: &str| {
        format!("type = \"thin\" thin_pool = \"pool\" transaction_id = 0 device_id = {device} {more}")
    };
    text.visible("data", 8, &thin(1, ""));
    text.visible("snapshot", 8, &thin(2, "origin = \"data\""));
    text.visible("clone", 4, &thin(3, "external_origin = \"image\""));
    text.visible("lost", 4, &thin(4, ""));
    machine.restore("system", &text.finish(&machine));

    // 1 shares block 3 with its snapshot and has written block 5 since; the clone has block 1 of its own.
    let devices = [(1, vec![(3, 10), (5, 12)]), (2, vec![(3, 10), (5, 11)]), (3, vec![(1, 20)])];
    let bytes = metadata(&machine, 512, &devices);
    machine.write(0, machine.data_start() + metadata_at * MIB, &bytes);
    for block in [10, 11, 12, 20] {
        write_data(&machine, block, &pattern(block, BLOCK));
    }
    machine.write(1, machine.data_start() + image_at * MIB, &pattern(99, 2 * MIB));

    let group = machine.group();
    let expected = |size: u64, base: Vec<u8>, blocks: &[(u64, u64)]| {
        let mut expected = base;
        expected.resize(usize::try_from(size).unwrap(), 0);
        for (block, data) in blocks {
            let at = usize::try_from(block * BLOCK).unwrap();
            expected[at..at + usize::try_from(BLOCK).unwrap()].copy_from_slice(&pattern(*data, BLOCK));
        }
        expected
    };
    let show = |name: &str| content(&*volume(&group, name));
    assert!(show("data") == expected(8 * MIB, Vec::new(), &[(3, 10), (5, 12)]));
    assert!(show("snapshot") == expected(8 * MIB, Vec::new(), &[(3, 10), (5, 11)]));
    assert!(show("clone") == expected(4 * MIB, pattern(99, 2 * MIB), &[(1, 20)]), "shorter than the clone");
    assert_eq!(
        reason(&group, "lost"),
        "the metadata of the thin pool is damaged: it has no thin volume with the number 4"
    );
}

/// Trees of several levels: a mapping in every second block, so that nothing is contiguous.
#[test]
fn large_trees_lead_to_every_block() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(2);
    let mut text = Text::default();
    let metadata_at = pool(&mut text);
    let devices: Vec<Device> = (0..300)
        .map(|device| {
            let count = if device == 150 { 20_000 } else { device % 4 };
            (device * 5, (0..count).map(|block| (block * 2 + 1, (block * 7 + device) % 512)).collect())
        })
        .collect();
    let shown = || devices.iter().filter(|(device, _)| device % 50 == 0);
    for (device, _) in shown() {
        let segment = format!("type = \"thin\" thin_pool = \"pool\" transaction_id = 0 device_id = {device}");
        text.visible(&format!("thin{device}"), 20_000 * 2 * BLOCK / MIB, &segment);
    }
    machine.restore("system", &text.finish(&machine));
    for block in 0..512 {
        write_data(&machine, block, &(block + 1).to_le_bytes());
    }
    // A data block belongs to several devices here, as with snapshots.
    let bytes = metadata(&machine, 512, &devices);
    machine.write(0, machine.data_start() + metadata_at * MIB, &bytes);

    let group = machine.group();
    for (device, mappings) in shown() {
        let volume = volume(&group, &format!("thin{device}"));
        let mut number = [0; 8];
        for block in 0..10 {
            volume.read_at(block * BLOCK, &mut number).unwrap();
            let data = mappings.iter().find(|mapping| mapping.0 == block).map_or(0, |mapping| mapping.1 + 1);
            assert_eq!(u64::from_le_bytes(number), data, "block {block} of {device}");
        }
        for (block, data) in mappings {
            volume.read_at(block * BLOCK, &mut number).unwrap();
            assert_eq!(u64::from_le_bytes(number), data + 1, "block {block} of {device}");
        }
        volume.prefetch(std::slice::from_ref(&(0..volume.size())));
    }
}
