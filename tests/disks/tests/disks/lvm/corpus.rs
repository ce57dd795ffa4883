//! Seeds of the fuzz targets `members` and `lvm_text`: groups that the tools wrote. `cargo test --test disks corpus --
//! --ignored` makes them again.

use super::thin::{BLOCK, metadata};
use super::tools::{MIB, Machine, Text};
use crate::corpus::{write, write_encoded};
use agentless_disk_tests::image::can_mount;

/// Two disks, one behind the other.
fn both(machine: &Machine) -> Vec<u8> {
    machine.images.iter().flat_map(|image| std::fs::read(image).unwrap()).collect()
}

#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_the_seeds_of_lvm() {
    assert!(can_mount());
    let machine = Machine::with_disks_of(16, 2);
    machine.lvm(&format!("vgcreate -s 1m system {}", machine.devices().join(" ")));
    machine.lvm("lvcreate -an -Zn -Wn -y -n root -l 5 system");
    machine.lvm("lvcreate -an -Zn -Wn -y -n striped -i 2 -I 64k -l 4 system");
    machine.lvm("lvcreate -an -Zn -Wn -y -n chunks --type raid0 -i 2 -l 4 system");
    write("members", "lvm-striped", &both(&machine));
    let path = machine.workspace.path("backup");
    machine.lvm(&format!("vgcfgbackup -f {} system", path.display()));
    write_encoded("lvm_text", "striped", &std::fs::read(&path).unwrap());

    let machine = Machine::with_disks_of(16, 2);
    let mut text = Text::default();
    let segment = "type = \"thin-pool\" metadata = \"pool_tmeta\" pool = \"pool_tdata\" transaction_id = 1 \
                   chunk_size = 128 discards = \"passdown\" zero_new_blocks = 1";
    text.visible("pool", 4, segment);
    let metadata_at = text.hidden("pool_tmeta", 0, 4);
    text.hidden("pool_tdata", 0, 4);
    let thin = "type = \"thin\" thin_pool = \"pool\" transaction_id = 0 device_id = 1";
    text.visible("thin", 8, thin);
    let (segment, _) = text.linear(1, 4);
    text.visible("origin", 4, &segment);
    let (segment, store_at) = text.linear(1, 1);
    text.visible("snapshot", 1, &segment);
    let segment = "type = \"snapshot\" chunk_size = 8 origin = \"origin\" cow_store = \"snapshot\"";
    text.visible("snapshot0", 4, segment);
    let raids = "raids = [\"copy_rmeta_0\", \"copy_rimage_0\", \"copy_rmeta_1\", \"copy_rimage_1\"]";
    text.visible("copy", 1, &format!("type = \"raid1\" device_count = 2 region_size = 1024 {raids}"));
    for image in [0, 1] {
        text.hidden(&format!("copy_rmeta_{image}"), image, 1);
        text.hidden(&format!("copy_rimage_{image}"), image, 1);
    }
    let finished = text.finish(&machine);
    machine.restore("system", &finished);
    let mappings = (0..40).map(|block| (block * 3, block)).collect();
    let bytes = metadata(&machine, 4 * MIB / BLOCK, &[(1, mappings)]);
    machine.write(0, machine.data_start() + metadata_at * MIB, &bytes);
    let store = super::layers::store(4096, &[(3, vec![0; 4096]), (700, vec![0; 4096])]);
    machine.write(1, machine.data_start() + store_at * MIB, &store);
    write("members", "lvm-thin-snapshot-raid1", &both(&machine));
    let path = machine.workspace.path("backup");
    machine.lvm(&format!("vgcfgbackup -f {} system", path.display()));
    write_encoded("lvm_text", "thin-snapshot-raid1", &std::fs::read(&path).unwrap());
}
