//! `oidc-operator crds`: the CRDs as YAML files.

use std::{fs, io::Write as _};

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::{api::crd, cli::CrdsArgs};

const HEADER: &str = "# Generated from src/api/ by `make crds`. Do not edit.\n";

/// One CRD as the file under `crds/` holds it.
///
/// # Errors
/// When the CRD cannot be written as YAML.
pub fn yaml(crd: &CustomResourceDefinition) -> Result<String> {
    Ok(format!("{HEADER}{}", serde_yaml::to_string(crd)?))
}

/// Writes the CRDs into the folder of `args`, or to standard output.
///
/// # Errors
/// When a file cannot be written.
pub fn write(args: &CrdsArgs) -> Result<()> {
    for (name, crd) in crd::all()? {
        let text = yaml(&crd)?;
        match &args.output {
            Some(folder) => {
                let path = folder.join(name);
                fs::create_dir_all(folder).with_context(|| format!("cannot make folder {}", folder.display()))?;
                fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            }
            None => write!(std::io::stdout(), "---\n{text}")?,
        }
    }
    Ok(())
}
