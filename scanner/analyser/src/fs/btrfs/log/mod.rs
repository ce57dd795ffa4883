//! The tree log: what was made durable by `fsync` since the last commit.
//!
//! The superblock points to a tree of logs, one for each subvolume with something in its log. A log holds items as they
//! shall be in the subvolume, and says for which parts of a directory it holds all of them. Replaying one gives an overlay
//! of changed items; nothing is written. Rules and their order are those of the kernel's replay, `fs/btrfs/tree-log.c`,
//! because what the kernel shows after mounting is what counts.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod extents;
mod names;
mod replay;

use std::collections::HashMap;
use std::sync::Arc;

use self::replay::Replay;
use super::FsError;
use super::key::{Key, kind, object};
use super::overlay::Overlay;
use super::root::{self, RootItem};
use super::storage::{Owner, Storage};
use super::superblock::{RootPointer, Superblock};
use super::tree::Tree;
use crate::fs::Journal;
use crate::limits::Limits;

/// What the tree log changes.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The changed items of subvolumes, by the subvolumes' numbers.
    pub(super) overlays: HashMap<u64, Arc<Overlay>>,
    /// The logs themselves: they have the checksums of the data that they refer to.
    pub(super) logs: Vec<Tree>,
    pub(super) journal: Journal,
}

/// Replays every log. One that cannot be replayed is left out, and the journal's state says so.
pub(super) fn replay(
    storage: &Storage,
    sb: &Superblock,
    roots: &Tree,
    limits: &Limits,
) -> Result<Replayed, FsError> {
    let mut replayed = Replayed { overlays: HashMap::new(), logs: Vec::new(), journal: Journal::Clean };
    let Some(log_root) = sb.log_root else { return Ok(replayed) };
    // What the changes of all logs together may take.
    let mut left = limits.tree_log_bytes;
    let (logs, mut failed) = match logs(storage, log_root, &mut left) {
        Ok(logs) => (logs, None),
        Err(error) => (Vec::new(), Some(reason(error)?)),
    };
    let mut transactions = 0_u64;
    for (id, log) in logs {
        match replay_subvolume(storage, sb, roots, id, &log, left) {
            // The subvolume was deleted since.
            Ok(None) => {}
            Ok(Some(overlay)) => {
                left = left.saturating_sub(overlay.bytes());
                replayed.overlays.insert(id, Arc::new(overlay));
                replayed.logs.push(log);
                transactions = transactions.saturating_add(1);
            }
            Err(error) => failed = Some(reason(error)?),
        }
    }
    replayed.journal = match failed {
        None => Journal::Replayed { transactions },
        Some(reason) if transactions == 0 => Journal::Ignored { reason },
        Some(reason) => Journal::Partial { transactions, reason },
    };
    Ok(replayed)
}

/// The subvolumes that have something in their logs, and their logs. Takes what these need from the memory that is `left`.
fn logs(storage: &Storage, log_root: RootPointer, left: &mut u64) -> Result<Vec<(u64, Tree)>, FsError> {
    /// An upper bound of what one log takes.
    const LOG: u64 = 256;

    let tree = Tree::new(log_root, Owner::Tree(object::TREE_LOG));
    let (first, last) =
        (Key::first(object::TREE_LOG, kind::ROOT_ITEM), Key::last(object::TREE_LOG, kind::ROOT_ITEM));
    let mut items = tree.range(storage, first, last);
    let mut logs = Vec::new();
    while let Some(item) = items.next()? {
        let rest = left.checked_sub(LOG);
        *left = rest.ok_or(FsError::Limit { what: replay::TOO_LARGE, limit: *left })?;
        let root = RootItem::parse(item.data())?.root;
        logs.push((item.key.offset, root::tree(object::TREE_LOG, root)?));
    }
    Ok(logs)
}

fn replay_subvolume(
    storage: &Storage,
    sb: &Superblock,
    roots: &Tree,
    id: u64,
    log: &Tree,
    most_bytes: u64,
) -> Result<Option<Overlay>, FsError> {
    let Some(item) = root::find(storage, roots, id)? else { return Ok(None) };
    let tree = root::tree(id, item.root)?;
    Replay::new(storage, sb, log, tree, most_bytes).run().map(Some)
}

/// Why a log was not replayed; what concerns the volume or the whole filesystem's budget is passed on.
fn reason(error: FsError) -> Result<&'static str, FsError> {
    match error {
        FsError::Limit { what, .. } if what == replay::TOO_LARGE => Ok("the tree log is too large"),
        FsError::Corrupt { .. } => Ok("the tree log is damaged"),
        FsError::Unsupported { .. } => Ok("the tree log has something that is not supported"),
        error => Err(error),
    }
}
