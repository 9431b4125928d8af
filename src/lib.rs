//! Provisions OIDC clients in identity providers from two Kubernetes resources.
//!
//! ```text
//! watch -> gather (IO in) -> plan (pure) -> execute (IO out, one request a step) -> report
//!
//! api      the two custom resources              domain   what a client is; marks, secrets, the Model contract
//! plan     decides; prints as a diff             publish  renders Secrets and ConfigMaps
//! idp      one driver a folder, one trait        controller  the loop
//! kubernetes  streams, writes, Events            telemetry   logs, metrics, health
//! verify   the whole way of one client, for people
//! ```

pub mod api;
pub mod cli;
pub mod comparison;
pub mod controller;
pub mod crds;
pub mod domain;
pub mod idp;
pub mod kubernetes;
pub mod plan;
pub mod publish;
pub mod run;
pub mod telemetry;
pub mod verify;
