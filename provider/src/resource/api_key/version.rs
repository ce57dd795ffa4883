//! The ids of versions that Terraform writes. They carry the number that the user gave, so that an import knows it, and
//! something random, so that a request whose answer was lost is recognised.

use uuid::Uuid;

use crate::sdk::Value;

/// What they begin with.
const PREFIX: &str = "terraform-";

/// A new id. Secrets Manager takes 32 to 64 characters (`ClientRequestToken` of `PutSecretValue`); this has 44 to 52.
pub(super) fn new_id(number: &Value<i64>) -> String {
    format!("{PREFIX}{}-{}", number.get().copied().unwrap_or(1), Uuid::new_v4().simple())
}

/// The number in an id, if Terraform wrote it.
pub(super) fn number(id: &str) -> Option<i64> {
    let (number, random) = id.strip_prefix(PREFIX)?.split_once('-')?;
    Uuid::try_parse(random).ok()?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_number() {
        for given in [1, 999_999_999] {
            let id = new_id(&Value::Known(given));
            assert_eq!(number(&id), Some(given));
            assert!((32..=64).contains(&id.len()), "{id}");
            assert_ne!(id, new_id(&Value::Known(given)));
        }
    }

    #[test]
    fn other_ids_have_none() {
        for id in ["", "terraform-1", "terraform-1-x", "0d2c9a3e-7b1f-4a52-9a3e-7b1f4a529a3e"] {
            assert_eq!(number(id), None, "{id}");
        }
    }
}
