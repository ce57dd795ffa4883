//! Containers in stores that are laid out here as engines do: how often what they share is read, and what damage costs.
//! Stores of the engines themselves are read by the tests of package lists.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "the helpers of tests fail as tests do, and make the directories"
)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};

use agentless_analyser::analyse;
use agentless_analyser::fs::{DirEntry, FileSystem, FsError, Identity, Inode, Journal, Stat, Xattr};
use agentless_analyser::limits::Limits;
use agentless_analyser::report::{StorageReport, TreeReport};
use agentless_analyser::storage::Source;
use agentless_core::fs::Directory;
use agentless_core::task::Scope;
use tempfile::TempDir;

/// How often files were read from their start and directories were listed, by their names.
#[derive(Clone, Debug, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, u32>>>);

/// A directory whose use is counted.
#[derive(Debug)]
struct Counting {
    inner: Directory,
    names: Mutex<BTreeMap<Inode, String>>,
    counts: Counts,
}

impl Counting {
    fn count(&self, inode: Inode) {
        let name = self.names.lock().unwrap().get(&inode).cloned().unwrap_or_default();
        *self.counts.0.lock().unwrap().entry(name).or_default() += 1;
    }

    fn name(&self, inode: Inode, name: &[u8]) {
        self.names.lock().unwrap().insert(inode, String::from_utf8(name.to_vec()).unwrap());
    }
}

impl FileSystem for Counting {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn journal(&self) -> Journal {
        self.inner.journal()
    }

    fn identity(&self) -> Identity {
        self.inner.identity()
    }

    fn root(&self) -> Inode {
        self.inner.root()
    }

    fn stat(&self, inode: Inode) -> Result<Stat, FsError> {
        self.inner.stat(inode)
    }

    fn read_dir(
        &self,
        dir: Inode,
        visit: &mut dyn FnMut(DirEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        self.count(dir);
        self.inner.read_dir(dir, &mut |entry| {
            self.name(entry.inode, entry.name);
            visit(entry)
        })
    }

    fn lookup(&self, dir: Inode, name: &[u8]) -> Result<Option<Inode>, FsError> {
        let found = self.inner.lookup(dir, name)?;
        if let Some(inode) = found {
            self.name(inode, name);
        }
        Ok(found)
    }

    fn read(&self, inode: Inode, offset: u64, dst: &mut [u8]) -> Result<usize, FsError> {
        if offset == 0 {
            self.count(inode);
        }
        self.inner.read(inode, offset, dst)
    }

    fn read_link(&self, inode: Inode) -> Result<Vec<u8>, FsError> {
        self.inner.read_link(inode)
    }

    fn xattrs(
        &self,
        inode: Inode,
        visit: &mut dyn FnMut(Xattr<'_>) -> ControlFlow<()>,
    ) -> Result<(), FsError> {
        self.inner.xattrs(inode, visit)
    }
}

fn write(path: impl AsRef<Path>, content: &str) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A host with so many containers of one image in Docker's `overlay2`.
fn host(containers: usize) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let docker = root.path().join("var/lib/docker");
    let layer = |id: &str, lower: &str| {
        fs::create_dir_all(docker.join("overlay2/l")).unwrap();
        fs::create_dir_all(docker.join("overlay2").join(id).join("diff")).unwrap();
        symlink(format!("../{id}/diff"), docker.join("overlay2/l").join(id.to_uppercase())).unwrap();
        if !lower.is_empty() {
            write(docker.join("overlay2").join(id).join("lower"), lower);
        }
    };
    layer("base", "");
    let base = docker.join("overlay2/base/diff");
    write(base.join("etc/os-release"), "ID=debian\nVERSION_ID=12\n");
    write(base.join("etc/debian_version"), "12.5\n");
    write(
        base.join("var/lib/dpkg/status"),
        "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
    );
    write(base.join("var/lib/dpkg/status.d/b"), "Package: b\nVersion: 1\nArchitecture: all\n");
    let config = r#"{"os":"linux","architecture":"arm64","variant":"v8","rootfs":{"diff_ids":["sha256:1","sha256:2"]}}"#;
    write(docker.join("image/overlay2/imagedb/content/sha256/abc"), config);
    let repositories = r#"{"Repositories":{"web":{"web:1":"sha256:abc","web:latest":"sha256:abc","web@sha256:def":"sha256:abc"}}}"#;
    write(docker.join("image/overlay2/repositories.json"), repositories);
    for number in 0..containers {
        let id = format!("c{number:03}");
        layer(&id, "l/BASE");
        write(docker.join("image/overlay2/layerdb/mounts").join(&id).join("mount-id"), &id);
        let state =
            if number == 0 { r#"{"Running":true}"# } else { r#"{"StartedAt":"2026-01-01T00:00:00Z"}"# };
        let config = format!(
            r#"{{"ID":"{id}","Name":"/web-{number}","Driver":"overlay2","Image":"sha256:abc","Config":{{"Image":"web:1"}},"State":{state}}}"#
        );
        write(docker.join("containers").join(&id).join("config.v2.json"), &config);
    }
    root
}

fn report(root: &Path, scope: Scope, limits: &Limits) -> (StorageReport, BTreeMap<String, u32>) {
    let counts = Counts::default();
    let inner = Directory::open(root, limits).unwrap();
    let directory = Counting { inner, names: Mutex::default(), counts: counts.clone() };
    let report = analyse::target("host", Source::Directory(Box::new(directory)), scope, limits);
    let counts = counts.0.lock().unwrap().clone();
    (report, counts)
}

fn packages(tree: &TreeReport) -> Vec<&str> {
    tree.findings.packages.iter().map(|package| &package.name[..]).collect()
}

#[test]
fn what_a_hundred_containers_share_is_read_once() {
    let host = host(100);
    let upper = host.path().join("var/lib/docker/overlay2/c007/diff");
    write(upper.join("etc/debian_version"), "12.9\n");
    write(upper.join("var/lib/dpkg/status.d/c"), "Package: c\nVersion: 1\nArchitecture: all\n");
    let (report, counts) = report(host.path(), Scope::default(), &Limits::default());
    assert_eq!(report.unknowns(), []);
    assert_eq!(report.trees.len(), 101);
    assert!(report.trees[0].container.is_none() && report.trees[0].findings.packages.is_empty());
    for (number, tree) in report.trees[1..].iter().enumerate() {
        let container = tree.container.as_ref().unwrap();
        assert_eq!(container.name, Some(format!("web-{number}")));
        assert_eq!(container.state.as_deref(), Some(if number == 0 { "running" } else { "exited" }));
        assert_eq!(container.digest.as_deref(), Some("sha256:def"));
        assert_eq!(container.tags, ["web:latest"]);
        assert_eq!(container.platform.as_deref(), Some("linux/arm64/v8"));
        assert_eq!(container.layers, ["sha256:1", "sha256:2"]);
        let part = format!("/var/lib/docker/overlay2/c{number:03}/diff");
        assert_eq!((&tree.mounts[0].path[..], tree.mounts[0].part.as_ref()), ("/", Some(&part)));
        let changed = number == 7;
        assert_eq!(packages(tree), if changed { vec!["a", "b", "c"] } else { vec!["a", "b"] });
        let version = tree.findings.operating_system.as_ref().unwrap().version.as_deref();
        assert_eq!(version, Some(if changed { "12.9" } else { "12.5" }));
        assert_eq!(tree.findings.sources.len(), packages(tree).len());
    }
    assert_eq!((counts["status"], counts["b"], counts["c"]), (1, 1, 1));
    // Once for all, and again where the file beside it differs; of these there are two, each read there and by itself.
    assert_eq!((counts["os-release"], counts["debian_version"]), (2, 4));
    // That of the image, and that of the one container that has its own.
    assert_eq!(counts["status.d"], 2);
    assert_eq!((counts["abc"], counts["repositories.json"]), (1, 1));
}

#[test]
fn containers_are_read_only_if_they_are_asked_for() {
    let host = host(2);
    let scope = Scope { containers: false, ..Scope::default() };
    let (report, counts) = report(host.path(), scope, &Limits::default());
    assert_eq!((report.trees.len(), report.unknowns().len()), (1, 0));
    assert!(!counts.contains_key("status") && !counts.contains_key("config.v2.json"), "{counts:?}");
}

#[test]
fn damage_costs_the_container_that_has_it() {
    let host = host(7);
    let docker = host.path().join("var/lib/docker");
    write(docker.join("containers/c001/config.v2.json"), "{");
    fs::remove_file(docker.join("containers/c002/config.v2.json")).unwrap();
    fs::remove_dir_all(docker.join("overlay2/c003/diff")).unwrap();
    write(docker.join("overlay2/c004/lower"), "l/ABSENT:l/BASE");
    let config = r#"{"ID":"c005","Name":"/five","Driver":"btrfs"}"#;
    write(docker.join("containers/c005/config.v2.json"), config);
    write(docker.join("image/btrfs/layerdb/mounts/c005/mount-id"), "x");
    let config = r#"{"ID":"c006","Name":["odd"],"Driver":"overlayfs","State":7}"#;
    write(docker.join("containers/c006/config.v2.json"), config);
    write(host.path().join("var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db"), "no database");
    let (report, _) = report(host.path(), Scope::default(), &Limits::default());
    let names: Vec<_> =
        report.trees[1..].iter().map(|tree| tree.container.as_ref().unwrap().id.clone()).collect();
    assert_eq!(names, ["c000", "c004"]);
    assert_eq!(packages(&report.trees[2]), ["a", "b"]);
    let unknowns: Vec<_> = report
        .unknowns()
        .into_iter()
        .map(|unknown| format!("{}: {}", unknown.path.unwrap().replace("/var/lib/", ""), unknown.reason))
        .collect();
    assert_eq!(
        unknowns,
        [
            "docker/containers/c001/config.v2.json: it is not JSON: EOF while parsing an object at line 1 column 1",
            "docker/containers/c002/config.v2.json: a container without its configuration",
            "docker/containers/c003/config.v2.json: docker container web-3 (web:1) was not read: its files are missing",
            "docker/containers/c005/config.v2.json: docker container five was not read: this version does not read \
             Docker's storage driver btrfs",
            "docker/containers/c006/config.v2.json: docker container c006 was not read: the bbolt database is damaged: \
             neither of its meta pages is valid",
            "containerd/io.containerd.metadata.v1.bolt/meta.db: the bbolt database is damaged: neither of its meta \
             pages is valid",
            "docker/overlay2/l/ABSENT: a layer of the container is missing: what it held and hid is not known",
        ]
    );
}

#[test]
fn a_store_cannot_write_to_the_terminal_or_give_a_password_away() {
    let host = host(1);
    let docker = host.path().join("var/lib/docker");
    let config = r#"{"ID":"c000","Name":"/a\u001b[2J","Driver":"btrfs","Config":{"Image":"https://user:secret@example.com/a"}}"#;
    write(docker.join("containers/c000/config.v2.json"), config);
    write(docker.join("image/btrfs/layerdb/mounts/c000/mount-id"), "x");
    let (report, _) = report(host.path(), Scope::default(), &Limits::default());
    let reasons: Vec<_> = report.unknowns().into_iter().map(|unknown| unknown.reason).collect();
    let expected = "docker container a\\u{1b}[2J (https://example.com/a) was not read: this version does not read \
                    Docker's storage driver btrfs";
    assert_eq!(reasons, [expected]);
}

#[test]
fn more_containers_than_the_limit_are_not_read_and_that_is_said() {
    let host = host(3);
    let (report, _) = report(host.path(), Scope::default(), &Limits { containers: 2, ..Limits::default() });
    assert_eq!(report.trees.len(), 3);
    let reasons: Vec<_> = report.unknowns().into_iter().map(|unknown| unknown.reason).collect();
    let expected =
        "the target has more than 2 containers, the limit (`containers`): the others were not read";
    assert_eq!(reasons, [expected]);
}

#[test]
fn a_store_is_where_the_configuration_says() {
    let host = host(1);
    fs::create_dir(host.path().join("srv")).unwrap();
    fs::rename(host.path().join("var/lib/docker"), host.path().join("srv/engine")).unwrap();
    write(host.path().join("etc/docker/daemon.json"), r#"{"data-root":"/srv/engine"}"#);
    let (report, _) = report(host.path(), Scope::default(), &Limits::default());
    assert_eq!((report.trees.len(), report.unknowns().len()), (2, 0));
    assert_eq!(packages(&report.trees[1]), ["a", "b"]);
    // A volume of its own, that nothing says the place of.
    let (report, _) = self::report(&host.path().join("srv/engine"), Scope::default(), &Limits::default());
    assert_eq!((report.trees.len(), report.unknowns().len()), (2, 0));
    assert_eq!(packages(&report.trees[1]), ["a", "b"]);
}
