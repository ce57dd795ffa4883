//! Superblocks written field by field, which `mdadm` must read as they were meant.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use agentless_analyser::volume::Volume;
use agentless_analyser::volume::raid::{self, Array, Member};
use agentless_core::volume::FileVolume;

use crate::corpus;
use agentless_disk_tests::fill;
use agentless_disk_tests::image::{Workspace, can_mount, run};

const SECTOR: u64 = 512;
const KIB: u64 = 1 << 10;
/// Where the data begins in these members.
const DATA: u64 = 1 << 20;

/// `MD_DISK_ROLE_FAULTY` and `MD_DISK_ROLE_SPARE`
const FAULTY: u16 = 0xfffe;
const SPARE: u16 = 0xffff;
/// `MD_FEATURE_RECOVERY_OFFSET` and `MD_FEATURE_RAID0_LAYOUT`
const RECOVERY_OFFSET: u32 = 1 << 1;
const RAID0_LAYOUT: u32 = 1 << 12;

/// A member to be written.
#[derive(Clone)]
struct Description {
    version: Version,
    level: i32,
    /// What it means depends on the level.
    layout: u32,
    devices: u32,
    /// In bytes.
    chunk: u64,
    /// How much of each member is used.
    used: u64,
    data_size: u64,
    number: u32,
    /// `dev_roles`
    roles: Vec<u16>,
    features: u32,
    events: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Version {
    End,
    Start,
    FourKib,
}

impl Description {
    fn new(level: i32, devices: u16, number: u32, data_size: u64) -> Self {
        Self {
            version: Version::FourKib,
            level,
            layout: 0,
            devices: devices.into(),
            chunk: if level == 1 { 0 } else { 64 * KIB },
            used: if level > 0 { data_size } else { 0 },
            data_size,
            number,
            roles: (0..devices).collect(),
            features: 0,
            events: 20,
        }
    }

    /// Where the data begins.
    fn data(&self) -> u64 {
        if self.version == Version::End { 0 } else { DATA }
    }

    /// Writes a disk with this superblock and this data.
    fn write(&self, workspace: &Workspace, name: &str, data: &[u8]) -> PathBuf {
        let path = workspace.path(name);
        let file = File::create(&path).unwrap();
        let size = DATA + self.data_size + 128 * KIB;
        file.set_len(size).unwrap();
        let place = match self.version {
            Version::End => (size - 8 * KIB) & !0xfff,
            Version::Start => 0,
            Version::FourKib => 4 * KIB,
        };
        file.write_all_at(&self.superblock(place), place).unwrap();
        file.write_all_at(data, self.data()).unwrap();
        path
    }

    fn superblock(&self, place: u64) -> Vec<u8> {
        let mut superblock = vec![0; 256 + 2 * self.roles.len()];
        let mut put = |at: usize, bytes: &[u8]| superblock[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &0xa92b_4efc_u32.to_le_bytes());
        put(4, &1_u32.to_le_bytes());
        put(8, &self.features.to_le_bytes());
        put(16, &[0xa5; 16]);
        put(32, b"machine:data");
        put(64, &1_700_000_000_u64.to_le_bytes());
        put(72, &self.level.to_le_bytes());
        put(76, &self.layout.to_le_bytes());
        put(80, &(self.used / SECTOR).to_le_bytes());
        put(88, &u32::try_from(self.chunk / SECTOR).unwrap().to_le_bytes());
        put(92, &self.devices.to_le_bytes());
        put(128, &(self.data() / SECTOR).to_le_bytes());
        put(136, &(self.data_size / SECTOR).to_le_bytes());
        put(144, &(place / SECTOR).to_le_bytes());
        put(160, &self.number.to_le_bytes());
        put(168, &[u8::try_from(self.number).unwrap() + 1; 16]);
        put(192, &1_700_000_000_u64.to_le_bytes());
        put(200, &self.events.to_le_bytes());
        put(208, &u64::MAX.to_le_bytes());
        put(220, &u32::try_from(self.roles.len()).unwrap().to_le_bytes());
        for (index, role) in self.roles.iter().enumerate() {
            put(256 + 2 * index, &role.to_le_bytes());
        }
        let mut padded = superblock.clone();
        padded.resize(superblock.len().next_multiple_of(4), 0);
        let sum: u64 =
            padded.chunks(4).map(|word| u64::from(u32::from_le_bytes(word.try_into().unwrap()))).sum();
        let folded = u32::try_from((sum & 0xffff_ffff) + (sum >> 32)).unwrap();
        superblock[216..220].copy_from_slice(&folded.to_le_bytes());
        superblock
    }
}

/// What `mdadm` reads in a member, by the names that it prints.
fn examined(disk: &PathBuf) -> impl Fn(&str) -> String + use<> {
    let text = run(Command::new("mdadm").arg("--examine").arg(disk));
    move |field| {
        let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{field} :")));
        line.unwrap_or_else(|| panic!("no {field} in {text}")).split_once(" : ").unwrap().1.trim().to_owned()
    }
}

fn assemble(disks: &[PathBuf]) -> Array {
    let member = |disk: &PathBuf| {
        let volume: Arc<dyn Volume> = Arc::new(FileVolume::open(disk).unwrap());
        (Member::read(&volume).unwrap().unwrap(), volume)
    };
    let mut arrays = raid::assemble(disks.iter().map(member).collect());
    assert_eq!(arrays.len(), 1);
    arrays.remove(0)
}

fn content(array: &Array) -> Vec<u8> {
    let volume = array.volume.as_ref().unwrap();
    let mut content = vec![0; usize::try_from(volume.size()).unwrap()];
    let mut offset = 0;
    for piece in content.chunks_mut(100_003) {
        let length = u64::try_from(piece.len()).unwrap();
        volume.prefetch(std::slice::from_ref(&(offset..offset + length)));
        volume.read_at(offset, piece).unwrap();
        offset += length;
    }
    content
}

fn pattern(seed: u64, length: u64) -> Vec<u8> {
    fill::content(seed, usize::try_from(length).unwrap())
}

#[test]
fn superblocks_are_read_as_mdadm_reads_them() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    for (version, name) in [(Version::End, "1.0"), (Version::Start, "1.1"), (Version::FourKib, "1.2")] {
        let disks = [0, 1].map(|number| {
            let description = Description { version, ..Description::new(1, 2, number, 4096 * KIB) };
            description.write(&workspace, &format!("disk{number}"), &pattern(1, 4096 * KIB))
        });
        let field = examined(&disks[1]);
        assert!(field("Checksum").ends_with(" - correct"), "{}", field("Checksum"));
        let array = assemble(&disks);
        assert_eq!(array.problems, [""; 0]);
        assert_eq!(array.version.to_string(), field("Version"));
        assert_eq!(array.version.to_string(), name);
        assert_eq!(array.uuid, field("Array UUID"));
        assert_eq!(array.name, field("Name"));
        assert_eq!(array.level.unwrap().to_string().to_lowercase(), field("Raid Level"));
        assert_eq!(array.devices.unwrap().to_string(), field("Raid Devices"));
        let size = field("Array Size");
        let kib: u64 = size.split_once(' ').unwrap().0.parse().unwrap();
        assert_eq!(array.volume.as_ref().unwrap().size(), kib * KIB);
        assert!(content(&array) == pattern(1, 4096 * KIB), "{name}");
    }
}

#[test]
fn raid1_is_read_from_a_member_that_is_up_to_date() {
    if !can_mount() {
        return;
    }
    let size = 1024 * KIB;
    let workspace = Workspace::new();
    let write = |number: u32, seed, change: &dyn Fn(&mut Description)| {
        let mut description = Description::new(1, 3, number, size);
        change(&mut description);
        description.write(&workspace, &format!("disk{number}"), &pattern(seed, size))
    };
    let old = write(0, 1, &|member| member.events = 10);
    let rebuilding = write(1, 2, &|member| member.features = RECOVERY_OFFSET);
    let current = write(2, 3, &|member| member.roles = vec![FAULTY, 1, 2]);
    let spare = write(3, 4, &|member| member.roles = vec![FAULTY, 1, 2, SPARE]);
    let disks = [old.clone(), rebuilding.clone(), current, spare.clone()];
    for disk in &disks {
        assert!(examined(disk)("Checksum").ends_with(" - correct"));
    }
    assert_eq!(examined(&spare)("Device Role"), "spare");
    let array = assemble(&disks);
    assert!(content(&array) == pattern(3, size));
    assert_eq!(
        array.problems,
        [
            "member 01010101:01010101:01010101:01010101 is out of date: it has seen 10 events, others 20",
            "member 02020202:02020202:02020202:02020202 is not rebuilt yet",
            "member 04040404:04040404:04040404:04040404 is a spare",
            "1 of its 3 members are present and up to date",
        ]
    );
    let array = assemble(&[old, rebuilding, spare]);
    assert_eq!(array.volume.unwrap_err().to_string(), "a member with all of the data is missing");
}

/// RAID0 with members of these sizes in chunks, in the words of its definition: every row has a chunk of each member that is
/// long enough.
fn rows(sizes: &[u64], rotates: bool) -> Vec<(usize, u64)> {
    let mut places = Vec::new();
    let mut zone_start = 0;
    let mut bounds: Vec<u64> = sizes.to_vec();
    bounds.sort_unstable();
    bounds.dedup();
    let mut row = 0;
    for bound in bounds {
        let members: Vec<usize> = (0..sizes.len()).filter(|&member| sizes[member] >= bound).collect();
        while row < bound {
            for turn in 0..members.len() {
                // The original layout counts chunks from the start of the array, also to choose the member.
                let turn = if rotates { (turn + zone_start) % members.len() } else { turn };
                places.push((members[turn], row));
            }
            row += 1;
        }
        zone_start = places.len();
    }
    places
}

#[test]
fn raid0_has_a_zone_for_each_size_of_its_members() {
    if !can_mount() {
        return;
    }
    let chunk = 64 * KIB;
    for (sizes, layout) in [
        (&[5, 5, 5][..], 0),
        (&[5, 5, 5], 1),
        (&[4, 9, 7, 7], 1),
        (&[4, 9, 7, 7], 2),
        (&[3, 1, 8], 1),
        (&[3, 1, 8], 2),
    ] {
        let workspace = Workspace::new();
        let places = rows(sizes, layout == 1);
        let whole = pattern(1, u64::try_from(places.len()).unwrap() * chunk);
        let mut members: Vec<Vec<u8>> =
            sizes.iter().map(|&size| vec![0; usize::try_from(size * chunk).unwrap()]).collect();
        for (&(member, row), content) in places.iter().zip(whole.chunks(usize::try_from(chunk).unwrap())) {
            let at = usize::try_from(row * chunk).unwrap();
            members[member][at..at + content.len()].copy_from_slice(content);
        }
        let disks: Vec<PathBuf> = (0..)
            .zip(&members)
            .map(|(number, data)| {
                // A size that is no multiple of the chunk's: the rest is not used.
                let size = u64::try_from(data.len()).unwrap() + 8 * KIB;
                let mut description = Description::new(0, u16::try_from(sizes.len()).unwrap(), number, size);
                description.layout = layout;
                description.features = if layout == 0 { 0 } else { RAID0_LAYOUT };
                let disk = description.write(&workspace, &format!("disk{number}"), data);
                let field = examined(&disk);
                assert!(field("Checksum").ends_with(" - correct"));
                assert_eq!(field("Chunk Size"), "64K");
                disk
            })
            .collect();
        let mut shuffled = disks.clone();
        shuffled.reverse();
        let array = assemble(&shuffled);
        assert!(content(&array) == whole, "{sizes:?} {layout}");
        let array = assemble(&disks[1..]);
        assert_eq!(array.volume.unwrap_err().to_string(), "the member with place 0 is missing");
    }
}

#[test]
fn other_levels_are_named() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    for (level, name) in [(4, "RAID4"), (5, "RAID5"), (6, "RAID6"), (10, "RAID10")] {
        let disks = [0, 1, 2, 3].map(|number| {
            let mut description = Description::new(level, 4, number, 1024 * KIB);
            // Two copies near each other for RAID10, left-symmetric parity for RAID5.
            description.layout = if level == 10 { 0x102 } else { 2 };
            description.write(&workspace, &format!("disk{number}"), &[])
        });
        let array = assemble(&disks);
        assert_eq!(name.to_lowercase(), examined(&disks[0])("Raid Level"));
        assert_eq!(array.volume.unwrap_err().to_string(), format!("a {name} array is not supported"));
    }
}

#[test]
fn linear_arrays_are_one_member_behind_the_other() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let disks = [1, 3, 2].map(|size| {
        let number = u32::try_from(size % 3).unwrap();
        let description = Description::new(-1, 3, number, size * 64 * KIB + 4 * KIB);
        description.write(&workspace, &format!("disk{number}"), &pattern(u64::from(number), size * 64 * KIB))
    });
    assert_eq!(examined(&disks[0])("Raid Level"), "linear");
    let whole = [pattern(0, 192 * KIB), pattern(1, 64 * KIB), pattern(2, 128 * KIB)].concat();
    assert!(content(&assemble(&disks)) == whole);
}

#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_the_seeds_of_raid() {
    assert!(can_mount());
    for (level, name) in [(0, "raid0"), (1, "raid1")] {
        let workspace = Workspace::new();
        let halves = [0, 1].map(|number| {
            let mut description = Description::new(level, 2, number, 256 * KIB);
            description.layout = 2;
            description.features = if level == 0 { RAID0_LAYOUT } else { 0 };
            let disk = description.write(&workspace, &format!("disk{number}"), &[]);
            std::fs::read(disk).unwrap()
        });
        corpus::write("members", name, &halves.concat());
    }
}
