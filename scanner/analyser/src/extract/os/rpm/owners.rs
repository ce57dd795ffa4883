//! Which files RPM packages installed: the headers list them.

use super::header::{Header, Tag};
use super::live::{Database, live};
use super::store::{Emit, Fault, Store};
use super::{Problems, Rpm, beside, headers};
use crate::extract::Claims;
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Claims the files of every package in the database that rpm uses. The list that stands for a database in images without
/// rpm has no files.
///
/// The database is read for a second time: what is in question is not known before all packages are, and the files of all of
/// them are more than can be kept. What is damaged was reported the first time.
pub(super) fn claim(claims: &mut Claims<'_>) {
    let tree = claims.tree();
    let Some(Database { path, backend, .. }) = live(|path| tree.lookup(path).ok().flatten()) else { return };
    let path = FsPath::new(path);
    let Some(input) = claims.open(&Rpm, &path) else { return };
    let beside = beside(backend, &input, &mut drop);
    let mut problems = Problems::new(input.limits());
    let mut take = |header: Result<&[u8], Fault>| match header.map(Header::new) {
        Ok(Ok(header)) => {
            let package = header.text(Tag::NAME).unwrap_or_default().trim_ascii();
            header.files(&mut |directory, name| claims.file(PackageKind::Rpm, package, directory, name));
            Ok(())
        }
        Ok(Err(_)) | Err(_) => problems.another(),
    };
    let take: &mut Emit<'_> = &mut take;
    if let Err(fault) = headers(&mut Store::new(&input, input.limits()), backend, beside, take) {
        tracing::debug!(reason = fault.reason(), "files of packages are incomplete");
    }
}
