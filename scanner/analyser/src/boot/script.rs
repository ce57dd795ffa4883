//! The language of GRUB's configuration, as far as it decides what is started: variables, conditions, menus.
//!
//! Source: GNU GRUB Manual 2.06, "Shell-like scripting" and "Commands". Functions and loops are passed over: nothing that
//! `grub-mkconfig` writes chooses a kernel with one.

mod condition;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use super::{Configured, Doubt, bls, grub_legacy, syslinux};
use crate::fs::FsPath;
use words::{Statement, expand, statements};

/// What a configuration may look at beside itself.
pub(super) trait Surroundings {
    /// The content of a small file, by its path without a device; `None` if there is none.
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, Doubt>;
    /// The entries of the Boot Loader Specification, in GRUB's order.
    fn entries(&self) -> Result<Vec<bls::Entry>, Doubt>;
}

/// One line of a menu.
#[derive(Clone, Debug)]
pub(super) struct Item {
    title: String,
    id: String,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Run(Vec<Statement>),
    Menu(Vec<Item>),
    Start(Option<String>),
}

/// Files that one configuration may read. Real ones read two: themselves and their environment.
const FILES: u32 = 64;
/// Bytes of all variables. Against each being made of several others.
const VARIABLE_BYTES: usize = 1 << 20;
/// Menus in each other.
const DEPTH: usize = 16;
/// Configurations that read each other.
const SOURCES: usize = 2;
/// The menu itself: lines of it, with those of menus in it.
const ITEMS: usize = 10_000;

/// A configuration while it is read.
#[derive(Debug)]
pub(super) struct Script<'a, S> {
    path: &'a FsPath,
    surroundings: &'a S,
    /// The first reason why what was read may not be all that decides.
    doubt: Option<Doubt>,
    variables: BTreeMap<String, String>,
    variable_bytes: usize,
    files_left: u32,
    /// The menu, and those that are open in it.
    menus: Vec<(Item, Vec<Item>)>,
    menu: Vec<Item>,
    items: usize,
    has_entries: bool,
}

/// What is open at a place in a configuration.
#[derive(Clone, Copy, Debug)]
enum Block {
    /// `if`: whether what surrounds it is executed, whether one of its branches was, and whether the present one is.
    If { outer: bool, taken: bool, now: bool },
    /// What is passed over, up to the word that ends it.
    Skipped { end: &'static str },
    /// An entry of a menu, whose statements are collected.
    Entry,
    /// A menu in a menu.
    Menu,
}

impl<'a, S: Surroundings> Script<'a, S> {
    /// Runs the configuration of this path.
    pub(super) fn run(path: &'a FsPath, content: &[u8], surroundings: &'a S) -> Self {
        let mut script = Self {
            path,
            surroundings,
            doubt: None,
            variables: BTreeMap::new(),
            variable_bytes: 0,
            files_left: FILES,
            menus: Vec::new(),
            menu: Vec::new(),
            items: 0,
            has_entries: false,
        };
        let directory = path.parent().unwrap_or_default().to_string();
        for (name, value) in [
            ("prefix", &directory[..]),
            ("config_directory", &directory),
            ("menuentry_id_option", "--id"),
            // What GRUB 2.00 and later can do, which scripts ask for.
            ("feature_menuentry_id", "y"),
            ("feature_default_font_path", "y"),
            ("feature_platform_search_hint", "y"),
            ("feature_timeout_style", "y"),
        ] {
            script.set(name, value.to_owned());
        }
        script.execute(content, 0);
        script
    }

    /// The kernel of the entry that is started.
    pub(super) fn default(mut self) -> Result<Configured, Doubt> {
        let chosen = self.value("default").to_owned();
        let menu = std::mem::take(&mut self.menu);
        let kernel = match choose(&menu, &chosen).map(|item| &item.action) {
            Some(Action::Start(kernel)) => kernel.clone(),
            Some(Action::Run(statements)) => self.kernel(statements),
            // An empty menu in the menu.
            Some(Action::Menu(_)) => None,
            None => {
                self.doubt(|| "it has no entry".to_owned());
                None
            }
        };
        self.doubt.map_or_else(|| Ok(Configured::or_unknown(kernel)), Err)
    }

    /// Something that decides may be missing.
    fn doubt(&mut self, reason: impl FnOnce() -> String) {
        self.doubt.get_or_insert_with(|| Doubt::new(self.path, reason()));
    }

    fn value(&self, name: &str) -> &str {
        self.variables.get(name).map(String::as_str).unwrap_or_default()
    }

    fn set(&mut self, name: &str, value: String) {
        let bytes = self.variable_bytes.saturating_add(name.len()).saturating_add(value.len());
        if bytes <= VARIABLE_BYTES {
            self.variable_bytes = bytes;
            self.variables.insert(name.to_owned(), value);
        } else {
            self.doubt(|| format!("its variables have more than {VARIABLE_BYTES} bytes"));
        }
    }

    fn execute(&mut self, content: &[u8], depth: usize) {
        let (statements, are_all) = statements(content);
        if !are_all {
            self.doubt(|| "it has more statements than are read".to_owned());
        }
        let mut blocks: Vec<Block> = Vec::new();
        let mut entry: Option<(Item, Vec<Statement>)> = None;
        for statement in statements {
            let first = statement.literal(0);
            let is_active = match blocks.last() {
                None | Some(Block::Entry | Block::Menu) => true,
                Some(Block::If { outer, now, .. }) => *outer && *now,
                Some(Block::Skipped { .. }) => false,
            };
            let is_closed = match blocks.last() {
                Some(Block::Skipped { end }) => first == Some(end),
                _ => false,
            };
            if is_closed {
                blocks.pop();
                continue;
            }
            let in_entry = entry.is_some();
            match first {
                Some("}") => match blocks.pop() {
                    Some(Block::Entry) => {
                        if let Some((mut item, body)) = entry.take() {
                            item.action = Action::Run(body);
                            self.add(item);
                        }
                    }
                    Some(Block::Menu) => self.close(),
                    Some(other) => blocks.push(other),
                    None => {}
                },
                // What opens within an entry or within what is passed over is only counted.
                _ if statement.opens && (in_entry || !is_active) => {
                    blocks.push(Block::Skipped { end: "}" });
                }
                _ if in_entry => {
                    if let Some((_, body)) = &mut entry
                        && matches!(blocks.last(), Some(Block::Entry))
                    {
                        body.push(statement);
                    }
                }
                Some("if") => {
                    let now = is_active && self.condition(&statement);
                    blocks.push(Block::If { outer: is_active, taken: now, now });
                }
                Some("elif" | "else") => {
                    let holds = first == Some("else") || self.condition(&statement);
                    if let Some(Block::If { taken, now, .. }) = blocks.last_mut() {
                        *now = holds && !*taken;
                        *taken |= *now;
                    }
                }
                Some("fi") => {
                    if matches!(blocks.last(), Some(Block::If { .. })) {
                        blocks.pop();
                    }
                }
                Some("while" | "until" | "for") => {
                    blocks.push(Block::Skipped { end: "done" });
                }
                Some("menuentry") if statement.opens => {
                    blocks.push(Block::Entry);
                    entry = Some((self.item(&statement), Vec::new()));
                }
                Some("submenu") if statement.opens && self.menus.len() < DEPTH => {
                    blocks.push(Block::Menu);
                    let item = self.item(&statement);
                    self.menus.push((item, std::mem::take(&mut self.menu)));
                }
                _ if statement.opens => {
                    if first == Some("submenu") {
                        self.doubt(|| format!("it has more than {DEPTH} menus in each other"));
                    }
                    blocks.push(Block::Skipped { end: "}" });
                }
                _ if is_active => self.command(&statement, depth),
                _ => {}
            }
        }
        if !blocks.is_empty() {
            self.doubt(|| "it ends within an entry, a menu or a condition: the rest is missing".to_owned());
        }
        for block in blocks.into_iter().rev() {
            if matches!(block, Block::Menu) {
                self.close();
            }
        }
    }

    fn add(&mut self, item: Item) {
        if self.items < ITEMS {
            self.items = self.items.saturating_add(1);
            self.menu.push(item);
        } else {
            self.doubt(|| format!("its menu has more than {ITEMS} entries"));
        }
    }

    /// Ends the innermost open menu.
    fn close(&mut self) {
        if let Some((mut item, outer)) = self.menus.pop() {
            item.action = Action::Menu(std::mem::replace(&mut self.menu, outer));
            self.add(item);
        }
    }

    /// The title and the id of an entry.
    fn item(&self, statement: &Statement) -> Item {
        let words = self.words(statement);
        let mut words = words.iter().skip(1);
        let (mut title, mut id) = (None, None);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--id" => id = words.next(),
                "--class" | "--users" | "--hotkey" => drop(words.next()),
                other => match other.strip_prefix("--") {
                    Some(_) => {}
                    None => drop(title.get_or_insert(word)),
                },
            }
        }
        let owned = |text: Option<&String>| text.cloned().unwrap_or_default();
        Item { title: owned(title), id: owned(id), action: Action::Start(None) }
    }

    /// The words of a statement, as many as have room: each may stand for a variable of thousands of bytes.
    fn words(&self, statement: &Statement) -> Vec<String> {
        let mut left = VARIABLE_BYTES;
        let words = statement.words.iter().map(|word| expand(word, &self.variables));
        words
            .map_while(|word| {
                left = left.checked_sub(word.len())?;
                Some(word)
            })
            .collect()
    }

    fn condition(&mut self, statement: &Statement) -> bool {
        let words = self.words(statement);
        let words: Vec<_> = words.iter().skip(1).map(String::as_str).collect();
        condition::holds(&words, &mut |path| self.file(path).is_some_and(|content| !content.is_empty()))
    }

    /// A file, by a path that may begin with a device: `(hd0,gpt2)/boot/grub/grubenv`.
    fn file(&mut self, path: &str) -> Option<Vec<u8>> {
        let Some(left) = self.files_left.checked_sub(1) else {
            self.doubt(|| format!("it reads more than {FILES} files"));
            return None;
        };
        self.files_left = left;
        let path = path.split_once(')').map_or(path, |(_, path)| path);
        self.known(self.surroundings.file(path))
    }

    /// What could be read.
    fn known<T: Default>(&mut self, read: Result<T, Doubt>) -> T {
        read.unwrap_or_else(|doubt| {
            self.doubt.get_or_insert(doubt);
            T::default()
        })
    }

    fn command(&mut self, statement: &Statement, depth: usize) {
        let words = self.words(statement);
        let mut words = words.iter().map(String::as_str);
        match words.next() {
            Some("set") => {
                if let Some((name, value)) = words.next().and_then(|setting| setting.split_once('=')) {
                    self.set(name, value.to_owned());
                }
            }
            Some("unset") => {
                for name in words {
                    self.variables.remove(name);
                }
            }
            Some("load_env") => self.load_env(&words.collect::<Vec<_>>()),
            Some("blscfg") if !self.has_entries => {
                self.has_entries = true;
                for entry in self.known(self.surroundings.entries()) {
                    self.add(Item { title: entry.title, id: entry.id, action: Action::Start(entry.linux) });
                }
            }
            Some("source" | "." | "configfile") if depth < SOURCES => {
                if let Some(content) = words.next().and_then(|path| self.file(path)) {
                    self.execute(&content, depth.saturating_add(1));
                }
            }
            Some("source" | "." | "configfile") => {
                self.doubt(|| format!("it reads files that read others, more than {SOURCES} deep"));
            }
            Some(word) => {
                if let Some((name, value)) = word.split_once('=')
                    && !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                {
                    self.set(name, value.to_owned());
                }
            }
            None => {}
        }
    }

    /// Takes variables from a file in which each line is `name=value`, filled up with `#` (`grub-editenv`).
    fn load_env(&mut self, arguments: &[&str]) {
        let mut path = format!("{}/grubenv", self.value("prefix"));
        let mut names = BTreeSet::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "-f" | "--file" => path = rest.next().map(|path| (*path).to_owned()).unwrap_or_default(),
                option if option.starts_with("--file=") => {
                    option.trim_start_matches("--file=").clone_into(&mut path);
                }
                option if option.starts_with('-') => {}
                name => drop(names.insert(name)),
            }
        }
        let Some(content) = self.file(&path) else { return };
        for line in String::from_utf8_lossy(&content).lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, value)) = line.split_once('=')
                && (names.is_empty() || names.contains(name))
            {
                self.set(name, value.to_owned());
            }
        }
    }

    /// The kernel that an entry loads. Of Xen, it is the first of the modules.
    fn kernel(&mut self, body: &[Statement]) -> Option<String> {
        for statement in body {
            let words = self.words(statement);
            let mut words = words.iter().map(String::as_str);
            match words.next() {
                Some("linux" | "linux16" | "linuxefi" | "module" | "module2") => {
                    let path = words.find(|word| !word.starts_with("--"))?;
                    return Some(path.split_once(')').map_or(path, |(_, path)| path).to_owned());
                }
                Some("chainloader") => return None,
                _ => self.command(statement, SOURCES),
            }
        }
        None
    }
}

/// The entry that the variable `default` names: by number, id or title, of menus in menus with `>` between them. What names
/// none is the first.
fn choose<'a>(menu: &'a [Item], chosen: &str) -> Option<&'a Item> {
    let (mut menu, mut rest) = (menu, chosen);
    loop {
        let (here, inner) = split(rest);
        let by_number = here.parse::<usize>().ok().and_then(|number| menu.get(number));
        let by_name = || menu.iter().find(|item| !here.is_empty() && (item.id == here || item.title == here));
        let item = by_number.or_else(by_name).or_else(|| menu.first())?;
        match &item.action {
            Action::Menu(items) if !items.is_empty() => (menu, rest) = (items, inner),
            _ => return Some(item),
        }
    }
}

/// The part before the first `>`, and what follows it. In a title it is written twice.
fn split(path: &str) -> (String, &str) {
    let mut here = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('>') {
        here.push_str(before);
        match after.strip_prefix('>') {
            Some(after) => {
                here.push('>');
                rest = after;
            }
            None => return (here, after),
        }
    }
    here.push_str(rest);
    (here, "")
}

/// Parses any bytes as the configuration of each boot loader, for fuzzing: it must come back without a panic.
///
/// # Panics
///
/// If entries have another order when they are compared the other way round.
pub fn fuzz_boot(content: &[u8]) {
    #[derive(Debug)]
    struct Itself<'a>(&'a [u8]);

    impl Surroundings for Itself<'_> {
        fn file(&self, _path: &str) -> Result<Option<Vec<u8>>, Doubt> {
            Ok(Some(self.0.to_vec()))
        }

        fn entries(&self) -> Result<Vec<bls::Entry>, Doubt> {
            Ok(vec![bls::Entry::new("a-1.conf", self.0)])
        }
    }

    drop(Script::run(&FsPath::new("/boot/grub/grub.cfg"), content, &Itself(content)).default());
    drop(syslinux::kernel(content));
    drop(grub_legacy::kernel(content, content));
    let (one, two) = content.split_at(content.len().checked_div(2).unwrap_or(0));
    let (one, two) = (bls::Entry::new("a+1.conf", one), bls::Entry::new("b.conf", two));
    assert_eq!(one.in_specification(&two), two.in_specification(&one).reverse());
    assert_eq!(one.in_grub(&two), two.in_grub(&one).reverse());
}
