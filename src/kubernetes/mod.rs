//! Kubernetes: the client with its bounds, watches that mend themselves, Events.

pub mod client;
pub mod events;
pub mod finalizer;
pub mod streams;
