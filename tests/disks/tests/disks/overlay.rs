//! Overlays against the kernel's overlayfs: layers that it made itself, and layers that are marked by hand.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use agentless_analyser::fs::overlay::{Attributes, Layers, Overlay};
use agentless_analyser::fs::{FileSystem, FsPath, Tree};
use agentless_analyser::limits::Limits;
use agentless_disk_tests::image::{Mount, Workspace, can_mount, run, unmount};
use agentless_disk_tests::manifest::{Manifest, assert_equal, of_kernel, of_tree};
use rustix::fs::XattrFlags;

/// Options that every mount has: what the machine's kernel has as its defaults does not matter.
const OPTIONS: &str = "index=off,xino=off";

/// A mounted overlay.
struct Mounted(PathBuf);

impl Mounted {
    /// The layers from the lowest to the upper one, in a folder `layers`. Without `is_writable`, all of them are lower ones.
    fn new(layers: &[PathBuf], options: &str, is_writable: bool) -> Self {
        let folder = layers[0].parent().unwrap();
        let (point, work) = (folder.join("merged"), folder.join("work"));
        for made in [&point, &work] {
            fs::create_dir_all(made).unwrap();
        }
        let (upper, lower) = if is_writable {
            let (upper, lower) = layers.split_last().unwrap();
            (format!("upperdir={},workdir={},", upper.display(), work.display()), lower)
        } else {
            (String::new(), layers)
        };
        let lower: Vec<_> = lower.iter().rev().map(|layer| layer.display().to_string()).collect();
        let options = format!("{upper}lowerdir={},{options}", lower.join(":"));
        run(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(&point));
        Self(point)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.0, &[]).unwrap();
    }
}

/// Makes so many empty layers on an ext4 image that is mounted, and gives their names.
struct Layered {
    _workspace: Workspace,
    image: PathBuf,
}

impl Layered {
    fn new() -> Self {
        let workspace = Workspace::new();
        let image = workspace.format("layers", 64 << 20, &["mkfs.ext4", "-q", "-F"]);
        Self { _workspace: workspace, image }
    }

    /// Fills the layers, and compares what the kernel then shows of all of them with what we show.
    fn compare(
        &self,
        count: usize,
        attributes: Attributes,
        options: &str,
        fill: impl FnOnce(&[PathBuf]),
        what: &str,
    ) -> Manifest {
        let options = format!("{OPTIONS},{options}");
        let mount = Mount::writable(&self.image);
        let names: Vec<_> = (0..count).map(|layer| format!("layer-{layer}")).collect();
        let layers: Vec<_> = names.iter().map(|name| mount.path().join(name)).collect();
        for layer in &layers {
            fs::create_dir(layer).unwrap();
        }
        fill(&layers);
        let kernel = of_kernel(&Mounted::new(&layers, &options, true).0);
        drop(mount);
        let limits = Limits::default();
        let host: Rc<dyn FileSystem> = Rc::from(agentless_disk_tests::image::open(&self.image));
        let host = Tree::new(host, limits.clone());
        let directories: Vec<_> = names
            .iter()
            .rev()
            .map(|name| {
                let (node, _) = host.lookup(&FsPath::new(name)).unwrap().unwrap();
                let (file_system, inode) = host.place(node);
                (Rc::clone(file_system), inode)
            })
            .collect();
        let shared = Rc::new(Layers::new(attributes, &limits));
        let overlay = Overlay::open(&directories, &shared, &limits).unwrap();
        let ours = of_tree(&Tree::new(Rc::new(overlay), limits));
        assert_equal(&kernel, &ours, what);
        println!("{what}: {} entries equal", ours.len());
        ours
    }
}

fn write(path: PathBuf, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn each_thing_that_a_layer_can_hide() {
    if !can_mount() {
        return;
    }
    let fill = |layers: &[PathBuf]| {
        let base = &layers[0];
        for path in [
            "etc/a",
            "etc/b",
            "usr/lib/x/1",
            "usr/lib/x/2",
            "usr/share/y",
            "opt/old/deep/file",
            "file",
            "many/q",
        ] {
            write(base.join(path), path);
        }
        fs::hard_link(base.join("etc/a"), base.join("etc/a-again")).unwrap();
        symlink("etc/a", base.join("link")).unwrap();
        {
            let merged = Mounted::new(&layers[..2], "redirect_dir=on,metacopy=off,index=off", true);
            fs::remove_file(merged.0.join("etc/b")).unwrap();
            fs::remove_dir_all(merged.0.join("usr/lib/x")).unwrap();
            write(merged.0.join("usr/lib/x/3"), "of the second layer");
            fs::rename(merged.0.join("opt/old"), merged.0.join("usr/new")).unwrap();
            fs::remove_file(merged.0.join("file")).unwrap();
            write(merged.0.join("file/is/a/directory/now"), "");
            fs::remove_dir_all(merged.0.join("many")).unwrap();
            write(merged.0.join("many"), "a file now");
            fs::hard_link(merged.0.join("usr/share/y"), merged.0.join("usr/share/z")).unwrap();
        }
        {
            let merged = Mounted::new(&layers[..3], "redirect_dir=on,metacopy=off,index=off", true);
            fs::rename(merged.0.join("usr/new/deep"), merged.0.join("usr/new/deeper")).unwrap();
            fs::rename(merged.0.join("usr/new"), merged.0.join("newest")).unwrap();
            write(merged.0.join("newest/deeper/beside"), "of the third layer");
            write(merged.0.join("etc/b"), "again");
            fs::remove_file(merged.0.join("usr/lib/x/3")).unwrap();
            fs::set_permissions(merged.0.join("usr/share"), PermissionsExt::from_mode(0o700)).unwrap();
        }
    };
    let shown = Layered::new().compare(4, Attributes::Trusted, "redirect_dir=on,metacopy=off", fill, "all");
    for path in ["newest/deeper/file", "newest/deeper/beside", "etc/b", "file/is/a/directory/now"] {
        assert!(shown.contains_key(path.as_bytes()), "{path}");
    }
    for path in ["usr/lib/x/1", "usr/lib/x/3", "opt/old", "usr/new"] {
        assert!(!shown.contains_key(path.as_bytes()), "{path}");
    }
}

#[test]
fn whiteouts_that_are_files_and_the_attributes_of_users() {
    if !can_mount() {
        return;
    }
    for (attributes, options) in [(Attributes::Trusted, "redirect_dir=on"), (Attributes::User, "userxattr")] {
        let prefix = match attributes {
            Attributes::Trusted => "trusted.overlay.",
            Attributes::User => "user.overlay.",
        };
        let fill = |layers: &[PathBuf]| {
            let mark = |path: PathBuf, name: &str, value: &str| {
                let name = format!("{prefix}{name}");
                rustix::fs::setxattr(path, name, value.as_bytes(), XattrFlags::empty()).unwrap();
            };
            for path in ["a/gone", "a/kept", "a/other", "opaque/gone", "not-opaque/seen"] {
                write(layers[0].join(path), path);
            }
            write(layers[1].join("a/gone"), "");
            write(layers[1].join("a/other"), "is no whiteout, for it has bytes");
            mark(layers[1].join("a"), "opaque", "x");
            mark(layers[1].join("a/gone"), "whiteout", "");
            write(layers[1].join("opaque/seen"), "");
            mark(layers[1].join("opaque"), "opaque", "y");
            write(layers[1].join("not-opaque/also"), "");
            mark(layers[1].join("not-opaque"), "opaque", "n");
        };
        let shown = Layered::new().compare(3, attributes, options, fill, prefix);
        assert!(!shown.contains_key(&b"a/gone"[..]) && !shown.contains_key(&b"opaque/gone"[..]));
        assert!(shown.contains_key(&b"not-opaque/seen"[..]) && shown.contains_key(&b"a/other"[..]));
    }
}

/// Changes that are chosen by a number.
struct Changes(u64);

impl Changes {
    /// A generator of numbers that anybody can repeat (xorshift).
    fn number(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).unwrap() % below
    }

    /// One of few names, so that layers meet.
    fn path(&mut self, root: &Path) -> PathBuf {
        let depth = self.number(4) + 1;
        (0..depth).fold(root.to_owned(), |path, _| path.join(["a", "b", "c", "d", "e"][self.number(5)]))
    }

    /// Does something with the tree, if it can be done.
    fn change(&mut self, root: &Path, number: usize) {
        let (path, other) = (self.path(root), self.path(root));
        let _ = fs::create_dir_all(path.parent().unwrap());
        let _ = match self.number(9) {
            0 | 1 => fs::write(&path, format!("content {number}")),
            2 => fs::create_dir_all(&path),
            3 => fs::remove_file(&path),
            4 => fs::remove_dir_all(&path),
            5 | 6 => fs::rename(&path, &other),
            7 => fs::hard_link(&path, &other),
            _ => fs::set_permissions(
                &path,
                PermissionsExt::from_mode(if number.is_multiple_of(2) { 0o755 } else { 0o711 }),
            ),
        };
    }
}

#[test]
fn layers_of_random_changes() {
    if !can_mount() {
        return;
    }
    for options in ["redirect_dir=on,metacopy=off", "redirect_dir=on,metacopy=on"] {
        for seed in 1..=8 {
            let fill = |layers: &[PathBuf]| {
                let mut changes = Changes(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
                for number in 0..80 {
                    changes.change(&layers[0], number);
                }
                for count in 2..layers.len() {
                    let merged = Mounted::new(&layers[..count], &format!("{OPTIONS},{options}"), true);
                    for number in 0..60 {
                        changes.change(&merged.0, number);
                    }
                }
            };
            let what = format!("{options}, seed {seed}");
            Layered::new().compare(6, Attributes::Trusted, options, fill, &what);
        }
    }
}
