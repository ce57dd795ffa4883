//! Variants that this kernel does not mount, above all version 4: here `mkfs` fills the filesystem from a prototype file,
//! which is then the truth.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use agentless_analyser::fs::{DeviceNumbers, FileType, Tree};
use agentless_analyser::limits::Limits;

use agentless_disk_tests::fill;
use agentless_disk_tests::image::{Workspace, can_mount, open, run};

/// What one path shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    file_type: FileType,
    mode: u16,
    owner: (u32, u32),
    device: Option<(u32, u32)>,
    /// A file's content, or a link's target.
    content: Vec<u8>,
}

/// A prototype file as it is written, and what it stands for.
struct Prototype<'a> {
    workspace: &'a Workspace,
    text: String,
    items: BTreeMap<String, Item>,
}

impl<'a> Prototype<'a> {
    fn new(workspace: &'a Workspace) -> Self {
        let mut items = BTreeMap::new();
        let owner = (7, 8);
        let root =
            Item { file_type: FileType::Directory, mode: 0o751, owner, device: None, content: Vec::new() };
        items.insert(String::new(), root);
        Self { workspace, text: "prototype\n0 0\nd--751 7 8\n".to_owned(), items }
    }

    /// Adds an entry to the directory `parent`, which is being written.
    fn add(&mut self, parent: &str, name: &str, file_type: FileType, mode: u16, rest: &str, content: &[u8]) {
        let letter = match file_type {
            FileType::Regular => '-',
            FileType::Directory => 'd',
            FileType::Symlink => 'l',
            FileType::CharacterDevice => 'c',
            FileType::BlockDevice => 'b',
            _ => 'p',
        };
        let flag = |bit: u16, letter: char| if mode & bit == 0 { '-' } else { letter };
        let (set_user, set_group) = (flag(0o4000, 'u'), flag(0o2000, 'g'));
        let owner = (u32::try_from(self.items.len()).unwrap() * 1000, 5);
        writeln!(
            self.text,
            "{name} {letter}{set_user}{set_group}{:03o} {} {} {rest}",
            mode & 0o777,
            owner.0,
            owner.1
        )
        .unwrap();
        let device =
            rest.split_once(' ').map(|(major, minor)| (major.parse().unwrap(), minor.parse().unwrap()));
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        self.items.insert(path, Item { file_type, mode, owner, device, content: content.to_vec() });
    }

    /// Adds a file with this content.
    fn file(&mut self, parent: &str, name: &str, mode: u16, content: &[u8]) {
        let source = self.workspace.path(&format!("content-{}", content.len()));
        fs::write(&source, content).unwrap();
        self.add(parent, name, FileType::Regular, mode, source.to_str().unwrap(), content);
    }

    fn link(&mut self, parent: &str, length: usize) {
        let target = "t".repeat(length);
        let name = format!("link-{length}");
        self.add(parent, &name, FileType::Symlink, 0o777, &target, target.as_bytes());
    }

    /// Adds a directory with `count` files.
    fn directory(&mut self, name: &str, count: usize, content: &[u8]) {
        self.add("", name, FileType::Directory, 0o755, "", b"");
        for index in 0..count {
            self.file(
                name,
                &format!("{index}-a-name-of-some-length-{}", "n".repeat(index % 40)),
                0o600,
                content,
            );
        }
        self.text.push_str("$\n");
    }

    /// Formats an image and fills it.
    fn format(&mut self, name: &str, options: &[&str]) -> PathBuf {
        self.text.push_str("$\n$\n");
        let prototype = self.workspace.path("prototype");
        fs::write(&prototype, &self.text).unwrap();
        let mkfs = [&["mkfs.xfs", "-p", prototype.to_str().unwrap()], options].concat();
        self.workspace.format(name, 512 << 20, &mkfs)
    }
}

/// Everything of one filesystem, in the prototype's form.
fn items(tree: &Tree) -> BTreeMap<String, Item> {
    let mut items = BTreeMap::new();
    let mut waiting = vec![(String::new(), tree.root())];
    while let Some((path, node)) = waiting.pop() {
        let stat = tree.stat(node).unwrap();
        let content = match stat.file_type {
            FileType::Regular => tree.open_node(node, &stat).unwrap().read_all().unwrap(),
            FileType::Symlink => tree.read_link(node).unwrap(),
            _ => Vec::new(),
        };
        if stat.file_type == FileType::Directory {
            for entry in tree.read_dir_node(node).unwrap() {
                assert_eq!(tree.child(node, &entry.name).unwrap(), Some(entry.node));
                let actual = tree.stat(entry.node).unwrap().file_type;
                assert!(entry.file_type.is_none_or(|listed| listed == actual));
                let name = String::from_utf8(entry.name).unwrap();
                let below = if path.is_empty() { name } else { format!("{path}/{name}") };
                waiting.push((below, entry.node));
            }
            assert_eq!(tree.child(node, b"no file has this name").unwrap(), None);
        }
        let device = stat.device.map(|DeviceNumbers { major, minor }| (major, minor));
        let (mode, owner) = (stat.mode, (stat.uid, stat.gid));
        items.insert(path, Item { file_type: stat.file_type, mode, owner, device, content });
    }
    items
}

fn compare(options: &[&str]) {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let mut prototype = Prototype::new(&workspace);
    for (name, mode, size) in
        [("empty", 0o644, 0), ("tiny", 0o4755, 1), ("pages", 0o2640, 10_000), ("large", 0o600, 3_000_001)]
    {
        prototype.file("", name, mode, &fill::content(3, size));
    }
    // In version 5 `mkfs` writes links that do not fit into their inode without the headers that they must have.
    let most = if options.contains(&"crc=0") { 1023 } else { 330 };
    for length in
        [1, 60, 150, 160, 330, 340, 400, 460, 500, 1000, 1023].into_iter().filter(|&length| length <= most)
    {
        prototype.link("", length);
    }
    prototype.add("", "pipe", FileType::Fifo, 0o640, "", b"");
    prototype.add("", "null", FileType::CharacterDevice, 0o666, "1 3", b"");
    prototype.add("", "disk", FileType::BlockDevice, 0o660, "259 70000", b"");
    for (name, count) in [("none", 0), ("one", 1), ("few", 4), ("block", 30), ("leaf", 150), ("node", 9000)] {
        prototype.directory(name, count, b"");
    }
    let image = prototype.format("image", options);
    let tree = Tree::new(Rc::from(open(&image)), Limits::default());
    let ours = items(&tree);
    for (path, item) in &prototype.items {
        assert_eq!(ours.get(path), Some(item), "{path}");
    }
    assert_eq!(ours.len(), prototype.items.len());
    println!("{}: {} entries equal", options.join(" "), ours.len());
}

macro_rules! prototypes {
    ($($name:ident: [$($mkfs:literal),*];)+) => {$(
        #[test]
        fn $name() {
            compare(&[$($mkfs),*]);
        }
    )+};
}

prototypes! {
    v4: ["-m", "crc=0"];
    v4_with_file_types: ["-m", "crc=0", "-n", "ftype=1"];
    v4_with_blocks_of_512_bytes: ["-m", "crc=0", "-b", "size=512"];
    v4_with_blocks_of_1_kib: ["-m", "crc=0", "-b", "size=1024"];
    v4_with_blocks_of_16_kib: ["-m", "crc=0", "-b", "size=16384"];
    v4_with_blocks_of_64_kib: ["-m", "crc=0", "-b", "size=65536"];
    v4_with_directory_blocks_of_64_kib: ["-m", "crc=0", "-n", "size=65536"];
    v4_with_inodes_of_2_kib: ["-m", "crc=0", "-i", "size=2048"];
    v4_with_sectors_of_4_kib: ["-m", "crc=0", "-s", "size=4096"];
    v4_as_of_2004: ["-m", "crc=0", "-i", "attr=1,projid32bit=0", "-l", "version=1,lazy-count=0"];
    v4_without_case: ["-m", "crc=0", "-n", "version=ci"];
    v5: [];
    v5_without_case: ["-n", "version=ci"];
    v5_with_blocks_of_32_kib: ["-b", "size=32768"];
}

/// Names of a directory that does not regard case are found in any case.
#[test]
fn names_are_found_in_any_case_where_the_filesystem_says_so() {
    if !can_mount() {
        return;
    }
    for options in [&["-n", "version=ci"][..], &["-m", "crc=0", "-n", "version=ci"], &[]] {
        let workspace = Workspace::new();
        let mut prototype = Prototype::new(&workspace);
        prototype.file("", "ReadMe", 0o644, b"text");
        prototype.directory("few", 2, b"content");
        prototype.directory("many", 500, b"content");
        let image = prototype.format("image", options);
        let file_system = open(&image);
        let root = file_system.root();
        let ignores_case = !options.is_empty();
        assert_eq!(file_system.lookup(root, b"README").unwrap().is_some(), ignores_case);
        assert!(file_system.lookup(root, b"READ_ME").unwrap().is_none());
        for dir in [&b"few"[..], b"many"] {
            let dir = file_system.lookup(root, dir).unwrap().unwrap();
            let exact = file_system.lookup(dir, b"1-a-name-of-some-length-n").unwrap();
            assert!(exact.is_some());
            let shouted = file_system.lookup(dir, b"1-A-Name-OF-SOME-length-N").unwrap();
            assert_eq!(shouted, exact.filter(|_| ignores_case));
        }
    }
}

/// What a filesystem says of itself, next to what `xfs_info` prints.
#[test]
fn identity_is_that_of_xfs_info() {
    if !can_mount() {
        return;
    }
    for options in [
        &[][..],
        &["-m", "crc=0"],
        &["-m", "crc=0", "-n", "version=ci,ftype=1", "-i", "projid32bit=0", "-l", "lazy-count=0"],
        &["-m", "rmapbt=1,reflink=0,inobtcount=0,bigtime=0", "-i", "nrext64=1,sparse=0", "-b", "size=1024"],
        &["-m", "finobt=0,inobtcount=0", "-L", "twelve bytes"],
    ] {
        let workspace = Workspace::new();
        let image = workspace.format("image", 512 << 20, &[&["mkfs.xfs"], options].concat());
        let identity = open(&image).identity();
        let info = run(Command::new("xfs_info").arg(&image));
        let words = info.split([' ', ',', '\n', '=']).filter(|word| !word.is_empty()).collect::<Vec<_>>();
        let is_set = |name: &str| words.windows(2).any(|pair| pair == [name, "1"]);
        // What is a number of something else, and 1 by chance.
        let features =
            words.windows(2).filter(|pair| pair[1] == "1" && !["agcount", "version"].contains(&pair[0]));
        let expected: Vec<_> = features.map(|pair| pair[0]).collect();
        assert_eq!(identity.features, expected, "{options:?}");
        assert_eq!(is_set("crc"), !options.contains(&"crc=0"));
        assert_eq!(identity.size, Some(512 << 20));
        let block_size: u32 = if options.contains(&"size=1024") { 1024 } else { 4096 };
        assert_eq!(identity.block_size, Some(block_size));
        let label = options.contains(&"-L").then(|| b"twelve bytes".to_vec());
        assert_eq!(identity.label, label);
        assert_eq!(identity.uuid, Some(uuid(&image)));
    }
}

fn uuid(image: &Path) -> String {
    let printed = run(Command::new("xfs_admin").arg("-u").arg(image));
    printed.trim().trim_start_matches("UUID = ").to_owned()
}

/// The UUID that users see can be changed; metadata goes on carrying the first one.
#[test]
fn a_changed_uuid_is_the_one_that_shows() {
    if !can_mount() {
        return;
    }
    for options in [&[][..], &["-m", "crc=0"]] {
        let workspace = Workspace::new();
        let mut prototype = Prototype::new(&workspace);
        prototype.directory("many", 500, b"content");
        let image = prototype.format("image", options);
        let before = uuid(&image);
        run(Command::new("xfs_admin").args(["-U", "01234567-89ab-4cde-8f01-23456789abcd"]).arg(&image));
        assert_ne!(uuid(&image), before);
        let file_system = open(&image);
        assert_eq!(file_system.identity().uuid.as_deref(), Some("01234567-89ab-4cde-8f01-23456789abcd"));
        assert_eq!(items(&Tree::new(Rc::from(file_system), Limits::default())), prototype.items);
    }
}
