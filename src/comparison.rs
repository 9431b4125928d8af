//! `oidc-operator comparison`: what each backend can do, as the page docs/backends.md. From the models that plans ask, so that the page
//! cannot say anything else than the code.

use std::{collections::BTreeSet, fmt::Write as _, fs, io::Write as _};

use anyhow::{Context as _, Result};

use crate::{
    cli::ComparisonArgs,
    domain::{
        Capabilities, Model, Support,
        model::{DriftDetection, RotationCapability},
    },
    idp::{
        by_hand::ByHandModel,
        dex::{DexModel, DexStorageModel, config::DexConfigModel},
        keycloak::KeycloakModel,
        memory::Like,
        registration::RegistrationModel,
    },
};

const HEAD: &str = "# Backends compared

Generated from the code by `make crds`. Do not edit. What a provider of yours can do stands in its `status.capabilities`, in the same words.

";

const FOOT: &str = "
- **A new secret**: `Overlap`: old and new are both valid for a while. `Atomic`: one write replaces it. `Recreate`: the client is deleted and made
  again. `Manual`: not by the operator. With Keycloak `Overlap` is found out ([rotation](rotation.md)).
- **Changes by hand**: `Resync`: found each `resyncInterval`, and undone. `Watch`: at once. `None`: not found.
- **All in one list**: a resync costs a list, not a request for each client.
- **A field**: *client*: the provider holds it for each client. *provider*: it is set there once, for all clients. *no*: the provider does not have it,
  or cannot be told. Whether it is refused then, or taken and not enforced, the page of the provider says; `status.enforcement` does for each client.
";

/// The page.
pub fn page() -> String {
    // Its model is the same whatever the settings.
    let authentik = Like::Authentik.model();
    let backends: [(&str, &dyn Model); 7] = [
        ("[Keycloak](keycloak.md)", &KeycloakModel::new("")),
        ("[authentik](authentik.md)", authentik.as_ref()),
        ("[Dex, gRPC](dex.md)", &DexModel),
        (
            "[Dex, Kubernetes storage](dex.md#dex-by-its-kubernetes-storage)",
            &DexStorageModel,
        ),
        ("[Dex, configuration](dex-config.md)", &DexConfigModel),
        ("[Dynamic registration](dynamic-registration.md)", &RegistrationModel),
        ("[Static](static.md)", &ByHandModel),
    ];
    let all: Vec<Capabilities> = backends.iter().map(|(_, model)| model.capabilities()).collect();
    let mut page = HEAD.to_owned();
    let mut row = |name: &str, cells: Vec<String>| {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {name} | {} |", cells.join(" | "));
    };
    let each = |cell: &dyn Fn(&Capabilities) -> &'static str| all.iter().map(|one| cell(one).to_owned()).collect();
    row("", backends.iter().map(|(name, _)| (*name).to_owned()).collect());
    row("---", vec!["---".to_owned(); backends.len()]);
    row("a new secret", each(&|one| rotation(one.rotation)));
    row("changes by hand", each(&|one| drift(one.drift)));
    row("all in one list", each(&|one| if one.bulk_list { "yes" } else { "no" }));
    let fields: BTreeSet<&String> = all.iter().flat_map(|one| one.fields.keys()).collect();
    for field in fields {
        row(
            &format!("`{field}`"),
            each(&|one| support(one.fields.get(field).copied())),
        );
    }
    page + FOOT
}

fn rotation(capability: RotationCapability) -> &'static str {
    match capability {
        RotationCapability::Overlap => "Overlap",
        RotationCapability::Atomic => "Atomic",
        RotationCapability::Recreate => "Recreate",
        RotationCapability::Manual => "Manual",
    }
}

fn drift(detection: DriftDetection) -> &'static str {
    match detection {
        DriftDetection::Resync => "Resync",
        DriftDetection::Watch => "Watch",
        DriftDetection::None => "None",
    }
}

/// A field that a model does not name is one that its provider does not have.
fn support(support: Option<Support>) -> &'static str {
    match support {
        Some(Support::PerClient) => "client",
        Some(Support::ProviderWide) => "provider",
        Some(Support::Unsupported) | None => "no",
    }
}

/// Writes the page into the file of `args`, or to standard output.
///
/// # Errors
/// When the file cannot be written.
pub fn write(args: &ComparisonArgs) -> Result<()> {
    match &args.output {
        Some(path) => fs::write(path, page()).with_context(|| format!("cannot write {}", path.display())),
        None => Ok(write!(std::io::stdout(), "{}", page())?),
    }
}
