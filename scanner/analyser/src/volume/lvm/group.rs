//! What the text of a volume group says, as `_print_vg` and its callees in LVM2's `lib/format_text/export.c` write it.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashMap;

use super::Uuid;
use super::config::Section;
use super::segment::{self, Segment};
use crate::volume::Unreadable;

/// The unit of most sizes in the text, in bytes.
pub(super) const SECTOR: u64 = 512;

/// A volume group as its metadata describes it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) uuid: Uuid,
    /// Counts the changes of the metadata.
    pub(super) seqno: u64,
    /// In bytes, at least one sector.
    pub(super) extent_size: u64,
    pub(super) physical_volumes: Vec<Physical>,
    pub(super) logical_volumes: Vec<Logical>,
    pub(super) problems: Vec<String>,
}

/// A physical volume as the group sees it.
#[derive(Debug)]
pub(super) struct Physical {
    /// What segments call it, such as `pv0`.
    pub(super) name: String,
    pub(super) uuid: Uuid,
    /// Where the device was when the metadata was last written: a hint.
    pub(super) device: Option<String>,
    /// Where its first extent begins, in bytes.
    pub(super) data_start: u64,
    /// The number of its extents.
    pub(super) extents: u64,
}

/// A logical volume.
#[derive(Debug)]
pub(super) struct Logical {
    pub(super) name: String,
    pub(super) uuid: Option<Uuid>,
    /// `VISIBLE` in its status.
    pub(super) visible: bool,
    /// Its data must be rebuilt from other images: `LV_REBUILD` in its status.
    pub(super) is_rebuilt: bool,
    /// Its segments: at least one, in order, without gaps and without overlaps.
    pub(super) segments: Result<Vec<Segment>, Unreadable>,
}

impl Logical {
    /// How many extents it has.
    pub(super) fn extents(&self) -> u64 {
        self.segments.as_ref().ok().and_then(|segments| segments.last()).map_or(0, Segment::end)
    }

    /// The kind of its first segment, in LVM2's terms.
    pub(super) fn kind(&self) -> &str {
        self.segments.as_ref().ok().and_then(|segments| segments.first()).map_or("", |first| &first.name)
    }
}

impl Group {
    /// From the whole text. The errors say what is missing or wrong.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let whole = Section::parse(text).map_err(|error| error.to_string())?;
        if whole.text("contents").as_deref() != Some("Text Format Volume Group") {
            return Err("it is not the text of a volume group".to_owned());
        }
        match whole.number("version") {
            Some(1) => {}
            version => return Err(format!("the version of its format is {version:?}, not 1")),
        }
        let mut sections = whole.sections();
        let (name, vg) = sections.next().ok_or("it has no volume group")?;
        let extent_size = vg.number("extent_size").and_then(|sectors| sectors.checked_mul(SECTOR));
        let mut group = Self {
            name: String::from_utf8_lossy(name).into_owned(),
            uuid: uuid(vg).ok_or("the volume group has no id")?,
            seqno: vg.number("seqno").ok_or("the volume group has no seqno")?,
            extent_size: extent_size.filter(|&size| size > 0).ok_or("the extents have no size")?,
            physical_volumes: Vec::new(),
            logical_volumes: Vec::new(),
            problems: Vec::new(),
        };
        for (name, pv) in vg.section("physical_volumes").into_iter().flat_map(Section::sections) {
            let name = String::from_utf8_lossy(name).into_owned();
            match Physical::parse(name, pv) {
                Ok(physical) => group.physical_volumes.push(physical),
                Err(problem) => group.problems.push(problem),
            }
        }
        for (name, lv) in vg.section("logical_volumes").into_iter().flat_map(Section::sections) {
            group.logical_volumes.push(Logical::parse(String::from_utf8_lossy(name).into_owned(), lv));
        }
        Ok(group)
    }

    /// The logical volumes by their names. Of several with one name the first is it.
    pub(super) fn by_name(&self) -> HashMap<&str, &Logical> {
        self.logical_volumes.iter().rev().map(|lv| (lv.name.as_str(), lv)).collect()
    }
}

impl Physical {
    fn parse(name: String, pv: &Section<'_>) -> Result<Self, String> {
        let problem = |what| format!("physical volume {name} has no {what}");
        let uuid = uuid(pv).ok_or_else(|| problem("id"))?;
        let data_start = pv.number("pe_start").ok_or_else(|| problem("pe_start"))?;
        let extents = pv.number("pe_count").ok_or_else(|| problem("pe_count"))?;
        let device = pv.text("device");
        Ok(Self { name, uuid, device, data_start: data_start.saturating_mul(SECTOR), extents })
    }
}

impl Logical {
    fn parse(name: String, lv: &Section<'_>) -> Self {
        Self {
            name,
            uuid: uuid(lv),
            visible: lv.has_flag("status", "VISIBLE"),
            is_rebuilt: lv.has_flag("status", "LV_REBUILD"),
            segments: segment::parse_all(lv),
        }
    }
}

fn uuid(section: &Section<'_>) -> Option<Uuid> {
    Uuid::parse(&section.text("id")?)
}
