//! Containers in the stores that their engines made, against what the engines say of them, and against `dpkg-query` in
//! what the kernel shows of their files. Needs root, for overlays are mounted.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentless_analyser::analyse;
use agentless_analyser::storage::Source;
use agentless_core::fs::Directory;
use agentless_core::limits::Limits;
use agentless_core::package::PackageKind;
use agentless_core::report::{StorageReport, TreeReport};
use agentless_core::task::Scope;
use agentless_package_tests::engine::{self, Daemon};
use agentless_package_tests::{ours, tool};
use tempfile::TempDir;

const IMAGE: &str = "example.org/base:1";

/// The root of a host, whose engines keep what they have where their packages have them keep it, and a folder for what a
/// machine has in `/run`.
struct Host {
    root: TempDir,
    run: TempDir,
    archive: PathBuf,
    layers: Vec<String>,
}

impl Host {
    /// With an image of two layers in an archive. The second layer adds a package and removes one.
    fn new() -> Self {
        let (root, run) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |path: &str, content: &str| {
            let path = run.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let stanza = |name: &str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: b\n\n"
            )
        };
        write("lower/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n");
        write("lower/var/lib/dpkg/status", &[stanza("one"), stanza("two")].concat());
        for name in ["kept", "removed"] {
            write(&format!("lower/var/lib/dpkg/status.d/{name}"), &stanza(name));
        }
        write("upper/var/lib/dpkg/status.d/added", &stanza("added"));
        write("upper/var/lib/dpkg/status.d/.wh.removed", "");
        write("status", &[stanza("one"), stanza("three")].concat());
        let archive = run.path().join("image.tar");
        let layers = [run.path().join("lower"), run.path().join("upper")];
        let layers = engine::image(&layers, IMAGE, &archive);
        Self { root, run, archive, layers }
    }

    fn store(&self, path: &str) -> PathBuf {
        let store = self.root.path().join(path);
        fs::create_dir_all(&store).unwrap();
        store
    }

    fn report(&self) -> StorageReport {
        let limits = Limits::default();
        let root = Directory::open(self.root.path(), &limits).unwrap();
        let report = analyse::target("host", Source::Directory(Box::new(root)), Scope::default(), &limits);
        let unknowns = report.unknowns();
        assert!(unknowns.is_empty(), "{unknowns:?}");
        report
    }
}

/// The packages in what the kernel shows of a container.
fn packages_in(root: &Path) -> BTreeSet<(String, String)> {
    let database = root.join("var/lib/dpkg");
    let mut command = Command::new("dpkg-query");
    command.arg("--admindir").arg(&database).args(["-W", "-f=${Package}\t${Version}\n"]);
    let listed = tool::run(&mut command);
    let listed = listed.lines().filter_map(|line| line.split_once('\t'));
    let mut packages: BTreeSet<_> =
        listed.map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    for file in fs::read_dir(database.join("status.d")).unwrap() {
        packages.insert((file.unwrap().file_name().into_string().unwrap(), "1".to_owned()));
    }
    packages
}

/// The platform of the image.
fn platform() -> String {
    format!("linux/{}", engine::architecture())
}

/// The containers of a report by their names.
fn containers(report: &StorageReport) -> BTreeMap<String, &TreeReport> {
    let name = |tree: &TreeReport| {
        tree.container.as_ref().map(|it| it.name.clone().unwrap_or_else(|| it.id.clone()))
    };
    report.trees.iter().filter_map(|tree| Some((name(tree)?, tree))).collect()
}

fn packages_of(tree: &TreeReport) -> BTreeSet<(String, String)> {
    ours::names_and_versions(&tree.findings, PackageKind::Deb)
}

#[test]
fn containers_of_docker() {
    let host = Host::new();
    let daemon = Daemon::docker(&host.store("var/lib/docker"), host.run.path());
    let docker = |arguments: &[&str]| tool::run(daemon.docker_client().args(arguments));
    let archive = host.archive.to_str().unwrap();
    docker(&["load", "-i", archive]);
    docker(&["tag", IMAGE, "example.org/other:2"]);
    let mut ids = BTreeMap::new();
    for name in ["first", "second"] {
        let id = docker(&["create", "--name", name, "--network=none", IMAGE, "/bin/true"]);
        ids.insert(name, id.trim().to_owned());
    }
    let status = host.run.path().join("status");
    docker(&["cp", status.to_str().unwrap(), "second:/var/lib/dpkg/status"]);
    let image = docker(&["image", "inspect", "-f", "{{.Id}}", IMAGE]);
    let mut shown = BTreeMap::new();
    for name in ["first", "second"] {
        let (archive, folder) = (host.run.path().join("exported.tar"), host.run.path().join(name));
        docker(&["export", "-o", archive.to_str().unwrap(), name]);
        fs::create_dir(&folder).unwrap();
        tool::run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&folder).arg("var/lib/dpkg"));
        shown.insert(name, packages_in(&folder));
    }
    drop(daemon);

    let report = host.report();
    let found = containers(&report);
    assert_eq!(found.len(), 2, "{found:?}");
    for name in ["first", "second"] {
        let container = found[name].container.as_ref().unwrap();
        assert_eq!((&container.engine[..], &container.id), ("docker", &ids[name]));
        assert_eq!(container.image.as_deref(), Some(IMAGE));
        assert_eq!(container.digest.as_deref(), Some(image.trim()));
        assert_eq!(container.tags, ["example.org/other:2"]);
        assert_eq!(container.platform, Some(platform()));
        assert_eq!(container.state.as_deref(), Some("created"));
        assert_eq!(container.layers, host.layers);
        assert_eq!(packages_of(found[name]), shown[name], "{name}");
        assert_eq!(found[name].findings.operating_system.as_ref().unwrap().id, "debian");
    }
    assert_ne!(shown["first"], shown["second"]);
    let names: BTreeSet<_> = shown["first"].iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(names, BTreeSet::from(["added", "kept", "one", "two"]));
}

#[test]
fn containers_of_containerd() {
    let host = Host::new();
    let daemon = Daemon::containerd(&host.store("var/lib/containerd"), host.run.path());
    let ctr = |arguments: &[&str]| tool::run(daemon.containerd_client("k8s.io").args(arguments));
    ctr(&["image", "import", host.archive.to_str().unwrap()]);
    ctr(&["image", "tag", IMAGE, "example.org/other:2"]);
    let create = ["container", "create", "--snapshotter", "overlayfs"];
    let pod = ["--label", "io.kubernetes.pod.namespace=shop", "--label", "io.kubernetes.pod.name=front-1"];
    let of_pod: Vec<_> = create.iter().chain(&pod).copied().collect();
    ctr(&[&of_pod[..], &["--label", "io.kubernetes.container.name=web", IMAGE, "a1"]].concat());
    ctr(&[&of_pod[..], &["--label", "io.cri-containerd.kind=sandbox", IMAGE, "a2"]].concat());
    ctr(&[&create[..], &[IMAGE, "a3"]].concat());
    let digest = ctr(&["image", "ls", &format!("name=={IMAGE}")]);
    let digest = digest.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap();
    let listed = ctr(&["container", "ls", "-q"]);
    let mut shown = BTreeMap::new();
    for id in listed.lines() {
        let folder = host.run.path().join(id);
        fs::create_dir(&folder).unwrap();
        let mount = ctr(&["snapshot", "mounts", folder.to_str().unwrap(), id]);
        tool::run(Command::new("sh").arg("-c").arg(mount));
        if id == "a3" {
            fs::copy(host.run.path().join("status"), folder.join("var/lib/dpkg/status")).unwrap();
            fs::remove_file(folder.join("var/lib/dpkg/status.d/kept")).unwrap();
        }
        shown.insert(id.to_owned(), packages_in(&folder));
        // Lazily: a process that another test starts has a copy of every open file until it runs its program.
        tool::run(Command::new("umount").arg("--lazy").arg(&folder));
    }
    drop(daemon);

    let report = host.report();
    let found = containers(&report);
    let names = [("a1", "shop/front-1/web"), ("a2", "shop/front-1"), ("a3", "a3")];
    assert_eq!(
        found.keys().map(String::as_str).collect::<Vec<_>>(),
        ["a3", "shop/front-1", "shop/front-1/web"]
    );
    for (id, name) in names {
        let container = found[name].container.as_ref().unwrap();
        assert_eq!((&container.engine[..], &container.id[..]), ("containerd", id));
        assert_eq!(container.image.as_deref(), Some(IMAGE));
        assert_eq!(container.digest.as_deref(), Some(digest));
        assert!(container.tags.contains(&"example.org/other:2".to_owned()), "{:?}", container.tags);
        assert_eq!(container.platform, Some(platform()));
        assert_eq!((&container.state, &container.layers), (&None, &host.layers));
        assert_eq!(packages_of(found[name]), shown[id], "{name}");
    }
    assert_ne!(shown["a1"], shown["a3"]);
}

#[test]
fn containers_of_podman() {
    let host = Host::new();
    let store = host.store("var/lib/containers/storage");
    let podman = |arguments: &[&str]| tool::run(engine::podman(&store, host.run.path()).args(arguments));
    podman(&["load", "-i", host.archive.to_str().unwrap()]);
    let id = podman(&["create", "--name", "first", "--network=none", IMAGE, "/bin/true"]);
    let digest = podman(&["image", "inspect", "-f", "{{.Digest}}", IMAGE]);
    let point = podman(&["mount", "first"]);
    fs::remove_file(Path::new(point.trim()).join("var/lib/dpkg/status.d/kept")).unwrap();
    let shown = packages_in(Path::new(point.trim()));
    podman(&["umount", "first"]);

    let report = host.report();
    let found = containers(&report);
    let container = found["first"].container.as_ref().unwrap();
    assert_eq!((&container.engine[..], &container.id[..]), ("podman", id.trim()));
    assert_eq!(container.image.as_deref(), Some(IMAGE));
    assert_eq!(container.digest.as_deref(), Some(digest.trim()));
    assert_eq!(container.platform, Some(platform()));
    assert_eq!(container.layers, host.layers);
    assert_eq!(packages_of(found["first"]), shown);
}
