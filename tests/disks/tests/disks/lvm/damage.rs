//! Groups of which a part is missing, damaged or old.

use std::sync::Arc;

use agentless_analyser::limits::Limits;
use agentless_analyser::volume::Volume;
use agentless_analyser::volume::lvm::PhysicalVolume;
use agentless_core::volume::FileVolume;

use super::tools::{MIB, Machine, content, pattern, reason, volume};
use agentless_disk_tests::image::can_mount;

#[test]
fn a_missing_disk_costs_only_what_is_on_it() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(3);
    machine.lvm(&format!("vgcreate -s 1m system {}", machine.devices().join(" ")));
    let create = |options: &str| machine.lvm(&format!("lvcreate -an -Zn -Wn -y {options}"));
    let [first, second, third] = [0, 1, 2].map(|disk| machine.device(disk));
    create(&format!("-n first -l 4 system {first}"));
    create(&format!("-n both -i 2 -l 4 system {first} {third}"));
    create(&format!("-n last -l 4 system {second}"));
    let start = machine.data_start();
    machine.write(0, start, &pattern(1, 4 * MIB));
    machine.write(1, start, &pattern(2, 4 * MIB));

    let missing = machine.report("pvs", &["pv_name", "pv_uuid"]);
    let missing = &missing.iter().find(|line| line[0] == third).unwrap()[1];
    let groups = machine.groups(&[1, 0]);
    let group = &groups[0];
    assert_eq!(group.problems, [format!("physical volume {missing} is missing")]);
    assert_eq!(
        group.physical_volumes.iter().map(|pv| pv.is_present).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert!(content(&*volume(group, "first")) == pattern(1, 4 * MIB));
    assert!(content(&*volume(group, "last")) == pattern(2, 4 * MIB));
    assert_eq!(reason(group, "both"), format!("physical volume {missing} is missing"));
}

#[test]
fn the_second_metadata_area_replaces_a_damaged_one() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(2);
    machine.lvm(&format!("pvcreate --metadatacopies 2 {}", machine.device(0)));
    machine.lvm(&format!("pvcreate --metadatacopies 0 {}", machine.device(1)));
    machine.lvm(&format!("vgcreate -s 1m system {}", machine.devices().join(" ")));
    machine.lvm("lvcreate -an -Zn -Wn -y -n root -i 2 -l 4 system");
    let whole = machine.group();
    assert_eq!(whole.physical_volumes.len(), 2);
    // The header of the first area, behind the label.
    machine.write(0, 4096 + 100, b"damage");
    let restored = machine.group();
    assert_eq!(restored.sequence_number, whole.sequence_number);
    assert_eq!(content(&*volume(&restored, "root")), content(&*volume(&whole, "root")));
    let disk: Arc<dyn Volume> = Arc::new(FileVolume::open(&machine.images[0]).unwrap());
    let pv = PhysicalVolume::read(&disk, &Limits::default()).unwrap().unwrap();
    assert_eq!(pv.problems, ["the LVM2 metadata area is damaged: the checksum of its header is wrong"]);
    assert_eq!(pv.group_name(), Some("system"));
}

/// What the tools call orphans: there is nothing on them.
#[test]
fn physical_volumes_without_a_group_are_none() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(1);
    machine.lvm(&format!("pvcreate --bootloaderareasize 1m {}", machine.device(0)));
    assert!(machine.groups(&[0]).is_empty());
    machine.lvm(&format!("vgcreate system {}", machine.device(0)));
    machine.lvm("vgremove system");
    assert!(machine.groups(&[0]).is_empty());
}

#[test]
fn the_newest_metadata_counts() {
    if !can_mount() {
        return;
    }
    let machine = Machine::new(2);
    machine.lvm(&format!("vgcreate -s 1m system {}", machine.devices().join(" ")));
    machine.lvm("lvcreate -an -Zn -Wn -y -n root -l 4 system");
    let old = std::fs::read(&machine.images[0]).unwrap();
    machine.lvm("lvrename system root data");
    machine.write(0, 0, &old[..usize::try_from(MIB).unwrap()]);
    for disks in [[0, 1], [1, 0]] {
        let groups = machine.groups(&disks);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].logical_volumes[0].name, "data");
    }
    let alone = machine.groups(&[0]);
    assert_eq!(alone[0].logical_volumes[0].name, "root");
    assert!(alone[0].problems[0].ends_with("is missing"), "{:?}", alone[0].problems);
}
