//! The language of GRUB's configuration, as far as it decides what is started: variables, conditions, menus.
//!
//! Source: GNU GRUB Manual 2.06, "Shell-like scripting" and "Commands". Functions and loops are passed over: nothing that
//! `grub-mkconfig` writes chooses a kernel with one.

mod condition;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use super::{Configured, bls, grub_legacy, syslinux};
use words::{Statement, expand, statements};

/// What a configuration may look at beside itself.
pub(super) trait Surroundings {
    /// The content of a small file, by its path without a device; `None` if there is none.
    fn file(&self, path: &str) -> Option<Vec<u8>>;
    /// The entries of the Boot Loader Specification, in GRUB's order.
    fn entries(&self) -> Vec<bls::Entry>;
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
    surroundings: &'a S,
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
    /// Runs a configuration in a directory of this path.
    pub(super) fn run(directory: &str, content: &[u8], surroundings: &'a S) -> Self {
        let mut script = Self {
            surroundings,
            variables: BTreeMap::new(),
            variable_bytes: 0,
            files_left: FILES,
            menus: Vec::new(),
            menu: Vec::new(),
            items: 0,
            has_entries: false,
        };
        for (name, value) in [
            ("prefix", directory),
            ("config_directory", directory),
            ("menuentry_id_option", "--id"),
            // What GRUB 2.00 and later can do, which scripts ask for.
            ("feature_menuentry_id", "y"),
            ("feature_default_font_path", "y"),
            ("feature_platform_search_hint", "y"),
            ("feature_timeout_style", "y"),
        ] {
            script.set(name, value.to_owned());
        }
        script.execute(statements(content), 0);
        script
    }

    /// The kernel of the entry that is started.
    pub(super) fn default(mut self) -> Configured {
        let chosen = self.value("default").to_owned();
        let menu = std::mem::take(&mut self.menu);
        let Some(item) = choose(&menu, &chosen) else { return Configured::Not };
        Configured::or_unknown(match &item.action {
            Action::Start(kernel) => kernel.clone(),
            Action::Run(statements) => self.kernel(statements),
            // An empty menu in the menu.
            Action::Menu(_) => None,
        })
    }

    fn value(&self, name: &str) -> &str {
        self.variables.get(name).map(String::as_str).unwrap_or_default()
    }

    fn set(&mut self, name: &str, value: String) {
        let bytes = self.variable_bytes.saturating_add(name.len()).saturating_add(value.len());
        if bytes <= VARIABLE_BYTES {
            self.variable_bytes = bytes;
            self.variables.insert(name.to_owned(), value);
        }
    }

    fn execute(&mut self, statements: Vec<Statement>, depth: usize) {
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
                _ if statement.opens => blocks.push(Block::Skipped { end: "}" }),
                _ if is_active => self.command(&statement, depth),
                _ => {}
            }
        }
        // A configuration that is cut off ends all that is open.
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
        self.files_left = self.files_left.checked_sub(1)?;
        let path = path.split_once(')').map_or(path, |(_, path)| path);
        self.surroundings.file(path)
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
                for entry in self.surroundings.entries() {
                    self.add(Item { title: entry.title, id: entry.id, action: Action::Start(entry.linux) });
                }
            }
            Some("source" | "." | "configfile") if depth < SOURCES => {
                if let Some(content) = words.next().and_then(|path| self.file(path)) {
                    self.execute(statements(&content), depth.saturating_add(1));
                }
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
        fn file(&self, _path: &str) -> Option<Vec<u8>> {
            Some(self.0.to_vec())
        }

        fn entries(&self) -> Vec<bls::Entry> {
            vec![bls::Entry::new("a-1.conf", self.0)]
        }
    }

    drop(Script::run("/boot/grub", content, &Itself(content)).default());
    drop(syslinux::kernel(content));
    drop(grub_legacy::kernel(content, content));
    let (one, two) = content.split_at(content.len().checked_div(2).unwrap_or(0));
    let (one, two) = (bls::Entry::new("a+1.conf", one), bls::Entry::new("b.conf", two));
    assert_eq!(one.in_specification(&two), two.in_specification(&one).reverse());
    assert_eq!(one.in_grub(&two), two.in_grub(&one).reverse());
}
