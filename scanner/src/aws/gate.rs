//! The gate that every request passes: it counts attempts and stops what was not asked for by name.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use scanner_policy::Call;

tokio::task_local! {
    /// The call under whose name the current request is sent.
    pub(super) static CALL: Call;
}

/// Sits in every client as an interceptor.
#[derive(Debug, Default)]
pub(super) struct Gate {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Gate {
    /// HTTP requests sent so far, by action.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The interceptor: the SDK wants to own one.
#[derive(Clone, Debug)]
pub(super) struct GateInterceptor(pub(super) std::sync::Arc<Gate>);

impl Intercept for GateInterceptor {
    fn name(&self) -> &'static str {
        "Gate"
    }

    fn modify_before_serialization(
        &self,
        _context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = action_name(config)?;
        match CALL.try_with(|call| call.name()) {
            Ok(name) if name == request => Ok(()),
            Ok(name) => Err(format!("{request} was about to be sent under the name of {name}").into()),
            Err(_) => Err(format!("{request} was about to be sent outside the policy's table").into()),
        }
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = action_name(config)?;
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(request).or_default();
        *count = count.saturating_add(1);
        Ok(())
    }
}

/// The IAM name of the request at hand: for all services here, actions are named like their requests, and the services
/// like their own names in one word.
fn action_name(config: &ConfigBag) -> Result<String, BoxError> {
    let metadata = config.load::<Metadata>().ok_or("the request has no name")?;
    let service = metadata.service().replace(' ', "").to_ascii_lowercase();
    Ok(format!("{service}:{}", metadata.name()))
}
