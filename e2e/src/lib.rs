//! Real parts for the tests, the demo and the benchmark: a Kubernetes control plane, Dex, Keycloak, a stand-in for authentik,
//! the operator itself, a browserless login, a browser and
//! applications to log into with it, and the faults between them. Everything listens on free loopback ports and ends with the process that
//! started it.
//!
//! ```no_run
//! use oidc_operator_e2e::{case, shared};
//!
//! // With `#[tokio::test]` above it:
//! async fn namespaces_can_be_listed() {
//!     case::run(async {
//!         let cluster = shared::control_plane().await?;
//!         cluster.kubectl()?.run(["get", "namespaces"]).await?;
//!         Ok(())
//!     })
//!     .await;
//! }
//! ```
//!
//! How the parts hang together:
//!
//! ```text
//!  tools (which binary) -> process (runs it, ends it) -> control_plane, dex, keycloak, operator
//!  ports, pki, workdir  (where and with which keys)   -> audit, kubectl, login, proxy, http_proxy (what a test asks and breaks)
//!  openapi (exchanges against a document)             -> authentik_schema (the documents of authentik's releases)
//!  applications (what people log into) -> pod (what a kubelet does), browser (how they do it)
//!  record (what a whole run told, and whether a secret stands in it)
//!  authentik_api (a server as anybody with a token sees it, the stand-in or a real one)
//! ```

pub mod applications;
pub mod audit;
pub mod authentik;
pub mod authentik_api;
pub mod authentik_schema;
pub mod browser;
pub mod case;
pub mod control_plane;
pub mod dex;
pub mod http;
pub mod http_proxy;
pub mod install;
pub mod keycloak;
pub mod kubectl;
pub mod login;
pub mod openapi;
pub mod operator;
pub mod pki;
pub mod pod;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod random;
pub mod record;
pub mod scene;
pub mod shared;
pub mod tools;
pub mod verify;
pub mod wait;
pub mod workdir;
