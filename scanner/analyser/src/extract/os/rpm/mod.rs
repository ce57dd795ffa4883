//! `os/rpm`: the packages of Red Hat, SUSE, Amazon Linux, Azure Linux and everything else that is made of RPMs.
//!
//! rpm keeps the header of each installed package, as it was in the package's file, in one of three kinds of databases. Each
//! reader here finds the headers in one of them; what a header says is the same in all.

mod bdb;
mod depend;
mod header;
mod live;
mod manifest;
mod ndb;
mod owners;
mod package;
mod sqlite;
mod store;
#[cfg(test)]
mod tests;

use self::depend::Graph;
use self::header::Header;
use self::live::{Backend, Database, PLACES, live};
use self::sqlite::Beside;
use self::store::{Emit, Fault, Store};
use crate::extract::{Claims, ExtractError, Extractor, Found, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::read_at::ReadAt;
use crate::volume::bytes::to_u64;

/// Reads rpm's database in each of its formats and places, and the list that stands for it in images without rpm.
#[derive(Clone, Copy, Debug)]
pub struct Rpm;

/// CBL-Mariner's list.
const MANIFEST: &str = "/var/lib/rpmmanifest/container-manifest-2";

/// Every place of a database, then the manifest.
const INTERESTS: [Interest; 10] = {
    let mut interests = [Interest::Exact(MANIFEST); 10];
    let mut places = PLACES.as_slice();
    let mut slots = interests.as_mut_slice();
    while let (Some(((path, _), more_places)), Some((slot, more_slots))) =
        (places.split_first(), slots.split_first_mut())
    {
        *slot = Interest::Exact(path);
        (places, slots) = (more_places, more_slots);
    }
    interests
};

impl Extractor for Rpm {
    fn name(&self) -> &'static str {
        "os/rpm"
    }

    fn description(&self) -> &'static str {
        "RPM packages"
    }

    fn interest(&self) -> &'static [Interest] {
        &INTERESTS
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let this = input.find_side(input.path())?.map(|(node, _)| node);
        let live = live(|path| input.find_side(path).ok().flatten());
        if let Some(live) = live.filter(|live| Some(live.node) != this) {
            tracing::debug!(live = live.path, "not the database that rpm uses");
            return Ok(());
        }
        let is_manifest = *input.path() == FsPath::new(MANIFEST);
        if live.is_none() && !is_manifest {
            // An empty file, which stands where a database may be, and is none.
            return Ok(());
        }
        report.database();
        let limits = input.limits();
        let mut emit = |finding| match finding {
            Ok(package) => report.package(package),
            Err(problem) => report.unknown(problem),
        };
        if let Some(Database { backend, .. }) = live {
            let beside = beside(backend, input, &mut |problem| emit(Err(problem)));
            database(input, backend, beside, limits, &mut emit);
        } else {
            manifest::packages(&input.read_all()?, limits).for_each(emit);
        }
        Ok(())
    }

    fn owners(&self, claims: &mut Claims<'_>) {
        owners::claim(claims);
    }
}

/// What a database gives: a package, or what cannot be understood.
type Finding = Result<Found, String>;

/// The files beside an SQLite database that belong to it. What prevents that they are read goes to `problem`.
fn beside(backend: Backend, input: &Input<'_>, problem: &mut dyn FnMut(String)) -> Beside {
    if backend != Backend::Sqlite {
        return Beside::default();
    }
    let mut read = |end: &str| {
        let path = FsPath::new([input.path().as_relative_bytes(), end.as_bytes()].concat());
        input.read_all_of_side(&path).unwrap_or_else(|error| {
            problem(format!("{path}: {}", crate::chain(&error)));
            None
        })
    };
    Beside { wal: read("-wal"), journal: read("-journal") }
}

/// Reads a database: each package that it has, and what is wrong with it.
fn database(
    file: &dyn ReadAt,
    backend: Backend,
    beside: Beside,
    limits: &Limits,
    emit: &mut dyn FnMut(Finding),
) {
    let mut list = List::new(limits);
    let mut missing = Missing::default();
    let mut take = |header: Result<&[u8], Fault>| match header {
        Ok(blob) => list.add(blob, emit),
        Err(Fault::Missing(problem)) => {
            missing.add(problem);
            list.problems.another()
        }
        Err(fault) => list.problem(fault.reason(), emit),
    };
    let result = headers(&mut Store::new(file, limits), backend, beside, &mut take);
    let end = match result {
        Err(Fault::Missing(problem)) => {
            missing.add(problem);
            None
        }
        Err(fault) => Some(fault.reason()),
        Ok(()) => None,
    };
    for problem in missing.problem().into_iter().chain(end) {
        emit(Err(problem));
    }
    list.finish(emit);
}

/// Gives each header of a database to `take`.
fn headers(
    store: &mut Store<'_>,
    backend: Backend,
    beside: Beside,
    take: &mut Emit<'_>,
) -> Result<(), Fault> {
    match backend {
        Backend::Bdb => bdb::read(store, take),
        Backend::Ndb => ndb::read(store, take),
        Backend::Sqlite => sqlite::read(store, beside, take),
    }
}

/// What a database should have and ends before: one problem, however much it is.
#[derive(Debug, Default)]
struct Missing {
    first: Option<String>,
    others: u64,
}

impl Missing {
    fn add(&mut self, problem: String) {
        if self.first.is_none() {
            self.first = Some(problem);
        } else {
            self.others = self.others.saturating_add(1);
        }
    }

    fn problem(self) -> Option<String> {
        let others = match self.others {
            0 => String::new(),
            others => format!("; {others} other parts of it are missing too"),
        };
        Some(format!("it was cut off: {}{others}", self.first?))
    }
}

/// How much of a database is damaged. One that is nothing else ends: each problem costs little, and there may be millions.
struct Problems {
    count: u64,
    most: u64,
}

impl Problems {
    fn new(limits: &Limits) -> Self {
        Self { count: 0, most: limits.notes }
    }

    fn another(&mut self) -> Result<(), Fault> {
        self.count = self.count.saturating_add(1);
        if self.count > self.most {
            return Err(Fault::End(format!("it has more than {} problems (`notes`)", self.most)));
        }
        Ok(())
    }
}

/// The packages of a database, which are kept until all are known: they need each other.
struct List<'a> {
    limits: &'a Limits,
    packages: Vec<Found>,
    graph: Graph,
    /// Bytes that the packages' fields may still have.
    text: u64,
    problems: Problems,
}

impl<'a> List<'a> {
    fn new(limits: &'a Limits) -> Self {
        // Requirements, capabilities and files of a real machine take a few MiB. A part of what packages may take is enough.
        let graph = Graph::new(limits.package_bytes / 4);
        Self {
            limits,
            packages: Vec::new(),
            graph,
            text: limits.package_bytes,
            problems: Problems::new(limits),
        }
    }

    /// Passes on what is damaged.
    fn problem(&mut self, problem: String, emit: &mut dyn FnMut(Finding)) -> Result<(), Fault> {
        emit(Err(problem));
        self.problems.another()
    }

    /// Adds the package of a header. What is wrong with it goes to `emit`.
    fn add(&mut self, blob: &[u8], emit: &mut dyn FnMut(Finding)) -> Result<(), Fault> {
        let header = match Header::new(blob) {
            Ok(header) => header,
            Err(problem) => return self.problem(problem, emit),
        };
        let (found, problems) = package::package(header, self.limits);
        for problem in problems {
            self.problem(problem, emit)?;
        }
        let Some(found) = found else { return Ok(()) };
        let left = self.text.checked_sub(to_u64(found.text()));
        let Some(left) = left.filter(|_| to_u64(self.packages.len()) < self.limits.packages) else {
            return Err(Fault::End(
                "it has more packages, or more bytes of their names, versions and the like, than the limits allow (`packages`, `package_bytes`)".to_owned(),
            ));
        };
        self.text = left;
        self.graph.add(header);
        self.packages.push(found);
        Ok(())
    }

    fn finish(mut self, emit: &mut dyn FnMut(Finding)) {
        if self.graph.is_full() {
            emit(Err("what its packages need and have takes more memory than the limits allow (`package_bytes`): which depends on which is incomplete".to_owned()));
        }
        self.graph.match_files();
        let names: Vec<_> = self.packages.iter().map(|package| package.name.clone()).collect();
        for (index, mut package) in self.packages.into_iter().enumerate() {
            package.details.depends_on = self.graph.needed_by(index, &names);
            emit(Ok(package));
        }
    }
}

/// Reads any bytes as a database, for fuzzing: it must come back soon and without a panic. The first byte chooses what they
/// are; of an SQLite database the next four give the length of the database, behind which are a log, or a journal.
pub fn fuzz_rpm(content: &[u8]) {
    let Some((&kind, content)) = content.split_first() else { return };
    let limits = Limits::default();
    let with_database = |backend, file: &[u8], beside| database(&file, backend, beside, &limits, &mut drop);
    match kind {
        b'b' => with_database(Backend::Bdb, content, Beside::default()),
        b'n' => with_database(Backend::Ndb, content, Beside::default()),
        b's' | b'w' | b'j' => {
            let Some((length, content)) = content.split_first_chunk() else { return };
            let length = crate::volume::bytes::to_usize(u32::from_be_bytes(*length)).min(content.len());
            let (file, rest) = content.split_at_checked(length).unwrap_or_default();
            let rest = Some(rest.to_vec());
            let beside = match kind {
                b'w' => Beside { wal: rest, journal: None },
                b'j' => Beside { wal: None, journal: rest },
                _ => Beside::default(),
            };
            with_database(Backend::Sqlite, file, beside);
        }
        b'h' => {
            let mut list = List::new(&limits);
            if list.add(content, &mut drop).is_ok() {
                list.finish(&mut drop);
            }
        }
        b'm' => manifest::packages(content, &limits).for_each(drop),
        _ => {}
    }
}
