//! What the two encodings share.

use thiserror::Error;

use super::Path;

/// Why bytes are not a value of the type they should be, or a value cannot be written as its type.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}")]
pub(crate) struct CodecError {
    /// Where in the value.
    pub(crate) path: Path,
    /// What is wrong there.
    pub(crate) problem: String,
}

impl CodecError {
    pub(crate) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.clone(), problem: problem.into() }
    }
}

#[cfg(test)]
pub(crate) mod strategy {
    //! Random types, and random values of a type.

    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use crate::sdk::{Number, Raw, Type};

    /// Types as schemas have them: a dynamic value stands alone or in an object or tuple, never in a collection.
    pub(crate) fn any_type() -> impl Strategy<Value = Type> {
        let leaf = prop_oneof![Just(Type::String), Just(Type::Number), Just(Type::Bool)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                inner.clone().prop_map(Type::list),
                inner.clone().prop_map(Type::set),
                inner.clone().prop_map(Type::map),
                vec(prop_oneof![4 => inner.clone(), 1 => Just(Type::Dynamic)], 0..4).prop_map(Type::Tuple),
                btree_map("[a-z_]{1,5}", prop_oneof![4 => inner, 1 => Just(Type::Dynamic)], 0..4)
                    .prop_map(Type::Object),
            ]
        })
    }

    fn any_number() -> impl Strategy<Value = Number> {
        prop_oneof![
            any::<i64>().prop_map(Number::from),
            any::<u64>().prop_map(Number::from),
            (-1e300_f64..1e300).prop_map(|float| Number::try_from(float).unwrap()),
            "-?[1-9][0-9]{0,60}(\\.[0-9]{0,60})?".prop_map(|text| text.parse().unwrap()),
        ]
    }

    /// A canonical value of type `ty`, with nulls, and with unknowns when `unknown`.
    pub(crate) fn any_raw(ty: &Type, unknown: bool) -> BoxedStrategy<Raw> {
        let known: BoxedStrategy<Raw> = match ty {
            Type::String => ".*".prop_map(Raw::String).boxed(),
            Type::Number => any_number().prop_map(Raw::Number).boxed(),
            Type::Bool => any::<bool>().prop_map(Raw::Bool).boxed(),
            Type::Dynamic => prop_oneof![Just(Type::String), Just(Type::list(Type::Bool))]
                .prop_flat_map(move |ty| {
                    let raw = any_raw(&ty, unknown);
                    (Just(ty), raw)
                })
                .prop_map(|inner| Raw::Dynamic(Box::new(inner)))
                .boxed(),
            Type::List(element) | Type::Set(element) => {
                vec(any_raw(element, unknown), 0..4).prop_map(Raw::List).boxed()
            }
            Type::Map(element) => {
                btree_map(".{0,8}", any_raw(element, unknown), 0..4).prop_map(Raw::Map).boxed()
            }
            Type::Tuple(types) => {
                types.iter().map(|ty| any_raw(ty, unknown)).collect::<Vec<_>>().prop_map(Raw::List).boxed()
            }
            Type::Object(types) => {
                let names: Vec<_> = types.keys().cloned().collect();
                types
                    .values()
                    .map(|ty| any_raw(ty, unknown))
                    .collect::<Vec<_>>()
                    .prop_map(move |values| {
                        Raw::Map(names.iter().cloned().zip(values).collect::<BTreeMap<_, _>>())
                    })
                    .boxed()
            }
        };
        let ty = ty.clone();
        prop_oneof![
            8 => known,
            1 => Just(Raw::Null),
            u32::from(unknown) => Just(Raw::Unknown),
        ]
        .prop_map(move |raw| raw.canonical(&ty))
        .boxed()
    }

    /// A type with one of its values.
    pub(crate) fn any_typed(unknown: bool) -> impl Strategy<Value = (Type, Raw)> {
        any_type().prop_flat_map(move |ty| {
            let raw = any_raw(&ty, unknown);
            (Just(ty), raw)
        })
    }
}
