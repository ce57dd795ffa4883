//! A large tree of directories and files, as a server has it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::fill::content;

/// The levels of directories below the root.
const DEPTH: u32 = 12;

/// Makes `entries` entries below `root`, a tenth of them directories, and one file in sixteen with content, so that directories
/// have files between them. Always the same.
pub fn fill(root: &Path, entries: u32) {
    let mut directories = vec![(root.to_owned(), 0)];
    let mut made = 0;
    let mut calls = 0;
    let mut random = |below: usize| {
        calls += 1;
        let number = content(calls, 8).first_chunk().copied().map_or(0, u64::from_le_bytes);
        usize::try_from(number >> 8).unwrap() % below
    };
    while made < entries {
        let (parent, depth) = directories[random(directories.len())].clone();
        if depth == DEPTH {
            continue;
        }
        let directory = parent.join(format!("directory-{made}"));
        fs::create_dir(&directory).unwrap();
        made += 1;
        for _ in 0..random(19) {
            if made == entries {
                break;
            }
            let mut file = File::create(directory.join(format!("file-{made}"))).unwrap();
            if made.is_multiple_of(16) {
                file.write_all(&content(made.into(), random(40_000))).unwrap();
            }
            made += 1;
        }
        directories.push((directory, depth + 1));
    }
}
