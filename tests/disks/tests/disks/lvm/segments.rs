//! What the tools make without device-mapper: linear volumes of several segments, striped ones, RAID0, zeros and errors.

use std::collections::BTreeMap;

use agentless_analyser::fs;
use agentless_analyser::limits::Limits;
use agentless_analyser::volume::Volume;

use super::tools::{MIB, Machine, content, pattern, volume};
use agentless_disk_tests::image::{Mount, can_mount};
use agentless_disk_tests::{fill, manifest};

/// A group of three disks with a volume of each kind.
fn machine() -> Machine {
    let machine = Machine::new(3);
    let disks = machine.devices().join(" ");
    machine.lvm(&format!("vgcreate -s 1m system {disks}"));
    let create = |options: &str| machine.lvm(&format!("lvcreate -an -Zn -Wn -y {options} system"));
    create("-n root -l 10");
    create("-n between -l 3");
    create("-n striped -i 3 -I 16k -l 9");
    for disk in [1, 0, 2] {
        machine.lvm(&format!("lvextend -l +16 system/root {}", machine.device(disk)));
    }
    machine.lvm("lvextend -i 2 -I 64k -l +4 system/striped");
    create("-n chunks --type raid0 -i 2 -I 32k -l 4");
    create("-n nothing --type zero -l 5");
    create("-n broken --type error -l 2");
    machine.lvm("lvrename system between var-log");
    machine
}

/// Where each segment of a volume is, as `lvs` prints it: its start and length in bytes, the size of its stripes, and the
/// part of each stripe: a device or a volume, and the first extent.
type Segments = Vec<(u64, u64, u64, Vec<(String, u64)>)>;

fn segments_by_the_tools(machine: &Machine) -> BTreeMap<String, Segments> {
    let fields = ["lv_name", "seg_start", "seg_size", "stripesize", "seg_le_ranges"];
    let mut volumes = BTreeMap::<String, Segments>::new();
    for line in machine.report("lvs -a system", &fields) {
        let name = |text: &str| text.trim_matches(['[', ']']).to_owned();
        let parts = line[4].split(',').filter(|range| !range.is_empty()).map(|range| {
            let (volume, extents) = range.rsplit_once(':').unwrap();
            (name(volume), extents.split_once('-').unwrap().0.parse().unwrap())
        });
        let number = |index: usize| line[index].parse().unwrap();
        volumes.entry(name(&line[0])).or_default().push((number(1), number(2), number(3), parts.collect()));
    }
    volumes
}

/// Writes to a volume where the tools say that it is.
fn write(machine: &Machine, volumes: &BTreeMap<String, Segments>, name: &str, offset: u64, bytes: &[u8]) {
    if let Some(disk) = machine.devices().iter().position(|device| *device == name) {
        return machine.write(disk, machine.data_start() + offset, bytes);
    }
    for (start, length, stripe_size, parts) in &volumes[name] {
        let step = if *stripe_size == 0 { *length } else { *stripe_size };
        let count = u64::try_from(parts.len()).unwrap();
        for chunk in 0..length / step {
            let (below, extent) = &parts[usize::try_from(chunk % count).unwrap()];
            let from = start + chunk * step;
            // The part of the chunk that is to be written, if there is one.
            let begin = from.max(offset);
            let end = (from + step).min(offset + u64::try_from(bytes.len()).unwrap());
            if begin < end {
                let index = |position: u64| usize::try_from(position - offset).unwrap();
                let place = extent * MIB + chunk / count * step + (begin - from);
                write(machine, volumes, below, place, &bytes[index(begin)..index(end)]);
            }
        }
    }
}

#[test]
fn names_sizes_and_identifiers_are_those_of_the_tools() {
    if !can_mount() {
        return;
    }
    let machine = machine();
    let ours = machine.group();
    let group = machine.report("vgs", &["vg_name", "vg_uuid", "vg_extent_size", "vg_seqno"]);
    let shown = [
        ours.name.clone(),
        ours.uuid.to_string(),
        ours.extent_size.to_string(),
        ours.sequence_number.to_string(),
    ];
    assert_eq!(group, [shown]);
    assert!(ours.problems.is_empty());

    let mut disks = machine.report("pvs", &["pv_name", "pv_uuid"]);
    disks.sort();
    let mut shown: Vec<_> = ours
        .physical_volumes
        .iter()
        .map(|pv| vec![pv.device.clone().unwrap(), pv.uuid.to_string()])
        .collect();
    shown.sort();
    assert_eq!(disks, shown);

    let mut volumes = machine.report("lvs -a system", &["lv_name", "lv_uuid", "lv_size"]);
    volumes.dedup();
    volumes.sort();
    let mut shown: Vec<_> = ours
        .logical_volumes
        .iter()
        .map(|lv| {
            let name = if lv.visible { lv.name.clone() } else { format!("[{}]", lv.name) };
            vec![name, lv.uuid.unwrap().to_string(), lv.size.to_string()]
        })
        .collect();
    shown.sort();
    assert_eq!(volumes, shown);
    assert_eq!(volumes.len(), 8);
}

#[test]
fn every_byte_is_where_the_tools_say() {
    if !can_mount() {
        return;
    }
    let machine = machine();
    let volumes = segments_by_the_tools(&machine);
    let names = ["root", "var-log", "striped", "chunks"];
    let group = machine.group();
    for (seed, name) in (1..).zip(names) {
        let size = volume(&group, name).size();
        write(&machine, &volumes, name, 0, &pattern(seed, size));
    }
    for (seed, name) in (1..).zip(names) {
        let volume = volume(&group, name);
        assert!(content(&*volume) == pattern(seed, volume.size()), "{name}");
    }
    assert!(content(&*volume(&group, "nothing")).iter().all(|&byte| byte == 0));
    let error = volume(&group, "broken").read_at(MIB, &mut [0; 512]).unwrap_err();
    assert_eq!(
        agentless_analyser::chain(&error),
        "could not find out where 512 bytes at offset 1048576 are stored: this part is mapped to the target `error`"
    );
}

#[test]
fn a_filesystem_on_a_logical_volume_equals_the_kernels() {
    if !can_mount() {
        return;
    }
    let machine = machine();
    let group = machine.group();
    let size = volume(&group, "root").size();
    let image = machine.workspace.format("image", size, &["mkfs.ext4"]);
    fill::fill(Mount::writable(&image).path(), 100);
    let kernel = manifest::of_kernel(Mount::read_only(&image).path());
    write(&machine, &segments_by_the_tools(&machine), "root", 0, &std::fs::read(&image).unwrap());
    let ours = manifest::of_ours(fs::open(volume(&group, "root"), &Limits::default()).unwrap());
    manifest::assert_equal(&kernel, &ours, "logical volume");
}
