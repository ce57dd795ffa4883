//! The list that CBL-Mariner's and Azure Linux's images without rpm have instead of a database.
//!
//! Each line is a package: the output of `rpm -qa` with name, version and release, times of installation and of the build,
//! vendor, epoch, size, architecture, epoch as a number, and source package, separated by tabs.

use super::package::{full_version, source_package};
use crate::extract::Found;
use crate::limits::Limits;
use crate::package::PackageKind;

/// What rpm prints for what a package does not have.
const NONE: &str = "(none)";

/// The packages in the list, or what is wrong with a line.
pub(super) fn packages<'a>(
    content: &'a [u8],
    limits: &'a Limits,
) -> impl Iterator<Item = Result<Found, String>> + 'a {
    content
        .split(|&byte| byte == b'\n')
        .zip(1_u64..)
        .filter(|(line, _)| !line.trim_ascii().is_empty())
        .map(|(line, number)| package(line, limits).map_err(|problem| format!("line {number} {problem}")))
}

fn package(line: &[u8], limits: &Limits) -> Result<Found, String> {
    let line = str::from_utf8(line).map_err(|_| "is not UTF-8")?.trim_end_matches('\r');
    let fields: Vec<_> = line.splitn(11, '\t').collect();
    let [name, version, _installed, _built, vendor, epoch, _size, architecture, _epoch_number, source] =
        fields[..]
    else {
        return Err(format!("has {} fields instead of 10", fields.len()));
    };
    if [name, version, vendor, architecture, source].iter().any(|field| field.len() > limits.field_bytes) {
        return Err(format!("has a field of more than {} bytes (`field_bytes`)", limits.field_bytes));
    }
    if name.is_empty() || version.is_empty() {
        return Err("has no name or no version".to_owned());
    }
    if line.chars().any(|character| character != '\t' && character.is_control()) {
        return Err("has control characters".to_owned());
    }
    let recorded = |field: &str| (!field.is_empty() && field != NONE).then(|| field.to_owned());
    let epoch = epoch.parse().ok();
    let mut found = Found::new(PackageKind::Rpm, name, full_version(epoch, version));
    found.architecture = recorded(architecture);
    found.details.maintainer = recorded(vendor);
    found.details.source = source_package(source, epoch);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_package() {
        let content = b"filesystem\t1.1-9.cm2\t1653816591\t1653753130\tMicrosoft Corporation\t(none)\t7596\tx86_64\t0\tfilesystem-1.1-9.cm2.src.rpm\n\
                        tool\t1-2\t1\t1\t(none)\t3\t1\t(none)\t3\t(none)\n\ntoo\tfew\n\xff\n";
        let limits = Limits::default();
        let found: Vec<_> = packages(content, &limits).collect();
        let first = found[0].as_ref().unwrap();
        assert_eq!((&first.name[..], &first.version[..]), ("filesystem", "1.1-9.cm2"));
        assert_eq!(first.architecture.as_deref(), Some("x86_64"));
        assert_eq!(first.details.maintainer.as_deref(), Some("Microsoft Corporation"));
        assert_eq!(first.details.source.as_ref().unwrap().version, "1.1-9.cm2");
        let second = found[1].as_ref().unwrap();
        assert_eq!(
            (&second.version[..], &second.architecture, &second.details.source),
            ("3:1-2", &None, &None)
        );
        assert_eq!(found[2], Err("line 4 has 2 fields instead of 10".to_owned()));
        assert_eq!(found[3], Err("line 5 is not UTF-8".to_owned()));
    }
}
