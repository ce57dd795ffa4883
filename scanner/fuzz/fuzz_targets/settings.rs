//! A configuration. What is taken is printed in a form that is taken again.
#![no_main]

use std::path::Path;

use agentless_service::settings::Settings;

libfuzzer_sys::fuzz_target!(|content: &str| {
    if let Ok(settings) = Settings::parse(Path::new("config.yaml"), content) {
        // A secret that is written out is not printed, and its mask is another.
        if settings.secrets().all(|(_, secret)| secret.handle().is_some()) {
            assert_eq!(Settings::parse(Path::new("printed.yaml"), settings.print()).as_ref(), Ok(&settings));
        }
    }
});
