//! Msgpack as Terraform uses it: directed by the type, with an extension for unknown values.
//!
//! Numbers are integers or floats where these are exact, else decimal texts. An unknown value is any extension;
//! Terraform sends type 0 without content, or type 12 with refinements, which promise nothing a provider needs. We
//! write `d4 00 00`. A value of dynamic type is a pair of its type, as JSON in a byte string, and itself.

use std::collections::BTreeMap;
use std::fmt::Display;

use rmp::{Marker, encode};

use super::codec::CodecError;
use super::{MAX_DEPTH, Number, Path, Raw, Type};

/// An unknown value as we write it: extension 0 with one byte of content.
const UNKNOWN: [u8; 3] = [0xd4, 0x00, 0x00];

/// Reads a value of type `ty`. The result is canonical.
///
/// Nothing is allocated on the word of a length: a declared length only says how often to try to read an element.
pub(crate) fn decode(bytes: &[u8], ty: &Type) -> Result<Raw, CodecError> {
    let mut reader = Reader { rest: bytes };
    let raw = reader.value(ty, &Path::root(), 0)?;
    if !reader.rest.is_empty() {
        return Err(CodecError::new(&Path::root(), format!("{} bytes follow the value", reader.rest.len())));
    }
    Ok(raw.canonical(ty))
}

/// Writes `raw` as a value of type `ty`. Attributes that an object lacks are written as null.
pub(crate) fn encode(raw: &Raw, ty: &Type) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    write(&mut bytes, raw, ty, &Path::root())?;
    Ok(bytes)
}

/// What a msgpack marker announces, as far as Terraform uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Head {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(usize),
    Bytes(usize),
    Array(usize),
    Map(usize),
    Extension(usize),
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, ty: &Type, path: &Path, depth: usize) -> Result<Raw, CodecError> {
        if depth > MAX_DEPTH {
            return Err(CodecError::new(path, "the value is nested too deeply"));
        }
        let head = self.head(path)?;
        match (head, ty) {
            (Head::Nil, _) => Ok(Raw::Null),
            (Head::Extension(length), _) => {
                // The type of the extension, then its content.
                self.take(1, path)?;
                self.take(length, path)?;
                Ok(Raw::Unknown)
            }
            (Head::Bool(value), Type::Bool) => Ok(Raw::Bool(value)),
            (Head::Int(int), Type::Number) => Ok(Raw::Number(int.into())),
            (Head::Uint(int), Type::Number) => Ok(Raw::Number(int.into())),
            (Head::Float(float), Type::Number) => Number::from_exact(float)
                .map(Raw::Number)
                .map_err(|error| CodecError::new(path, error.to_string())),
            (Head::Text(length), Type::Number) => self
                .text(length, path)?
                .parse()
                .map(Raw::Number)
                .map_err(|error| CodecError::new(path, format!("{error}"))),
            (Head::Text(length), Type::String) => Ok(Raw::String(self.text(length, path)?.to_owned())),
            (Head::Array(length), Type::List(element) | Type::Set(element)) => (0..length)
                .map(|index| self.value(element, &path.index(index), depth + 1))
                .collect::<Result<_, _>>()
                .map(Raw::List),
            (Head::Array(length), Type::Tuple(types)) if length == types.len() => types
                .iter()
                .enumerate()
                .map(|(index, ty)| self.value(ty, &path.index(index), depth + 1))
                .collect::<Result<_, _>>()
                .map(Raw::List),
            (Head::Array(2), Type::Dynamic) => {
                let json = match self.head(path)? {
                    Head::Bytes(length) | Head::Text(length) => self.take(length, path)?,
                    _ => return Err(CodecError::new(path, "a dynamic value does not start with its type")),
                };
                let ty = Type::from_json(json).map_err(|error| CodecError::new(path, error.to_string()))?;
                let raw = self.value(&ty, path, depth + 1)?;
                Ok(Raw::Dynamic(Box::new((ty, raw))))
            }
            (Head::Map(length), Type::Map(element)) => {
                let mut elements = BTreeMap::new();
                for _ in 0..length {
                    let key = self.key(path)?;
                    let raw = self.value(element, &path.key(key), depth + 1)?;
                    elements.insert(key.to_owned(), raw);
                }
                Ok(Raw::Map(elements))
            }
            (Head::Map(length), Type::Object(types)) => {
                let mut attributes: BTreeMap<_, _> =
                    types.keys().map(|name| (name.clone(), Raw::Null)).collect();
                for _ in 0..length {
                    let name = self.key(path)?;
                    let path = path.attribute(name);
                    let ty = types
                        .get(name)
                        .ok_or_else(|| CodecError::new(&path, "the schema has no such attribute"))?;
                    attributes.insert(name.to_owned(), self.value(ty, &path, depth + 1)?);
                }
                Ok(Raw::Map(attributes))
            }
            (head, ty) => Err(CodecError::new(path, format!("a value of type {ty} is needed, not {head:?}"))),
        }
    }

    fn head(&mut self, path: &Path) -> Result<Head, CodecError> {
        let [byte] = self.array(path)?;
        Ok(match Marker::from_u8(byte) {
            Marker::Null => Head::Nil,
            Marker::True => Head::Bool(true),
            Marker::False => Head::Bool(false),
            Marker::FixPos(int) => Head::Uint(int.into()),
            Marker::FixNeg(int) => Head::Int(int.into()),
            Marker::U8 => Head::Uint(u8::from_be_bytes(self.array(path)?).into()),
            Marker::U16 => Head::Uint(u16::from_be_bytes(self.array(path)?).into()),
            Marker::U32 => Head::Uint(u32::from_be_bytes(self.array(path)?).into()),
            Marker::U64 => Head::Uint(u64::from_be_bytes(self.array(path)?)),
            Marker::I8 => Head::Int(i8::from_be_bytes(self.array(path)?).into()),
            Marker::I16 => Head::Int(i16::from_be_bytes(self.array(path)?).into()),
            Marker::I32 => Head::Int(i32::from_be_bytes(self.array(path)?).into()),
            Marker::I64 => Head::Int(i64::from_be_bytes(self.array(path)?)),
            Marker::F32 => Head::Float(f32::from_be_bytes(self.array(path)?).into()),
            Marker::F64 => Head::Float(f64::from_be_bytes(self.array(path)?)),
            Marker::FixStr(length) => Head::Text(length.into()),
            Marker::Str8 => Head::Text(self.length8(path)?),
            Marker::Str16 => Head::Text(self.length16(path)?),
            Marker::Str32 => Head::Text(self.length32(path)?),
            Marker::Bin8 => Head::Bytes(self.length8(path)?),
            Marker::Bin16 => Head::Bytes(self.length16(path)?),
            Marker::Bin32 => Head::Bytes(self.length32(path)?),
            Marker::FixArray(length) => Head::Array(length.into()),
            Marker::Array16 => Head::Array(self.length16(path)?),
            Marker::Array32 => Head::Array(self.length32(path)?),
            Marker::FixMap(length) => Head::Map(length.into()),
            Marker::Map16 => Head::Map(self.length16(path)?),
            Marker::Map32 => Head::Map(self.length32(path)?),
            Marker::FixExt1 => Head::Extension(1),
            Marker::FixExt2 => Head::Extension(2),
            Marker::FixExt4 => Head::Extension(4),
            Marker::FixExt8 => Head::Extension(8),
            Marker::FixExt16 => Head::Extension(16),
            Marker::Ext8 => Head::Extension(self.length8(path)?),
            Marker::Ext16 => Head::Extension(self.length16(path)?),
            Marker::Ext32 => Head::Extension(self.length32(path)?),
            Marker::Reserved => return Err(CodecError::new(path, "the byte c1 has no meaning")),
        })
    }

    fn length8(&mut self, path: &Path) -> Result<usize, CodecError> {
        Ok(u8::from_be_bytes(self.array(path)?).into())
    }

    fn length16(&mut self, path: &Path) -> Result<usize, CodecError> {
        Ok(u16::from_be_bytes(self.array(path)?).into())
    }

    fn length32(&mut self, path: &Path) -> Result<usize, CodecError> {
        let length = u32::from_be_bytes(self.array(path)?);
        usize::try_from(length).map_err(|_| CodecError::new(path, "a length beyond this machine"))
    }

    /// The key of a map or object.
    fn key(&mut self, path: &Path) -> Result<&'a str, CodecError> {
        match self.head(path)? {
            Head::Text(length) => self.text(length, path),
            head => Err(CodecError::new(path, format!("a key must be a text, not {head:?}"))),
        }
    }

    fn text(&mut self, length: usize, path: &Path) -> Result<&'a str, CodecError> {
        str::from_utf8(self.take(length, path)?).map_err(|_| CodecError::new(path, "a text is not UTF-8"))
    }

    fn array<const N: usize>(&mut self, path: &Path) -> Result<[u8; N], CodecError> {
        let (bytes, rest) =
            self.rest.split_first_chunk().ok_or_else(|| CodecError::new(path, "the value ends too early"))?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, length: usize, path: &Path) -> Result<&'a [u8], CodecError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| CodecError::new(path, "the value ends too early"))?;
        self.rest = rest;
        Ok(bytes)
    }
}

fn write(bytes: &mut Vec<u8>, raw: &Raw, ty: &Type, path: &Path) -> Result<(), CodecError> {
    match (raw, ty) {
        (Raw::Null, _) => put(encode::write_nil(bytes), path),
        (Raw::Unknown, _) => {
            bytes.extend(UNKNOWN);
            Ok(())
        }
        (Raw::Dynamic(inner), Type::Dynamic) => {
            let (ty, raw) = inner.as_ref();
            put(encode::write_array_len(bytes, 2), path)?;
            put(encode::write_bin(bytes, ty.to_json().to_string().as_bytes()), path)?;
            write(bytes, raw, ty, path)
        }
        (Raw::Bool(value), Type::Bool) => put(encode::write_bool(bytes, *value), path),
        (Raw::Number(number), Type::Number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => put(encode::write_sint(bytes, int), path),
            (None, Some(int)) => put(encode::write_uint(bytes, int), path),
            // A decimal text is exact where a float might not be.
            (None, None) => put(encode::write_str(bytes, number.as_str()), path),
        },
        (Raw::String(text), Type::String) => put(encode::write_str(bytes, text), path),
        (Raw::List(elements), Type::List(element) | Type::Set(element)) => {
            put(encode::write_array_len(bytes, length(elements.len(), path)?), path)?;
            elements
                .iter()
                .enumerate()
                .try_for_each(|(index, raw)| write(bytes, raw, element, &path.index(index)))
        }
        (Raw::List(elements), Type::Tuple(types)) if elements.len() == types.len() => {
            put(encode::write_array_len(bytes, length(elements.len(), path)?), path)?;
            let mut elements = elements.iter().zip(types).enumerate();
            elements.try_for_each(|(index, (raw, ty))| write(bytes, raw, ty, &path.index(index)))
        }
        (Raw::Map(elements), Type::Map(element)) => {
            put(encode::write_map_len(bytes, length(elements.len(), path)?), path)?;
            elements.iter().try_for_each(|(key, raw)| {
                put(encode::write_str(bytes, key), path)?;
                write(bytes, raw, element, &path.key(key))
            })
        }
        (Raw::Map(attributes), Type::Object(types)) => {
            if let Some(name) = attributes.keys().find(|name| !types.contains_key(*name)) {
                return Err(CodecError::new(&path.attribute(name), "the schema has no such attribute"));
            }
            put(encode::write_map_len(bytes, length(types.len(), path)?), path)?;
            types.iter().try_for_each(|(name, ty)| {
                put(encode::write_str(bytes, name), path)?;
                write(bytes, raw.get(name), ty, &path.attribute(name))
            })
        }
        _ => Err(CodecError::new(path, format!("a value of type {ty} is needed"))),
    }
}

fn length(length: usize, path: &Path) -> Result<u32, CodecError> {
    u32::try_from(length).map_err(|_| CodecError::new(path, "too many elements"))
}

/// Writing into memory does not fail; the encoder's signature says that it could.
fn put<T, E: Display>(written: Result<T, E>, path: &Path) -> Result<(), CodecError> {
    written.map(|_| ()).map_err(|error| CodecError::new(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::strategy::{any_type, any_typed};
    use super::*;

    fn problem(bytes: &[u8], ty: &Type) -> CodecError {
        decode(bytes, ty).unwrap_err()
    }

    #[test]
    fn bytes_are_those_of_terraform() {
        // Taken from the msgpack specification and cty's rules, not from this encoder.
        for (ty, raw, bytes) in [
            (Type::Bool, Raw::Bool(true), &b"\xc3"[..]),
            (Type::Number, Raw::from(5), b"\x05"),
            (Type::Number, Raw::from(-200), b"\xd1\xff\x38"),
            (Type::Number, Raw::Number(u64::MAX.into()), b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
            (Type::Number, Raw::Number("0.1".parse().unwrap()), b"\xa30.1"),
            (Type::String, Raw::Unknown, b"\xd4\x00\x00"),
            (Type::list(Type::String), Raw::from(["a"]), b"\x91\xa1a"),
            (Type::object([("a", Type::Bool)]), Raw::Map(BTreeMap::new()), b"\x81\xa1a\xc0"),
            (
                Type::Dynamic,
                Raw::Dynamic(Box::new((Type::String, "x".into()))),
                b"\x92\xc4\x08\"string\"\xa1x",
            ),
        ] {
            assert_eq!(encode(&raw, &ty).unwrap(), bytes, "{raw:?}");
        }
    }

    #[test]
    fn every_form_of_number_and_unknown_is_read() {
        for (bytes, text) in [
            (&b"\x05"[..], "5"),
            (b"\xcc\x05", "5"),
            (b"\xd3\xff\xff\xff\xff\xff\xff\xff\xfb", "-5"),
            (b"\xcb\x3f\xe0\0\0\0\0\0\0", "0.5"),
            (b"\xca\x3f\0\0\0", "0.5"),
            (b"\xcb\x43\xf0\0\0\0\0\0\0", "18446744073709551616"),
            (b"\xa41e-3", "0.001"),
        ] {
            assert_eq!(decode(bytes, &Type::Number), Ok(Raw::Number(text.parse().unwrap())), "{bytes:x?}");
        }
        // Extension 0, and extension 12 with refinements ("not null").
        for bytes in [&b"\xd4\x00\x00"[..], b"\xc7\x03\x0c\x81\x01\xc2", b"\xd5\x0c\x80\x80"] {
            assert_eq!(decode(bytes, &Type::list(Type::Bool)), Ok(Raw::Unknown), "{bytes:x?}");
        }
    }

    #[test]
    fn problems_name_the_place() {
        let ty = Type::object([("rule", Type::list(Type::object([("port", Type::Number)])))]);
        let error = problem(b"\x81\xa4rule\x91\x81\xa4port\xc3", &ty);
        assert_eq!(error.path.to_string(), "rule[0].port");
        assert!(error.problem.contains("number"), "{error}");
        assert_eq!(problem(b"\x81\xa1x\xc0", &ty).path.to_string(), "x");
        assert!(problem(b"\xc0\xc0", &ty).problem.contains("1 bytes follow"));
        assert!(problem(b"\xa5abc", &Type::String).problem.contains("too early"));
        assert!(problem(b"\xa1\xff", &Type::String).problem.contains("UTF-8"));
    }

    #[test]
    fn hostile_input_neither_allocates_nor_recurses_without_bound() {
        assert!(decode(b"\xdd\xff\xff\xff\xff", &Type::list(Type::String)).is_err());
        assert!(decode(b"\xdf\xff\xff\xff\xff", &Type::map(Type::String)).is_err());
        assert!(decode(b"\xdb\xff\xff\xff\xff", &Type::String).is_err());
        // A dynamic value in a dynamic value, and so on.
        let deep = b"\x92\xc4\x09\"dynamic\"".repeat(10_000);
        assert!(problem(&deep, &Type::Dynamic).problem.contains("nested"));
    }

    #[test]
    fn what_is_not_of_the_type_is_not_written() {
        let error = encode(&Raw::from(["a"]), &Type::list(Type::Bool)).unwrap_err();
        assert_eq!(error.path.to_string(), "[0]");
    }

    proptest! {
        #[test]
        fn values_come_back((ty, raw) in any_typed(true)) {
            let bytes = encode(&raw, &ty).unwrap();
            prop_assert_eq!(decode(&bytes, &ty), Ok(raw));
        }

        #[test]
        fn no_bytes_panic(ty in any_type(), bytes: Vec<u8>) {
            let _ = decode(&bytes, &ty);
        }

        #[test]
        fn no_damaged_value_panics((ty, raw) in any_typed(true), at: prop::sample::Index, byte: u8) {
            let mut bytes = encode(&raw, &ty).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode(&bytes, &ty);
        }
    }
}
