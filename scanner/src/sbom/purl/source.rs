//! The source package as a qualifier, in the form that Syft gives it.

use crate::package::{DebVersion, Package, PackageKind};

/// The value of `upstream`. `None` where it would say no more than the package itself.
pub(super) fn of(package: &Package) -> Option<String> {
    let source = package.details.source.as_ref()?;
    match package.kind {
        PackageKind::Rpm => {
            let version = DebVersion::new(&source.version);
            let revision = version.revision.map(|revision| format!("-{revision}")).unwrap_or_default();
            Some(format!("{}-{}{revision}.src.rpm", source.name, version.upstream))
        }
        PackageKind::Deb if source.version != package.version => {
            Some(format!("{}@{}", source.name, source.version))
        }
        _ => Some(source.name.clone()).filter(|name| *name != package.name),
    }
}
