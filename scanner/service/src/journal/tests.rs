use std::fs;

use proptest::prelude::*;
use time::macros::datetime;

use super::*;

fn place() -> Place {
    Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() }
}

fn intent(scan: u128, origin: &str) -> Intent {
    Intent {
        scan: Uuid::from_u128(scan),
        place: place(),
        origin: origin.to_owned(),
        target: "i-1 \"with\nanything\"".to_owned(),
        expires: datetime!(2026-11-22 06:00:00 UTC),
    }
}

fn made(scan: u128, origin: &str, snapshot: &str) -> Entry {
    Entry::Made { intent: intent(scan, origin), snapshot: snapshot.to_owned() }
}

fn gone(snapshot: &str) -> Entry {
    Entry::Gone { place: place(), snapshot: snapshot.to_owned() }
}

fn abandoned(scan: u128, origin: &str) -> Entry {
    Entry::Abandoned { scan: Uuid::from_u128(scan), place: place(), origin: origin.to_owned() }
}

fn unanswered(scan: u128, origin: &str, times: u32) -> OpenItem {
    OpenItem { intent: intent(scan, origin), state: OpenState::Unanswered(times) }
}

fn present(scan: u128, origin: &str, snapshot: &str) -> OpenItem {
    OpenItem { intent: intent(scan, origin), state: OpenState::Made(snapshot.to_owned()) }
}

/// A directory for a journal, on a disk that forgets quickly: no test takes the power away.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn what_a_crash_left_is_open() {
    let folder = folder();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    for entry in [
        Entry::Intent(intent(1, "vol-1")),
        made(1, "vol-1", "snap-1"),
        Entry::Intent(intent(1, "vol-2")),
        Entry::Intent(intent(1, "vol-2")),
        made(1, "vol-2", "snap-2"),
        Entry::Intent(intent(2, "vol-3")),
        abandoned(2, "vol-3"),
        gone("snap-1"),
    ] {
        journal.write(entry).unwrap();
    }
    // Two were asked for, and one answer came: the other may exist.
    let left = [present(1, "vol-2", "snap-2"), unanswered(1, "vol-2", 1)];
    assert_eq!(journal.open_items(), left);
    drop(journal);
    for _ in 0..2 {
        assert_eq!(Journal::open(&path).unwrap().open_items(), left);
    }
}

#[test]
fn another_process_is_kept_out() {
    let folder = folder();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
    drop(journal);
    Journal::open(&path).unwrap();
}

#[test]
fn a_damaged_line_costs_itself_alone() {
    let folder = folder();
    let path = folder.path().join("journal");
    let lines = [made(1, "vol-1", "snap-1"), made(1, "vol-2", "snap-2"), made(1, "vol-3", "snap-3")]
        .map(|entry| line::encode(&entry).unwrap());
    fs::write(&path, format!("{}{}\n{}", lines[0], lines[1].replace("vol-2", "vol-9"), lines[2])).unwrap();
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.skipped(), [2, 3]);
    assert_eq!(journal.open_items(), [present(1, "vol-1", "snap-1"), present(1, "vol-3", "snap-3")]);
    drop(journal);
    assert!(Journal::open(&path).unwrap().skipped().is_empty());
}

#[test]
fn another_version_is_refused_and_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("journal");
    for json in [r#"{"v":2,"entry":"gone"}"#, r#"{"v":1,"entry":"moved"}"#, "{}"] {
        let text = format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()));
        fs::write(&path, &text).unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert!(matches!(error, JournalError::Version { line: 1, .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn the_file_does_not_grow_without_end() {
    let folder = folder();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    journal.write(made(1, "vol-1", "snap-1")).unwrap();
    for number in 0..3000 {
        let snapshot = format!("snap-x{number}");
        journal.write(Entry::Intent(intent(2, "vol-2"))).unwrap();
        journal.write(made(2, "vol-2", &snapshot)).unwrap();
        journal.write(gone(&snapshot)).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 2 * GROWTH);
    }
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().open_items(), [present(1, "vol-1", "snap-1")]);
    assert!(fs::metadata(&path).unwrap().len() < 1000);
}

#[test]
fn a_full_disk_is_an_error_and_nothing_known_is_lost() {
    let folder = folder();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    journal.write(Entry::Intent(intent(1, "vol-1"))).unwrap();
    // The line of what happened is torn, the one of what is to happen is refused.
    journal.inner().store.room = Some(20);
    journal.write(made(1, "vol-1", "snap-1")).unwrap_err();
    let error = journal.write(Entry::Intent(intent(1, "vol-2"))).unwrap_err();
    assert!(error.to_string().contains("no snapshot is made"), "{error}");
    assert!(!journal.is_writable());
    assert_eq!(journal.open_items(), [present(1, "vol-1", "snap-1")]);
    // What is on the disk covers it.
    let copy = folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    assert_eq!(Journal::open(&copy).unwrap().open_items(), [unanswered(1, "vol-1", 1)]);
    // With room again all of it is written.
    journal.inner().store.room = None;
    journal.write(Entry::Intent(intent(1, "vol-2"))).unwrap();
    assert!(journal.is_writable());
    drop(journal);
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.open_items(), [present(1, "vol-1", "snap-1"), unanswered(1, "vol-2", 1)]);
    assert!(journal.skipped().is_empty());
}

#[test]
fn an_outcome_counts_once_when_it_begins_a_new_file() {
    let folder = folder();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    for _ in 0..3 {
        journal.write(Entry::Intent(intent(1, "vol-1"))).unwrap();
    }
    journal.inner().store.room = Some(0);
    journal.write(abandoned(1, "vol-1")).unwrap_err();
    journal.inner().store.room = None;
    journal.write(abandoned(1, "vol-1")).unwrap();
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().open_items(), [unanswered(1, "vol-1", 1)]);
}

#[test]
fn a_directory_that_is_not_there_or_a_foreign_file_is_an_error() {
    let folder = folder();
    let error = Journal::open(&folder.path().join("no/journal")).unwrap_err();
    assert!(matches!(error, JournalError::Open { .. }), "{error}");
    let path = folder.path().join("large");
    fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::TooLarge { .. })));
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (0..4_u8, 0..2_u128, 0..3_u8).prop_map(|(kind, scan, number)| {
        let (origin, snapshot) = (format!("vol-{number}"), format!("snap-{scan}-{number}"));
        match kind {
            0 => Entry::Intent(intent(scan, &origin)),
            1 => made(scan, &origin, &snapshot),
            2 => gone(&snapshot),
            _ => abandoned(scan, &origin),
        }
    });
    proptest::collection::vec(entry, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever part of the file a crash leaves: it covers what was acknowledged, and goes on from there.
    #[test]
    fn any_beginning_covers_what_was_acknowledged(entries in entries(), cut in 0.0..1.0_f64, more in entries()) {
        let folder = folder();
        let path = folder.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        let mut ends = Vec::new();
        for entry in &entries {
            journal.write(entry.clone()).unwrap();
            ends.push(usize::try_from(fs::metadata(&path).unwrap().len()).unwrap());
        }
        drop(journal);
        let whole = fs::read(&path).unwrap();
        #[expect(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a random place")]
        let cut = (cut * (whole.len() as f64 + 1.0)) as usize;
        fs::write(&path, &whole[..cut.min(whole.len())]).unwrap();

        let mut book = Book::default();
        for (entry, _) in entries.iter().zip(&ends).filter(|(_, end)| **end <= cut) {
            book.apply(entry);
        }
        let journal = Journal::open(&path).unwrap();
        prop_assert!(journal.skipped().is_empty());
        prop_assert_eq!(journal.open_items(), book.items().collect::<Vec<_>>());
        for entry in more {
            journal.write(entry.clone()).unwrap();
            book.apply(&entry);
        }
        drop(journal);
        prop_assert_eq!(Journal::open(&path).unwrap().open_items(), book.items().collect::<Vec<_>>());
    }

    /// Whatever is in the file: no panic, and a journal or an error.
    #[test]
    fn any_bytes_are_a_journal_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = folder();
        let path = folder.path().join("journal");
        fs::write(&path, bytes).unwrap();
        prop_assert!(Journal::open(&path).unwrap().open_items().is_empty());
    }

    /// A changed byte costs at most the lines that it touches.
    #[test]
    fn a_changed_byte_costs_at_most_two_lines(at in 0..2000_usize, byte in any::<u8>()) {
        let folder = folder();
        let path = folder.path().join("journal");
        let mut bytes: Vec<u8> = (0..8)
            .flat_map(|number| line::encode(&made(1, "vol-1", &format!("snap-{number}"))).unwrap().into_bytes())
            .collect();
        let at = at % bytes.len();
        bytes[at] = byte;
        fs::write(&path, bytes).unwrap();
        let journal = Journal::open(&path).unwrap();
        prop_assert!(journal.open_items().len() >= 6);
    }
}
