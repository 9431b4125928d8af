//! Kubernetes: the client with its bounds, watches that mend themselves, Events.

pub mod client;
pub mod events;
pub mod finalizer;
pub mod objects;
pub mod streams;
#[cfg(test)]
mod testing;
pub mod watch;
