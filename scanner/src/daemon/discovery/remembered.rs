//! What surveys remember of functions: Lambda tells tags and aliases of one function at a time, and takes 15 requests a second of
//! a whole account. Asked at each survey, a thousand functions would take a good part of these all day long.
//!
//! A function that is new, or has versions that are new, is asked about at once; otherwise a change shows when the memory has
//! faded. An owner's opt-out does not wait for that: a scan gets the tags along with the function.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::aws::inventory::{Function, Image, Instance, Inventory};
use crate::aws::{AwsError, Tags, VolumeInfo};

/// What is remembered of the functions of one place.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Known>>);

/// An inventory that is asked only for what is not remembered.
#[derive(Debug)]
pub struct Remembering<'a, I> {
    inventory: &'a I,
    memory: &'a Memory,
}

#[derive(Debug)]
struct Known {
    published: BTreeSet<String>,
    tags: Option<(Instant, Tags)>,
    aliased: Option<(Instant, BTreeSet<String>)>,
}

/// How long something is remembered: a part of the time between two scans.
const FADES_AFTER: Duration = Duration::from_hours(3);

impl<'a, I> Remembering<'a, I> {
    /// With what was remembered so far.
    pub fn new(inventory: &'a I, memory: &'a Memory) -> Self {
        Self { inventory, memory }
    }
}

impl Memory {
    /// Forgets what is not listed any more, or is listed with other versions.
    fn keep(&self, listed: &[Function]) {
        let mut known = self.lock();
        let mut before = std::mem::take(&mut *known);
        known.extend(listed.iter().map(|function| {
            let same = before.remove(&function.arn).filter(|known| known.published == function.published);
            let published = function.published.clone();
            (function.arn.clone(), same.unwrap_or(Known { published, tags: None, aliased: None }))
        }));
    }

    fn recall<T: Clone>(&self, arn: &str, part: impl FnOnce(&Known) -> &Option<(Instant, T)>) -> Option<T> {
        let known = self.lock();
        let (since, value) = part(known.get(arn)?).as_ref()?;
        (since.elapsed() < FADES_AFTER).then(|| value.clone())
    }

    fn note(&self, arn: &str, note: impl FnOnce(&mut Known)) {
        if let Some(known) = self.lock().get_mut(arn) {
            note(known);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Inventory> Inventory for Remembering<'_, I> {
    async fn instances(&self) -> Result<Vec<Instance>, AwsError> {
        self.inventory.instances().await
    }

    async fn attached_volumes(&self) -> Result<Vec<VolumeInfo>, AwsError> {
        self.inventory.attached_volumes().await
    }

    async fn own_images(&self) -> Result<Vec<Image>, AwsError> {
        self.inventory.own_images().await
    }

    async fn images(&self, ids: &BTreeSet<String>) -> Result<Vec<Image>, AwsError> {
        self.inventory.images(ids).await
    }

    async fn functions(&self) -> Result<Vec<Function>, AwsError> {
        let functions = self.inventory.functions().await?;
        self.memory.keep(&functions);
        Ok(functions)
    }

    async fn function_tags(&self, arn: &str) -> Result<Tags, AwsError> {
        if let Some(tags) = self.memory.recall(arn, |known| &known.tags) {
            return Ok(tags);
        }
        let tags = self.inventory.function_tags(arn).await?;
        self.memory.note(arn, |known| known.tags = Some((Instant::now(), tags.clone())));
        Ok(tags)
    }

    async fn aliased_versions(&self, arn: &str) -> Result<BTreeSet<String>, AwsError> {
        if let Some(aliased) = self.memory.recall(arn, |known| &known.aliased) {
            return Ok(aliased);
        }
        let aliased = self.inventory.aliased_versions(arn).await?;
        self.memory.note(arn, |known| known.aliased = Some((Instant::now(), aliased.clone())));
        Ok(aliased)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Functions, and what was asked about them.
    #[derive(Debug, Default)]
    struct Asked {
        functions: Mutex<Vec<Function>>,
        about: Mutex<Vec<String>>,
    }

    impl Asked {
        fn have(&self, functions: &[(&str, &[&str])]) {
            let of = |&(arn, published): &(&str, &[&str])| Function {
                arn: arn.to_owned(),
                published: published.iter().map(|&version| version.to_owned()).collect(),
            };
            *self.functions.lock().unwrap() = functions.iter().map(of).collect();
        }

        /// What is asked by a survey, in order.
        async fn survey(&self, memory: &Memory) -> Vec<String> {
            let remembering = Remembering::new(self, memory);
            for function in remembering.functions().await.unwrap() {
                let _ = remembering.function_tags(&function.arn).await;
                let _ = remembering.aliased_versions(&function.arn).await;
            }
            std::mem::take(&mut self.about.lock().unwrap())
        }

        fn asked(&self, what: &str, arn: &str) -> Result<(), AwsError> {
            self.about.lock().unwrap().push(format!("{what} {arn}"));
            let denied = || AwsError::Denied { call: "lambda:ListTags", detail: "no".to_owned() };
            if arn == "denied" { Err(denied()) } else { Ok(()) }
        }
    }

    impl Inventory for Asked {
        async fn instances(&self) -> Result<Vec<Instance>, AwsError> {
            Ok(Vec::new())
        }

        async fn attached_volumes(&self) -> Result<Vec<VolumeInfo>, AwsError> {
            Ok(Vec::new())
        }

        async fn own_images(&self) -> Result<Vec<Image>, AwsError> {
            Ok(Vec::new())
        }

        async fn images(&self, _: &BTreeSet<String>) -> Result<Vec<Image>, AwsError> {
            Ok(Vec::new())
        }

        async fn functions(&self) -> Result<Vec<Function>, AwsError> {
            Ok(self.functions.lock().unwrap().clone())
        }

        async fn function_tags(&self, arn: &str) -> Result<Tags, AwsError> {
            self.asked("tags", arn).map(|()| Tags::from([("of".to_owned(), arn.to_owned())]))
        }

        async fn aliased_versions(&self, arn: &str) -> Result<BTreeSet<String>, AwsError> {
            self.asked("aliases", arn).map(|()| [arn.to_owned()].into())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_is_asked_about_when_it_is_new_and_when_the_memory_has_faded() {
        let (asked, memory) = (Asked::default(), Memory::default());
        asked.have(&[("a", &["1"])]);
        assert_eq!(asked.survey(&memory).await, ["tags a", "aliases a"]);
        asked.have(&[("a", &["1"]), ("b", &[])]);
        assert_eq!(asked.survey(&memory).await, ["tags b", "aliases b"]);
        assert_eq!(asked.survey(&memory).await, [""; 0]);
        tokio::time::advance(FADES_AFTER).await;
        assert_eq!(asked.survey(&memory).await, ["tags a", "aliases a", "tags b", "aliases b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_what_was_answered() {
        let (asked, memory) = (Asked::default(), Memory::default());
        asked.have(&[("a", &[]), ("b", &[])]);
        asked.survey(&memory).await;
        let remembering = Remembering::new(&asked, &memory);
        for arn in ["a", "b"] {
            assert_eq!(remembering.function_tags(arn).await.unwrap()["of"], arn);
            assert_eq!(remembering.aliased_versions(arn).await.unwrap(), [arn.to_owned()].into());
        }
        assert_eq!(asked.about.lock().unwrap().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn new_versions_and_functions_that_were_gone_are_asked_about() {
        let (asked, memory) = (Asked::default(), Memory::default());
        asked.have(&[("a", &["1"])]);
        asked.survey(&memory).await;
        asked.have(&[("a", &["1", "2"])]);
        assert_eq!(asked.survey(&memory).await, ["tags a", "aliases a"]);
        asked.have(&[]);
        asked.survey(&memory).await;
        assert!(memory.lock().is_empty());
        asked.have(&[("a", &["1", "2"])]);
        assert_eq!(asked.survey(&memory).await, ["tags a", "aliases a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_remembered() {
        let (asked, memory) = (Asked::default(), Memory::default());
        asked.have(&[("denied", &[])]);
        for _ in 0..2 {
            assert_eq!(asked.survey(&memory).await, ["tags denied", "aliases denied"]);
        }
    }
}
