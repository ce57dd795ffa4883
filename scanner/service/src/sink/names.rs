//! Names of files and objects: `<account>/<region>/<kind>/<target>/<list>.cdx.json`.

use sha2::{Digest, Sha256};

use crate::report::List;
use crate::target::Target;

/// Longer names are cut, with a checksum of the whole.
const LONGEST: usize = 120;

/// The folder of a target: account, region, kind and id, without a slash at its end.
pub fn folder(target: &Target) -> String {
    let place = &target.place;
    let (account, region) = (slug(&place.account), slug(&place.region));
    format!("{account}/{region}/{}/{}", target.kind.name(), name(target))
}

/// The path of each list of a target, in their order. Lists of the same name get numbers.
pub fn list_paths(target: &Target, lists: &[List]) -> Vec<String> {
    let folder = folder(target);
    let mut taken = std::collections::BTreeSet::new();
    let mut paths = Vec::with_capacity(lists.len());
    for list in lists {
        let name = slug(&list.name);
        let mut path = format!("{folder}/{name}.cdx.json");
        let mut number = 2_u32;
        while !taken.insert(path.clone()) {
            path = format!("{folder}/{name}-{number}.cdx.json");
            number = number.saturating_add(1);
        }
        paths.push(path);
    }
    paths
}

/// The path of the note that a target's scan failed.
pub fn failure_path(target: &Target) -> String {
    format!("{}/{}.failed.json", folder(target), name(target))
}

/// A function is named by its name and version: the rest of its ARN is in the path already.
fn name(target: &Target) -> String {
    slug(target.id.split_once(":function:").map_or(target.id.as_str(), |(_, name)| name))
}

/// Harmless as one part of a path: letters, digits, `-`, `_`, and single dots for everything else.
fn slug(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || matches!(character, '-' | '_') {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('.') {
            slug.push('.');
        }
    }
    if slug.is_empty() {
        slug.push('_');
    }
    if slug.len() > LONGEST {
        slug.truncate(LONGEST);
        let digest = Sha256::digest(text.as_bytes());
        slug.push('-');
        slug.extend(digest.iter().take(8).map(|byte| format!("{byte:02x}")));
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::test_reports::{list, target};
    use crate::target::Kind;

    #[test]
    fn paths_are_by_account_region_kind_and_target() {
        let host = target(Kind::Instance, "i-1");
        let lists = [list("host"), list("host"), list("nginx:1.25")];
        assert_eq!(
            list_paths(&host, &lists),
            [
                "111111111111/eu-central-1/instance/i-1/host.cdx.json",
                "111111111111/eu-central-1/instance/i-1/host-2.cdx.json",
                "111111111111/eu-central-1/instance/i-1/nginx.1.25.cdx.json"
            ]
        );
        assert_eq!(failure_path(&host), "111111111111/eu-central-1/instance/i-1/i-1.failed.json");
        let function =
            target(Kind::Function, "arn:aws:lambda:eu-central-1:111111111111:function:orders:$LATEST");
        assert_eq!(folder(&function), "111111111111/eu-central-1/function/orders.LATEST");
    }

    #[test]
    fn no_name_leaves_its_folder() {
        for hostile in ["", ".", "..", "../../etc/passwd", "a/b", "\0", "é", &"x".repeat(5000)] {
            let slug = slug(hostile);
            let is_harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            assert!(slug.chars().all(is_harmless), "{slug:?}");
            assert!(!slug.is_empty() && !slug.starts_with('.') && slug.len() < 200, "{slug:?}");
        }
        assert_ne!(slug(&"x".repeat(5000)), slug(&"x".repeat(5001)));
    }
}
