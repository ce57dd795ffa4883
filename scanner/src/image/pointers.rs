//! Moving what points to images: published, promoted, rolled back.
//!
//! Parameters are set one after another, each only after the one before shows its value, and in an order in which a run that
//! broke off anywhere is finished by running the same verb again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Architecture, ImageError, Names};
use crate::aws::{IMAGE_DATA_TYPE, ImageCloud, Parameter};

/// How often a parameter that was set is read until it says so, and how long is waited in between: Systems Manager checks
/// images after it has answered ("Native parameter support for Amazon Machine Image IDs").
const READS: u32 = 15;
const BETWEEN_READS: Duration = Duration::from_secs(2);

/// The parameters of an architecture, as they were read last.
#[derive(Debug)]
pub struct Pointers<'a, C> {
    cloud: &'a C,
    names: Names,
    found: BTreeMap<String, Parameter>,
}

/// What a verb did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Everything was so already.
    Nothing,
    /// These parameters have these values now, in the order in which they were set.
    Set(Vec<(String, String)>),
}

impl<'a, C: ImageCloud> Pointers<'a, C> {
    /// Reads the parameters.
    pub async fn read(cloud: &'a C, names: Names) -> Result<Self, ImageError> {
        let found = cloud.parameters(&names.all()).await?;
        Ok(Self { cloud, names, found })
    }

    /// The image that is to be tried.
    pub fn candidate(&self) -> Option<&str> {
        self.value(&self.names.candidate)
    }

    /// The image that is in use.
    pub fn current(&self) -> Option<&str> {
        self.value(&self.names.current)
    }

    /// The image that was in use before.
    pub fn previous(&self) -> Option<&str> {
        self.value(&self.names.previous)
    }

    /// Makes an image, which was checked, the candidate.
    pub async fn publish(&mut self, image: &str) -> Result<Moved, ImageError> {
        self.set(vec![(self.names.candidate.clone(), image.to_owned())]).await
    }

    /// What [`promote`](Self::promote) would promote; none where the candidate is in use already.
    pub fn to_promote(&self) -> Result<Option<String>, ImageError> {
        let candidate =
            self.candidate().ok_or_else(|| ImageError::NoCandidate { name: self.names.candidate.clone() })?;
        if self.current() == Some(candidate) {
            return Ok(None);
        }
        if self.previous() == Some(candidate) {
            let previous = self.names.previous.clone();
            return Err(ImageError::RolledBack { image: candidate.to_owned(), previous });
        }
        Ok(Some(candidate.to_owned()))
    }

    /// Makes the candidate current, and what was that the previous one. If it breaks off in between, `previous` and `current`
    /// are the same, and doing it again sets the rest.
    pub async fn promote(&mut self) -> Result<Moved, ImageError> {
        let Some(candidate) = self.to_promote()? else { return Ok(Moved::Nothing) };
        let mut steps = Vec::new();
        steps.extend(self.current().map(|current| (self.names.previous.clone(), current.to_owned())));
        steps.push((self.names.current.clone(), candidate));
        self.set(steps).await
    }

    /// What [`rollback`](Self::rollback) would go back to, and what `previous` would be then.
    ///
    /// Where a run broke off, `current` and `previous` are the same. The image that was taken back is then the candidate that
    /// had been promoted, and becomes `previous`.
    pub fn to_roll_back(&self, to: Option<&str>) -> Result<Option<(String, String)>, ImageError> {
        let name = self.names.previous.clone();
        let none = |why: String| ImageError::NoPrevious { name: name.clone(), why };
        let current =
            self.current().ok_or_else(|| none("is of no use while there is no current image".to_owned()))?;
        let previous = self.previous().ok_or_else(|| none("is not set".to_owned()))?;
        if previous == current {
            return match self.candidate().filter(|candidate| *candidate != current) {
                Some(taken_back) if to.is_none_or(|to| to == current) => {
                    Ok(Some((current.to_owned(), taken_back.to_owned())))
                }
                _ => Err(none(format!("names {current}, which is current already"))),
            };
        }
        match to {
            Some(to) if to == current => Ok(None),
            Some(to) if to != previous => Err(none(format!("names {previous}, and not {to}"))),
            _ => Ok(Some((previous.to_owned(), current.to_owned()))),
        }
    }

    /// Makes the previous image current again. What is in use comes first; which one it was is the less urgent half.
    pub async fn rollback(&mut self, to: Option<&str>) -> Result<Moved, ImageError> {
        let Some((current, previous)) = self.to_roll_back(to)? else { return Ok(Moved::Nothing) };
        let steps = vec![(self.names.current.clone(), current), (self.names.previous.clone(), previous)];
        self.set(steps).await
    }

    /// Sets parameters in this order, those that are not so already.
    async fn set(&mut self, steps: Vec<(String, String)>) -> Result<Moved, ImageError> {
        let mut set = Vec::new();
        for (name, image) in steps {
            if self.is_set(&name, &image) {
                continue;
            }
            self.cloud.point(&name, &image).await?;
            self.wait_for(&name, &image).await?;
            set.push((name, image));
        }
        Ok(if set.is_empty() { Moved::Nothing } else { Moved::Set(set) })
    }

    async fn wait_for(&mut self, name: &str, image: &str) -> Result<(), ImageError> {
        for read in 1..=READS {
            self.found.extend(self.cloud.parameters(&[name.to_owned()]).await?);
            if self.is_set(name, image) {
                return Ok(());
            }
            if read < READS {
                tokio::time::sleep(BETWEEN_READS).await;
            }
        }
        let found = self.found.get(name).map(|it| format!("{} of the data type {}", it.value, it.data_type));
        let found = found.unwrap_or_else(|| "not set".to_owned());
        Err(ImageError::NotTaken { name: name.to_owned(), image: image.to_owned(), found })
    }

    fn is_set(&self, name: &str, image: &str) -> bool {
        self.found.get(name).is_some_and(|it| it.value == image && it.data_type == IMAGE_DATA_TYPE)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.found.get(name).map(|found| found.value.as_str())
    }
}

/// What to apply so that scanners launch what `current` is now.
pub fn to_apply(name: &str, architecture: Architecture, image: &str) -> String {
    format!(
        "Scanners that take their image from the parameter launch {image} from now on. For those with image_id, apply with \
         that id: the module reads it by\n  data \"aws_ssm_parameter\" \"image\" {{ name = \"{name}\" }}   # {architecture}\n\
         and the instance refresh replaces what runs. Until then the group launches what it did."
    )
}

#[cfg(test)]
mod tests {
    use scanner_policy::ParameterPrefix;

    use super::super::fake::Fake;
    use super::*;

    fn names() -> Names {
        let prefix: ParameterPrefix = "/images".parse().unwrap();
        Names::of(&prefix, Architecture::Arm64)
    }

    /// A region whose parameters are so; an empty text is none.
    fn cloud(candidate: &str, current: &str, previous: &str) -> Fake {
        let fake = Fake::default();
        for (name, value) in names().all().iter().zip([candidate, current, previous]) {
            if !value.is_empty() {
                fake.set(name, value);
            }
        }
        fake
    }

    fn values(cloud: &Fake) -> [String; 3] {
        names().all().map(|name| cloud.value(&name))
    }

    async fn promote(cloud: &Fake) -> Result<Moved, ImageError> {
        Pointers::read(cloud, names()).await?.promote().await
    }

    async fn rollback(cloud: &Fake, to: Option<&str>) -> Result<Moved, ImageError> {
        Pointers::read(cloud, names()).await?.rollback(to).await
    }

    #[tokio::test(start_paused = true)]
    async fn images_move_on_and_back() {
        let cloud = cloud("", "", "");
        assert!(matches!(promote(&cloud).await, Err(ImageError::NoCandidate { .. })));
        for (image, expected) in [("ami-1", ["ami-1", "ami-1", ""]), ("ami-2", ["ami-2", "ami-2", "ami-1"])] {
            Pointers::read(&cloud, names()).await.unwrap().publish(image).await.unwrap();
            assert!(matches!(promote(&cloud).await.unwrap(), Moved::Set(_)));
            assert_eq!(values(&cloud), expected);
            assert_eq!(promote(&cloud).await.unwrap(), Moved::Nothing);
        }
        rollback(&cloud, None).await.unwrap();
        assert_eq!(values(&cloud), ["ami-2", "ami-1", "ami-2"]);
        assert_eq!(rollback(&cloud, Some("ami-1")).await.unwrap(), Moved::Nothing);
        // What was rolled back is not promoted once more by the next run of a pipeline.
        assert!(matches!(promote(&cloud).await, Err(ImageError::RolledBack { .. })));
        rollback(&cloud, Some("ami-2")).await.unwrap();
        assert_eq!(values(&cloud), ["ami-2", "ami-2", "ami-1"]);
        assert!(matches!(rollback(&cloud, Some("ami-9")).await, Err(ImageError::NoPrevious { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn what_broke_off_is_finished_by_doing_it_again() {
        for breaks_after in 0..2 {
            let cloud = cloud("ami-3", "ami-2", "ami-1");
            cloud.fail_puts_after(breaks_after);
            promote(&cloud).await.unwrap_err();
            cloud.fail_puts_after(usize::MAX);
            promote(&cloud).await.unwrap();
            assert_eq!(values(&cloud), ["ami-3", "ami-3", "ami-2"], "after {breaks_after}");

            cloud.fail_puts_after(breaks_after);
            rollback(&cloud, None).await.unwrap_err();
            cloud.fail_puts_after(usize::MAX);
            rollback(&cloud, None).await.unwrap();
            assert_eq!(values(&cloud), ["ami-3", "ami-2", "ami-3"], "after {breaks_after}");
        }
        // A promotion that broke off can also be given up.
        let cloud = cloud("ami-3", "ami-2", "ami-2");
        rollback(&cloud, None).await.unwrap();
        assert_eq!(values(&cloud), ["ami-3", "ami-2", "ami-3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn there_may_be_nothing_to_go_back_to() {
        for (candidate, current, previous, why) in [
            ("ami-1", "", "", "no current image"),
            ("ami-1", "ami-1", "", "not set"),
            ("ami-1", "ami-1", "ami-1", "current already"),
        ] {
            let error = rollback(&cloud(candidate, current, previous), None).await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_dropped_later_is_an_error() {
        let cloud = cloud("ami-1", "ami-1", "");
        cloud.drop_puts();
        let mut pointers = Pointers::read(&cloud, names()).await.unwrap();
        let error = pointers.publish("ami-2").await.unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, ImageError::NotTaken { .. }) && told.contains("which is ami-1"), "{told}");
    }
}
