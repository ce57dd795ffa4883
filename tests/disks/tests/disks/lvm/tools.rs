//! LVM2's tools on loop devices, without device-mapper.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use agentless_analyser::limits::Limits;
use agentless_analyser::volume::Volume;
use agentless_analyser::volume::lvm::{self, PhysicalVolume, VolumeGroup};
use agentless_core::volume::FileVolume;

use agentless_disk_tests::image::{Workspace, run};
use agentless_disk_tests::loop_device::Loop;
use agentless_disk_tests::{fill, lvm_tools};

pub(super) const MIB: u64 = 1 << 20;

/// Disks for physical volumes, and the tools that see these and no others.
pub(super) struct Machine {
    pub(super) workspace: Workspace,
    pub(super) images: Vec<PathBuf>,
    loops: Vec<Loop>,
    data_start: OnceCell<u64>,
    /// The size of each disk.
    mib: u64,
}

impl Machine {
    /// A machine with disks of 64 MiB each.
    pub(super) fn new(disks: usize) -> Self {
        Self::with_disks_of(64, disks)
    }

    /// A machine with disks of this many MiB.
    pub(super) fn with_disks_of(mib: u64, disks: usize) -> Self {
        let workspace = Workspace::new();
        let images: Vec<PathBuf> = (0..disks).map(|each| workspace.path(&format!("disk{each}"))).collect();
        for image in &images {
            File::create(image).unwrap().set_len(mib * MIB).unwrap();
        }
        let loops = images.iter().map(|image| Loop::writable(image)).collect();
        Self { workspace, images, loops, data_start: OnceCell::new(), mib }
    }

    /// The loop device of a disk.
    pub(super) fn device(&self, disk: usize) -> &str {
        self.loops[disk].path().to_str().unwrap()
    }

    pub(super) fn devices(&self) -> Vec<&str> {
        self.loops.iter().map(|each| each.path().to_str().unwrap()).collect()
    }

    /// Runs one of LVM2's tools with arguments separated by spaces.
    pub(super) fn lvm(&self, command: &str) -> String {
        let (tool, arguments) = command.split_once(' ').unwrap();
        let devices = self.loops.iter().map(Loop::path);
        run(lvm_tools::command(&self.workspace, tool, devices).args(arguments.split(' ')))
    }

    /// A report: the fields of each line.
    pub(super) fn report(&self, command: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let command =
            format!("{command} --noheadings --units b --nosuffix --separator | -o {}", fields.join(","));
        let lines = self.lvm(&command);
        lines.lines().map(|line| line.trim().split('|').map(str::to_owned).collect()).collect()
    }

    /// Makes each disk a physical volume with the identifier that the group's text gives it, and writes the text.
    pub(super) fn restore(&self, group: &str, text: &str) {
        let path = self.workspace.path("group.txt");
        std::fs::write(&path, text).unwrap();
        let path = path.display();
        for (disk, device) in self.devices().iter().enumerate() {
            self.lvm(&format!("pvcreate -ff -y --uuid {} --restorefile {path} {device}", pv_uuid(disk)));
        }
        self.lvm(&format!("vgcfgrestore --force -f {path} {group}"));
    }

    /// Writes to a disk behind LVM2's back.
    pub(super) fn write(&self, disk: usize, offset: u64, bytes: &[u8]) {
        File::options().write(true).open(&self.images[disk]).unwrap().write_all_at(bytes, offset).unwrap();
    }

    /// Where the first extent of each disk begins, in bytes.
    pub(super) fn data_start(&self) -> u64 {
        *self.data_start.get_or_init(|| {
            let starts = self.report("pvs", &["pe_start"]);
            assert!(starts.iter().all(|start| start == &starts[0]));
            starts[0][0].parse().unwrap()
        })
    }

    /// The groups that we see on these disks.
    pub(super) fn groups(&self, disks: &[usize]) -> Vec<VolumeGroup> {
        let limits = Limits::default();
        let mut members = Vec::new();
        for &disk in disks {
            let volume: Arc<dyn Volume> = Arc::new(FileVolume::open(&self.images[disk]).unwrap());
            if let Some(pv) = PhysicalVolume::read(&volume, &limits).unwrap() {
                assert_eq!(pv.device_size, self.mib * MIB);
                members.push((pv, volume));
            }
        }
        lvm::assemble(members, &limits)
    }

    /// The only group that we see.
    pub(super) fn group(&self) -> VolumeGroup {
        let mut groups = self.groups(&(0..self.images.len()).collect::<Vec<_>>());
        assert_eq!(groups.len(), 1);
        groups.remove(0)
    }
}

/// What a volume is called in a group.
pub(super) fn volume(group: &VolumeGroup, name: &str) -> Arc<dyn Volume> {
    let found = group.logical_volumes.iter().find(|lv| lv.name == name).unwrap();
    Arc::clone(found.volume.as_ref().unwrap_or_else(|reason| panic!("{name}: {reason}")))
}

/// Why it cannot be read.
pub(super) fn reason(group: &VolumeGroup, name: &str) -> String {
    let found = group.logical_volumes.iter().find(|lv| lv.name == name).unwrap();
    found.volume.as_ref().unwrap_err().to_string()
}

/// All bytes of a volume, read in pieces that fit nothing.
pub(super) fn content(volume: &dyn Volume) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(volume.size()).unwrap()];
    let mut offset = 0;
    for piece in content.chunks_mut(123_457) {
        let end = offset + u64::try_from(piece.len()).unwrap();
        volume.prefetch(std::slice::from_ref(&(offset..end)));
        volume.read_at(offset, piece).unwrap();
        offset = end;
    }
    content
}

/// Different bytes at each place, and for each seed.
pub(super) fn pattern(seed: u64, length: u64) -> Vec<u8> {
    fill::content(seed, usize::try_from(length).unwrap())
}

/// The identifier of a disk in a group that is written as text.
pub(super) fn pv_uuid(disk: usize) -> String {
    format!("diskNo-0000-0000-0000-0000-0000-{disk:06}")
}

/// A group written as text, for what the tools do not make without device-mapper.
#[derive(Default)]
pub(super) struct Text {
    volumes: String,
    count: usize,
    /// The first free extent of each disk.
    free: [u64; 4],
}

impl Text {
    /// Adds a volume of one segment.
    pub(super) fn add(&mut self, name: &str, status: &str, extents: u64, segment: &str) {
        self.count += 1;
        writeln!(
            self.volumes,
            "{name} {{ id = \"volume-0000-0000-0000-0000-0000-{:06}\" status = [{status}] flags = [] \
             segment_count = 1 segment1 {{ start_extent = 0 extent_count = {extents} {segment} }} }}",
            self.count
        )
        .unwrap();
    }

    /// Adds a volume that is seen.
    pub(super) fn visible(&mut self, name: &str, extents: u64, segment: &str) {
        self.add(name, "\"READ\", \"WRITE\", \"VISIBLE\"", extents, segment);
    }

    /// Adds a linear volume that only serves others, and returns where it is: its first extent.
    pub(super) fn hidden(&mut self, name: &str, disk: usize, extents: u64) -> u64 {
        let segment = self.linear(disk, extents);
        self.add(name, "\"READ\", \"WRITE\"", extents, &segment.0);
        segment.1
    }

    /// The text of a linear segment on free extents, and the first of them.
    pub(super) fn linear(&mut self, disk: usize, extents: u64) -> (String, u64) {
        let first = self.free[disk];
        self.free[disk] += extents;
        (format!("type = \"striped\" stripe_count = 1 stripes = [\"pv{disk}\", {first}]"), first)
    }

    /// The whole text, with extents of 1 MiB.
    pub(super) fn finish(&self, machine: &Machine) -> String {
        let mut disks = String::new();
        for (disk, device) in machine.devices().iter().enumerate() {
            writeln!(
                disks,
                "pv{disk} {{ id = \"{}\" device = \"{device}\" status = [\"ALLOCATABLE\"] flags = [] \
                 dev_size = {} pe_start = 2048 pe_count = {} }}",
                pv_uuid(disk),
                machine.mib * MIB / 512,
                machine.mib - 1
            )
            .unwrap();
        }
        format!(
            "contents = \"Text Format Volume Group\"\nversion = 1\ndescription = \"\"\ncreation_host = \"test\"\n\
             creation_time = 1\nsystem {{ id = \"groupN-0000-0000-0000-0000-0000-000001\" seqno = 7 \
             format = \"lvm2\" status = [\"RESIZEABLE\", \"READ\", \"WRITE\"] flags = [] extent_size = 2048 \
             max_lv = 0 max_pv = 0 metadata_copies = 0\nphysical_volumes {{\n{disks}}}\n\
             logical_volumes {{\n{}}} }}\n",
            self.volumes
        )
    }
}
