//! The service: `agentless-scanner run`.
//!
//! [`service`] says what is done again and again, whoever answers, and [`ending`] how that ends; [`cloud`] is AWS as it needs it.
//! [`run`] makes all parts of the configuration and joins them. What knows nothing of AWS is in the crate `agentless_service`.

#[cfg(test)]
mod clock;
pub mod cloud;
pub mod control;
pub mod discovery;
pub mod ending;
mod figures;
pub mod inventory;
pub mod life;
mod reload;
pub mod run;
pub mod running;
pub mod service;
#[cfg(test)]
mod simulation;
pub mod sinks;
pub mod sweep;
pub mod tasks;
pub mod world;
