//! Layers as Docker's `overlay2` and the `overlay` driver of podman and CRI-O lay them out: for each a folder with its files
//! in `diff`, and in `lower` the short names of the layers below, each of them a link in the folder `l`.

use super::Layers;
use super::reader::{Reader, gap, is_plain};
use crate::fs::FsPath;

/// The directories of a layer and those below it, the upper one first; none if its own is missing.
pub(super) fn layers(reader: &mut Reader<'_>, folder: &FsPath, id: &str) -> Option<Layers> {
    /// Layers below, as many as an overlay may have: `OVL_MAX_STACK` in the kernel's `fs/overlayfs`.
    const MOST: usize = 500;

    let own = folder.join(id);
    let diff = own.join("diff");
    if !is_plain(id) || reader.directory(&diff).is_none() {
        return None;
    }
    let mut layers = vec![diff];
    let mut problems = Vec::new();
    let lower = reader.text(&own.join("lower")).unwrap_or_default();
    let mut names = lower.split(':').filter(|name| !name.is_empty());
    for name in names.by_ref().take(MOST) {
        let layer = folder.join(name);
        if reader.directory(&layer).is_some() {
            layers.push(layer);
        } else {
            problems
                .push(gap(&layer, "a layer of the container is missing: what it held and hid is not known"));
        }
    }
    if names.next().is_some() {
        let reason =
            format!("the container has more than {MOST} layers: what the others held and hid is not known");
        problems.push(gap(&own, reason));
    }
    Some((layers, problems))
}
