//! Writes the seeds of the fuzz targets, and replays them and mutations of each.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use agentless_core::fs::{DirEntry, Directory};

use super::*;
use crate::protocol::frame::MOST_MESSAGE_BYTES;
use crate::protocol::samples;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target)
}

/// A socket that keeps what was read from it.
#[derive(Debug)]
struct Recorded(UnixStream, Arc<Mutex<Vec<u8>>>);

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.lock().unwrap().extend(&buffer[..count]);
        Ok(count)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Lets both sides speak with each other, and gives what each of them heard, and what came of it.
fn converse(
    task: Task,
    source: Source<'_>,
    work: impl FnOnce(Given<'_>) -> StorageReport + Send + 'static,
) -> (Vec<u8>, Vec<u8>, StorageReport) {
    let (scanner, analyser) = UnixStream::pair().unwrap();
    let (by_scanner, by_analyser) = <(Arc<Mutex<_>>, Arc<Mutex<_>>)>::default();
    let heard = Arc::clone(&by_analyser);
    let child = thread::spawn(move || {
        let link = Arc::new(Link::new(Recorded(analyser, heard)));
        let start = child::begin(&link, Confinement { role: Role::Child, parts: Vec::new() }).unwrap();
        child::perform(&link, &start, |given| Ok::<_, Infallible>(work(given))).unwrap();
    });
    let sandbox = Sandbox { program: Program::at("none"), mode: Mode::BestEffort, limits: limits() };
    let mut out = Vec::new();
    let connection = Connection::new(Recorded(scanner, Arc::clone(&by_scanner)));
    let prints = task != Task::Packages;
    let server = Server::new(&sandbox, connection, Instant::now(), &mut out);
    let report = server.serve(Job { task, id: "target", source }).unwrap();
    child.join().unwrap();
    assert_eq!(out, if prints { &b"content"[..] } else { b"" });
    let take = |heard: Arc<Mutex<Vec<u8>>>| std::mem::take(&mut *heard.lock().unwrap());
    (take(by_scanner), take(by_analyser), report)
}

/// The same, on the small target.
fn converse_on_target(task: Task, is_directory: bool) -> (Vec<u8>, Vec<u8>, StorageReport) {
    let disks = target::disks();
    let source = if is_directory { target::directory() } else { Source::Disks(&disks) };
    converse(task, source, move |given| {
        read(given);
        if is_directory { StorageReport::default() } else { samples::report() }
    })
}

#[test]
fn both_sides_understand_each_other() {
    let (_, _, report) = converse_on_target(Task::Packages, false);
    assert_eq!(report, samples::report());
    let (_, _, report) = converse_on_target(print_a_file(), true);
    assert_eq!(report.volumes[0].id, "target");
}

/// More entries than one message holds, with names that take twice their length in it; and some are looked at when they
/// are shown, as a walk does that chooses files by mode and size.
#[test]
fn a_large_directory_comes_whole() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> =
        (0..1000).map(|number| [format!("{number:04}").as_bytes(), &[0xff; 240]].concat()).collect();
    for name in &names {
        fs::write(folder.path().join(OsStr::from_bytes(name)), "abc").unwrap();
    }
    let directory = Directory::open(folder.path(), &Limits::default()).unwrap();
    let (sender, receiver) = mpsc::channel();
    let source = Source::Directory(Box::new(directory));
    let (_, by_analyser, _) = converse(Task::Packages, source, move |given| {
        let Source::Directory(directory) = given.source else { panic!("a directory was given") };
        let mut seen = Vec::new();
        let visit = &mut |entry: DirEntry<'_>| {
            seen.push(entry.name.to_vec());
            // Not all of them: the limit on messages is low here.
            if entry.name.starts_with(b"00") {
                assert_eq!(directory.stat(entry.inode).unwrap().size, 3);
            }
            ControlFlow::Continue(())
        };
        directory.read_dir(directory.root(), visit).unwrap();
        sender.send(seen).unwrap();
        StorageReport::default()
    });
    assert!(by_analyser.len() > MOST_MESSAGE_BYTES);
    let mut seen = receiver.recv().unwrap();
    seen.sort();
    assert_eq!(seen, names);
}

/// `cargo test --lib write_the_seeds -- --ignored` makes them again.
#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_the_seeds() {
    for (name, task, is_directory, choice) in [
        ("disks", Task::Packages, false, 0),
        ("directory", Task::Packages, true, 1),
        ("file-on-disks", print_a_file(), false, 2),
        ("file-in-directory", print_a_file(), true, 3),
    ] {
        let (by_scanner, by_analyser, _) = converse_on_target(task, is_directory);
        let with_choice = [&[choice], by_scanner.as_slice()].concat();
        for (target, seed) in [("from_analyser", with_choice), ("to_analyser", by_analyser)] {
            fs::create_dir_all(corpus(target)).unwrap();
            fs::write(corpus(target).join(name), seed).unwrap();
        }
    }
}

/// Runs a target on its seeds and on thousands of mutations of each. None of them may end it but by an error.
fn replay<E: std::fmt::Debug>(target: &str, run: impl Fn(&[u8]) -> Result<(), E>) {
    let mut seeds = 0;
    for entry in fs::read_dir(corpus(target)).unwrap() {
        let path = entry.unwrap().path();
        let seed = fs::read(&path).unwrap();
        let is_crash = path.file_name().unwrap().to_string_lossy().starts_with("crash-");
        let whole = run(&seed);
        assert!(is_crash || whole.is_ok(), "{}: {whole:?}", path.display());
        seeds += 1;
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..5000 {
            let mut mutated = seed.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(mutated.len());
                match random.below(5) {
                    0 => mutated[at] ^= 1 << random.below(8),
                    1 => mutated[at] = u8::try_from(random.below(256)).unwrap(),
                    // The largest list, map and text of MessagePack.
                    2 => mutated[at] = [0xdd, 0xdf, 0xdb][random.below(3)],
                    3 => drop(mutated.remove(at)),
                    _ => {
                        let piece = mutated[at..].iter().copied().take(16).collect::<Vec<_>>();
                        let to = random.below(mutated.len());
                        mutated.splice(to..to, piece);
                    }
                }
            }
            let _ = run(&mutated);
        }
    }
    assert!(seeds > 0);
}

/// Xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % limit
    }
}

#[test]
fn no_analyser_can_say_what_ends_the_scanner() {
    replay("from_analyser", |bytes| from_analyser(bytes).map(drop));
}

#[test]
fn no_scanner_can_say_what_ends_the_analyser() {
    replay("to_analyser", to_analyser);
}
