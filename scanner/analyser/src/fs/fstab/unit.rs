//! systemd's mount units, as systemd.mount(5) and systemd.unit(5) describe them. Systems made as images, such as
//! Bottlerocket, have them instead of a table.

use std::collections::HashSet;

use super::{Entry, Fstab, entry};
use crate::fs::{FsError, FsPath, Tree};

/// Where units are that a package or an administrator installed, in the order in which one hides another of its name.
const DIRECTORIES: [&str; 2] = ["/etc/systemd/system", "/usr/lib/systemd/system"];

/// Adds the mounts of a system's units.
pub(super) fn read(tree: &Tree, found: &mut Fstab) {
    let limits = tree.limits();
    let mut seen = HashSet::new();
    for directory in DIRECTORIES.map(FsPath::new) {
        let units = match tree.read_dir(&directory) {
            Ok(entries) => entries.unwrap_or_default(),
            Err(error) => {
                found.problem(&directory.to_string(), &crate::chain(&error), limits);
                continue;
            }
        };
        for unit in units.into_iter().filter(|unit| unit.name.ends_with(b".mount")) {
            let path = directory.join(&unit.name);
            if !seen.insert(unit.name) {
                continue;
            }
            if let Err(problem) = add(tree, &path, found) {
                found.problem(&path.to_string(), &problem, limits);
            }
        }
    }
}

/// Adds the mount of one unit, unless the table has its mount point.
fn add(tree: &Tree, path: &FsPath, found: &mut Fstab) -> Result<(), String> {
    let content = match tree.open(path) {
        Ok(Some(file)) => file.read_small(),
        // A unit that is masked is a link to /dev/null, a device or absent here.
        Ok(None) | Err(FsError::Invalid { .. }) => return Ok(()),
        Err(error) => Err(error),
    };
    let content = content.map_err(|error| crate::chain(&error))?;
    match parse(&content)? {
        Some(entry) if !found.entries.iter().any(|other| other.mount_point == entry.mount_point) => {
            Ok(found.add(entry, tree.limits())?)
        }
        _ => Ok(()),
    }
}

/// The mount that a unit describes; `None` for one that describes none, such as an empty file.
pub(super) fn parse(content: &[u8]) -> Result<Option<Entry>, &'static str> {
    let mut in_section = false;
    let [mut what, mut whither, mut kind, mut options] = [&[][..]; 4];
    for line in content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.starts_with(b"[") {
            in_section = line == b"[Mount]";
            continue;
        }
        let Some(at) = line.iter().position(|&byte| byte == b'=').filter(|_| in_section) else { continue };
        let (name, value) = (line.get(..at).unwrap_or_default(), line.get(at.saturating_add(1)..));
        let value = value.unwrap_or_default().trim_ascii();
        match name.trim_ascii() {
            b"What" => what = value,
            b"Where" => whither = value,
            b"Type" => kind = value,
            b"Options" => options = value,
            _ => {}
        }
    }
    if what.is_empty() || whither.is_empty() {
        return Ok(None);
    }
    if [what, whither].iter().any(|value| value.contains(&b'%')) {
        return Err("what it mounts depends on the machine");
    }
    entry(what, whither, if kind.is_empty() { b"auto" } else { kind }, options).map(Some)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use crate::fs::Tree;
    use crate::fs::fstab::{Fstab, Role};
    use crate::limits::Limits;

    #[test]
    fn units_are_read_beside_the_table() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("etc/fstab", "UUID=1 / ext4\nUUID=2 /home ext4\n");
        let unit = |what: &str, whither: &str, more: &str| {
            format!(
                "[Unit]\nWhat=no\n[Mount]\n# What=no\nWhat={what}\n Where = {whither}\n{more}\n[Install]\nWhat=no\n"
            )
        };
        let (etc, usr) = ("etc/systemd/system", "usr/lib/systemd/system");
        write(&format!("{usr}/local.mount"), &unit("/dev/disk/by-partlabel/DATA", "/local", "Type=ext4"));
        write(&format!("{usr}/var.mount"), &unit("/local/var", "/var", "Options=rbind,nosuid"));
        write(&format!("{usr}/home.mount"), &unit("LABEL=not-this", "/home", ""));
        write(&format!("{usr}/opt.mount"), &unit("LABEL=packaged", "/opt", ""));
        write(&format!("{etc}/opt.mount"), &unit("LABEL=administered", "/opt", ""));
        write(&format!("{usr}/run-%i.mount"), &unit("LABEL=x", "/run/%i", ""));
        write(&format!("{usr}/empty.mount"), "[Mount]\nWhat=\n");
        write(&format!("{usr}/some.service"), &unit("LABEL=service", "/service", ""));
        write(&format!("{usr}/masked.mount"), &unit("LABEL=masked", "/masked", ""));
        symlink("/dev/null", root.path().join(etc).join("masked.mount")).unwrap();

        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
        let mut fstab = Fstab::read(&tree);
        assert_eq!(fstab.entries.len(), 2);
        fstab.add_units(&tree);
        let entries: Vec<_> = fstab
            .entries
            .iter()
            .map(|entry| format!("{}: {:?} {}", entry.mount_point, entry.spec, entry.kind))
            .collect();
        assert_eq!(
            entries,
            [
                "/: Uuid(\"1\") ext4",
                "/home: Uuid(\"2\") ext4",
                "/opt: Label(\"administered\") auto",
                "/local: PartLabel(\"DATA\") ext4",
                "/var: Path(\"/local/var\") auto",
            ]
        );
        assert_eq!(fstab.entries[4].role(), Role::Bind);
        assert_eq!(
            fstab.problems,
            ["/usr/lib/systemd/system/run-%i.mount: what it mounts depends on the machine"]
        );
    }
}
