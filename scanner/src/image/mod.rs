//! Scanner images after they are built: which one is to be tried, which is in use, which was before, and which can go.
//!
//! Three parameters of Systems Manager for each architecture point to images. [`pointers`] moves them, [`check`] says which
//! image may be pointed to, [`rollout`] whether one has proven itself, [`prune`] retires those that nothing uses, [`survey`]
//! finds out what does, and [`status`] shows it all. All of it is done with the credentials of who runs the verbs, never with
//! those of a scanner.

pub mod check;
pub mod pointers;
pub mod prune;
pub mod rollout;
pub mod status;
pub mod survey;

#[cfg(test)]
mod fake;

use std::fmt;

use scanner_policy::ParameterPrefix;

use crate::aws::AwsError;

/// What an image is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Architecture {
    /// Intel's and AMD's processors.
    Amd64,
    /// Arm's, such as Graviton.
    Arm64,
}

impl Architecture {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// As in the names of parameters and of release files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// From EC2's word for it.
    pub fn of_ec2(name: &str) -> Option<Self> {
        match name {
            "x86_64" => Some(Self::Amd64),
            "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The names of the three parameters of an architecture.
#[derive(Clone, Debug)]
pub struct Names {
    /// Of the image that is to be tried.
    pub candidate: String,
    /// Of the one that is in use.
    pub current: String,
    /// Of the one that was before.
    pub previous: String,
}

impl Names {
    /// Those under a prefix.
    pub fn of(prefix: &ParameterPrefix, architecture: Architecture) -> Self {
        let name = |pointer: &str| format!("{prefix}/{architecture}/{pointer}");
        Self { candidate: name("candidate"), current: name("current"), previous: name("previous") }
    }

    /// All three.
    pub fn all(&self) -> [String; 3] {
        [self.candidate.clone(), self.current.clone(), self.previous.clone()]
    }
}

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// AWS.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// There is no such image.
    #[error("there is no image {image} in this region that this account can see: check the id and --region")]
    NoImage {
        /// Its id.
        image: String,
    },
    /// The image may not be pointed to.
    #[error("the image {image} is refused: {}", problems.join("; "))]
    Refused {
        /// Its id.
        image: String,
        /// Everything that is wrong with it.
        problems: Vec<String>,
    },
    /// Nothing was published.
    #[error("there is no candidate: {name} is not set. `agentless-scanner image publish AMI` sets it")]
    NoCandidate {
        /// The parameter.
        name: String,
    },
    /// The candidate was in use before, and taken back.
    #[error(
        "the candidate {image} is the one that {previous} names: it was rolled back. Publish another image, or bring it back \
         with `agentless-scanner image rollback --to {image}`"
    )]
    RolledBack {
        /// The candidate.
        image: String,
        /// The parameter.
        previous: String,
    },
    /// There is nothing to go back to.
    #[error("there is nothing to go back to: {name} {why}")]
    NoPrevious {
        /// The parameter.
        name: String,
        /// What it is.
        why: String,
    },
    /// A parameter does not have the value that was set.
    #[error(
        "Systems Manager did not take {image} over into {name}, which is {found}. It accepts an image only if it is available \
         in this account and region, and who sets the parameter may call ec2:DescribeImages. Running this again is safe"
    )]
    NotTaken {
        /// The parameter.
        name: String,
        /// What it was to be.
        image: String,
        /// What it is.
        found: String,
    },
    /// The image has not proven itself.
    #[error("{image} is not promoted: {why}")]
    Unproven {
        /// The image.
        image: String,
        /// What is missing.
        why: String,
    },
    /// It is not known what a launch template launches.
    #[error(
        "nothing was retired: the launch template {template} takes its image from the parameter {parameter}, which could not \
         be read, so the image that it names might be retired. Allow ssm:GetParameters on it, or delete the version"
    )]
    UnknownParameter {
        /// The template.
        template: String,
        /// The parameter.
        parameter: String,
        /// Why.
        source: AwsError,
    },
}
