use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::sink::test_reports::NOW;

const LIMIT: u64 = 16 * BLOCK;

fn payload(number: u32, length: usize) -> Payload {
    Payload {
        key: number.to_string(),
        content_type: "application/json".to_owned(),
        headers: vec![("X-Number".to_owned(), number.to_string())],
        note: String::new(),
        body: vec![0x5a; length].into(),
    }
}

/// The keys of everything in the spool, oldest first.
fn keys(spool: &mut Spool) -> Vec<String> {
    (0..).map_while(|position| spool.peek(position).unwrap()).map(|(_, payload)| payload.key).collect()
}

fn bytes_on_disk(directory: &Path) -> u64 {
    let lengths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    lengths.filter(std::fs::Metadata::is_file).map(|metadata| on_disk(metadata.len())).sum()
}

#[test]
fn payloads_outlive_a_restart_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Spool::new(directory.path().join("spool"), LIMIT);
    let mut spool = open();
    spool.push(&payload(1, 10), NOW).unwrap();
    // The clock is set back.
    spool.push(&payload(2, 10), NOW - time::Duration::days(1)).unwrap();
    let (ticket, _) = spool.peek(0).unwrap().unwrap();
    assert_eq!(spool.attempted(ticket), 1);

    let mut spool = open();
    spool.push(&payload(3, 10), NOW - time::Duration::days(2)).unwrap();
    assert_eq!(keys(&mut spool), ["1", "2", "3"]);
    assert_eq!(spool.waiting().payloads, 3);
    assert_eq!(spool.waiting().bytes, 3 * BLOCK);
    assert_eq!(spool.waiting().oldest, Some(NOW));
    let (ticket, read) = spool.peek(0).unwrap().unwrap();
    assert_eq!(read, payload(1, 10));
    assert_eq!(spool.attempted(ticket), 2);
    spool.remove(ticket).unwrap();
    spool.remove(ticket).unwrap();
    assert_eq!(keys(&mut open()), ["2", "3"]);
}

#[test]
fn the_oldest_make_room_and_are_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(directory.path().to_owned(), LIMIT);
    for number in 0..20 {
        spool.push(&payload(number, 10), NOW).unwrap();
    }
    let dropped: Vec<_> = spool.take_losses().into_iter().map(|loss| loss.key).collect();
    assert_eq!(dropped, ["0", "1", "2", "3"]);
    let error = spool.push(&payload(20, 1 << 20), NOW).unwrap_err();
    assert!(matches!(error, SpoolError::TooLarge { .. }), "{error}");
    assert_eq!(spool.waiting().payloads, 16);

    let mut smaller = Spool::new(directory.path().to_owned(), 2 * BLOCK);
    assert_eq!(keys(&mut smaller), ["18", "19"]);
    assert_eq!(smaller.take_losses().len(), 14);
}

#[test]
fn damaged_and_refused_payloads_are_set_aside_with_their_reasons() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(directory.path().to_owned(), LIMIT);
    for number in 0..3 {
        spool.push(&payload(number, 10), NOW).unwrap();
    }
    let mut names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    std::fs::write(&names[0], "garbage").unwrap();
    std::fs::remove_file(&names[1]).unwrap();
    let (ticket, read) = spool.peek(0).unwrap().unwrap();
    assert_eq!(read.key, "2");
    assert_eq!(spool.take_losses().len(), 2);
    spool.refuse(ticket, "not wanted").unwrap();
    assert!(spool.peek(0).unwrap().is_none());

    let aside = |name: &str| {
        let files = std::fs::read_dir(directory.path().join(name)).unwrap();
        let mut files: Vec<_> = files.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
        files.sort();
        files
    };
    let damaged = aside("damaged");
    assert!(damaged.contains(&b"garbage".to_vec()), "{damaged:?}");
    assert!(aside("refused").contains(&b"not wanted\n".to_vec()));
}

#[test]
fn what_is_set_aside_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(directory.path().to_owned(), LIMIT);
    for number in 0..20 {
        spool.push(&payload(number, 10), NOW).unwrap();
        let (ticket, _) = spool.peek(0).unwrap().unwrap();
        spool.refuse(ticket, "no").unwrap();
    }
    let kept = bytes_on_disk(&directory.path().join("refused"));
    assert!(0 < kept && kept <= LIMIT / 4, "{kept}");
}

#[test]
fn a_full_disk_is_an_error_that_passes() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(directory.path().join("spool"), LIMIT);
    spool.disk.faults.fail_after(0);
    let error = spool.push(&payload(1, 10), NOW).unwrap_err();
    assert!(error.to_string().contains("space on its disk"), "{error}");
    assert!(spool.peek(0).is_err());
    spool.disk.faults.heal();
    spool.push(&payload(1, 10), NOW).unwrap();
    for operations in 0..6 {
        spool.disk.faults.fail_after(operations);
        assert!(spool.push(&payload(2, 10), NOW).is_err(), "{operations}");
    }
    spool.disk.faults.heal();
    spool.push(&payload(3, 10), NOW).unwrap();
    assert_eq!(keys(&mut spool), ["1", "3"]);
}

#[test]
fn what_was_sent_but_not_deleted_is_not_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(directory.path().to_owned(), LIMIT);
    spool.push(&payload(1, 10), NOW).unwrap();
    let (ticket, _) = spool.peek(0).unwrap().unwrap();
    spool.disk.faults.fail_after(0);
    assert!(spool.remove(ticket).is_err());
    spool.disk.faults.heal();
    assert!(spool.peek(0).unwrap().is_none());
    assert_eq!(bytes_on_disk(directory.path()), 0);
}

#[test]
fn a_deferred_payload_goes_last() {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::new(directory.path().to_owned(), LIMIT);
    for number in 0..3 {
        spool.push(&payload(number, 10), NOW).unwrap();
    }
    let (ticket, _) = spool.peek(0).unwrap().unwrap();
    spool.defer(ticket);
    spool.push(&payload(3, 10), NOW).unwrap();
    assert_eq!(keys(&mut spool), ["1", "2", "0", "3"]);
    assert_eq!(keys(&mut Spool::new(directory.path().to_owned(), LIMIT)), ["1", "2", "0", "3"]);
}

#[test]
fn foreign_files_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "README",
        ".payload",
        "0.0.0.payload",
        "000000000000000g.0.0.payload",
        "0000000000000001.+1.0.payload",
    ] {
        std::fs::write(directory.path().join(name), "x").unwrap();
    }
    let mut spool = Spool::new(directory.path().to_owned(), LIMIT);
    assert!(spool.peek(0).unwrap().is_none());
    assert!(spool.take_losses().is_empty());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 5);
}

#[derive(Clone, Debug)]
enum Action {
    Push(usize),
    Send,
    Attempt,
    Refuse,
    Restart,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..3 * 4096_usize).prop_map(Action::Push),
        2 => Just(Action::Send),
        1 => Just(Action::Attempt),
        1 => Just(Action::Refuse),
        1 => Just(Action::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// The process dies at any operation of the disk: whatever was taken is whole and in its order, unless it was sent,
    /// refused or told of as dropped; and the bound is kept.
    #[test]
    fn no_crash_loses_or_damages_a_payload(
        steps in prop::collection::vec((action(), prop::option::weighted(0.3, 0..12_u32)), 1..40),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let open = || Spool::new(directory.path().join("spool"), LIMIT);
        let mut spool = open();
        // What must be there; and what may be, since the process died before it was told.
        let mut due: Vec<String> = Vec::new();
        let mut perhaps: Vec<String> = Vec::new();
        for (number, (action, crash)) in (0_u32..).zip(steps) {
            if let Some(operations) = crash {
                spool.disk.faults.fail_after(operations);
            }
            match action {
                Action::Push(length) => {
                    let payload = payload(number, length);
                    let pushed = spool.push(&payload, NOW);
                    if pushed.is_ok() { due.push(payload.key) } else { perhaps.push(payload.key) }
                }
                Action::Send | Action::Refuse | Action::Attempt => {
                    if let Ok(Some((ticket, payload))) = spool.peek(0) {
                        let ended = match action {
                            Action::Attempt => { spool.attempted(ticket); None }
                            Action::Send => Some(spool.remove(ticket)),
                            _ => Some(spool.refuse(ticket, "no")),
                        };
                        if let Some(ended) = ended {
                            due.retain(|key| *key != payload.key);
                            perhaps.retain(|key| *key != payload.key);
                            if ended.is_err() { perhaps.push(payload.key) }
                        }
                    }
                }
                Action::Restart => {}
            }
            for loss in spool.take_losses() {
                prop_assert_eq!(&loss.cause, &Cause::Full);
                due.retain(|key| *key != loss.key);
                // When it died, what was dropped may not be deleted yet; or, unread, it is named by its file.
                perhaps.push(loss.key);
            }
            if crash.is_some() || matches!(action, Action::Restart) {
                spool = open();
            }
            let found = keys(&mut spool);
            for loss in spool.take_losses() {
                due.retain(|key| *key != loss.key);
                prop_assert_eq!(loss.cause, Cause::Full);
            }
            let bytes = spool.waiting().bytes;
            prop_assert!(bytes <= LIMIT);
            prop_assert_eq!(bytes_on_disk(&directory.path().join("spool")), bytes);
            let numbers: Vec<u32> = found.iter().map(|key| key.parse().unwrap()).collect();
            prop_assert!(numbers.is_sorted(), "{:?}", numbers);
            let known: Vec<_> = found.iter().filter(|key| !perhaps.contains(key)).cloned().collect();
            let wanted: Vec<_> = due.iter().filter(|key| !perhaps.contains(key)).cloned().collect();
            prop_assert_eq!(known, wanted);
        }
    }
}
