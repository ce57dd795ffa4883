//! One list of limits, from which follow the type, its defaults, and what is said about them.

/// One limit, for people and for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitInfo {
    /// Its name, as in a configuration.
    pub name: &'static str,
    /// Its value where nothing else is configured.
    pub default: u64,
    /// The least that it may be: 1 where nothing at all could be done with 0.
    pub least: u64,
    /// What is counted.
    pub unit: &'static str,
    /// What it bounds, and why.
    pub reason: &'static str,
}

/// Why a limit cannot be set. Each is a mistake of whoever configured it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// There is no such limit.
    #[error("there is no limit named `{name}`; `agentless-scanner list limits` shows those that there are")]
    Unknown {
        /// The name.
        name: String,
    },
    /// With this value, nothing could be done.
    #[error("the limit `{name}` must be at least {least}")]
    TooSmall {
        /// The limit.
        name: &'static str,
        /// The least that it may be.
        least: u64,
    },
    /// The value is beyond what the limit can express.
    #[error("the limit `{name}` must be at most {most}")]
    TooLarge {
        /// The limit.
        name: &'static str,
        /// The most that it may be.
        most: u64,
    },
}

/// Defines a struct of limits from a list of `/// reason`, `name: type = default, "unit"`, and `, or none` where zero is a
/// value that makes sense.
macro_rules! limits {
    (
        $(#[$attribute:meta])*
        pub struct $Limits:ident {
            $(
                $(#[doc = $reason:literal])+
                $name:ident: $type:ty = $default:expr, $unit:literal $(, or $none:ident)?;
            )+
        }
    ) => {
        $(#[$attribute])*
        pub struct $Limits {
            $($(#[doc = $reason])+ pub $name: $type,)+
        }

        impl Default for $Limits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        impl $Limits {
            /// Every limit, in the order of the work that they bound.
            pub fn table() -> impl Iterator<Item = LimitInfo> {
                let defaults = Self::default();
                [$(LimitInfo {
                    name: stringify!($name),
                    default: number(defaults.$name),
                    least: limits!(@least $($none)?),
                    unit: $unit,
                    reason: concat!($($reason),+).trim_ascii(),
                }),+]
                .into_iter()
            }

            /// Changes the limit with this name.
            ///
            /// # Errors
            ///
            /// [`LimitError`] if there is no such limit, or it cannot have this value.
            pub fn set(&mut self, name: &str, value: u64) -> Result<(), LimitError> {
                match name {
                    $(stringify!($name) => {
                        let (name, least) = (stringify!($name), limits!(@least $($none)?));
                        if value < least {
                            return Err(LimitError::TooSmall { name, least });
                        }
                        let most = number(<$type>::MAX);
                        self.$name = value.try_into().map_err(|_| LimitError::TooLarge { name, most })?;
                    })+
                    name => return Err(LimitError::Unknown { name: name.to_owned() }),
                }
                Ok(())
            }
        }
    };
    (@least) => { 1 };
    (@least none) => { 0 };
}

pub(super) use limits;

/// A limit of any type as a number.
pub(super) fn number(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(u64::MAX)
}
