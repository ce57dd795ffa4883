//! Btrfs, on one device and on several.

mod formats;
