//! Who may call the local AWS: the keys it gave out, and the principal behind each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Long-lived credentials of the local AWS's account: what a user's environment holds.
pub const TEST_KEY: StaticKey =
    StaticKey { access_key_id: "AKIALOCALAWSTESTKEY0", secret_access_key: "local-aws/test-key/secret" };

/// The harness's own credentials, for seeding and for checks behind the back of what is tested. Calls with it are
/// neither recorded nor disturbed by faults.
pub(crate) const HARNESS_KEY: StaticKey =
    StaticKey { access_key_id: "AKIALOCALAWSHARNESS0", secret_access_key: "local-aws/harness/secret" };

/// moto's account for keys that belong to no other.
pub const ACCOUNT: &str = "123456789012";

/// An access key that does not expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticKey {
    /// 20 capital letters and digits: moto reads a key of this shape only.
    pub access_key_id: &'static str,
    /// The secret half.
    pub secret_access_key: &'static str,
}

/// Temporary credentials of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCredentials {
    /// The key's public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: String,
    /// Must accompany every request.
    pub session_token: String,
    /// When they end.
    pub expiration: SystemTime,
}

/// Whom an access key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// As in `GetCallerIdentity`: the account's root, or `arn:aws:sts::…:assumed-role/NAME/SESSION`.
    pub arn: String,
    /// The account that the principal belongs to.
    pub account: String,
    /// The assumed role, as named in `AssumeRole`.
    pub role_arn: Option<String>,
}

impl Principal {
    fn root() -> Self {
        Self { arn: format!("arn:aws:iam::{ACCOUNT}:root"), account: ACCOUNT.to_owned(), role_arn: None }
    }
}

/// Why a request's credentials were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No `Authorization`.
    Missing,
    /// A key that nobody gave out, or a session token that is not the key's.
    Unknown,
    /// Temporary credentials after their end.
    Expired,
    /// The signature was made with another secret.
    BadSignature,
}

/// What the local AWS knows of one key.
#[derive(Clone, Debug)]
pub(crate) struct KnownKey {
    pub(crate) secret_access_key: String,
    pub(crate) principal: Principal,
    session: Option<(String, SystemTime)>,
}

/// Every key that was given out.
#[derive(Debug)]
pub(crate) struct Keys {
    known: Mutex<HashMap<String, KnownKey>>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let known = [TEST_KEY, HARNESS_KEY].map(|key| {
            let secret_access_key = key.secret_access_key.to_owned();
            (
                key.access_key_id.to_owned(),
                KnownKey { secret_access_key, principal: Principal::root(), session: None },
            )
        });
        Self { known: Mutex::new(HashMap::from(known)) }
    }

    /// Remember temporary credentials that the local AWS is about to hand out.
    pub(crate) fn learn(&self, credentials: &SessionCredentials, principal: Principal) {
        let session = Some((credentials.session_token.clone(), credentials.expiration));
        let key = KnownKey { secret_access_key: credentials.secret_access_key.clone(), principal, session };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(credentials.access_key_id.clone(), key);
    }

    /// The key, if it is one of ours.
    pub(crate) fn get(&self, access_key_id: &str) -> Option<KnownKey> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(access_key_id).cloned()
    }
}

impl KnownKey {
    /// Whether the key may be used at `now` with this session token.
    pub(crate) fn check_session(&self, token: Option<&str>, now: SystemTime) -> Result<(), Refusal> {
        match (&self.session, token) {
            (None, None) => Ok(()),
            (Some((expected, expiration)), Some(token)) if expected == token => {
                if *expiration <= now {
                    Err(Refusal::Expired)
                } else {
                    Ok(())
                }
            }
            _ => Err(Refusal::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn temporary_credentials_need_their_token_and_end() {
        let keys = Keys::new();
        let end = UNIX_EPOCH + Duration::from_secs(100);
        let credentials = SessionCredentials {
            access_key_id: "ASIA".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: "token".to_owned(),
            expiration: end,
        };
        keys.learn(&credentials, Principal::root());
        let key = keys.get("ASIA").unwrap();
        let before = end - Duration::from_secs(1);
        assert_eq!(key.check_session(Some("token"), before), Ok(()));
        assert_eq!(key.check_session(None, before), Err(Refusal::Unknown));
        assert_eq!(key.check_session(Some("other"), before), Err(Refusal::Unknown));
        assert_eq!(key.check_session(Some("token"), end), Err(Refusal::Expired));
        assert!(keys.get("AKIAUNKNOWN").is_none());
    }
}
