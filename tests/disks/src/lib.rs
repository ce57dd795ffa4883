//! Our view of a disk against the kernel's: what the tests, the benchmark and `cargo compare-disk` share.
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the helpers of tests fail as tests do, and print figures"
)]

pub mod bench_images;
pub mod block_trace;
pub mod caught;
pub mod changes;
pub mod confined;
pub mod counting;
pub mod debian;
pub mod fill;
pub mod image;
pub mod image_blocks;
pub mod kinds;
pub mod languages;
pub mod large_tree;
pub mod latency;
pub mod layout;
pub mod loop_device;
pub mod lvm_tools;
pub mod manifest;
pub mod peak_memory;
pub mod scanner;
pub mod shut_down;
pub mod truncations;
pub mod work;
