//! Which files Debian packages installed.

use std::collections::HashMap;

use super::{Dpkg, STATUS_D};
use crate::extract::Claims;
use crate::fs::{FsPath, Node};
use crate::package::PackageKind;

/// Holds for each package, as `NAME.list` or `NAME:ARCHITECTURE.list`, the paths that it installed (dpkg-query(1),
/// `--listfiles`).
const INFO: &str = "/var/lib/dpkg/info";
/// Which files are elsewhere than where their packages have them: three lines each, the path in the package, the path on the
/// disk and the package whose own file at the first path stays there (dpkg-divert(1)).
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";

/// Claims the files of every package.
pub(super) fn claim(claims: &mut Claims<'_>) {
    let diversions = claims.read(&Dpkg, &FsPath::new(DIVERSIONS)).unwrap_or_default();
    let diversions = Diversions::of(&diversions);
    each(claims, INFO, b".list", &mut |package, line, claims| {
        let (directory, name) = split(diversions.place(package, line));
        claims.file(PackageKind::Deb, package, directory, name);
    });
    // Images without dpkg have checksums instead, in the form of md5sum(1): 32 digits, two spaces, a path from the root.
    each(claims, STATUS_D, b".md5sums", &mut |package, line, claims| {
        let (directory, name) = split(line.get(34..).unwrap_or_default());
        claims.file(PackageKind::Deb, package, directory, name);
    });
}

/// What is done with a package and a line of its list.
type Claim<'f> = dyn FnMut(&[u8], &[u8], &mut Claims<'_>) + 'f;

/// Calls `claim` with each line of each file in `directory` whose name is a package's and ends in `suffix`.
fn each(claims: &mut Claims<'_>, directory: &str, suffix: &[u8], claim: &mut Claim<'_>) {
    /// Files that are asked for together.
    const AHEAD: usize = 256;

    let package_of = |path: &FsPath| Some(path.file_name()?.strip_suffix(suffix)?.to_vec());
    let mut files = claims.list(&Dpkg, &FsPath::new(directory));
    files.retain(|(path, _)| package_of(path).is_some());
    for files in files.chunks(AHEAD) {
        let nodes: Vec<Node> = files.iter().map(|(_, node)| *node).collect();
        claims.tree().prefetch_content(&nodes);
        for (path, _) in files {
            let Some(package) = package_of(path) else { continue };
            // Of co-installed architectures each has its own list.
            let package = package.split(|&byte| byte == b':').next().unwrap_or_default();
            let content = claims.read(&Dpkg, path).unwrap_or_default();
            for line in content.split(|&byte| byte == b'\n') {
                claim(package, line, claims);
            }
        }
    }
}

/// A path's directory and name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    match slash.and_then(|slash| path.split_at_checked(slash)) {
        Some((directory, name)) => (directory, name.get(1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// The diverted paths, with where the files are and the package that this does not concern.
struct Diversions<'a>(HashMap<&'a [u8], (&'a [u8], &'a [u8])>);

impl<'a> Diversions<'a> {
    fn of(content: &'a [u8]) -> Self {
        let mut lines = content.split(|&byte| byte == b'\n');
        let records = std::iter::from_fn(|| Some((lines.next()?, (lines.next()?, lines.next()?))));
        Self(records.collect())
    }

    fn place<'p>(&self, package: &[u8], path: &'p [u8]) -> &'p [u8]
    where
        'a: 'p,
    {
        match self.0.get(path) {
            Some(&(place, by)) if by != package => place,
            _ => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diverted_file_is_elsewhere_for_all_but_one_package() {
        let diversions =
            Diversions::of(b"/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/a\n/usr/bin/a.real\n:\n/cut\n");
        for (package, path, expected) in [
            (&b"bash"[..], &b"/bin/sh"[..], &b"/bin/sh.distrib"[..]),
            (b"dash", b"/bin/sh", b"/bin/sh"),
            (b"a", b"/usr/bin/a", b"/usr/bin/a.real"),
            (b"a", b"/cut", b"/cut"),
        ] {
            assert_eq!(diversions.place(package, path), expected);
        }
        assert_eq!(split(b"/a/b"), (&b"/a"[..], &b"b"[..]));
        assert_eq!(split(b"b"), (&b""[..], &b"b"[..]));
    }
}
