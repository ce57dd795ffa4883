//! How many 512 KiB blocks of a snapshot the list of operating-system packages costs.

use std::fs;
use std::os::unix::fs::symlink;
use std::rc::Rc;
use std::sync::Arc;

use agentless_analyser::fs::walk::{Found, Next, Visitor, walk};
use agentless_analyser::fs::{FsError, FsPath, Tree, open};
use agentless_analyser::limits::Limits;

use agentless_disk_tests::counting::CountingVolume;
use agentless_disk_tests::fill;
use agentless_disk_tests::image::{Mount, Workspace, can_mount};

#[test]
fn os_packages_touch_few_blocks_of_a_large_image() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 2 << 30, &["mkfs.ext4"]);
    let status = fill::content(1, 700_000);
    {
        let mount = Mount::writable(&image);
        let root = mount.path();
        for dir in ["etc", "usr/lib", "usr/share", "var/lib/dpkg/info", "home"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        // As on a real system: other files before, between and after.
        for index in 0..8000 {
            let dir = ["etc", "usr/lib", "usr/share", "var/lib/dpkg/info"][index % 4];
            let length = index % 7 * 4000;
            fs::write(root.join(dir).join(format!("file-{index}")), fill::content(7, length)).unwrap();
        }
        for index in 0..60 {
            fs::write(root.join("home").join(format!("data-{index}")), fill::content(index, 16 << 20))
                .unwrap();
        }
        fs::write(root.join("usr/lib/os-release"), "ID=debian\n").unwrap();
        symlink("../usr/lib/os-release", root.join("etc/os-release")).unwrap();
        fs::write(root.join("var/lib/dpkg/status"), &status).unwrap();
    }

    let volume = Arc::new(CountingVolume::new(&image));
    let limits = Limits::default();
    let tree = Tree::new(Rc::from(open(volume.clone(), &limits).unwrap()), limits);
    let read = |path: &str| tree.open(&FsPath::new(path)).unwrap().map(|file| file.read_all().unwrap());
    assert_eq!(read("/etc/os-release").as_deref(), Some(&b"ID=debian\n"[..]));
    assert_eq!(read("/var/lib/dpkg/status").as_deref(), Some(&*status));
    for absent in ["/var/lib/dpkg/status.d", "/lib/apk/db/installed", "/var/lib/rpm/rpmdb.sqlite"] {
        assert!(tree.lookup(&FsPath::new(absent)).unwrap().is_none(), "{absent}");
    }
    let (touched, in_vain) = (volume.touched(), volume.prefetched_in_vain());
    println!("OS packages touch {touched} of 4096 blocks of 512 KiB, {in_vain} were prefetched in vain");
    assert!(touched <= 13, "{touched}");
    assert_eq!(in_vain, 0);

    let mut counter = Counter::default();
    walk(&tree, &mut counter).unwrap();
    println!("listing all {} entries touches {}", counter.0, volume.touched());
    assert_eq!(volume.prefetched_in_vain(), 0);
}

/// Counts what a walk finds.
#[derive(Default)]
struct Counter(usize);

impl Visitor for Counter {
    fn found(&mut self, _found: &Found<'_>) -> Next {
        self.0 += 1;
        Next::Enter
    }

    fn unread(&mut self, path: FsPath, error: FsError) {
        panic!("{path}: {error}");
    }
}
