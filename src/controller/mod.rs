//! The loop: gather, plan, execute, report; once for providers, once for clients.
//!
//! | file | what |
//! |---|---|
//! | `context` | what every pass holds |
//! | `lock` | locks of plain data |
//! | `index` | which clients belong to which provider |
//! | `registry`, `metered` | what this process knows of each provider, and the bulkhead around its admin API |
//! | `connect` | from a provider's spec and the objects it refers to, to a driver |
//! | `provider`, `client` | one pass over one object |
//! | `gather` | IO in |
//! | `execute` | IO out: one request a step |
//! | `workloads` | IO on workloads that follow the outputs |
//! | `report` | status, only on change; Events |
//! | `pass` | from the queue to one pass: permit, deadline, when to look again |
//! | `unreadable` | objects that this version cannot read |
//! | `follow`, `triggers` | watches, stores, and who is woken by what |
//! | `run` | start, queues, end |

pub mod client;
pub mod connect;
pub mod context;
pub mod drift_watch;
pub mod execute;
pub mod follow;
pub mod gather;
pub mod index;
mod lock;
pub mod metered;
pub mod pass;
pub mod provider;
pub mod registrations;
pub mod registry;
pub mod remotes;
pub mod report;
pub mod run;
pub mod triggers;
pub mod unreadable;
mod workloads;
