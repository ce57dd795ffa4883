//! A line of a log. What its secrets are taken out of has no mask that it did not have before, unless it is another text.
#![no_main]

use std::borrow::Cow;

use agentless_service::scrub::scrub;
use agentless_service::secret::MASK;

libfuzzer_sys::fuzz_target!(|line: &str| match scrub(line) {
    Cow::Borrowed(same) => assert_eq!(same, line),
    Cow::Owned(clean) => assert!(clean.contains(MASK) && clean != line),
});
