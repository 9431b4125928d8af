//! Environments that all tests of one binary share: started by the first that asks, ended with the process.
//!
//! A static is never dropped, so the end is the business of `watchdog.sh` and `janitor.sh`. What is here is not tied to the
//! runtime of the test that started it.

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::control_plane::{ControlPlane, Options};
use crate::dex::{Dex, DexOptions};
use crate::keycloak::{Keycloak, KeycloakOptions};

/// The control plane of this process, with kube-controller-manager. Tests keep to namespaces of their own
/// ([`ControlPlane::namespace`]) and must neither stop nor freeze it.
///
/// # Errors
/// As [`ControlPlane::start`]; the next caller tries again.
pub async fn control_plane() -> Result<&'static ControlPlane> {
    static CELL: OnceCell<ControlPlane> = OnceCell::const_new();
    CELL.get_or_try_init(|| {
        ControlPlane::start(Options {
            name: "shared-control-plane".to_owned(),
            ..Options::default()
        })
    })
    .await
}

/// The Dex of this process, with memory storage. Tests must neither stop, restart nor freeze it.
///
/// # Errors
/// As [`Dex::start`]; the next caller tries again.
pub async fn dex() -> Result<&'static Dex> {
    static CELL: OnceCell<Dex> = OnceCell::const_new();
    CELL.get_or_try_init(|| {
        Dex::start(DexOptions {
            name: "shared-dex".to_owned(),
            ..DexOptions::default()
        })
    })
    .await
}

/// The Keycloak of the test run (`with-keycloak`), or else one of this process, with memory storage. Tests keep to realms of
/// their own ([`Keycloak::realm`]) and must neither stop, restart nor freeze it; with that of the run they cannot.
///
/// # Errors
/// As [`Keycloak::borrowed`] and [`Keycloak::start`]; the next caller tries again.
pub async fn keycloak() -> Result<&'static Keycloak> {
    static CELL: OnceCell<Keycloak> = OnceCell::const_new();
    CELL.get_or_try_init(async || match Keycloak::borrowed()? {
        Some(keycloak) => Ok(keycloak),
        None => {
            Keycloak::start(KeycloakOptions {
                name: "shared-keycloak".to_owned(),
                lasting: true,
                ..KeycloakOptions::default()
            })
            .await
        }
    })
    .await
}
