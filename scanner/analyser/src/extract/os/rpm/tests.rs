//! Small databases that rpm made, the fuzzer's first inputs, as they are and damaged. The comparison with rpm itself, on larger
//! ones, is in `tests/packages`.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Each has a byte in front that says what it is, see [`fuzz_rpm`].
fn seed(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/rpm");
    std::fs::read(folder.join(name)).unwrap()
}

/// The database of a seed, and what is behind it.
fn sqlite_seed(name: &str) -> (Vec<u8>, Vec<u8>) {
    let seed = seed(name);
    let length = usize::try_from(u32::from_be_bytes(seed[1..5].try_into().unwrap())).unwrap();
    let (file, beside) = seed[5..].split_at(length);
    (file.to_vec(), beside.to_vec())
}

/// Names, versions and vendors of the packages, and the problems.
fn read(backend: Backend, file: &[u8], beside: Beside) -> (Vec<String>, Vec<String>) {
    let (mut packages, mut problems) = (Vec::new(), Vec::new());
    database(&file, backend, beside, &Limits::default(), &mut |finding| match finding {
        Ok(Found { name, version, details, .. }) => {
            packages.push(format!("{name} {version} {}", details.maintainer.unwrap_or_default()));
        }
        Err(problem) => problems.push(problem),
    });
    (packages, problems)
}

#[test]
fn databases_of_each_format() {
    for (backend, name) in [(Backend::Bdb, "bdb"), (Backend::Bdb, "bdb-big-endian"), (Backend::Ndb, "ndb")] {
        let (mut packages, problems) = read(backend, &seed(name)[1..], Beside::default());
        packages.sort();
        assert_eq!(packages, ["a 3:1-2 v", "b 3:1-2 v"], "{name}");
        assert!(problems.is_empty(), "{name}: {problems:?}");
    }
}

#[test]
fn a_log_and_a_journal_belong_to_a_database() {
    let (file, log) = sqlite_seed("sqlite-wal");
    assert_eq!(read(Backend::Sqlite, &file, Beside::default()).0, ["a 3:1-2 v"]);
    let beside = Beside { wal: Some(log.clone()), journal: None };
    assert_eq!(read(Backend::Sqlite, &file, beside).0, ["a 3:1-2 v", "a 3:1-2 w"]);
    // A frame that is not whole is of a change that was not finished.
    let cut = Beside { wal: Some(log[..log.len() - 1].to_vec()), journal: None };
    assert_eq!(read(Backend::Sqlite, &file, cut), (vec!["a 3:1-2 v".to_owned()], vec![]));

    let (file, journal) = sqlite_seed("sqlite-journal");
    assert_ne!(read(Backend::Sqlite, &file, Beside::default()).0, ["a 3:1-2 v"]);
    let beside = Beside { wal: None, journal: Some(journal) };
    assert_eq!(read(Backend::Sqlite, &file, beside), (vec!["a 3:1-2 v".to_owned()], vec![]));
}

#[test]
fn what_a_header_says() {
    let header = seed("header");
    let (found, problems) = package::package(Header::new(&header[1..]).unwrap(), &Limits::default());
    let found = found.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((&found.name[..], &found.version[..]), ("a", "3:1-2"));
    assert_eq!(found.architecture.as_deref(), Some("noarch"));
    assert_eq!(found.details.module.as_deref(), Some("m:1:2:3"));
    assert_eq!(found.details.licenses, ["MIT"]);
    let source = found.details.source.unwrap();
    assert_eq!((&source.name[..], &source.version[..]), ("a", "3:1-2"));
}

#[test]
fn packages_need_each_other_by_name_by_file_and_by_capability() {
    let file = seed("ndb");
    let mut needs = Vec::new();
    database(&&file[1..], Backend::Ndb, Beside::default(), &Limits::default(), &mut |finding| {
        let package = finding.unwrap();
        needs.push((package.name, package.details.depends_on));
    });
    needs.sort();
    let needed = |name: &str, by: &str| (by.to_owned(), vec![name.to_owned()]);
    assert_eq!(needs, [needed("b", "a"), needed("a", "b")]);
}

#[test]
fn an_odd_field_costs_itself() {
    let header = seed("header");
    // The vendor, and the licence.
    for (place, problem) in [(&b"v\0"[..], "its vendor is not UTF-8"), (b"MIT\0", "its licence is not UTF-8")]
    {
        let at = header.windows(place.len()).rposition(|window| window == place).unwrap();
        let mut odd = header.clone();
        odd[at] = 0xff;
        let (found, problems) = package::package(Header::new(&odd[1..]).unwrap(), &Limits::default());
        assert_eq!(found.unwrap().name, "a");
        assert_eq!(problems, [format!("package \"a\": {problem}")]);
    }
}

#[test]
fn circles_end() {
    // The page that goes on with the page.
    let mut file = seed("bdb")[1..].to_vec();
    for page in 1..file.len() / 4096 {
        let at = page * 4096;
        if file[at + 25] == 7 {
            file[at + 16..at + 20].copy_from_slice(&u32::try_from(page).unwrap().to_le_bytes());
            file[at + 22..at + 24].copy_from_slice(&1_u16.to_le_bytes());
        }
    }
    let (packages, problems) = read(Backend::Bdb, &file, Beside::default());
    assert!(packages.len() < 2 && !problems.is_empty(), "{packages:?} {problems:?}");

    // The table of packages is the table of tables.
    let (mut file, _) = sqlite_seed("sqlite");
    let pages = file.len() / 512;
    for page in 1..pages {
        file[page * 512] = 5;
        file[page * 512 + 3..page * 512 + 5].copy_from_slice(&0_u16.to_be_bytes());
        file[page * 512 + 8..page * 512 + 12]
            .copy_from_slice(&u32::try_from(page + 1).unwrap().to_be_bytes());
    }
    let (packages, problems) = read(Backend::Sqlite, &file, Beside::default());
    assert!(packages.is_empty(), "{packages:?}");
    assert!(problems[0].contains("is in two places"), "{problems:?}");
}

#[test]
fn counts_that_nothing_is_behind_cost_nothing() {
    let start = Instant::now();
    let mut file = seed("ndb")[1..].to_vec();
    file[12..16].fill(0xff);
    let (packages, problems) = read(Backend::Ndb, &file, Beside::default());
    assert_eq!((packages.len(), problems.is_empty()), (2, false));

    let mut file = seed("bdb")[1..].to_vec();
    file[32..36].fill(0xff);
    let (packages, problems) = read(Backend::Bdb, &file, Beside::default());
    assert_eq!((packages.len(), problems.len()), (2, 1));
    assert!(problems[0].contains("it was cut off"), "{problems:?}");

    let mut header = seed("header")[1..].to_vec();
    header[..8].fill(0xff);
    assert!(Header::new(&header).is_err());
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_database_of_nothing_but_damage_ends() {
    // A page of entries that have a type and nothing else, many times.
    let mut page = vec![0; 4096];
    page[20..22].copy_from_slice(&1340_u16.to_le_bytes());
    page[25] = 13;
    for entry in 0..1340_usize {
        let place = 4095 - entry;
        page[place] = 0xff;
        page[26 + entry * 2..][..2].copy_from_slice(&u16::try_from(place).unwrap().to_le_bytes());
    }
    let mut file = seed("bdb")[1..4097].to_vec();
    file[32..36].copy_from_slice(&10_000_u32.to_le_bytes());
    let file = [file, page.repeat(1000)].concat();
    let (packages, problems) = read(Backend::Bdb, &file, Beside::default());
    assert_eq!((packages.len(), problems.len()), (0, 100_002));
    assert!(problems[100_001].contains("`notes`"), "{:?}", problems.last());
}

#[test]
fn a_database_that_was_cut_off_anywhere_has_one_problem() {
    for (backend, name) in [
        (Backend::Bdb, "bdb"),
        (Backend::Bdb, "bdb-big-endian"),
        (Backend::Ndb, "ndb"),
        (Backend::Sqlite, "sqlite"),
    ] {
        let file = if backend == Backend::Sqlite { sqlite_seed(name).0 } else { seed(name)[1..].to_vec() };
        let (whole, problems) = read(backend, &file, Beside::default());
        assert_eq!(problems, Vec::<String>::new(), "{name}");
        for length in (1..file.len()).step_by(16) {
            let (found, problems) = read(backend, &file[..length], Beside::default());
            assert!(found.iter().all(|package| whole.contains(package)), "{name} {length}: {found:?}");
            // What is behind the last package may be missing without a loss.
            let is_whole = found.len() == whole.len() && problems.is_empty();
            assert!(is_whole || problems.len() == 1, "{name} {length}: {problems:?}");
        }
    }
}

#[test]
fn what_is_no_database_says_so() {
    for backend in [Backend::Bdb, Backend::Ndb, Backend::Sqlite] {
        for content in [&b"x"[..], &[0; 5000]] {
            let (packages, problems) = read(backend, content, Beside::default());
            assert_eq!((packages.len(), problems.len()), (0, 1), "{backend:?}");
        }
    }
}

#[test]
fn a_graph_that_is_too_large_is_incomplete_and_the_list_is_not() {
    let limits = Limits { package_bytes: 400, ..Limits::default() };
    let file = seed("ndb");
    let (mut names, mut problems) = (Vec::new(), Vec::new());
    database(&&file[1..], Backend::Ndb, Beside::default(), &limits, &mut |finding| match finding {
        Ok(package) => names.push(package.name),
        Err(problem) => problems.push(problem),
    });
    assert_eq!(names.len(), 2);
    assert!(problems[0].contains("which depends on which is incomplete"), "{problems:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damaged_databases_end_soon_and_without_a_panic(
        name in prop::sample::select(vec![
            "bdb", "bdb-big-endian", "ndb", "sqlite", "sqlite-wal", "sqlite-journal", "header", "manifest",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff]), any::<u8>(),
        ], 1..5_usize), 0..8),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut content = seed(name);
        for (place, byte, count) in changes {
            let at = place.index(content.len());
            content.iter_mut().skip(at.max(1)).take(count).for_each(|changed| *changed = byte);
        }
        if let Some(cut) = cut {
            content.truncate(cut.index(content.len()));
        }
        let start = Instant::now();
        fuzz_rpm(&content);
        prop_assert!(start.elapsed() < Duration::from_secs(5));
    }
}
