//! The roots that the operator's own system trusts, for applications that ask for them (`caBundle: WithSystemRoots`).

use std::sync::{Arc, LazyLock};

use crate::domain::pem::CaBundle;

/// Read once: what the image trusts changes with the image.
static SYSTEM: LazyLock<Option<CaBundle>> = LazyLock::new(|| {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "some of the system's CA certificates cannot be read");
    }
    CaBundle::from_der(loaded.certs.iter().map(AsRef::as_ref))
});

/// `bundle` with the system's roots, in PEM; empty where the system has none, because then nobody could tell what is missing.
pub fn with_system_roots(bundle: Option<&CaBundle>) -> Arc<str> {
    let all = SYSTEM.clone().map(|system| match bundle {
        Some(bundle) => system.with(bundle.clone()),
        None => system,
    });
    all.map(|all| all.to_pem()).unwrap_or_default().into()
}
