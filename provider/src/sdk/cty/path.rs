//! Where in a value something is: what a diagnostic points at.

use std::fmt::{self, Display};

/// The way from the root of a resource to one of its values, such as `rule[0].port`.
///
/// ```
/// use terraform_provider::sdk::Path;
///
/// assert_eq!(Path::from("rule").index(0).attribute("port").to_string(), "rule[0].port");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    steps: Vec<Step>,
}

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// An attribute or block of an object, by name.
    Attribute(String),
    /// An element of a list, counted from 0.
    Index(i64),
    /// An element of a map, by key.
    Key(String),
}

impl Path {
    /// The root: the resource, data source or provider block itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// This path and then the attribute `name`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Self {
        self.with(Step::Attribute(name.to_owned()))
    }

    /// This path and then the list element `index`, counted from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(i64::try_from(index).unwrap_or(i64::MAX)))
    }

    /// This path and then the map element `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// This path and then `step`.
    #[must_use]
    pub(crate) fn with(&self, step: Step) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { steps }
    }
}

impl From<&str> for Path {
    /// The path of a top-level attribute.
    fn from(name: &str) -> Self {
        Self::root().attribute(name)
    }
}

impl Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps.iter().enumerate() {
            match step {
                Step::Attribute(name) if position == 0 => formatter.write_str(name)?,
                Step::Attribute(name) => write!(formatter, ".{name}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Key(key) => write!(formatter, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_in_a_configuration() {
        let path = Path::from("labels").key("a b").attribute("size").index(3);
        assert_eq!(path.to_string(), r#"labels["a b"].size[3]"#);
        assert_eq!(Path::root().to_string(), "");
    }
}
