//! What a volume is: read-only bytes, whoever has them.

mod file;
mod traits;

pub use file::FileVolume;
pub use traits::{Volume, VolumeError};
