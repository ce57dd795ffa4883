//! Which of several databases is the one that rpm uses.

use std::cmp::Reverse;

use crate::fs::{FileType, FsPath, Node, Stat};

/// A format of rpm's database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// Berkeley DB.
    Bdb,
    /// rpm's own.
    Ndb,
    /// SQLite.
    Sqlite,
}

/// Where databases are, the most likely first. Which directory it is, is compiled into rpm or stands in its configuration:
/// `/usr/lib/sysimage/rpm` in Fedora since 36 and SUSE, which leave a link in `/var/lib`; `/usr/share/rpm` where OSTree keeps
/// everything in `/usr`.
pub(super) const PLACES: [(&str, Backend); 9] = [
    ("/usr/lib/sysimage/rpm/rpmdb.sqlite", Backend::Sqlite),
    ("/usr/lib/sysimage/rpm/Packages.db", Backend::Ndb),
    ("/usr/lib/sysimage/rpm/Packages", Backend::Bdb),
    ("/var/lib/rpm/rpmdb.sqlite", Backend::Sqlite),
    ("/var/lib/rpm/Packages.db", Backend::Ndb),
    ("/var/lib/rpm/Packages", Backend::Bdb),
    ("/usr/share/rpm/rpmdb.sqlite", Backend::Sqlite),
    ("/usr/share/rpm/Packages.db", Backend::Ndb),
    ("/usr/share/rpm/Packages", Backend::Bdb),
];

/// A database that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Database {
    pub(super) path: &'static str,
    pub(super) backend: Backend,
    pub(super) node: Node,
}

/// The database that rpm uses, of the files that `look_up` knows. Links are followed there, and a file that cannot be looked at
/// is a gap already, of its own interest.
///
/// rpm uses one and does not look at others: what it used before may stay beside it, in another format or, if nobody put a
/// link, in another directory. Its list is that of a machine that is no more. rpm takes the format and the directory that it
/// is configured for, and only if nothing is there another one; the configuration is a language that runs programs, so the
/// files have to tell:
///
/// - An rpm that writes NDB or SQLite (from version 4.15) only reads Berkeley DB, in order to leave it.
/// - Of two that it could write, the one in use is the one that was changed last, in its log if it has one.
/// - Of two that were changed in the same second, the first of [`PLACES`].
///
/// An empty file is what an rpm of another format leaves where it looked.
pub(super) fn live(look_up: impl Fn(&FsPath) -> Option<(Node, Stat)>) -> Option<Database> {
    // A file that is not empty, and when it was changed.
    let find = |path: &str| {
        let (node, stat) = look_up(&FsPath::new(path))?;
        (stat.file_type == FileType::Regular && stat.size > 0).then_some((node, stat.mtime))
    };
    let candidates = PLACES.iter().enumerate().filter_map(|(order, &(path, backend))| {
        let (node, changed) = find(path)?;
        let logged = match backend {
            Backend::Sqlite => find(&format!("{path}-wal")).map(|(_, changed)| changed),
            Backend::Ndb | Backend::Bdb => None,
        };
        let key =
            (backend != Backend::Bdb, logged.map_or(changed, |logged| logged.max(changed)), Reverse(order));
        Some((key, Database { path, backend, node }))
    });
    candidates.max_by_key(|(key, _)| *key).map(|(_, database)| database)
}
