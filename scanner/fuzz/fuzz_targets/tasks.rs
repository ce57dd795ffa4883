//! Batches of tasks, and their signatures. Any outcome but a panic is right.
#![no_main]

use agentless_service::tasks;

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    if let Ok(batch) = tasks::parse(content) {
        assert!(batch.tasks.len() <= tasks::MAX_TASKS);
        assert!(batch.rejected.iter().all(|it| it.reason.len() < 4096));
    }
    // A document with a signature that is any other document.
    if let Ok(key) = tasks::public_key("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3") {
        assert!(tasks::verify(&key, b"tasks", content).is_err());
    }
});
