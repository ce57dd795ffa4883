//! Where secrets come from: the settings themselves, AWS Secrets Manager, or a program of the user's.
//!
//! All of them are fetched at once, before the service starts and whenever its configuration is read again. One that cannot
//! be had fails everything: a sink without its key would only fail later, and more quietly.

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

pub use self::program::ProgramError;

use crate::secret::{Secret, SecretValue, is_secrets_manager_arn};
use crate::settings::{SecretBackend, Settings};

/// A store of secrets by ARN: AWS Secrets Manager.
pub trait SecretStore {
    /// Fetches a secret. The error says why it cannot be had.
    fn get(&self, arn: &str) -> impl Future<Output = Result<Secret, String>> + Send;
}

/// Secrets by their handles.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<String, Secret>);

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Secrets Manager does not give it.
    #[error("could not fetch the secret ENC[{handle}] from Secrets Manager: {reason}")]
    Store {
        /// The ARN.
        handle: String,
        /// Why not.
        reason: String,
    },
    /// The program does not give it.
    #[error("could not fetch {handles} with {}", command.display())]
    Program {
        /// The secrets that it was asked for, each as `ENC[…]`.
        handles: String,
        /// The program.
        command: std::path::PathBuf,
        /// Why not.
        source: ProgramError,
    },
    /// There is no program that could be asked.
    #[error(
        "the secret ENC[{handle}] is no ARN of Secrets Manager, and there is no secret_backend_command to ask for it"
    )]
    NoProgram {
        /// The handle.
        handle: String,
    },
    /// It was not among those that were fetched.
    #[error("the secret ENC[{handle}] was not fetched when the configuration was read")]
    NotFetched {
        /// The handle.
        handle: String,
    },
}

impl Secrets {
    /// Fetches every secret that the settings name.
    pub async fn fetch(settings: &Settings, store: &impl SecretStore) -> Result<Self, SecretError> {
        let values = settings.secrets().map(|(_, value)| value);
        Self::fetch_values(values, settings.secret_backend.as_ref(), store).await
    }

    /// Fetches those of these values that are handles, each once.
    pub async fn fetch_values(
        values: impl IntoIterator<Item = &SecretValue>,
        program: Option<&SecretBackend>,
        store: &impl SecretStore,
    ) -> Result<Self, SecretError> {
        let handles: BTreeSet<&str> = values.into_iter().filter_map(SecretValue::handle).collect();
        let (arns, others): (Vec<_>, Vec<_>) =
            handles.into_iter().partition(|handle| is_secrets_manager_arn(handle));
        let mut secrets = BTreeMap::new();
        if let Some(first) = others.first() {
            let Some(backend) = program else {
                return Err(SecretError::NoProgram { handle: (*first).to_owned() });
            };
            let fetched = program::fetch(backend, &others).await.map_err(|source| SecretError::Program {
                handles: others.iter().map(|handle| format!("ENC[{handle}]")).collect::<Vec<_>>().join(", "),
                command: backend.command.clone(),
                source,
            })?;
            secrets.extend(fetched);
        }
        for arn in arns {
            let failed = |reason| SecretError::Store { handle: arn.to_owned(), reason };
            let secret = store.get(arn).await.map_err(failed)?;
            if secret.expose().is_empty() {
                return Err(failed("it is empty".to_owned()));
            }
            secrets.insert(arn.to_owned(), secret);
        }
        Ok(Self(secrets))
    }

    /// The secret that a setting is or names.
    pub fn get<'a>(&'a self, value: &'a SecretValue) -> Result<&'a Secret, SecretError> {
        match value {
            SecretValue::Plain(secret) => Ok(secret),
            SecretValue::Handle(handle) => {
                self.0.get(handle).ok_or_else(|| SecretError::NotFetched { handle: handle.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that has one secret.
    struct One;

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key";

    impl SecretStore for One {
        async fn get(&self, arn: &str) -> Result<Secret, String> {
            match arn {
                ARN => Ok(Secret::new("hunter2".to_owned())),
                _ if arn.ends_with(":empty") => Ok(Secret::new(String::new())),
                _ => Err("there is none".to_owned()),
            }
        }
    }

    async fn fetch(texts: &[&str]) -> Result<(Secrets, Vec<SecretValue>), String> {
        let values: Vec<_> = texts.iter().map(|text| SecretValue::parse(text)).collect();
        let secrets = Secrets::fetch_values(&values, None, &One).await.map_err(|error| error.to_string())?;
        Ok((secrets, values))
    }

    #[tokio::test]
    async fn arns_are_fetched_and_plain_values_are_there() {
        let (secrets, values) = fetch(&["plain", &format!("ENC[{ARN}]")]).await.unwrap();
        let got: Vec<_> = values.iter().map(|value| secrets.get(value).unwrap().expose()).collect();
        assert_eq!(got, ["plain", "hunter2"]);
        assert!(!format!("{secrets:?}").contains("hunter2"));
        let error = secrets.get(&SecretValue::parse("ENC[other]")).unwrap_err().to_string();
        assert!(error.contains("ENC[other]"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_had_is_named() {
        for (text, expected) in [
            (format!("ENC[{ARN}2]"), format!("ENC[{ARN}2] from Secrets Manager: there is none")),
            (format!("ENC[{ARN}:empty]"), "it is empty".to_owned()),
            ("ENC[handle]".to_owned(), "ENC[handle] is no ARN of Secrets Manager".to_owned()),
        ] {
            let error = fetch(&["plain", &text]).await.unwrap_err();
            assert!(error.contains(&expected), "{error}");
        }
    }
}
