//! Archives that tools made, compared with what was packed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use agentless_core::fs::Directory;
use agentless_core::source::{Archive, DiskState, Source};
use agentless_core::task::Scope;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::analyse;

/// Runs a program in a folder.
fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The files that a Python program makes in a folder of its own.
fn python(program: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), "python3", &["-c", program]);
    folder
}

fn volume(folder: &TempDir, name: &str) -> Arc<dyn Volume> {
    memory(fs::read(folder.path().join(name)).unwrap())
}

fn memory(bytes: Vec<u8>) -> Arc<dyn Volume> {
    Arc::new(MemoryVolume::new(bytes))
}

fn read(file_system: &dyn FileSystem, inode: Inode, size: u64) -> Result<Vec<u8>, FsError> {
    let mut content = vec![0; to_usize(size)];
    let count = file_system.read(inode, 0, &mut content)?;
    content.truncate(count);
    Ok(content)
}

/// Type, mode and content of a file.
type File = (FileType, u16, Result<Vec<u8>, String>);

/// Every file by its path.
fn list(file_system: &dyn FileSystem) -> BTreeMap<String, File> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![(String::new(), file_system.root())]);
    while let Some((path, inode)) = waiting.pop() {
        let mut entries = Vec::new();
        let visit = &mut |entry: DirEntry<'_>| {
            entries.push((format!("{path}/{}", entry.name.escape_ascii()), entry.inode));
            ControlFlow::Continue(())
        };
        file_system.read_dir(inode, visit).unwrap();
        for (path, inode) in entries {
            let stat = file_system.stat(inode).unwrap();
            let content = match stat.file_type {
                FileType::Directory => {
                    waiting.push((path.clone(), inode));
                    Ok(Vec::new())
                }
                FileType::Regular => read(file_system, inode, stat.size).map_err(|error| chain(&error)),
                FileType::Symlink => file_system.read_link(inode).map_err(|error| chain(&error)),
                _ => Ok(Vec::new()),
            };
            found.insert(path, (stat.file_type, stat.mode, content));
        }
    }
    found
}

fn paths(file_system: &dyn FileSystem) -> Vec<String> {
    list(file_system).into_keys().collect()
}

/// An image of these layers, and what of them was refused.
fn image(layers: impl IntoIterator<Item = Arc<dyn Volume>>) -> (Unpacked, Vec<String>) {
    let mut unpacked = Unpacked::new(&Limits::default());
    let mut refused = Vec::new();
    for layer in layers {
        refused.extend(unpacked.add(Place::Root, ArchiveFormat::Tar, layer).unwrap());
    }
    (unpacked, refused)
}

#[track_caller]
fn same(ours: &dyn FileSystem, folder: &Path) {
    let theirs = list(&Directory::open(folder, &Limits::default()).unwrap());
    let ours = list(ours);
    assert!(ours.keys().eq(theirs.keys()), "{:?}\n{:?}", ours.keys(), theirs.keys());
    for (path, ours) in &ours {
        assert!(*ours == theirs[path], "{path}");
    }
}

/// A folder with long names, links, modes, and a file of several checkpoints.
fn folder() -> TempDir {
    python(
        r#"
import os, random
random.seed(1)
os.makedirs("tree/a/" + "d" * 120 + "/" + "e" * 120)
open("tree/a/" + "d" * 120 + "/" + "e" * 120 + "/" + "f" * 200, "w").write("long")
os.symlink("../" + "t" * 150, "tree/a/link")
open("tree/program", "wb").write(b"\x7fELF" * 1000); os.chmod("tree/program", 0o4755)
os.link("tree/program", "tree/a/same")
os.mkfifo("tree/pipe")
open("tree/empty", "w").close()
os.mkdir("tree/nothing")
with open("tree/large", "wb") as f:
    for _ in range(400): f.write(random.randbytes(16384) + bytes(49152))
"#,
    )
}

#[test]
fn tars_of_every_form_are_what_was_packed() {
    let folder = folder();
    for format in ["gnu", "posix"] {
        for compression in ["--gzip", "--no-same-owner"] {
            let format = format!("--format={format}");
            run(
                folder.path(),
                "tar",
                &["--create", &format, compression, "--file=archive", "--directory=tree", "."],
            );
            let (ours, refused) = image([volume(&folder, "archive")]);
            assert_eq!(refused, [""; 0]);
            same(&ours, &folder.path().join("tree"));
        }
    }
}

#[test]
fn any_place_of_a_compressed_file_is_read_in_any_order() {
    let folder = folder();
    run(folder.path(), "tar", &["--create", "--gzip", "--file=archive", "--directory=tree", "."]);
    let whole = fs::read(folder.path().join("tree/large")).unwrap();
    let members = python(
        r#"
import gzip, random
random.seed(2)
whole = random.randbytes(300000) + bytes(900000)
open("whole", "wb").write(whole)
with open("members", "wb") as f:
    for start in range(0, len(whole), 70001): f.write(gzip.compress(whole[start:start + 70001]))
"#,
    );
    let limits = Limits { cache_bytes: 0, ..Limits::default() };
    let mut unpacked = Unpacked::new(&limits);
    unpacked.add(Place::Root, ArchiveFormat::Tar, volume(&folder, "archive")).unwrap();
    let large = unpacked.lookup(unpacked.root(), b"large").unwrap().unwrap();
    let inflated = inflated::Inflated::gzip(volume(&members, "members"));
    let budget = Budget::new(&limits);
    let parts = fs::read(members.path().join("whole")).unwrap();
    for step in 0..60_usize {
        let mut bytes = vec![0; 5000];
        let offset = step * 7_919_993 % (whole.len() - 5000);
        assert_eq!(unpacked.read(large, to_u64(offset), &mut bytes).unwrap(), 5000);
        assert!(bytes == whole[offset..offset + 5000], "{offset}");
        let offset = step * 7_919_993 % (parts.len() - 5000);
        assert_eq!(inflated.read_at(to_u64(offset), &mut bytes, &budget).unwrap(), 5000);
        assert!(bytes == parts[offset..offset + 5000], "{offset}");
    }
}

#[test]
fn a_zip_is_what_was_packed() {
    let folder = folder();
    fs::remove_file(folder.path().join("tree/pipe")).unwrap();
    fs::set_permissions(
        folder.path().join("tree/program"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let tree = folder.path().join("tree");
    run(&tree, "zip", &["--quiet", "--recurse-paths", "--symlinks", "../archive.zip", "."]);
    for cache_bytes in [0, 32 << 20] {
        let limits = Limits { cache_bytes, ..Limits::default() };
        let ours = super::super::open(volume(&folder, "archive.zip"), &limits).unwrap();
        assert_eq!((ours.kind(), ours.problems()), ("zip", Vec::new()));
        same(&*ours, &tree);
    }
}

#[test]
fn what_a_zip_should_not_have_costs_itself_alone() {
    let folder = python(
        r#"
import zipfile, warnings
warnings.simplefilter("ignore")
z = zipfile.ZipFile("a.zip", "w")
for name, content in [("deep/er/file", "x"), ("twice", "old"), ("twice", "new"), ("../out", "x"), ("/abs", "x"), ("twice/below", "x")]:
    i = zipfile.ZipInfo(name); i.create_system = 0; i.external_attr = 0
    z.writestr(i, content)
"#,
    );
    let ours = super::super::open(volume(&folder, "a.zip"), &Limits::default()).unwrap();
    let listed = list(&*ours);
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["/deep", "/deep/er", "/deep/er/file", "/twice"]);
    assert_eq!(listed["/twice"], (FileType::Regular, 0o755, Ok(b"new".to_vec())));
    assert_eq!(
        ours.problems(),
        [
            "the zip archive is damaged: 2 entries have names that lead out of it or are none, such as \"../out\"",
            "twice/below: not a directory",
        ]
    );
}

/// Layers as the tools of images write them: names, and what they hold; none for a directory, `->` for a link, `=` for a
/// hard one.
fn layers(layers: &[&[(&str, Option<&str>)]]) -> Vec<Arc<dyn Volume>> {
    let folder = python(&format!(
        r#"
import tarfile, io, json
for number, layer in enumerate(json.loads('''{}''')):
    with tarfile.open(f"{{number}}", "w") as tar:
        for name, content in layer:
            info = tarfile.TarInfo(name)
            if content is None: info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif content.startswith("->"): info.type, info.linkname = tarfile.SYMTYPE, content[2:]
            elif content.startswith("="): info.type, info.linkname = tarfile.LNKTYPE, content[1:]
            else: info.size = len(content)
            tar.addfile(info, io.BytesIO((content or "").encode()))
"#,
        serde_json::to_string(layers).unwrap()
    ));
    (0..layers.len()).map(|number| volume(&folder, &number.to_string())).collect()
}

#[test]
fn later_layers_replace_and_hide_what_is_in_earlier_ones() {
    let (ours, refused) = image(layers(&[
        &[
            ("lib", Some("->usr/lib")),
            ("usr/lib/a", Some("1")),
            ("usr/lib/b", Some("1")),
            ("opaque/old", Some("1")),
            ("opaque/deep/old", Some("1")),
            ("gone/x", Some("1")),
            ("file", Some("1")),
            ("kept", Some("1")),
            ("dir/x", Some("1")),
        ],
        &[
            ("opaque", None),
            // What a layer has itself stays, wherever its whiteout stands.
            ("opaque/new", Some("2")),
            ("opaque/deep/new", Some("2")),
            ("opaque/.wh..wh..opq", Some("")),
            (".wh..wh.plnk/1", Some("")),
            (".wh.gone", Some("")),
            (".wh.never", Some("")),
            // Through the link of the layer below, as engines do.
            ("lib/.wh.a", Some("")),
            ("lib/c", Some("2")),
            ("file", None),
            ("file/now", Some("2")),
            ("dir", Some("2")),
            ("linked", Some("=kept")),
            (".wh.kept", Some("")),
            ("broken", Some("=nothing")),
            ("../out", Some("2")),
        ],
    ]));
    let found = paths(&ours);
    let expected = [
        "/dir",
        "/file",
        "/file/now",
        "/lib",
        "/linked",
        "/opaque",
        "/opaque/deep",
        "/opaque/deep/new",
        "/opaque/new",
        "/usr",
        "/usr/lib",
        "/usr/lib/b",
        "/usr/lib/c",
    ];
    assert_eq!(found, expected);
    assert_eq!(list(&ours)["/linked"].2, Ok(b"1".to_vec()));
    assert_eq!(
        refused,
        ["broken: a hard link to a file that is not there", "../out: its name leads out of the archive",]
    );
}

#[test]
fn code_and_layers_of_a_function_are_one_tree() {
    let folder = python(
        r#"
import zipfile
def write(file, **files):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in files.items(): z.writestr(name.replace("__", "/"), content)
package = lambda name, version: '{"name":"%s","version":"%s"}' % (name, version)
write("code", **{"node_modules__in-code__package.json": package("in-code", "1.0")})
write("first", **{"nodejs__node_modules__both__package.json": package("both", "1.0"), "nodejs__node_modules__first__package.json": package("first", "1.0")})
write("second", **{"nodejs__node_modules__both__package.json": package("both", "2.0")})
"#,
    );
    let archive =
        |id: &str, place, state| Archive { id: id.to_owned(), place, format: ArchiveFormat::Zip, state };
    let open = |id: &str, place| archive(id, place, DiskState::Open(volume(&folder, id)));
    let archives = [
        open("code", Place::Task),
        archive("broken", Place::Opt, DiskState::Open(memory(vec![1; 1000]))),
        open("first", Place::Opt),
        archive("lost", Place::Opt, DiskState::Unread { reason: "it is of another account".to_owned() }),
        open("second", Place::Opt),
    ];
    let report =
        analyse::target("function", Source::Function(&archives), Scope::default(), &Limits::default());
    let [tree] = report.trees.as_slice() else { panic!("{:?}", report.trees) };
    let found: Vec<_> = tree
        .findings
        .packages
        .iter()
        .map(|package| {
            let filesystem = tree.filesystem_of(&package.evidence.path);
            let device = report.filesystems[filesystem].devices[0];
            (&*package.name, &*package.version, &*report.devices[device].name, &*package.evidence.path)
        })
        .collect();
    let path = |at: &str, name: &str| format!("/{at}/node_modules/{name}/package.json");
    let (code, both, first) =
        (path("var/task", "in-code"), path("opt/nodejs", "both"), path("opt/nodejs", "first"));
    assert_eq!(
        found,
        [
            ("both", "2.0", "second", &*both),
            ("first", "1.0", "first", &*first),
            ("in-code", "1.0", "code", &*code)
        ]
    );
    let unknowns: Vec<_> = report.unknowns().into_iter().map(|unknown| unknown.reason).collect();
    assert_eq!(unknowns.len(), 2, "{unknowns:?}");
    assert!(unknowns.iter().any(|reason| reason.contains("another account")), "{unknowns:?}");
}

#[test]
fn bombs_of_names_and_of_bytes_end_within_the_limits() {
    let folder = python(
        r#"
import tarfile, io, gzip
with tarfile.open("names", "w:gz") as tar:
    for number in range(2000):
        tar.addfile(tarfile.TarInfo(f"{number}/" + "/".join("d" * 1500)))
info = tarfile.TarInfo("zeros"); info.size = 1 << 30
with gzip.open("zeros", "wb", 1) as f:
    f.write(info.tobuf())
    for _ in range(1024): f.write(bytes(1 << 20))
with tarfile.open("many", "w") as tar:
    for number in range(100000): tar.addfile(tarfile.TarInfo(str(number)))
"#,
    );
    let limits = Limits { file_bytes: 16 << 20, read_bytes: 64 << 20, ..Limits::default() };
    for (name, expected) in [("names", Some("file_bytes")), ("zeros", Some("read_bytes")), ("many", None)] {
        let limits = if expected.is_some() { limits.clone() } else { Limits::default() };
        let mut unpacked = Unpacked::new(&limits);
        let refused = unpacked.add(Place::Root, ArchiveFormat::Tar, volume(&folder, name)).unwrap();
        match expected {
            Some(expected) => assert!(refused[0].contains(expected), "{refused:?}"),
            None => assert_eq!((refused.len(), paths(&unpacked).len()), (0, 100_000)),
        }
    }
}

#[test]
fn what_is_cut_short_is_said_and_the_rest_is_there() {
    let folder = folder();
    run(
        folder.path(),
        "tar",
        &["--create", "--gzip", "--sort=name", "--file=archive", "--directory=tree", "."],
    );
    let whole = fs::read(folder.path().join("archive")).unwrap();
    let (ours, refused) = image([memory(whole[..whole.len() / 2].to_vec())]);
    assert!(refused[0].contains("cut short"), "{refused:?}");
    assert!(paths(&ours).contains(&"/a/link".to_owned()));
    assert!(list(&ours)["/large"].2.is_err());
}

/// Small archives that tools made: the seeds of the fuzz targets.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    fs::read_dir(corpus).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

proptest! {
    #[test]
    fn changed_archives_do_no_harm(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
        length in any::<prop::sample::Index>(),
    ) {
        for (target, format) in [("zip_filesystem", ArchiveFormat::Zip), ("tar", ArchiveFormat::Tar)] {
            let mut content = seed.get(&seeds(target)).clone();
            for (place, value) in &edits {
                *place.get_mut(&mut content) = *value;
            }
            fuzz(&content, format);
            content.truncate(length.index(content.len()));
            fuzz(&content, format);
        }
    }
}
