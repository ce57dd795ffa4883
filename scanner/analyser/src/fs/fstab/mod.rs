//! `/etc/fstab`: which filesystems a system mounts where. What a line means is described in fstab(5), mount(8) and, for
//! subvolumes, btrfs(5).
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod options;
mod order;
mod spec;
mod unit;

pub use options::Options;
pub use spec::{Spec, Text};

use super::{FsError, FsPath, Tree};
use crate::limits::Limits;
use crate::volume::bytes::to_usize;

/// What a system mounts at its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fstab {
    /// In an order in which they can be mounted: each after those that its mount point, or the directory that it shows, is
    /// in. Swap is not among them, and each mount point is there once: systemd, too, keeps the first.
    pub entries: Vec<Entry>,
    /// What could not be understood, with the number of the line or the name of the file.
    pub problems: Vec<String>,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// What is mounted.
    pub spec: Spec,
    /// Where.
    pub mount_point: FsPath,
    /// The filesystem's type, such as `ext4`, `auto` or `tmpfs`; of a bind mount usually `none`.
    pub kind: String,
    /// How.
    pub options: Options,
}

/// Where the files of a mount are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// On a disk.
    Disk,
    /// In another directory of the same tree.
    Bind,
    /// Nowhere: they are in memory, made up by the kernel, or a view of other files.
    Virtual,
    /// On other machines, or made by a program: a disk does not have them.
    Elsewhere,
}

/// Where the table is.
const PATH: &str = "/etc/fstab";

impl Fstab {
    /// Reads the table of the system in `tree`.
    ///
    /// Never fails: what could not be read is among the problems. A system without a table mounts nothing.
    pub fn read(tree: &Tree) -> Self {
        let mut found = Self::default();
        match read(tree, &FsPath::new(PATH)) {
            Ok(Some(content)) => found.table(&content, tree.limits()),
            Ok(None) => {}
            Err(error) => found.problems.push(format!("{PATH}: {}", crate::chain(&error))),
        }
        found.entries = order::order(found.entries);
        found
    }

    /// Adds what systemd's units in `tree` mount, which some systems have instead of a table. The table wins where both
    /// name a mount point. Costs the listing of two large directories.
    pub fn add_units(&mut self, tree: &Tree) {
        unit::read(tree, self);
        self.entries = order::order(std::mem::take(&mut self.entries));
    }

    /// The entry of the root, if there is one.
    pub fn root(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.mount_point == FsPath::root())
    }

    /// Parses a table.
    pub fn parse(content: &[u8], limits: &Limits) -> Self {
        let mut found = Self::default();
        found.table(content, limits);
        found.entries = order::order(found.entries);
        found
    }

    fn table(&mut self, content: &[u8], limits: &Limits) {
        for (number, line) in (1_u64..).zip(content.split(|&byte| byte == b'\n')) {
            let problem = match parse_line(line) {
                Ok(None) => continue,
                Ok(Some(entry)) => match self.add(entry, limits) {
                    Ok(()) => continue,
                    Err(problem) => problem,
                },
                Err(problem) => problem,
            };
            self.problem(&format!("{PATH} line {number}"), problem, limits);
        }
    }

    fn add(&mut self, entry: Entry, limits: &Limits) -> Result<(), &'static str> {
        if self.entries.len() >= to_usize(limits.mounts) {
            return Err("there are more mounts than the limit allows (`mounts`)");
        }
        if self.entries.iter().any(|other| other.mount_point == entry.mount_point) {
            return Err("an earlier one has the same mount point");
        }
        self.entries.push(entry);
        Ok(())
    }

    fn problem(&mut self, place: &str, problem: &str, limits: &Limits) {
        if self.problems.len() < to_usize(limits.mounts) {
            self.problems.push(format!("{place}: {problem}"));
        }
    }
}

impl Entry {
    /// Where its files are.
    pub fn role(&self) -> Role {
        if self.options.has("bind") || self.options.has("rbind") {
            return Role::Bind;
        }
        let kind = self.kind.as_str();
        if kind.starts_with("fuse") || ELSEWHERE.contains(&kind) {
            return Role::Elsewhere;
        }
        if VIRTUAL.contains(&kind) {
            return Role::Virtual;
        }
        match self.spec {
            Spec::Other(_) if kind == "auto" => Role::Virtual,
            _ => Role::Disk,
        }
    }
}

/// Filesystems of other machines.
const ELSEWHERE: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "davfs",
    "efs",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
    "sshfs",
    "s3fs",
    "virtiofs",
];

/// Filesystems that have no disk.
const VIRTUAL: &[&str] = &[
    "autofs",
    "bpf",
    "binfmt_misc",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "hugetlbfs",
    "mqueue",
    "none",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "usbfs",
];

/// A file of the tree, if it is there.
fn read(tree: &Tree, path: &FsPath) -> Result<Option<Vec<u8>>, FsError> {
    tree.open(path)?.map(|file| file.read_small()).transpose()
}

/// One line of the table; `None` for one that mounts nothing.
fn parse_line(line: &[u8]) -> Result<Option<Entry>, &'static str> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let Some(spec) = fields.next().filter(|field| !field.starts_with(b"#")) else { return Ok(None) };
    let (Some(mount_point), Some(kind)) = (fields.next(), fields.next()) else {
        return Err("it has no mount point or no type");
    };
    let (mount_point, kind) = (unescape(mount_point), unescape(kind));
    if kind == b"swap" || kind == b"ignore" || mount_point == b"none" || mount_point == b"swap" {
        return Ok(None);
    }
    let options = fields.next().map(unescape).unwrap_or_default();
    entry(&unescape(spec), &mount_point, &kind, &options).map(Some)
}

/// An entry from its four fields.
fn entry(spec: &[u8], mount_point: &[u8], kind: &[u8], options: &[u8]) -> Result<Entry, &'static str> {
    if !mount_point.starts_with(b"/") {
        return Err("its mount point is not an absolute path");
    }
    if spec.contains(&0) || mount_point.contains(&0) {
        return Err("it contains a NUL");
    }
    Ok(Entry {
        spec: Spec::parse(spec),
        mount_point: FsPath::new(mount_point),
        kind: String::from_utf8_lossy(kind).into_owned(),
        options: Options::parse(options),
    })
}

/// Undoes the escapes of fstab(5): `\` and three octal digits, which is how a space is written. Any other `\` is one.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut unescaped = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        // A number may have a sign for Rust.
        let number = octal
            .filter(|digits| byte == b'\\' && digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        unescaped.push(number.unwrap_or(byte));
        rest = number.and_then(|_| after.get(3..)).unwrap_or(after);
    }
    unescaped
}

/// Parses any bytes, for fuzzing: as a table, and as a unit.
pub fn fuzz_fstab(content: &[u8]) {
    let limits = Limits { mounts: 64, ..Limits::default() };
    for entry in Fstab::parse(content, &limits).entries {
        entry.role();
        entry.spec.logical_volume();
        entry.options.subvolume_id();
    }
    drop(unit::parse(content));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(content: &str) -> Fstab {
        Fstab::parse(content.as_bytes(), &Limits::default())
    }

    /// `mount point: what, role` of each entry.
    fn shown(fstab: &Fstab) -> Vec<String> {
        let entries = fstab.entries.iter();
        entries.map(|entry| format!("{}: {:?}, {:?}", entry.mount_point, entry.spec, entry.role())).collect()
    }

    #[test]
    fn the_table_of_a_server() {
        let fstab = parse(
            "# /etc/fstab: static file system information.\n\
             UUID=0a3407DE-014b-458b-b5c1-848e92a327a3 /     ext4  defaults,discard 0 1\n\
             LABEL=UEFI\t/boot/efi\tvfat\tumask=0077 0 1\n\
             \n\
             /dev/mapper/vg--data-var /var  xfs  defaults 0 0\n\
             PARTLABEL=\"Data\\040one\" /srv/with\\040space auto nofail\n\
             /dev/disk/by-uuid/C2AB-1D2F /mnt/stick vfat noauto\n\
             /dev/nvme1n1p1 /opt ext4\n\
             /srv/with\\040space/home /home none bind 0 0\n\
             fs-0123.efs.eu-west-1.amazonaws.com:/ /efs nfs4 _netdev 0 0\n\
             tmpfs /tmp tmpfs size=1g 0 0\n\
             /swap.img none swap sw 0 0\n\
             PARTUUID=8e6c9d1f-02 none swap sw 0 0\n",
        );
        assert_eq!(fstab.problems, [""; 0]);
        assert_eq!(
            shown(&fstab),
            [
                "/: Uuid(\"0a3407de-014b-458b-b5c1-848e92a327a3\"), Disk",
                "/var: Device(\"/mapper/vg--data-var\"), Disk",
                "/opt: Device(\"/nvme1n1p1\"), Disk",
                "/srv/with space: PartLabel(\"Data one\"), Disk",
                "/home: Path(\"/srv/with space/home\"), Bind",
                "/efs: Other(\"fs-0123.efs.eu-west-1.amazonaws.com:/\"), Elsewhere",
                "/tmp: Other(\"tmpfs\"), Virtual",
                "/boot/efi: Label(\"UEFI\"), Disk",
                "/mnt/stick: Uuid(\"c2ab-1d2f\"), Disk",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said_by_its_line() {
        let fstab =
            parse("UUID=1 / ext4\nUUID=2\nUUID=3 relative ext4\nUUID=4 /../ ext4\nUUID=5 /a\\000 xfs\n");
        assert_eq!(shown(&fstab), ["/: Uuid(\"1\"), Disk"]);
        assert_eq!(
            fstab.problems,
            [
                "/etc/fstab line 2: it has no mount point or no type",
                "/etc/fstab line 3: its mount point is not an absolute path",
                "/etc/fstab line 4: an earlier one has the same mount point",
                "/etc/fstab line 5: it contains a NUL",
            ]
        );
    }

    #[test]
    fn the_number_of_entries_and_of_problems_is_limited() {
        let lines: Vec<_> = (0..100).map(|index| format!("UUID={index} /{index} ext4\n")).collect();
        let lines = lines.concat();
        let fstab = Fstab::parse(lines.as_bytes(), &Limits { mounts: 10, ..Limits::default() });
        assert_eq!((fstab.entries.len(), fstab.problems.len()), (10, 10));
    }

    #[test]
    fn only_three_octal_digits_are_an_escape() {
        for (escaped, plain) in [
            (r"a\040b", "a b"),
            (r"\134040", r"\040"),
            (r"\04", r"\04"),
            (r"\0a0\777\", r"\0a0\777\"),
            (r"\+12", r"\+12"),
        ] {
            assert_eq!(unescape(escaped.as_bytes()), plain.as_bytes(), "{escaped}");
        }
    }

    /// Escapes as mntent(3) does.
    fn escape(field: &[u8]) -> Vec<u8> {
        let special = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'\\' | b'#' | b'"');
        let escaped = field
            .iter()
            .flat_map(|byte| if special(byte) { format!("\\{byte:03o}").into_bytes() } else { vec![*byte] });
        escaped.collect()
    }

    proptest! {
        #[test]
        fn any_bytes_give_entries_that_can_be_mounted_in_their_order(
            words in proptest::collection::vec(prop_oneof![
                Just("\n"), Just(" "), Just("/"), Just("/a"), Just("/a/b"), Just("UUID="), Just("/dev/"), Just("\\040"),
                Just("none"), Just("bind"), Just(","), Just("\""), Just("ext4"), Just("x"), Just("="),
            ], 0..200),
        ) {
            let fstab = parse(&words.concat());
            for (index, entry) in fstab.entries.iter().enumerate() {
                for later in &fstab.entries[index + 1..] {
                    prop_assert_ne!(&entry.mount_point, &later.mount_point);
                    // But for bind mounts that need each other.
                    let circular = later.role() == Role::Bind || entry.role() == Role::Bind;
                    prop_assert!(circular || !entry.mount_point.starts_with(&later.mount_point));
                }
            }
        }

        #[test]
        fn what_is_written_is_read(
            label in proptest::collection::vec(1_u8.., 1..20),
            names in proptest::collection::vec("[a-zA-Z0-9 \\\\#\t.]{1,8}", 1..4),
        ) {
            let mount_point = format!("/{}", names.join("/"));
            let line = [b"LABEL=", &escape(&label)[..], b" ", &escape(mount_point.as_bytes()), b" ext4"].concat();
            let fstab = Fstab::parse(&line, &Limits::default());
            prop_assert_eq!(&fstab.entries[0].mount_point, &FsPath::new(mount_point));
            prop_assume!(!(label.starts_with(b"\"") || label.starts_with(b"'")));
            prop_assert_eq!(&fstab.entries[0].spec, &Spec::Label(label.into()));
        }

        #[test]
        fn any_bytes_are_parsed(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            fuzz_fstab(&content);
        }
    }
}
