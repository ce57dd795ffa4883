//! Which package needs which: what each requires, matched with what the packages of the same database are and have.
//!
//! A requirement is the name of a package, a capability that packages say they provide, or a file. Versions that are asked
//! for are not compared: what is installed together fits together. Alternatives (`(a or b)`) are left out, and so is what
//! rpm itself must be able to do, `rpmlib(…)`.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::header::{Header, Tag};
use crate::volume::bytes::{to_u64, to_usize};

/// Packages that are looked at for one requirement. Of a capability with more, such as one that is in every package, the
/// others say nothing, and all of them for all packages would be a square.
const MOST_PROVIDERS: usize = 64;
/// Bytes of memory for a capability beside its name, for a file, and for a number.
const CAPABILITY_BYTES: u64 = 96;
const FILE_BYTES: u64 = 16;
const NUMBER_BYTES: u64 = 4;

/// A package, by its number in the order in which packages were added.
type Package = u32;
/// Something that is required or provided, by its number.
type Capability = u32;

/// What packages require and provide, while the packages are read.
#[derive(Debug)]
pub(super) struct Graph {
    capabilities: HashMap<Box<[u8]>, Capability>,
    /// Who provides each capability.
    providers: Vec<Vec<Package>>,
    /// What each package requires.
    requirements: Vec<Vec<Capability>>,
    /// The files of all packages, by a hash of the path: most are never asked for.
    files: Vec<(u64, Package)>,
    /// Bytes of memory that are left.
    memory: u64,
    is_full: bool,
}

impl Graph {
    /// A graph that takes no more than so many bytes of memory.
    pub(super) fn new(memory: u64) -> Self {
        Self {
            capabilities: HashMap::new(),
            providers: Vec::new(),
            requirements: Vec::new(),
            files: Vec::new(),
            memory,
            is_full: false,
        }
    }

    /// Whether there was not memory enough for everything.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds the next package.
    pub(super) fn add(&mut self, header: Header<'_>) {
        let package = u32::try_from(self.requirements.len()).unwrap_or(u32::MAX);
        let provided = header.text(Tag::NAME).into_iter().chain(header.texts(Tag::PROVIDE_NAME));
        for name in provided {
            if let Some(capability) = self.capability(name)
                && self.take(NUMBER_BYTES)
                && let Some(providers) = self.providers.get_mut(to_usize(capability))
                && providers.last() != Some(&package)
            {
                providers.push(package);
            }
        }
        let mut requirements = Vec::new();
        for name in header.texts(Tag::REQUIRE_NAME) {
            let is_known_elsewhere = name.starts_with(b"rpmlib(") || name.starts_with(b"(");
            if !is_known_elsewhere
                && let Some(capability) = self.capability(name)
                && self.take(NUMBER_BYTES)
            {
                requirements.push(capability);
            }
        }
        requirements.sort_unstable();
        requirements.dedup();
        self.requirements.push(requirements);
        let mut path = Vec::new();
        header.files(&mut |directory, name| {
            if self.take(FILE_BYTES) {
                path.clear();
                path.extend_from_slice(directory);
                path.extend_from_slice(name);
                self.files.push((hash(&path), package));
            }
        });
    }

    /// Finds the files that are required. Called once, after the last package.
    pub(super) fn match_files(&mut self) {
        let mut wanted: HashMap<u64, Vec<Capability>> = HashMap::new();
        for (name, capability) in self.capabilities.iter().filter(|(name, _)| name.starts_with(b"/")) {
            wanted.entry(hash(name)).or_default().push(*capability);
            // Where these directories are links to those in /usr, packages have their files there and still ask for them by
            // the old name.
            if [&b"/bin/"[..], b"/sbin/", b"/lib/", b"/lib64/"].iter().any(|start| name.starts_with(start)) {
                wanted.entry(hash(&[b"/usr", &name[..]].concat())).or_default().push(*capability);
            }
        }
        for (hash, package) in std::mem::take(&mut self.files) {
            for &capability in wanted.get(&hash).into_iter().flatten() {
                if let Some(providers) = self.providers.get_mut(to_usize(capability))
                    && providers.len() < MOST_PROVIDERS
                    && !providers.contains(&package)
                {
                    providers.push(package);
                }
            }
        }
        self.providers.iter_mut().for_each(|providers| providers.sort_unstable());
    }

    /// The names of the packages that package number `index` needs, sorted. It does not need what it has itself.
    pub(super) fn needed_by(&self, index: usize, names: &[String]) -> Vec<String> {
        let this = u32::try_from(index).unwrap_or(u32::MAX);
        let mut needed = BTreeSet::new();
        for &capability in self.requirements.get(index).into_iter().flatten() {
            let providers = self.providers.get(to_usize(capability)).map(Vec::as_slice).unwrap_or_default();
            let has_itself = providers.binary_search(&this).is_ok();
            let providers = providers.get(..MOST_PROVIDERS).unwrap_or(providers);
            if !has_itself {
                needed.extend(providers.iter().filter_map(|&provider| names.get(to_usize(provider))));
            }
        }
        // Of packages that are there more than once, such as kernels, each other's.
        if let Some(name) = names.get(index) {
            needed.remove(name);
        }
        needed.into_iter().cloned().collect()
    }

    /// The number of a capability, if there is memory for it.
    fn capability(&mut self, name: &[u8]) -> Option<Capability> {
        if let Some(&known) = self.capabilities.get(name) {
            return Some(known);
        }
        let bytes = to_u64(name.len()).saturating_add(CAPABILITY_BYTES);
        let number = u32::try_from(self.providers.len()).ok().filter(|_| self.take(bytes))?;
        self.capabilities.insert(name.into(), number);
        self.providers.push(Vec::new());
        Some(number)
    }

    fn take(&mut self, bytes: u64) -> bool {
        match self.memory.checked_sub(bytes) {
            Some(left) => self.memory = left,
            None => self.is_full = true,
        }
        !self.is_full
    }
}

/// Paths of which the hashes are the same would be taken for each other. That happens to nobody who does not intend it, and
/// who does can as well write the wrong requirement.
fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}
