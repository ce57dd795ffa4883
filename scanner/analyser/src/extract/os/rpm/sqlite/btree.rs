//! Tables: trees of pages, whose leaves have the rows.

use std::collections::HashSet;

use super::record::varint;
use super::{Emit, Fault, Pages, SCHEMA_PAGE, unless_damaged, unless_page};
use crate::volume::bytes::{Bytes, to_usize};

/// Page types: an inner page of a table, and a leaf.
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;
/// Bytes of a page's header, an inner page's one with the last child at its end.
const INTERIOR_BYTES: usize = 12;
const LEAF_BYTES: usize = 8;

/// Takes each row of a table.
pub(super) type Rows<'a> = dyn FnMut(&[u8], &mut Emit<'_>) -> Result<(), Fault> + 'a;

/// Reads tables. A page is in one place only, so none is read twice: that ends circles.
#[derive(Debug)]
pub(super) struct Tree {
    used: HashSet<u32>,
    usable: usize,
}

impl Tree {
    pub(super) fn new(pages: &Pages<'_, '_>) -> Self {
        Self { used: HashSet::new(), usable: pages.usable }
    }

    /// Calls `rows` with each row of the table that begins at page `root`, in the order of the rows. What is damaged goes to
    /// `emit`, and the rest is read.
    pub(super) fn rows(
        &mut self,
        pages: &mut Pages<'_, '_>,
        root: u32,
        emit: &mut Emit<'_>,
        rows: &mut Rows<'_>,
    ) -> Result<(), Fault> {
        let mut waiting = Vec::new();
        unless_damaged(self.visit(root).map(|()| waiting.push(root)), emit)?;
        let mut page = Vec::new();
        let mut row = Vec::new();
        while let Some(number) = waiting.pop() {
            if unless_damaged(pages.read(number, &mut page), emit)?.is_none() {
                continue;
            }
            let Some(node) = unless_damaged(unless_page(Node::new(&page, number), number), emit)? else {
                continue;
            };
            if node.is_leaf {
                for cell in node.cells() {
                    let result =
                        unless_page(cell, number).and_then(|cell| self.row(pages, cell, number, &mut row));
                    if unless_damaged(result, emit)?.is_some() {
                        rows(&row, emit)?;
                    }
                }
                continue;
            }
            let before = waiting.len();
            for child in node.children() {
                let result = unless_page(child, number).and_then(|child| self.visit(child).map(|()| child));
                waiting.extend(unless_damaged(result, emit)?);
            }
            if let Some(children) = waiting.get_mut(before..) {
                children.reverse();
            }
        }
        Ok(())
    }

    fn visit(&mut self, page: u32) -> Result<(), Fault> {
        if self.used.insert(page) {
            return Ok(());
        }
        Err(Fault::Damaged(format!("page {page} is in two places")))
    }

    /// Replaces what is in `row` by the row of a leaf's cell: its start is in the cell, and what does not fit there on pages
    /// of its own.
    fn row(
        &mut self,
        pages: &mut Pages<'_, '_>,
        cell: &[u8],
        number: u32,
        row: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        row.clear();
        let lengths = || {
            let (length, first) = varint(cell)?;
            let (_, second) = varint(cell.get(first..)?)?;
            Some((to_usize(length), cell.get(first.checked_add(second)?..)?))
        };
        let (length, content) = unless_page(lengths(), number)?;
        let here = self.local(length);
        row.extend_from_slice(unless_page(content.get(..here), number)?);
        if here == length {
            return Ok(());
        }
        let mut next = unless_page(Bytes(content).be32(here).ok(), number)?;
        let mut page = Vec::new();
        while row.len() < length {
            if next == 0 {
                let there = row.len();
                return Err(Fault::Damaged(format!("a row ends after {there} of {length} bytes")));
            }
            self.visit(next)?;
            pages.read(next, &mut page)?;
            let rest = length.saturating_sub(row.len());
            let content = unless_page(page.get(4..self.usable), next)?;
            row.extend_from_slice(content.get(..rest).unwrap_or(content));
            next = unless_page(Bytes(&page).be32(0).ok(), next)?;
        }
        Ok(())
    }

    /// How much of a row of `length` bytes is in its cell: section 1.6 of the format.
    fn local(&self, length: usize) -> usize {
        let most = self.usable.saturating_sub(35);
        if length <= most {
            return length;
        }
        let least = (self.usable.saturating_sub(12).saturating_mul(32) / 255).saturating_sub(23);
        let behind = length.saturating_sub(least);
        let filling = behind.checked_rem(self.usable.saturating_sub(4)).unwrap_or_default();
        let local = least.saturating_add(filling);
        if local <= most { local } else { least }
    }
}

/// A page of a table.
#[derive(Clone, Copy, Debug)]
struct Node<'a> {
    page: Bytes<'a>,
    is_leaf: bool,
    /// Where its header begins: the first page has the file's in front.
    start: usize,
    cells: usize,
}

impl<'a> Node<'a> {
    fn new(page: &'a [u8], number: u32) -> Option<Self> {
        let start = if number == SCHEMA_PAGE { super::HEADER_BYTES } else { 0 };
        let page = Bytes(page);
        let is_leaf = match page.u8(start).ok()? {
            LEAF => true,
            INTERIOR => false,
            _ => return None,
        };
        let cells = usize::from(page.be16(start.checked_add(3)?).ok()?);
        Some(Self { page, is_leaf, start, cells })
    }

    /// Each cell, with what is behind it.
    fn cells(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let header = if self.is_leaf { LEAF_BYTES } else { INTERIOR_BYTES };
        let pointers = self.start.saturating_add(header);
        (0..self.cells).map(move |cell| {
            let pointer = self.page.be16(pointers.checked_add(cell.checked_mul(2)?)?).ok()?;
            self.page.0.get(usize::from(pointer)..)
        })
    }

    /// The children of an inner page.
    fn children(self) -> impl Iterator<Item = Option<u32>> {
        let last = self.start.checked_add(8).and_then(|at| self.page.be32(at).ok());
        self.cells().map(|cell| Bytes(cell?).be32(0).ok()).chain([last])
    }
}
