//! Tests of the harness itself: what the other tests stand on.

mod control_plane;
mod dex;
mod keycloak;
mod own_authentik;
mod process;
mod proxy;
mod record;
