//! What operators of the operator see: logs, metrics, health.

pub mod health;
pub mod logs;
pub mod metrics;
pub mod server;
