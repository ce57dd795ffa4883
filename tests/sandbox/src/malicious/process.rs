//! What it does with its own process.

use std::hint::black_box;
use std::io::{Write as _, stderr};
use std::process::{abort, exit};

/// Makes an attempt; nothing if this is not one of them. What is said stands for the end of the process, which did not come.
pub(super) fn attempt(attempt: &str) -> Option<String> {
    match attempt {
        "large-allocation" => drop(black_box(vec![1_u8; 3 << 30])),
        "small-allocations" => {
            let mut pieces = Vec::new();
            loop {
                pieces.push(black_box(Box::new([1_u8; 4096])));
            }
        }
        "compute" => compute(),
        "standard-error" => while stderr().write_all(&[b'x'; 4096]).is_ok() {},
        "last-words" => {
            let _ = stderr().write_all(b"before\n\x1b[2J\x1b]0;title\x07\xff\xe2\x80\xae after\n");
            leave(3);
        }
        "exit" => leave(0),
        "abort" => abort(),
        "recurse" => {
            black_box(recurse(1));
        }
        "stack-without-memory" => {
            // So that the kernel has none for the stack.
            let mut size = 1 << 30;
            let mut all = Vec::with_capacity(10_000);
            while size >= 4096 {
                let mut part: Vec<u8> = Vec::new();
                match part.try_reserve_exact(size) {
                    Ok(()) => all.push(part),
                    Err(_) => size /= 2,
                }
            }
            black_box(recurse(1));
            drop(all);
        }
        "hang-up" => {
            let _ = nix::unistd::close(0);
            compute();
        }
        _ => return None,
    }
    Some("it went on".to_owned())
}

fn compute() {
    loop {
        black_box(());
    }
}

#[expect(clippy::exit, reason = "the end without a word is what is tried")]
fn leave(status: i32) {
    exit(status);
}

#[expect(unconditional_recursion, reason = "what happens then is what is tried")]
fn recurse(depth: u64) -> u64 {
    let block = black_box([depth; 64]);
    recurse(depth.wrapping_add(1)).wrapping_add(block[0])
}
