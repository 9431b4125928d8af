//! An OpenAPI document: its paths and components, each parsed when it is asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow};
use jsonschema::Validator;
use serde_json::Value;

use super::blocks::{self, Entries};

/// An OpenAPI 3.0 document.
pub struct Document {
    name: String,
    text: String,
    /// What all its paths begin with, from its first server.
    base: String,
    paths: Entries,
    /// Entries of `components`, keys as in a reference: `schemas/Thing`.
    components: Entries,
    cache: Mutex<Cache>,
}

/// What was needed until now.
#[derive(Default)]
struct Cache {
    /// By their path or key.
    parsed: HashMap<String, Arc<Value>>,
    /// By what they are for.
    validators: HashMap<String, Arc<Validator>>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A path of a document that fits one that was sent.
#[derive(Debug)]
pub(super) struct PathItem {
    /// As the document writes it.
    pub(super) template: String,
    /// What stands for its parameters, by their names.
    pub(super) parameters: Vec<(String, String)>,
    /// Its operations by their methods, in lower case.
    pub(super) value: Arc<Value>,
}

impl Document {
    /// Reads a document's YAML. `name` is what messages call it.
    ///
    /// # Errors
    /// It is no OpenAPI document.
    pub fn new(name: &str, text: String) -> Result<Self> {
        let top = blocks::entries(&text, 0..text.len(), 0);
        let part = |key: &str| {
            let found = top.get(key).cloned();
            found.with_context(|| format!("{name} has no `{key}`: is it an OpenAPI document?"))
        };
        let mut components = Entries::new();
        for (kind, kind_part) in blocks::entries(&text, part("components")?, 2) {
            for (component, entry) in blocks::entries(&text, kind_part, 4) {
                components.insert(format!("{kind}/{component}"), entry);
            }
        }
        let base = match top.get("servers") {
            Some(servers) => {
                let servers = blocks::value(&text, servers.clone())?;
                servers[0]["url"]
                    .as_str()
                    .unwrap_or_default()
                    .trim_end_matches('/')
                    .to_owned()
            }
            None => String::new(),
        };
        Ok(Self {
            name: name.to_owned(),
            base,
            paths: blocks::entries(&text, part("paths")?, 2),
            components,
            cache: Mutex::default(),
            text,
        })
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path that fits one that was sent. One without parameters comes before one with them.
    pub(super) fn path_item(&self, sent: &str) -> Result<Option<PathItem>> {
        let Some(sent) = sent.strip_prefix(&self.base) else {
            return Ok(None);
        };
        let fitting = self
            .paths
            .keys()
            .filter_map(|template| Some((template, fits(template, sent)?)))
            .min_by_key(|(_, parameters)| parameters.len());
        let Some((template, parameters)) = fitting else {
            return Ok(None);
        };
        let value = self.parsed(template, &self.paths)?;
        Ok(Some(PathItem {
            template: template.clone(),
            parameters,
            value,
        }))
    }

    /// What a reference such as `#/components/schemas/Thing` points at.
    pub(super) fn referred(&self, reference: &str) -> Result<Arc<Value>> {
        let key = reference.strip_prefix("#/components/");
        let key = key.with_context(|| format!("{}: cannot follow the reference {reference}", self.name))?;
        self.parsed(key, &self.components)
    }

    /// The value, or what it points at if it is a reference.
    pub(super) fn resolved(&self, value: &Value) -> Result<Arc<Value>> {
        match value["$ref"].as_str() {
            Some(reference) => self.referred(reference),
            None => Ok(Arc::new(value.clone())),
        }
    }

    /// The validator that was made for this purpose, or is made now.
    pub(super) fn validator(&self, purpose: &str, make: impl FnOnce() -> Result<Validator>) -> Result<Arc<Validator>> {
        if let Some(known) = self.cache().validators.get(purpose) {
            return Ok(Arc::clone(known));
        }
        // Not under the lock, which `make` needs too.
        let made = Arc::new(make().with_context(|| format!("{}: {purpose}", self.name))?);
        self.cache().validators.insert(purpose.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    fn parsed(&self, key: &str, entries: &Entries) -> Result<Arc<Value>> {
        if let Some(known) = self.cache().parsed.get(key) {
            return Ok(Arc::clone(known));
        }
        let entry = entries.get(key).ok_or_else(|| anyhow!("{} has no {key}", self.name))?;
        let value = blocks::value(&self.text, entry.clone()).with_context(|| format!("{}: {key}", self.name))?;
        let value = Arc::new(value);
        self.cache().parsed.insert(key.to_owned(), Arc::clone(&value));
        Ok(value)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of a template's parameters, if what was sent fits it.
fn fits(template: &str, sent: &str) -> Option<Vec<(String, String)>> {
    let (mut wanted, mut given) = (template.split('/'), sent.split('/'));
    let mut parameters = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) if !given.is_empty() => parameters.push((name.to_owned(), given.to_owned())),
                None if wanted == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_its_template() {
        let values =
            |template, sent| fits(template, sent).map(|found| found.into_iter().map(|(_, value)| value).collect());
        assert_eq!(values("/things/", "/things/"), Some(vec![]));
        assert_eq!(values("/things/{id}/", "/things/7/"), Some(vec!["7".to_owned()]));
        assert_eq!(values("/things/{id}/", "/things/7"), None, "the slash at the end");
        assert_eq!(values("/things/{id}/", "/things//"), None, "an empty parameter");
        assert_eq!(values("/things/{id}/", "/things/7/parts/"), None, "one too many");
    }

    #[test]
    fn a_literal_path_comes_before_a_template() -> Result<()> {
        let text = "servers:\n- url: /api/v1\npaths:\n  /things/{id}/:\n    get: {}\n  /things/new/:\n    get: {}\ncomponents:\n  schemas:\n";
        let document = Document::new("test", text.to_owned())?;
        let template = |sent| anyhow::Ok(document.path_item(sent)?.map(|item| item.template));
        assert_eq!(template("/api/v1/things/new/")?.as_deref(), Some("/things/new/"));
        assert_eq!(template("/api/v1/things/old/")?.as_deref(), Some("/things/{id}/"));
        assert_eq!(template("/things/old/")?, None, "without the server's path");
        Ok(())
    }

    #[test]
    fn something_else_is_no_document() {
        let refused = Document::new("test", "a: 1\n".to_owned())
            .map(|_| ())
            .map_err(|error| error.to_string());
        assert_eq!(
            refused,
            Err("test has no `components`: is it an OpenAPI document?".to_owned())
        );
    }
}
