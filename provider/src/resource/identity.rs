//! What names a resource in AWS for good: account, region, and name or id; or an ARN, which has them all.

use scanner_policy::Region;

use crate::model;
use crate::sdk::{Diagnostic, Identity, Type, Value};

model! {
    /// The identity of what has a name of the user's choice.
    pub(super) struct Named {
        account_id: Value<String>,
        region: Value<String>,
        name: Value<String>,
    }

    /// The identity of what AWS gives an id.
    pub(super) struct Numbered {
        account_id: Value<String>,
        region: Value<String>,
        id: Value<String>,
    }

    /// The identity of what AWS takes no other name for than its ARN.
    pub(super) struct Addressed {
        arn: Value<String>,
    }
}

const ACCOUNT: &str = "The AWS account. Left out of an import, it is that of the credentials.";
const REGION: &str = "The AWS region. Left out of an import, it is the provider's.";

/// What a resource's identity is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    /// The ARN, which has the account.
    pub(super) arn: &'a Value<String>,
    /// The region.
    pub(super) region: &'a Value<String>,
    /// The name or id.
    pub(super) name: &'a Value<String>,
}

impl Parts<'_> {
    /// Account, region and name, once all are known.
    fn all(self) -> Option<[Value<String>; 3]> {
        let account = account_of(self.arn.as_str()?)?;
        Some([account.into(), self.region.as_str()?.into(), self.name.as_str()?.into()])
    }
}

/// The identity of what is named by account, region and `name`. `import` makes the state of a name and a region.
pub(super) fn by_name<M: 'static>(
    parts: fn(&M) -> Parts<'_>,
    import: fn(Value<String>, Value<String>) -> M,
    description: &'static str,
) -> Identity<M> {
    let of = move |model: &M| {
        parts(model).all().map(|[account_id, region, name]| Named { account_id, region, name })
    };
    Identity::new(of, move |identity: Named| Ok(import(identity.name, checked(identity.region)?)))
        .optional("account_id", Type::String, ACCOUNT)
        .optional("region", Type::String, REGION)
        .required("name", Type::String, description)
}

/// The same with an `id` that AWS has given.
pub(super) fn by_id<M: 'static>(
    parts: fn(&M) -> Parts<'_>,
    import: fn(Value<String>, Value<String>) -> M,
    description: &'static str,
) -> Identity<M> {
    let of = move |model: &M| {
        parts(model).all().map(|[account_id, region, id]| Numbered { account_id, region, id })
    };
    Identity::new(of, move |identity: Numbered| Ok(import(identity.id, checked(identity.region)?)))
        .optional("account_id", Type::String, ACCOUNT)
        .optional("region", Type::String, REGION)
        .required("id", Type::String, description)
}

/// The identity of what only its `arn` names for good. `import` makes the state of one.
pub(super) fn by_arn<M: 'static>(
    arn: fn(&M) -> &Value<String>,
    import: fn(&str) -> Result<M, Diagnostic>,
    description: &'static str,
) -> Identity<M> {
    let of = move |model: &M| Some(Addressed { arn: arn(model).as_str()?.into() });
    Identity::new(of, move |identity: Addressed| import(identity.arn.as_str().unwrap_or_default())).required(
        "arn",
        Type::String,
        description,
    )
}

/// The account in an ARN.
fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty())
}

fn checked(region: Value<String>) -> Result<Value<String>, Diagnostic> {
    if let Some(Err(error)) = region.as_str().map(str::parse::<Region>) {
        return Err(Diagnostic::caused_by("Invalid region in the identity", &error));
    }
    Ok(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::Raw;

    model! {
        struct Thing {
            arn: Value<String>,
            region: Value<String>,
            name: Value<String>,
        }
    }

    fn identity() -> Identity<Thing> {
        by_name(
            |thing: &Thing| Parts { arn: &thing.arn, region: &thing.region, name: &thing.name },
            |name, region| Thing { name, region, arn: Value::Null },
            "Name.",
        )
    }

    fn object<const N: usize>(attributes: [(&str, Raw); N]) -> Raw {
        Raw::Map(attributes.map(|(name, raw)| (name.to_owned(), raw)).into())
    }

    #[test]
    fn the_account_is_that_of_the_arn() {
        let thing = Thing {
            arn: "arn:aws-us-gov:iam::111122223333:role/security/scanner".into(),
            region: "us-gov-west-1".into(),
            name: "scanner".into(),
        };
        let expected = object([
            ("account_id", "111122223333".into()),
            ("region", "us-gov-west-1".into()),
            ("name", "scanner".into()),
        ]);
        assert_eq!(identity().of(&thing), Some(expected));
        assert_eq!(identity().of(&Thing { arn: Value::Null, ..thing }), None, "not made yet");
    }

    #[test]
    fn an_import_needs_a_name_and_may_have_a_region() {
        let given = |region: Raw| {
            identity().import(&object([("account_id", Raw::Null), ("region", region), ("name", "a".into())]))
        };
        assert_eq!(given(Raw::Null).unwrap().region, Value::Null);
        assert_eq!(given("eu-west-1".into()).unwrap().region, "eu-west-1".into());
        assert_eq!(given("moon".into()).unwrap_err().summary, "Invalid region in the identity");
    }
}
