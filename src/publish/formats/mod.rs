//! Ready-made sets of keys, one file a format. What applications expect to find: docs/outputs.md.

mod default;
mod dploy;
mod env;
mod oauth2_proxy;
mod openshift;
mod qualytics;

use super::{Values, generate::Shape};
use crate::api::client::{OutputFormat, Outputs};

/// Keys and their values, in no order. Empty values write no key.
pub type Entries = Vec<(&'static str, String)>;

/// One format.
pub trait Format {
    /// The key under which the Secret holds the client secret.
    fn secret_key(&self) -> &'static str;

    /// The key under which it holds the private key of a client that has one; `None`: no application that reads this format can use
    /// one.
    fn private_key_key(&self) -> Option<&'static str> {
        None
    }

    /// As in `outputs.formats`.
    fn name(&self) -> &'static str;

    /// Keys of the Secret.
    fn secret(&self, values: &Values<'_>) -> Entries;

    /// Keys of the ConfigMap, beside the CA bundle.
    fn config_map(&self, values: &Values<'_>) -> Entries;

    /// What the operator makes up for it.
    fn generates(&self) -> &'static [(&'static str, Shape)] {
        &[]
    }
}

/// The formats that a spec asks for; `default` unless it says so.
pub fn chosen(spec: Option<&Outputs>) -> Vec<&'static dyn Format> {
    spec.and_then(|outputs| outputs.formats.as_deref())
        .unwrap_or(&[OutputFormat::Default])
        .iter()
        .map(|format| of(*format))
        .collect()
}

fn of(format: OutputFormat) -> &'static dyn Format {
    match format {
        OutputFormat::Default => &default::Default,
        OutputFormat::Env => &env::Env,
        OutputFormat::Oauth2Proxy => &oauth2_proxy::Oauth2Proxy,
        OutputFormat::Dploy => &dploy::Dploy,
        OutputFormat::Qualytics => &qualytics::Qualytics,
        OutputFormat::Openshift => &openshift::Openshift,
    }
}

fn optional(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}
