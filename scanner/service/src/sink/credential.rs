//! A secret as it is now: configuration is read again while the sinks go on.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Gives a secret whenever a request is made, so that a changed one needs no other sink. It cannot be printed.
#[derive(Clone)]
pub struct Credential(Arc<dyn Fn() -> String + Send + Sync>);

impl Credential {
    /// The secret that `current` returns at the time.
    pub fn new(current: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    /// The latest secret of a channel.
    pub fn watched(channel: watch::Receiver<String>) -> Self {
        Self::new(move || channel.borrow().clone())
    }

    /// The same secret always.
    pub fn fixed(secret: String) -> Self {
        Self::new(move || secret.clone())
    }

    /// The secret, as a header that is kept out of logs. `None` if it has characters that no header may have.
    pub(super) fn header(&self) -> Option<http::HeaderValue> {
        let mut value = http::HeaderValue::from_str(self.0().trim()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_changes_and_is_never_printed() {
        let (sender, receiver) = watch::channel("first".to_owned());
        let credential = Credential::watched(receiver);
        assert_eq!(credential.header().unwrap(), "first");
        sender.send_replace("second\n".to_owned());
        assert_eq!(credential.header().unwrap(), "second");
        assert!(!format!("{credential:?} {:?}", credential.header()).contains("second"));
        assert!(Credential::fixed("a\nb".to_owned()).header().is_none());
    }
}
