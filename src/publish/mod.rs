//! Renders what applications find: the data of the output Secret and of the output ConfigMap. Pure.
//!
//! Empty values write no key. The formats and whom they serve: docs/outputs.md.

pub mod formats;
pub mod generate;
pub mod templates;
mod values;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

pub use generate::Generated;
pub use templates::TemplateError;
pub use values::{DEFAULT_MOUNT_PATH, Values};

use crate::{
    api::{
        client::{CaBundlePolicy, Outputs, Template},
        common::CA_BUNDLE_KEY,
    },
    domain::{ClientSecret, DesiredClient, ProviderFacts, vocabulary::KEY_CLIENT_SECRET},
};

/// Data of an output, sorted by key.
pub type Data = BTreeMap<String, Vec<u8>>;

/// Most that an output may hold, keys and values together, in bytes: what Kubernetes takes in a Secret or a ConfigMap.
pub const MAX_DATA: usize = 1024 * 1024;

/// What outputs are made of.
#[derive(Clone, Copy)]
pub struct Material<'a> {
    /// The client that the spec wants.
    pub desired: &'a DesiredClient,
    /// What the application must ask for.
    pub requested_scopes: &'a [String],
    /// What is known of the provider.
    pub facts: &'a ProviderFacts,
    /// `spec.outputs`.
    pub spec: Option<&'a Outputs>,
    /// The client secret, or the private key, where there is one.
    pub secret: Option<&'a ClientSecret>,
    /// Values that the operator made up.
    pub generated: &'a Generated,
}

/// Why an output cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderError {
    /// A template cannot be used.
    Template {
        /// The list that it stands in.
        field: &'static str,
        /// Its key.
        key: String,
        /// Why.
        error: TemplateError,
    },
    /// A key is taken by a format.
    KeyTaken {
        /// The list that it stands in.
        field: &'static str,
        /// The key.
        key: String,
    },
    /// A format has no place for a private key, and the client has no secret.
    NeedsSecret {
        /// The format.
        format: &'static str,
    },
    /// It holds more than Kubernetes takes.
    TooLarge {
        /// Secret or ConfigMap.
        kind: &'static str,
        /// Its size in bytes.
        size: usize,
    },
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template { field, key, error } => {
                write!(f, "spec.{field}, key {key}: {error}. Correct the template")
            }
            Self::KeyTaken { field, key } => write!(
                f,
                "spec.{field}: key {key} is written by one of spec.outputs.formats, which cannot be overridden. Choose another key"
            ),
            Self::NeedsSecret { format } => write!(
                f,
                "spec.outputs.formats: {format} is for applications that authenticate with a client secret, and tokenEndpointAuthMethod is private_key_jwt. Use the format default or env, or another method"
            ),
            Self::TooLarge { kind, size } => write!(
                f,
                "The {kind} would hold {size} bytes; Kubernetes takes {MAX_DATA}. Use fewer or smaller templates under spec.outputs, or caBundle IssuerOnly"
            ),
        }
    }
}

/// The key under which the output Secret holds the client secret, or the private key where the client has one.
pub fn secret_key(spec: Option<&Outputs>, desired: &DesiredClient) -> &'static str {
    let key = |format: &&dyn formats::Format| {
        if desired.has_key() {
            format.private_key_key()
        } else {
            Some(format.secret_key())
        }
    };
    let formats = formats::chosen(spec);
    formats.first().and_then(key).unwrap_or(KEY_CLIENT_SECRET)
}

/// The data of the Secret. A public client gets no client secret.
///
/// # Errors
/// A template cannot be used, a key is taken, a format cannot serve the client, or it is too large.
pub fn secret(material: &Material<'_>) -> Result<Data, RenderError> {
    let values = Values::new(material);
    let mut data = Data::new();
    for format in formats::chosen(material.spec) {
        if material.desired.has_key() && format.private_key_key().is_none() {
            return Err(RenderError::NeedsSecret { format: format.name() });
        }
        put(&mut data, format.secret(&values));
    }
    let spec = material.spec.and_then(|outputs| outputs.secret.as_ref());
    for value in spec.and_then(|secret| secret.generate.as_ref()).into_iter().flatten() {
        own(
            &mut data,
            "outputs.secret.generate",
            &value.key,
            values.generated(&value.key),
        )?;
    }
    let templates = spec.and_then(|secret| secret.templates.as_deref()).unwrap_or_default();
    let field = "outputs.secret.templates";
    render(&mut data, field, templates, &values, templates::Target::Secret)?;
    fits("Secret", data)
}

/// The data of the ConfigMap.
///
/// # Errors
/// A template cannot be used, a key is taken, or it is too large.
pub fn config_map(material: &Material<'_>) -> Result<Data, RenderError> {
    let values = Values::new(material);
    let mut data = Data::new();
    put(&mut data, vec![(CA_BUNDLE_KEY, values.ca_pem.to_owned())]);
    for format in formats::chosen(material.spec) {
        put(&mut data, format.config_map(&values));
    }
    let spec = material.spec.and_then(|outputs| outputs.config_map.as_ref());
    let templates = spec.and_then(|map| map.templates.as_deref()).unwrap_or_default();
    let field = "outputs.configMap.templates";
    render(&mut data, field, templates, &values, templates::Target::ConfigMap)?;
    fits("ConfigMap", data)
}

/// The CA certificates that applications are given, in PEM; empty: public roots do.
pub fn ca_bundle(facts: &ProviderFacts, policy: CaBundlePolicy) -> &str {
    match policy {
        CaBundlePolicy::IssuerOnly => &facts.ca_bundle,
        CaBundlePolicy::WithSystemRoots => &facts.ca_bundle_with_system_roots,
    }
}

fn put(data: &mut Data, entries: formats::Entries) {
    for (key, value) in entries {
        if !value.is_empty() {
            data.insert(key.to_owned(), value.into_bytes());
        }
    }
}

fn render(
    data: &mut Data,
    field: &'static str,
    templates: &[Template],
    values: &Values<'_>,
    target: templates::Target,
) -> Result<(), RenderError> {
    for template in templates {
        let text = templates::render(&template.value, values, target).map_err(|error| RenderError::Template {
            field,
            key: template.key.clone(),
            error,
        })?;
        own(data, field, &template.key, &text)?;
    }
    Ok(())
}

/// A key of the user's own.
fn own(data: &mut Data, field: &'static str, key: &str, value: &str) -> Result<(), RenderError> {
    if data.contains_key(key) {
        return Err(RenderError::KeyTaken {
            field,
            key: key.to_owned(),
        });
    }
    if !value.is_empty() {
        data.insert(key.to_owned(), value.as_bytes().to_vec());
    }
    Ok(())
}

fn fits(kind: &'static str, data: Data) -> Result<Data, RenderError> {
    let size = data.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > MAX_DATA {
        return Err(RenderError::TooLarge { kind, size });
    }
    Ok(data)
}

/// Values of a Helm chart. Maps of text always serialize.
fn yaml(values: &impl Serialize) -> String {
    serde_yaml::to_string(values).unwrap_or_default()
}
