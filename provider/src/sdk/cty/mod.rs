//! Values and types as Terraform's core speaks them ("cty"), and their two encodings.
//!
//! Nothing here knows what a resource is: [`Raw`] is a value without a schema, [`Type`] is what gives its bytes a
//! meaning. Models are made from and turned into `Raw` by [`Convert`](super::Convert).

pub(crate) mod codec;
pub(crate) mod json;
pub(crate) mod msgpack;
mod number;
mod path;
mod raw;
mod types;

pub use number::{Number, NumberError};
pub use path::{Path, Step};
pub use raw::Raw;
pub use types::{Type, TypeError};

/// How deep values and types may nest. Far more than any schema needs, and little enough that decoding hostile input
/// cannot exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 64;
