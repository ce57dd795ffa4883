//! The server process never stays behind, however the parent ends.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use crate::shared::start;

#[tokio::test]
async fn ends_when_dropped() {
    let aws = start().await;
    let connection = TcpStream::connect(aws.moto_address()).unwrap();
    drop(aws);
    wait_for_end(connection);
}

#[tokio::test]
async fn ends_with_the_last_that_shares_it() {
    let first = start().await;
    let second = first.share(agentless_tests::local_aws::Options::default()).unwrap();
    let connection = TcpStream::connect(first.moto_address()).unwrap();
    drop(first);
    aws_sdk_ec2::Client::new(&second.sdk_config()).describe_vpcs().send().await.unwrap();
    drop(second);
    wait_for_end(connection);
}

#[test]
fn ends_when_the_parent_is_killed() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::parent_to_be_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address: SocketAddr =
        lines.find_map(|line| line.strip_prefix("moto listens on ")?.parse().ok()).unwrap();
    let connection = TcpStream::connect(address).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_for_end(connection);
}

/// Not a test of its own: the parent in the one above.
#[tokio::test]
#[ignore = "started by ends_when_the_parent_is_killed"]
async fn parent_to_be_killed() {
    let aws = start().await;
    println!("\nmoto listens on {}", aws.moto_address());
    std::future::pending::<()>().await;
}

/// A connection on which nothing is sent ends only with the process at its other end.
fn wait_for_end(mut connection: TcpStream) {
    assert!(matches!(connection.read(&mut [0; 64]), Ok(0) | Err(_)), "moto speaks first");
}
