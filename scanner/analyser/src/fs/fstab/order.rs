//! In which order things can be mounted.

use super::{Entry, Role, Spec};

/// Sorts by depth, and each entry behind those that it needs. Entries that need each other, as only bind mounts can, stay
/// in the order of their depth.
pub(super) fn order(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| entry.mount_point.components().count());
    let mut waiting: Vec<_> = entries.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    for index in 0..waiting.len() {
        place(index, &mut waiting, &mut ordered);
    }
    ordered
}

/// Places an entry behind those that it needs. An entry is taken before it looks for others, so the recursion ends, and is
/// no deeper than there are entries.
fn place(index: usize, waiting: &mut [Option<Entry>], ordered: &mut Vec<Entry>) {
    let Some(entry) = waiting.get_mut(index).and_then(Option::take) else { return };
    for other in 0..waiting.len() {
        if waiting.get(other).and_then(Option::as_ref).is_some_and(|other| entry.needs(other)) {
            place(other, waiting, ordered);
        }
    }
    ordered.push(entry);
}

impl Entry {
    /// Whether `other` has to be mounted first: the mount point, or the directory to be shown there, is in it.
    fn needs(&self, other: &Self) -> bool {
        let shows_a_part = match &self.spec {
            Spec::Path(path) => self.role() == Role::Bind && path.starts_with(&other.mount_point),
            _ => false,
        };
        self.mount_point.starts_with(&other.mount_point) || shows_a_part
    }
}

#[cfg(test)]
mod tests {
    use crate::fs::fstab::Fstab;
    use crate::limits::Limits;

    #[test]
    fn what_is_shown_elsewhere_is_mounted_first() {
        let table = "/data/a/b/var /var none bind\n\
                     UUID=3 /var/lib/docker xfs\n\
                     UUID=2 /data/a/b ext4\n\
                     /circle/two /circle/one none bind\n\
                     /circle/one /circle/two none bind\n\
                     UUID=1 / ext4\n";
        let fstab = Fstab::parse(table.as_bytes(), &Limits::default());
        let order: Vec<_> = fstab.entries.iter().map(|entry| entry.mount_point.to_string()).collect();
        assert_eq!(order, ["/", "/data/a/b", "/var", "/circle/two", "/circle/one", "/var/lib/docker"]);
    }
}
