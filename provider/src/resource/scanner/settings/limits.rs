//! The argument `settings.limits`: what one target may cost.

use crate::sdk::validator::{self, Validator};
use crate::sdk::{Attribute, Raw, Type};

/// The scanner's limits by name, each with the least that it may be. A test compares them with the scanner's own, whose
/// crate is for Linux alone.
const LIMITS: &[(&str, i64)] = &[
    ("analyser_cache_bytes", 0),
    ("analyser_cpu_seconds", 1),
    ("analyser_memory", 1),
    ("analyser_seconds", 1),
    ("archive_bytes", 1),
    ("archive_depth", 0),
    ("archive_entries", 1),
    ("block_cache_bytes", 0),
    ("cache_bytes", 0),
    ("chunk_stripes", 1),
    ("containers", 0),
    ("devices", 1),
    ("dir_bytes", 1),
    ("dir_entries", 1),
    ("extent_depth", 0),
    ("field_bytes", 1),
    ("file_bytes", 1),
    ("filesystems", 1),
    ("gaps", 1),
    ("gaps_per_file", 1),
    ("hinted_blocks", 0),
    ("journal_blocks", 0),
    ("lock_bytes", 0),
    ("lock_entry_bytes", 0),
    ("log_bytes", 0),
    ("lvm_text_bytes", 0),
    ("message_bytes", 1),
    ("messages", 1),
    ("messages_per_second", 1),
    ("mounts", 0),
    ("note_bytes", 1),
    ("notes", 1),
    ("os_field_bytes", 1),
    ("package_bytes", 1),
    ("packages", 1),
    ("partitions", 0),
    ("path_bytes", 1),
    ("prefetched_blocks", 0),
    ("read_bytes", 1),
    ("relations", 0),
    ("small_file_bytes", 1),
    ("snapshot_exceptions", 0),
    ("steps", 1),
    ("symlinks", 0),
    ("systems", 1),
    ("text_bytes", 1),
    ("tree_log_bytes", 0),
    ("unmounted", 1),
    ("volume_layers", 0),
    ("volumes_at_once", 1),
    ("walk_bytes", 1),
    ("wanted_files", 0),
];

pub(super) fn attribute() -> Attribute {
    Attribute::map(
        "limits",
        Type::Number,
        "Bounds on what one target may make the scanner do, by name: `agentless-scanner list limits` shows all with their \
         defaults and reasons. They are for machines that are larger than any that was measured.",
    )
    .optional()
    .validate(validator::each(validator::whole()))
    .validate(Validator::new("names of limits", |raw| match raw {
        Raw::Map(limits) => limits.iter().try_for_each(|(name, value)| check(name, value)),
        _ => Ok(()),
    }))
}

fn check(name: &str, value: &Raw) -> Result<(), String> {
    let Some((_, least)) = LIMITS.iter().find(|(known, _)| *known == name) else {
        return Err(format!(
            "must have names of limits, but has {name:?}; `agentless-scanner list limits` shows those that there are"
        ));
    };
    match value {
        Raw::Number(number) if number.as_i64().is_some_and(|value| value < *least) => {
            Err(format!("must have at least {least} for {name:?}, but has {number}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use agentless_core::limits::Limits;

    use super::*;

    #[test]
    fn they_are_the_scanners() {
        let mut theirs: Vec<_> =
            Limits::table().map(|limit| (limit.name, i64::try_from(limit.least).unwrap())).collect();
        theirs.sort_unstable();
        assert_eq!(LIMITS, theirs);
    }

    #[test]
    fn a_limit_that_does_not_exist_or_is_too_small_is_refused() {
        assert_eq!(check("steps", &1.into()), Ok(()));
        assert_eq!(check("symlinks", &0.into()), Ok(()));
        assert_eq!(check("steps", &Raw::Unknown), Ok(()));
        assert!(check("stps", &1.into()).unwrap_err().contains("\"stps\""));
        assert!(check("steps", &0.into()).unwrap_err().contains("at least 1"));
    }
}
