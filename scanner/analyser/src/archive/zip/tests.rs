use std::io::Read as _;

use proptest::prelude::*;

use super::test_archive::{Written, Zip};
use super::*;
use crate::limits::Limits;

type Content = Result<Vec<u8>, String>;
type Contents = Vec<(String, Content)>;

/// The paths of an archive with their contents, and what is wrong with its directory.
fn read(bytes: &[u8], limits: &Limits) -> Result<(Contents, Vec<String>), String> {
    let allowance = Allowance::new(limits);
    let archive = Archive::read(bytes, &allowance).map_err(|error| error.to_string())?;
    let content = |entry| archive.read_all(entry, 1 << 20, &allowance).map_err(|error| error.to_string());
    let entries = archive.entries().iter().map(|entry| (entry.path().to_string(), content(entry)));
    Ok((entries.collect(), archive.problems().iter().map(ToString::to_string).collect()))
}

/// The only content of an archive of one entry.
fn only(entry: Written) -> Content {
    let (mut entries, problems) = read(&Zip::of([entry]), &Limits::default()).unwrap();
    assert_eq!((entries.len(), problems.len()), (1, 0), "{problems:?}");
    entries.remove(0).1
}

fn text() -> Vec<u8> {
    b"one line of many\n".repeat(10_000)
}

fn sample() -> Zip {
    let mut zip = Zip::default();
    zip.add(&Written::stored("META-INF/", b""));
    zip.add(&Written::deflated("META-INF/a", &text()));
    zip.add(&Written::stored("b", b"content"));
    zip.add(&Written { data: Vec::new(), ..Written::deflated("nothing", b"") });
    zip
}

fn sample_content() -> Contents {
    let content = [("/META-INF", vec![]), ("/META-INF/a", text()), ("/b", b"content".to_vec())];
    let content = content.into_iter().chain([("/nothing", vec![])]);
    content.map(|(path, content)| (path.to_owned(), Ok(content))).collect()
}

#[test]
fn entries_are_listed_and_read_whatever_is_before_and_behind_the_archive() {
    let limits = Limits::default();
    let plain = sample().finish(&[]);
    let before = [b"#!/bin/sh\nexec java -jar \"$0\"\n".as_slice(), &plain].concat();
    let behind = [plain.as_slice(), &[0; 3000]].concat();
    let end_in_comment = sample().finish(b"PK\x05\x06 and no more than that, which is shorter than a record");
    for bytes in [&plain, &sample().finish(b"a comment"), &before, &behind, &end_in_comment] {
        let (entries, problems) = read(bytes, &limits).unwrap();
        assert_eq!((entries, problems), (sample_content(), vec![]));
    }
    assert_eq!(read(&Zip::of([]), &limits), Ok((vec![], vec![])));
}

#[test]
fn an_entry_is_what_the_directory_says() {
    let link = Written { mode: 0o120_777, ..Written::stored("link", b"target") };
    let bytes = Zip::of([Written::stored("d/", b""), link, Written::deflated("d/f", b"12")]);
    let allowance = Allowance::new(&Limits::default());
    let archive = Archive::read(&bytes[..], &allowance).unwrap();
    let found: Vec<_> = archive
        .entries()
        .iter()
        .map(|entry| (entry.path().to_string(), entry.size(), entry.is_dir(), entry.is_symlink()))
        .collect();
    let expected = [("/d", 0, true, false), ("/link", 6, false, true), ("/d/f", 2, false, false)];
    assert_eq!(found, expected.map(|(path, size, dir, link)| (path.to_owned(), size, dir, link)));
    assert_eq!(archive.entries()[1].mode(), Some(0o120_777));
}

#[test]
fn a_content_is_read_a_piece_at_a_time() {
    let bytes = sample().finish(&[]);
    let allowance = Allowance::new(&Limits::default());
    let archive = Archive::read(&bytes[..], &allowance).unwrap();
    let mut content = archive.open(&archive.entries()[1], &allowance).unwrap();
    let mut read: Vec<u8> = Vec::new();
    let mut piece = [0; 7];
    loop {
        match content.read(&mut piece).unwrap() {
            0 => break,
            count => read.extend(&piece[..count]),
        }
    }
    assert!(read == text());
}

/// Offsets and sizes of 64 bits, in small archives.
#[test]
fn zip64_archives_are_read() {
    let mut zip = Zip::default();
    let plain = Written::stored("wide", b"content");
    zip.add(&plain);
    let Zip { mut content, .. } = zip;
    let start = content.len();
    // The size stands in the extra field, behind another one.
    let extra = [&[9, 9, 2, 0, 0, 0, 1, 0, 8, 0][..], &7_u64.to_le_bytes()].concat();
    let mut listed = Zip::default();
    listed.list(&Written { size: u32::MAX, extra, ..plain }, 0);
    content.extend(&listed.directory);
    let end64 = content.len();
    content.extend(*b"PK\x06\x06");
    content.extend(44_u64.to_le_bytes());
    content.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [1, 1, listed.directory.len(), start] {
        content.extend(u64::try_from(number).unwrap().to_le_bytes());
    }
    content.extend(*b"PK\x06\x07\0\0\0\0");
    content.extend(u64::try_from(end64).unwrap().to_le_bytes());
    content.extend([1, 0, 0, 0]);
    content.extend(*b"PK\x05\x06\0\0\0\0");
    content.extend([0xff; 12]);
    content.extend([0, 0]);
    let expected = Ok((vec![("/wide".to_owned(), Ok(b"content".to_vec()))], vec![]));
    assert_eq!(read(&content, &Limits::default()), expected);
    let moved = [b"something before".as_slice(), &content].concat();
    assert_eq!(read(&moved, &Limits::default()), expected);
    content[end64] = 0;
    assert!(read(&content, &Limits::default()).unwrap_err().contains("zip64"));
}

#[test]
fn lies_about_sizes_and_content_are_found() {
    let honest = Written::deflated("a", &text());
    let size = honest.size;
    assert!(only(honest.clone()).is_ok());
    for (lie, expected) in [
        (Written { size: size + 1, ..honest.clone() }, "fewer bytes"),
        (Written { size: size - 1, ..honest.clone() }, "more bytes"),
        (Written { crc: 1, ..honest.clone() }, "checksum"),
        (Written { data: honest.data[..100].to_vec(), ..honest.clone() }, "cut short"),
        (Written { data: vec![7; 100], ..honest.clone() }, "damaged"),
        (Written { size: 3, ..Written::stored("a", b"1234") }, "two sizes differ"),
        (Written { flags: 1, ..honest.clone() }, "encryption"),
        (Written { method: 12, ..honest.clone() }, "bzip2"),
        (Written { method: 77, ..honest.clone() }, "method 77"),
        (Written { size: u32::MAX, ..honest.clone() }, "limit"),
    ] {
        let reason = only(lie).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn places_that_are_none_are_found() {
    let entry = Written::stored("a", b"content");
    for (offset, expected) in [(3, "no local header"), (30_000_000, "ends before")] {
        let mut zip = Zip::default();
        zip.add(&entry);
        zip.list(&entry, offset);
        let (entries, _) = read(&zip.finish(&[]), &Limits::default()).unwrap();
        assert!(entries[0].1.is_ok());
        let reason = entries[1].1.clone().unwrap_err();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_directory_that_is_cut_or_miscounted_says_so_and_gives_what_it_has() {
    let limits = Limits::default();
    let whole = sample().finish(&[]);
    for length in [0, 1, 21, whole.len() - 1, whole.len() - 30] {
        assert!(
            read(&whole[..length], &limits).unwrap_err().contains("end of central directory"),
            "{length}"
        );
    }
    let mut damaged = sample();
    let second = damaged.directory.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    damaged.directory[second] = 0;
    let (entries, problems) = read(&damaged.finish(&[]), &limits).unwrap();
    assert_eq!((entries.len(), problems.len()), (3, 1));
    assert!(problems[0].contains("entry 3"), "{problems:?}");
    let (_, problems) = read(&Zip { count: 60_000, ..sample() }.finish(&[]), &limits).unwrap();
    assert!(problems[0].contains("has 60000 entries, and lists 4"), "{problems:?}");
    let mut directory_before_start = sample().finish(&[]);
    let size = directory_before_start.len() - 10;
    directory_before_start[size..size + 3].fill(0xff);
    assert!(read(&directory_before_start, &limits).unwrap_err().contains("before the archive"));
}

#[test]
fn names_that_lead_out_are_one_problem_and_the_others_are_read() {
    let long = "x".repeat(5000);
    let names = ["../../etc/passwd", "/etc/passwd", "a/../../b", "nul\0", &long, "./ok//fine", "C:\\x"];
    let bytes = Zip::of(names.map(|name| Written::stored(name, b"1")));
    let (entries, problems) = read(&bytes, &Limits::default()).unwrap();
    let paths: Vec<_> = entries.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/ok/fine", "/C:\\x"]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("5 entries") && problems[0].contains("../../etc/passwd"), "{problems:?}");
}

#[test]
fn of_entries_with_the_same_path_the_last_stands() {
    let bytes = Zip::of(
        [("a", b"1"), ("b", b"2"), ("./a", b"3")].map(|(name, content)| Written::stored(name, content)),
    );
    let allowance = Allowance::new(&Limits::default());
    let archive = Archive::read(&bytes[..], &allowance).unwrap();
    let superseded: Vec<_> = archive.entries().iter().map(Entry::is_superseded).collect();
    assert_eq!(superseded, [true, false, false]);
}

#[test]
fn entries_beyond_the_limit_are_a_problem() {
    let limits = Limits { archive_entries: 2, ..Limits::default() };
    let (entries, problems) = read(&sample().finish(&[]), &limits).unwrap();
    assert_eq!(entries.len(), 2);
    assert!(problems[0].contains("archive_entries"), "{problems:?}");
}

/// A hundred thousand entries that share one stream: ten kilobytes that become a terabyte.
#[test]
fn overlapping_entries_cost_what_is_allowed() {
    let bomb = Written::deflated("0", &vec![0; 1 << 20]);
    let mut zip = Zip::default();
    zip.add(&bomb);
    for number in 1..60_000 {
        zip.list(&Written { name: format!("{number}").into_bytes(), ..bomb.clone() }, 0);
    }
    let limits = Limits { archive_bytes: 20 << 20, ..Limits::default() };
    let (entries, problems) = read(&zip.finish(&[]), &limits).unwrap();
    assert!(problems.is_empty());
    let read = entries.iter().filter(|(_, content)| content.is_ok()).count();
    assert!((10..20).contains(&read), "{read}");
    assert!(entries.last().unwrap().1.as_ref().unwrap_err().contains("archive_bytes"));
}

/// Deflate blocks that are stored and empty are five bytes of input each, and none of output.
#[test]
fn streams_of_nothing_are_paid_for() {
    let data = [0, 0, 0, 0xff, 0xff].repeat(100_000);
    let bytes = Zip::of([Written { data, size: 1, ..Written::deflated("a", b"") }]);
    let reason = |archive_bytes| {
        read(&bytes, &Limits { archive_bytes, ..Limits::default() }).unwrap().0[0].1.clone().unwrap_err()
    };
    assert!(reason(1 << 20).contains("cut short"), "{}", reason(1 << 20));
    assert!(reason(400_000).contains("archive_bytes"), "{}", reason(400_000));
}

#[test]
fn archives_in_archives_are_read_in_place_or_decompressed() {
    let limits = Limits::default();
    let allowance = Allowance::new(&limits);
    let inner = sample().finish(&[]);
    let middle = Zip::of([Written::deflated("inner", &inner), Written::stored("other", &inner)]);
    let outer = Zip::of([Written::stored("middle", &middle)]);
    let outer = Archive::read(&outer[..], &allowance).unwrap();
    let middle = outer.nested(&outer.entries()[0], &allowance).unwrap();
    assert!(matches!(middle.source, Nested::InPlace { .. }));
    for (entry, in_memory) in middle.entries().iter().zip([true, false]) {
        let inner = middle.nested(entry, &allowance).unwrap();
        assert_eq!(matches!(inner.source, Nested::InMemory(_)), in_memory);
        let content = inner.read_all(&inner.entries()[1], 1 << 20, &allowance).unwrap();
        assert!(content == text());
    }
}

/// How many archives in each other are opened, and why no more.
fn depth<S: ReadAt>(archive: &Archive<S>, allowance: &Allowance) -> (u32, String) {
    match archive.nested(&archive.entries()[0], allowance) {
        Ok(nested) => depth(&nested, allowance),
        Err(error) => (archive.depth, error.to_string()),
    }
}

#[test]
fn depth_and_memory_of_archives_in_archives_are_bounded() {
    let nest = |make: fn(&str, &[u8]) -> Written| {
        let mut zip = sample().finish(&[]);
        for _ in 0..20 {
            zip = Zip::of([make("inner", &zip)]);
        }
        zip
    };
    let limits = Limits::default();
    for zip in [nest(Written::stored), nest(Written::deflated)] {
        let allowance = Allowance::new(&limits);
        let (depth, reason) = depth(&Archive::read(&zip[..], &allowance).unwrap(), &allowance);
        assert_eq!(depth, limits.archive_depth);
        assert!(reason.contains("archive_depth"), "{reason}");
    }
    let large = Zip::of([Written::stored("large", &vec![7; 400_000])]);
    let bomb = Zip::of([Written::deflated("inner", &large)]);
    let allowance = Allowance::new(&Limits { file_bytes: 300_000, ..limits });
    let (depth, reason) = depth(&Archive::read(&bomb[..], &allowance).unwrap(), &allowance);
    assert_eq!(depth, 0);
    assert!(reason.contains("file_bytes"), "{reason}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        written in proptest::collection::btree_map("[a-z0-9]{1,12}", proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        deflate: bool,
        before in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let make = if deflate { Written::deflated } else { Written::stored };
        let zip = Zip::of(written.iter().map(|(name, content)| make(name, content)));
        let (entries, problems) = read(&[before, zip].concat(), &Limits::default()).unwrap();
        prop_assert!(problems.is_empty());
        let expected: Vec<_> =
            written.into_iter().map(|(name, content)| (format!("/{name}"), Ok(content))).collect();
        prop_assert_eq!(entries, expected);
    }

    #[test]
    fn damaged_archives_are_read_without_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        length in 0_usize..2000,
    ) {
        let mut zip = sample().finish(b"comment");
        for (place, value) in changes {
            let place = place.index(zip.len());
            zip[place] = value;
        }
        let cut = zip.len().saturating_sub(length / 20);
        let _ = read(&zip, &Limits::default());
        let _ = read(&zip[..cut], &Limits::default());
    }
}
