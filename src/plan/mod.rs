//! Decides. Pure: no clock, no randomness, no IO; every input is in the [`Snapshot`].
//!
//! [`next`] looks at what is known and names the one thing to do now: look somewhere, carry out one [`Step`] (one
//! request), or stop with a [`Verdict`]. The executor carries it out, notes the answer in the snapshot and asks again,
//! so that every step may be the last one that ran and the next process goes on from what it finds. [`rehearse`] plays
//! the whole sequence against the snapshot alone and prints it as a diff.

pub mod certificates;
pub mod checks;
pub mod client;
pub mod conditions;
mod credentials;
pub mod deletion;
pub mod drafts;
mod effect;
pub mod existing;
pub mod outputs;
mod overlap;
pub mod provider;
mod publishing;
pub mod registration;
pub mod rehearsal;
pub mod resolve;
pub mod restarts;
pub mod retry;
pub mod schedule;
pub mod snapshot;
pub mod step;
pub mod verdict;

pub use client::next;
pub use rehearsal::{Plan, rehearse};
pub use snapshot::Snapshot;
pub use step::{Move, Need, Step};
pub use verdict::{Finding, Requeue, Verdict};
