//! `openshift`: what `Authentication` and the console of OpenShift refer to in `openshift-config`.

use super::{Entries, Format};
use crate::publish::Values;

pub(super) struct Openshift;

const SECRET: &str = "clientSecret";

impl Format for Openshift {
    fn secret_key(&self) -> &'static str {
        SECRET
    }

    fn name(&self) -> &'static str {
        "openshift"
    }

    fn secret(&self, values: &Values<'_>) -> Entries {
        vec![(SECRET, values.client_secret.to_owned())]
    }

    // `ca-bundle.crt` is in every ConfigMap.
    fn config_map(&self, _values: &Values<'_>) -> Entries {
        Vec::new()
    }
}
