//! From the segments of logical volumes to volumes that can be read.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::group::{Group, Logical, Physical};
use super::segment::{Area, Image, Kind, Segment};
use super::snapshot::{Room, SnapshotVolume};
use super::thin::{Pool, ThinVolume};
use super::{LogicalVolume, Uuid, raid};
use crate::limits::Limits;
use crate::volume::bytes::{to_u64, to_usize};
use crate::volume::mapped::{MappedVolume, SMALLEST_CHUNK, Stripes, Target};
use crate::volume::{SliceVolume, Unreadable, Volume};

/// The logical volumes of a group, each readable or with the reason why not.
pub(super) fn logical_volumes(
    group: &Group,
    disks: &HashMap<Uuid, Arc<dyn Volume>>,
    room: &Arc<Room>,
    limits: &Limits,
) -> Vec<LogicalVolume> {
    let mut builder = Builder {
        group,
        disks,
        room,
        limits,
        physical: group.physical_volumes.iter().map(|pv| (pv.name.as_str(), pv)).collect(),
        logical: group.by_name(),
        built: HashMap::new(),
        pools: HashMap::new(),
    };
    // A snapshot of the older kind is described by a volume of its own, and seen under the name of its store.
    let snapshots: Vec<Snapshot<'_>> = group.logical_volumes.iter().filter_map(Snapshot::of).collect();
    let by_name: HashMap<&str, &Snapshot<'_>> =
        snapshots.iter().map(|snapshot| (snapshot.shown_as(), snapshot)).collect();
    let merging: HashSet<&str> =
        snapshots.iter().filter(|each| each.is_merging).map(|each| each.store).collect();
    let shown = group.logical_volumes.iter().filter(|lv| Snapshot::of(lv).is_none());
    shown
        .map(|lv| {
            let snapshot = by_name.get(lv.name.as_str());
            let extents = snapshot.map_or_else(|| lv.extents(), |snapshot| snapshot.extents);
            // LVM2 hides the volume that is a snapshot's store and shows the snapshot under its name.
            let is_snapshot = snapshot.is_some_and(|snapshot| !snapshot.is_merging);
            let is_servant = merging.contains(lv.name.as_str()) || SERVANTS.contains(&lv.kind());
            LogicalVolume {
                name: lv.name.clone(),
                uuid: lv.uuid,
                size: extents.saturating_mul(group.extent_size),
                visible: is_snapshot || lv.visible && !is_servant,
                kind: if is_snapshot { "snapshot" } else { lv.kind() }.to_owned(),
                volume: match snapshot {
                    Some(snapshot) => builder.snapshot(snapshot),
                    None => builder.logical(&lv.name, 0).map(|built| built.volume),
                },
            }
        })
        .collect()
}

/// Kinds that only serve others, even where the metadata calls them visible.
const SERVANTS: [&str; 3] = ["cache-pool", "thin-pool", "vdo-pool"];

/// A snapshot of the older kind.
struct Snapshot<'a> {
    origin: &'a str,
    store: &'a str,
    is_merging: bool,
    /// The size of the snapshot, which is the origin's.
    extents: u64,
}

impl<'a> Snapshot<'a> {
    /// `None` if this is not the volume that describes one.
    fn of(lv: &'a Logical) -> Option<Self> {
        let segment = lv.segments.as_ref().ok()?.first()?;
        match &segment.kind {
            Kind::Snapshot { origin, store, is_merging } => {
                Some(Self { origin, store, is_merging: *is_merging, extents: lv.extents() })
            }
            _ => None,
        }
    }

    /// The volume that has its content: the store, or, while it is merged back, the origin.
    fn shown_as(&self) -> &'a str {
        if self.is_merging { self.origin } else { self.store }
    }
}

struct Builder<'a> {
    group: &'a Group,
    disks: &'a HashMap<Uuid, Arc<dyn Volume>>,
    /// What all snapshots share.
    room: &'a Arc<Room>,
    limits: &'a Limits,
    physical: HashMap<&'a str, &'a Physical>,
    logical: HashMap<&'a str, &'a Logical>,
    /// The logical volumes that were tried. `None` while one is being built: who needs it then is part of itself.
    built: HashMap<&'a str, Option<Result<Built, Unreadable>>>,
    /// The thin pools that were opened, with the layers below them.
    pools: HashMap<&'a str, (Result<Arc<Pool>, Unreadable>, u32)>,
}

#[derive(Clone)]
struct Built {
    volume: Arc<dyn Volume>,
    /// How many logical volumes are below each other here, at most.
    layers: u32,
}

impl<'a> Builder<'a> {
    /// A logical volume that `above` others are being built for.
    fn logical(&mut self, name: &str, above: u32) -> Result<Built, Unreadable> {
        let Some(&lv) = self.logical.get(name) else {
            return Err(Unreadable::damaged(format!("there is no volume {name} in the group")));
        };
        match self.built.get(name) {
            Some(Some(result)) => return result.clone(),
            Some(None) => return Err(Unreadable::damaged(format!("volume {name} is a part of itself"))),
            None => {}
        }
        if above >= self.limits.volume_layers {
            return Err(self.too_many_layers());
        }
        self.built.insert(&lv.name, None);
        let result = self.build(lv, above);
        self.built.insert(&lv.name, Some(result.clone()));
        result
    }

    fn build(&mut self, lv: &'a Logical, above: u32) -> Result<Built, Unreadable> {
        let segments = lv.segments.as_ref().map_err(Unreadable::clone)?;
        let mut layers = 0;
        let mut targets = Vec::new();
        for segment in segments {
            let length = self.bytes(segment.extents)?;
            targets.push((length, self.target(segment, length, above, &mut layers)?));
        }
        let layers = layers.saturating_add(1);
        if layers > self.limits.volume_layers {
            return Err(self.too_many_layers());
        }
        Ok(Built { volume: Arc::new(MappedVolume::new(targets)?), layers })
    }

    fn target(
        &mut self,
        segment: &'a Segment,
        length: u64,
        above: u32,
        layers: &mut u32,
    ) -> Result<Target, Unreadable> {
        match &segment.kind {
            Kind::Striped { stripe_size, areas } => {
                let count = to_u64(areas.len());
                if segment.extents.checked_rem(count) != Some(0) {
                    return Err(Unreadable::damaged("its extents are not a multiple of its stripes"));
                }
                let each = length.checked_div(count).unwrap_or(0);
                let mut parts = Vec::new();
                for area in areas {
                    parts.push(self.area(area, each, above, layers)?);
                }
                match (parts.len(), parts.pop()) {
                    (1, Some(only)) => Ok(Target::Linear(only)),
                    (_, last) => {
                        parts.extend(last);
                        striped(*stripe_size, parts)
                    }
                }
            }
            Kind::Mirror { images } => {
                // The first one is what the others are filled from.
                let mut failure = Unreadable::damaged("it has no images");
                for image in images {
                    match self.area(image, length, above, layers) {
                        Ok(part) => return Ok(Target::Linear(part)),
                        Err(reason) => failure = reason,
                    }
                }
                Err(failure)
            }
            Kind::Raid0 { stripe_size, images } => {
                let each = length.div_ceil(to_u64(images.len()).max(1));
                let mut parts = Vec::new();
                for image in images {
                    parts.push(self.part(&image.data, 0, each, above, layers)?);
                }
                striped(*stripe_size, parts)
            }
            Kind::Raid1 { images } => self.copy(images, length, above, layers).map(Target::Linear),
            Kind::Raid10 { stripe_size, copies, images } => {
                let copies = to_usize(*copies);
                if copies == 0 || images.len().checked_rem(copies) != Some(0) {
                    let count = images.len();
                    return Err(Unreadable::unsupported(format!(
                        "{copies} copies on {count} images of raid10"
                    )));
                }
                let groups = images.chunks_exact(copies);
                let each = length.div_ceil(to_u64(groups.len()).max(1));
                let parts = groups.map(|group| self.copy(group, each, above, layers));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                striped(*stripe_size, parts)
            }
            Kind::Cache { origin, pool, mode } => {
                // In this mode and in no other that is in use, the origin has everything. `passthrough` does not even
                // use the cache.
                match mode.as_deref().or_else(|| self.cache_mode(pool)) {
                    Some("writethrough" | "passthrough") => {
                        self.part(origin, 0, length, above, layers).map(Target::Linear)
                    }
                    mode => Err(Unreadable::unsupported(format!(
                        "a volume with a cache in the mode {}, whose own data is out of date,",
                        mode.unwrap_or("that is not recorded")
                    ))),
                }
            }
            Kind::Thin { pool, device_id, external_origin } => {
                if segment.start != 0 {
                    return Err(Unreadable::damaged("it is a thin volume in several segments"));
                }
                let pool = self.pool(pool, above, layers)?;
                let origin = match external_origin {
                    Some(name) => Some(self.below(name, above, layers)?),
                    None => None,
                };
                let thin = ThinVolume::open(pool, *device_id, length, origin)?;
                let whole = SliceVolume::new(Arc::new(thin), 0, length);
                whole.map(Target::Linear).map_err(|_| Unreadable::damaged("it has no size"))
            }
            Kind::ThinPool { .. } | Kind::CachePool { .. } | Kind::Snapshot { .. } => {
                Err(Unreadable::unsupported(format!("reading a volume of type {} by itself", segment.name)))
            }
            Kind::Zero => Ok(Target::Zero),
            Kind::Error => Ok(Target::Error),
            Kind::Other => Err(Unreadable::unsupported(format!("a logical volume of type {}", segment.name))),
        }
    }

    /// The `length` bytes of an area.
    fn area(
        &mut self,
        area: &Area,
        length: u64,
        above: u32,
        layers: &mut u32,
    ) -> Result<SliceVolume, Unreadable> {
        let start = self.bytes(area.extent)?;
        if let Some(&pv) = self.physical.get(area.volume.as_str()) {
            let extents = length.checked_div(self.group.extent_size).unwrap_or(0);
            if area.extent.saturating_add(extents) > pv.extents {
                return Err(Unreadable::damaged(format!(
                    "it uses extents up to {} of physical volume {}, which has {}",
                    area.extent.saturating_add(extents),
                    pv.uuid,
                    pv.extents
                )));
            }
            let Some(disk) = self.disks.get(&pv.uuid) else {
                return Err(Unreadable::missing(format!("physical volume {}", pv.uuid)));
            };
            return slice(
                disk,
                pv.data_start.saturating_add(start),
                length,
                &format!("physical volume {}", pv.uuid),
            );
        }
        self.part(&area.volume, start, length, above, layers)
    }

    /// `length` bytes of a logical volume.
    fn part(
        &mut self,
        name: &str,
        start: u64,
        length: u64,
        above: u32,
        layers: &mut u32,
    ) -> Result<SliceVolume, Unreadable> {
        let below = self.below(name, above, layers)?;
        slice(&below, start, length, &format!("volume {name}"))
    }

    /// A logical volume that the one being built is made of.
    fn below(&mut self, name: &str, above: u32, layers: &mut u32) -> Result<Arc<dyn Volume>, Unreadable> {
        let below = self.logical(name, above.saturating_add(1))?;
        *layers = below.layers.max(*layers);
        Ok(below.volume)
    }

    /// A snapshot of the older kind.
    fn snapshot(&mut self, snapshot: &Snapshot<'_>) -> Result<Arc<dyn Volume>, Unreadable> {
        let length = self.bytes(snapshot.extents)?;
        let origin = self.part(snapshot.origin, 0, length, 0, &mut 0)?;
        let store = self.below(snapshot.store, 0, &mut 0)?;
        Ok(Arc::new(SnapshotVolume::open(origin, store, self.room, self.limits)?))
    }

    /// The pool of a thin volume.
    fn pool(&mut self, name: &str, above: u32, layers: &mut u32) -> Result<Arc<Pool>, Unreadable> {
        let Some(&lv) = self.logical.get(name) else {
            return Err(Unreadable::damaged(format!("there is no thin pool {name} in the group")));
        };
        if let Some((pool, pool_layers)) = self.pools.get(name) {
            *layers = (*pool_layers).max(*layers);
            return pool.clone();
        }
        let mut pool_layers = 0;
        let pool = self.open_pool(lv, above, &mut pool_layers);
        *layers = pool_layers.max(*layers);
        self.pools.insert(&lv.name, (pool.clone(), pool_layers));
        pool
    }

    fn open_pool(&mut self, lv: &'a Logical, above: u32, layers: &mut u32) -> Result<Arc<Pool>, Unreadable> {
        let segments = lv.segments.as_ref().map_err(Unreadable::clone)?;
        let Some(Segment { kind: Kind::ThinPool { metadata, data, chunk_size }, .. }) = segments.first()
        else {
            return Err(Unreadable::damaged(format!("volume {} is no thin pool", lv.name)));
        };
        let metadata = self.below(metadata, above, layers)?;
        let data = self.below(data, above, layers)?;
        Ok(Arc::new(Pool::open(metadata, data, *chunk_size, self.limits)?))
    }

    /// The best of several images with the same data.
    fn copy(
        &mut self,
        images: &[Image],
        length: u64,
        above: u32,
        layers: &mut u32,
    ) -> Result<SliceVolume, Unreadable> {
        let mut parts = Vec::new();
        let mut states = Vec::new();
        let mut failure = None;
        for image in images {
            let record = match &image.metadata {
                Some(name) => self.below(name, above, layers).and_then(|volume| {
                    raid::ImageRecord::read(&*volume).map_err(|error| {
                        Unreadable::damaged(format!("volume {name}: {}", crate::chain(&error)))
                    })
                }),
                None => Ok(None),
            };
            let part = self.part(&image.data, 0, length, above, layers);
            let is_rebuilt = self.logical.get(image.data.as_str()).is_some_and(|lv| lv.is_rebuilt);
            let (state, part) = match (record, part) {
                (Ok(record), Ok(part)) if !is_rebuilt => (Some(record), Some(part)),
                (Ok(_), Ok(_)) => (None, None),
                (Err(reason), _) | (_, Err(reason)) => {
                    failure = Some(reason);
                    (None, None)
                }
            };
            states.push(state);
            parts.push(part);
        }
        let best = raid::current(&states).first().copied();
        best.and_then(|best| parts.get_mut(best)?.take()).ok_or_else(|| {
            failure.unwrap_or_else(|| Unreadable::damaged("none of its images has current data"))
        })
    }

    /// The mode that a pool records for the volumes that it is the cache of.
    fn cache_mode(&self, pool: &str) -> Option<&'a str> {
        let segments = self.logical.get(pool)?.segments.as_ref().ok()?;
        match &segments.first()?.kind {
            Kind::CachePool { mode } => mode.as_deref(),
            _ => None,
        }
    }

    /// The length of this many extents.
    fn bytes(&self, extents: u64) -> Result<u64, Unreadable> {
        extents
            .checked_mul(self.group.extent_size)
            .ok_or_else(|| Unreadable::damaged(format!("{extents} extents are more than 2^64 bytes")))
    }

    fn too_many_layers(&self) -> Unreadable {
        Unreadable::damaged(format!(
            "more than {} volumes are made of each other, which is the limit (`volume_layers`)",
            self.limits.volume_layers
        ))
    }
}

fn striped(stripe_size: u64, parts: Vec<SliceVolume>) -> Result<Target, Unreadable> {
    if stripe_size < SMALLEST_CHUNK {
        return Err(Unreadable::damaged(format!("its stripes have {stripe_size} bytes")));
    }
    Stripes::new(stripe_size, parts, 0)
        .map(Target::Striped)
        .ok_or_else(|| Unreadable::damaged("it has no stripes"))
}

fn slice(volume: &Arc<dyn Volume>, start: u64, length: u64, what: &str) -> Result<SliceVolume, Unreadable> {
    SliceVolume::new(Arc::clone(volume), start, length).map_err(|_| {
        Unreadable::damaged(format!(
            "{what} has {} bytes, and {length} at {start} are needed: the image was cut short, or the metadata is not \
             this disk's",
            volume.size()
        ))
    })
}
