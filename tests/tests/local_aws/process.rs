//! The server process never stays behind, however the parent ends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::shared::start;

#[tokio::test]
async fn ends_when_dropped() {
    let aws = start().await;
    let ended = end_of(aws.process_id());
    drop(aws);
    ended.await;
}

#[tokio::test]
async fn ends_when_the_parent_is_killed() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::parent_to_be_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let process_id =
        lines.map_while(Result::ok).find_map(|line| line.strip_prefix("moto is process ")?.parse().ok());
    let ended = end_of(process_id.unwrap());
    parent.kill().unwrap();
    parent.wait().unwrap();
    ended.await;
}

/// Not a test of its own: the parent in the one above.
#[tokio::test]
#[ignore = "started by ends_when_the_parent_is_killed"]
async fn parent_to_be_killed() {
    let aws = start().await;
    println!("\nmoto is process {}", aws.process_id());
    std::future::pending::<()>().await;
}

/// Becomes ready when a process that runs now has ended.
fn end_of(process_id: u32) -> impl Future<Output = ()> {
    let pid = i32::try_from(process_id).ok().and_then(Pid::from_raw).expect("a process id");
    let handle = pidfd_open(pid, PidfdFlags::empty()).expect("the process runs");
    let handle = AsyncFd::with_interest(handle, Interest::READABLE).expect("a pollable handle");
    async move {
        drop(handle.readable().await.expect("a pollable handle"));
    }
}
