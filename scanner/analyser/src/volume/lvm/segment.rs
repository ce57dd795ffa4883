//! The segments of a logical volume: which of its extents are of which kind, and what they are made of.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::config::{Section, Value};
use super::group::SECTOR;
use crate::volume::Unreadable;

/// Consecutive extents of one kind.
#[derive(Debug)]
pub(super) struct Segment {
    /// The segment type in LVM2's terms, such as `striped`.
    pub(super) name: String,
    pub(super) start: u64,
    /// At least one.
    pub(super) extents: u64,
    pub(super) kind: Kind,
}

/// What a segment is made of.
#[derive(Debug)]
pub(super) enum Kind {
    /// Parts in turn; one part is called linear.
    Striped { stripe_size: u64, areas: Vec<Area> },
    /// Copies of the same data.
    Mirror { images: Vec<Area> },
    /// Volumes in turn.
    Raid0 { stripe_size: u64, images: Vec<Image> },
    /// Copies of the same data, each with a record of what became of it.
    Raid1 { images: Vec<Image> },
    /// Groups of copies in turn.
    Raid10 { stripe_size: u64, copies: u64, images: Vec<Image> },
    /// Zeros.
    Zero,
    /// Read errors.
    Error,
    /// Blocks for thin volumes.
    ThinPool { metadata: String, data: String, chunk_size: u64 },
    /// Blocks of a pool.
    Thin { pool: String, device_id: u64, external_origin: Option<String> },
    /// What a snapshot of the older kind has of its own.
    Snapshot { origin: String, store: String, is_merging: bool },
    /// A volume with a cache in front of it.
    Cache { origin: String, pool: String, mode: Option<String> },
    /// A cache, which says here how it is written.
    CachePool { mode: Option<String> },
    /// A kind that this version does not read.
    Other,
}

/// A part of a physical or a logical volume.
#[derive(Debug)]
pub(super) struct Area {
    /// The physical volume, if one has this name, or else the logical one.
    pub(super) volume: String,
    /// The first extent in it.
    pub(super) extent: u64,
}

/// One of the volumes of a RAID volume.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) data: String,
    pub(super) metadata: Option<String>,
}

impl Segment {
    /// The first extent behind it.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.extents)
    }
}

/// The segments of a logical volume.
pub(super) fn parse_all(lv: &Section<'_>) -> Result<Vec<Segment>, Unreadable> {
    let sections = lv.sections().filter(|(name, _)| name.starts_with(b"segment"));
    let mut segments = sections
        .map(|(name, section)| {
            parse(section).map_err(|problem| {
                Unreadable::damaged(format!("its {} {problem}", String::from_utf8_lossy(name)))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    segments.sort_by_key(|segment| segment.start);
    let mut end = 0;
    for segment in &segments {
        if segment.start != end {
            return Err(Unreadable::damaged(format!(
                "one of its segments begins at extent {} and not at {end}",
                segment.start
            )));
        }
        end = segment.end();
    }
    let recorded = lv.number("segment_count");
    if segments.is_empty() || recorded.is_some_and(|count| count != count_of(&segments)) {
        return Err(Unreadable::damaged(format!(
            "it has {} segments, but its segment_count says {}",
            segments.len(),
            recorded.unwrap_or(0)
        )));
    }
    Ok(segments)
}

/// Errors say what is wrong, to follow the segment's name.
fn parse(section: &Section<'_>) -> Result<Segment, String> {
    let number = |key: &str| section.number(key).ok_or_else(|| format!("has no {key}"));
    let text = |key: &str| section.text(key).ok_or_else(|| format!("has no {key}"));
    // In sectors in the text.
    let size = |key: &str| Ok::<_, String>(number(key)?.saturating_mul(SECTOR));

    let whole_name = text("type")?;
    // A type may carry flags that old versions of LVM2 must not ignore, as in `thin-pool+METADATA_CROP`.
    let (name, _) = whole_name.split_once('+').unwrap_or((&whole_name, ""));
    let (start, extents) = (number("start_extent")?, number("extent_count")?);
    if extents == 0 || start.checked_add(extents).is_none() {
        return Err(format!("has {extents} extents from {start} on"));
    }
    let kind = match name {
        "striped" | "linear" => {
            let areas = areas(section, "stripes")?;
            let stripe_size = if areas.len() > 1 { size("stripe_size")? } else { 0 };
            Kind::Striped { stripe_size, areas }
        }
        "mirror" => Kind::Mirror { images: areas(section, "mirrors")? },
        "raid0" | "raid0_meta" => Kind::Raid0 { stripe_size: size("stripe_size")?, images: images(section)? },
        "raid1" => Kind::Raid1 { images: images(section)? },
        "raid10" | "raid10_near" => Kind::Raid10 {
            stripe_size: size("stripe_size")?,
            copies: section.number("data_copies").unwrap_or(2),
            images: images(section)?,
        },
        "zero" => Kind::Zero,
        "error" => Kind::Error,
        "thin-pool" => Kind::ThinPool {
            metadata: text("metadata")?,
            data: text("pool")?,
            chunk_size: size("chunk_size")?,
        },
        "thin" => Kind::Thin {
            pool: text("thin_pool")?,
            device_id: number("device_id")?,
            external_origin: section.text("external_origin"),
        },
        "snapshot" => {
            let merging = section.text("merging_store");
            Kind::Snapshot {
                origin: text("origin")?,
                is_merging: merging.is_some(),
                store: merging.map_or_else(|| text("cow_store"), Ok)?,
            }
        }
        "cache" => Kind::Cache {
            origin: text("origin")?,
            pool: text("cache_pool")?,
            mode: section.text("cache_mode"),
        },
        "cache-pool" => Kind::CachePool { mode: section.text("cache_mode") },
        _ => Kind::Other,
    };
    Ok(Segment { name: name.to_owned(), start, extents, kind })
}

/// Pairs of a volume and its first extent.
fn areas(section: &Section<'_>, key: &str) -> Result<Vec<Area>, String> {
    let pairs = section.array(key).unwrap_or_default().as_chunks::<2>();
    let area =
        |[volume, extent]: &[Value<'_>; 2]| Some(Area { volume: volume.text()?, extent: extent.number()? });
    let areas: Option<Vec<_>> = pairs.0.iter().map(area).collect();
    match areas {
        Some(areas) if !areas.is_empty() && pairs.1.is_empty() => Ok(areas),
        _ => Err(format!("has no {key} in pairs of volume and extent")),
    }
}

/// `raids`: pairs of a metadata volume and a data volume. `raid0_lvs`: data volumes only.
fn images(section: &Section<'_>) -> Result<Vec<Image>, String> {
    let images: Option<Vec<_>> = if let Some(list) = section.array("raid0_lvs") {
        list.iter().map(|data| Some(Image { data: data.text()?, metadata: None })).collect()
    } else {
        let pairs = section.array("raids").unwrap_or_default().as_chunks::<2>();
        let image = |[metadata, data]: &[Value<'_>; 2]| {
            Some(Image { data: data.text()?, metadata: Some(metadata.text()?) })
        };
        if pairs.1.is_empty() { pairs.0.iter().map(image).collect() } else { None }
    };
    match images {
        Some(images) if !images.is_empty() => Ok(images),
        _ => Err("has no list of images".to_owned()),
    }
}

fn count_of(segments: &[Segment]) -> u64 {
    crate::volume::bytes::to_u64(segments.len())
}
