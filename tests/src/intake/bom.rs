//! CycloneDX 1.4 in protocol buffers: what the intake reads of it, by the field numbers of `bom-1.4.proto`.

use prost::Message;

/// The components of a list, as `name@version`, or what is wrong with it.
pub(super) fn components(encoded: &[u8]) -> Result<Vec<String>, String> {
    let bom = Bom::decode(encoded).map_err(|error| format!("the list is not a Bom: {error}"))?;
    if bom.spec_version != "1.4" {
        return Err(format!("the list is of version {:?}, not 1.4", bom.spec_version));
    }
    if !bom.serial_number.is_empty() && !bom.serial_number.starts_with("urn:uuid:") {
        return Err(format!("the list's serial number is {:?}", bom.serial_number));
    }
    let mut names = Vec::new();
    for component in &bom.components {
        if component.name.is_empty() {
            return Err("a component has no name".to_owned());
        }
        if !(1..=8).contains(&component.kind) {
            return Err(format!("the component {} is of kind {}", component.name, component.kind));
        }
        if !component.purl.is_empty() && !component.purl.starts_with("pkg:") {
            return Err(format!("the component {} has the package URL {:?}", component.name, component.purl));
        }
        names.push(format!("{}@{}", component.name, component.version));
    }
    names.sort_unstable();
    Ok(names)
}

#[derive(Clone, PartialEq, Message)]
struct Bom {
    #[prost(string, tag = "1")]
    spec_version: String,
    #[prost(int32, tag = "2")]
    version: i32,
    #[prost(string, tag = "3")]
    serial_number: String,
    #[prost(message, repeated, tag = "5")]
    components: Vec<Component>,
}

#[derive(Clone, PartialEq, Message)]
struct Component {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(string, tag = "9")]
    version: String,
    #[prost(string, tag = "16")]
    purl: String,
}
