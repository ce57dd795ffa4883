//! What a message may cost in memory before it is refused, as the kernel counts it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::fs;
use std::hint::black_box;
use std::io::Cursor;

use agentless_sandbox::protocol::frame::{Connection, Frame, MOST_MESSAGE_BYTES, WireError};
use agentless_sandbox::protocol::message::FromChild;

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

fn receive(payload: &[u8]) -> Result<Frame<FromChild>, WireError> {
    assert!(payload.len() <= MOST_MESSAGE_BYTES);
    let mut frame = vec![0];
    frame.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    frame.extend(payload);
    Connection::new(Cursor::new(frame)).receive()
}

/// One message, filled up with `item` as often as it fits.
fn filled(head: &[u8], item: &[u8]) -> Vec<u8> {
    let mut payload = head.to_vec();
    let count = (MOST_MESSAGE_BYTES - head.len() - 5) / item.len();
    payload.push(0xdd);
    payload.extend(u32::try_from(count).unwrap().to_be_bytes());
    payload.extend(item.repeat(count));
    payload
}

/// The worst that a message of the largest size can be made of.
#[test]
fn a_message_costs_a_bounded_amount_of_memory() {
    const MOST: u64 = 32 << 20;
    // A map with one name, and in it another one.
    let part = |name: &str| {
        [b"\x81\xa4Part\x81", &[0xa0 | u8::try_from(name.len()).unwrap()][..], name.as_bytes()].concat()
    };
    let device = b"\x91\x99\xa0\x82\xa2is\xa4disk\xa1x";
    let unknown_field = [&part("Devices")[..], device].concat();
    let problems =
        [&part("Devices")[..], b"\x91\x99\xa0\x81\xa2is\xa9directory\x90\xc0\xc0\xc0\x81\xa2is\xa5empty"]
            .concat();
    let claims = [&unknown_field[..], &b"\xdd\xff\xff\xff\xff".repeat(20)].concat();
    let package = b"\x98\xa0\xa0\xc0\xa3deb\xc0\xc0\xc0\x92\xa0\xa0";
    let before = peak();
    for (name, payload) in [
        ("empty texts", filled(&problems, b"\xa0")),
        ("numbers that nobody wants", filled(&unknown_field, b"\x00")),
        ("lists that nobody wants", filled(&unknown_field, b"\x90")),
        ("lists of one that nobody wants", filled(&unknown_field, b"\x91\x00")),
        ("maps that nobody wants", filled(&unknown_field, b"\x81\x00\x00")),
        ("lists that claim to be endless", claims),
        ("the smallest packages", filled(&part("Packages"), package)),
        ("the smallest unknowns", filled(&part("Gaps"), b"\x93\xc0\xc0\xa0")),
        ("the smallest places", filled(&part("HeldBy"), b"\x92\xa0\x00")),
        ("the smallest mounts", filled(&part("Mounts"), b"\x94\xa0\x00\xc0\xc0")),
        ("the smallest hints", filled(b"\x81\xa8Prefetch\x92\x00", b"\x92\x00\x00")),
    ] {
        let received = black_box(receive(&payload));
        let outcome = received.map_or_else(|error| error.to_string(), |_| "taken".to_owned());
        println!("{name}: {} KiB so far; {outcome}", (peak() - before) >> 10);
    }
    let cost = peak() - before;
    assert!(cost < MOST, "{cost}");
}
