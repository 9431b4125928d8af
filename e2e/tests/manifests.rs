//! The manifests that users apply: config/, its samples, and every example in the documentation, on a real API server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use oidc_operator_e2e::{
    case, control_plane::ControlPlane, kubectl::Kubectl, shared, tools, wait::eventually, workdir::WorkDir,
};
use serde::Deserialize as _;
use serde_json::Value;
use tokio::sync::OnceCell;

const OPERATOR: &str = "system:serviceaccount:oidc-operator-system:oidc-operator";

/// The shared control plane with `config/default` applied, as a user would.
async fn installed() -> Result<(&'static ControlPlane, Kubectl)> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let control_plane = shared::control_plane().await?;
    let kubectl = control_plane.kubectl()?;
    INSTALLED
        .get_or_try_init(async || {
            let applied = kubectl
                .output(["apply", "--server-side", "-k", "config/default"], "")
                .await?;
            ensure!(applied.success, "{}", applied.stderr);
            // Pod Security and deprecated APIs are warned of, not refused.
            ensure!(!applied.stderr.contains("Warning"), "{}", applied.stderr);
            kubectl
                .run(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])
                .await?;
            Ok(())
        })
        .await?;
    Ok((control_plane, kubectl))
}

fn documents(text: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Value::deserialize);
    let documents: Vec<Value> = documents.collect::<Result<_, _>>()?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// `Kind/name`, sorted.
fn contents(documents: &[Value]) -> Vec<String> {
    let name = |document: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text(&document["kind"]), text(&document["metadata"]["name"]))
    };
    let mut names: Vec<_> = documents.iter().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_default_installation_holds_all_it_needs_and_no_more() {
    case::run(async {
        let (_, kubectl) = installed().await?;
        let documents = documents(&kubectl.run(["kustomize", "config/default"]).await?)?;
        assert_eq!(
            contents(&documents),
            [
                "ClusterRole/oidc-operator",
                "ClusterRole/oidc-operator-client-editor",
                "ClusterRole/oidc-operator-client-viewer",
                "ClusterRoleBinding/oidc-operator",
                "CustomResourceDefinition/oidcclients.oidc-operator.io",
                "CustomResourceDefinition/oidcproviders.oidc-operator.io",
                "Deployment/oidc-operator",
                "Namespace/oidc-operator-system",
                "ServiceAccount/oidc-operator",
            ]
        );
        let again = kubectl.run(["diff", "--server-side", "-k", "config/default"]).await?;
        assert_eq!(again, "", "applied, and still different");
        Ok(())
    })
    .await;
}

/// `config/default` with a component beside it, as a user refers to both, with a checkout somewhere else.
async fn with_component(kubectl: &Kubectl, component: &str, patches: &str) -> Result<String> {
    let folder = WorkDir::new("kustomize")?;
    let up = "../".repeat(folder.path().canonicalize()?.components().count() - 1);
    let checkout = tools::repository().canonicalize()?;
    let checkout = format!("{up}{}", checkout.display().to_string().trim_start_matches('/'));
    let kustomization =
        format!("resources: [{checkout}/config/default]\ncomponents: [{checkout}/config/{component}]\n{patches}");
    folder.write("kustomization.yaml", kustomization)?;
    kubectl.run(["kustomize", &folder.path().display().to_string()]).await
}

/// What is not in `config/default` alone.
async fn added(kubectl: &Kubectl, with: &[Value]) -> Result<Vec<String>> {
    let without = documents(&kubectl.run(["kustomize", "config/default"]).await?)?;
    let mut names = contents(with);
    names.retain(|name| !contents(&without).contains(name));
    Ok(names)
}

/// Its first lines say how it is used, also with other names.
#[tokio::test]
async fn dex_by_its_configuration_has_a_component_for_its_rights() {
    case::run(async {
        let (_, kubectl) = installed().await?;
        let patches = "patches:
- target: {kind: Role|RoleBinding, name: oidc-operator-dex-config}
  patch: |
    - {op: replace, path: /metadata/namespace, value: sso}
";
        let with = documents(&with_component(&kubectl, "dex-config", patches).await?)?;
        let names = ["Role/oidc-operator-dex-config", "RoleBinding/oidc-operator-dex-config"];
        assert_eq!(added(&kubectl, &with).await?, names);
        for document in with
            .iter()
            .filter(|document| document["metadata"]["name"] == "oidc-operator-dex-config")
        {
            assert_eq!(document["metadata"]["namespace"], "sso", "{document}");
        }
        Ok(())
    })
    .await;
}

/// As a user refers to both (docs/restarts.md), with a checkout somewhere else.
#[tokio::test]
async fn restarts_are_a_component_beside_the_default_installation() {
    case::run(async {
        let (_, kubectl) = installed().await?;
        let text = with_component(&kubectl, "rollout-restart", "").await?;
        let with = documents(&text)?;
        assert_eq!(
            added(&kubectl, &with).await?,
            [
                "ClusterRole/oidc-operator-rollout-restart",
                "ClusterRoleBinding/oidc-operator-rollout-restart",
                "ValidatingAdmissionPolicy/oidc-operator-rollout-restart",
                "ValidatingAdmissionPolicyBinding/oidc-operator-rollout-restart",
            ]
        );
        let args = with
            .iter()
            .find(|document| document["kind"] == "Deployment")
            .map(|deployment| deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone());
        assert_eq!(args, Some(serde_json::json!(["run", "--enable-rollout-restart"])));
        let args = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            "-",
        ];
        kubectl.run_with_input(args, &text).await?;
        policy_has_no_mistakes(&kubectl).await
    })
    .await;
}

/// kube-controller-manager checks a policy's expressions against the kinds that they are for. What they do is a test of `operator`.
async fn policy_has_no_mistakes(kubectl: &Kubectl) -> Result<()> {
    kubectl.apply_path("config/rollout-restart/limits.yaml").await?;
    eventually("the policy is checked", Duration::from_secs(30), async || {
        let args = ["validatingadmissionpolicy", "oidc-operator-rollout-restart"];
        let policy = kubectl.get_json(args).await?;
        ensure!(
            policy["status"]["observedGeneration"] == policy["metadata"]["generation"],
            "not yet"
        );
        let warnings = &policy["status"]["typeChecking"]["expressionWarnings"];
        assert!(warnings.is_null(), "{warnings:#}");
        Ok(())
    })
    .await
}

/// Pod Security Admission sees Pods only, and here is nothing that makes any.
#[tokio::test]
async fn the_operators_pod_is_admitted_in_its_restricted_namespace() {
    case::run(async {
        let (_, kubectl) = installed().await?;
        let deployment = kubectl
            .get_json(["deployment", "oidc-operator", "-n", "oidc-operator-system"])
            .await?;
        let template = &deployment["spec"]["template"];
        let mut spec = template["spec"].clone();
        // Its token is mounted from a ConfigMap and an account that come a moment later.
        spec["serviceAccountName"] = Value::Null;
        spec["serviceAccount"] = Value::Null;
        spec["automountServiceAccountToken"] = Value::Bool(false);
        let mut pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "oidc-operator-try", "namespace": "oidc-operator-system"},
            "spec": spec,
        });
        let create = ["create", "--dry-run=server", "-f", "-"];
        wait_for_default_account(&kubectl).await?;
        kubectl
            .run_with_input(create, &pod.to_string())
            .await
            .context("the Pod as it is")?;
        // The check checks something.
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = Value::Bool(true);
        let refused = kubectl.output(create, &pod.to_string()).await?;
        ensure!(
            !refused.success && refused.stderr.contains("violates PodSecurity"),
            "{}",
            refused.stderr
        );
        Ok(())
    })
    .await;
}

async fn wait_for_default_account(kubectl: &Kubectl) -> Result<()> {
    let args = [
        "wait",
        "--for=create",
        "serviceaccount/default",
        "-n",
        "oidc-operator-system",
        "--timeout=30s",
    ];
    kubectl.run(args).await?;
    Ok(())
}

/// Whether `user` may do that in `namespace`; a resource may have a subresource (`pods/exec`).
async fn may(kubectl: &Kubectl, namespace: &str, user: &str, verb: &str, resource: &str) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let subresource = format!("--subresource={subresource}");
    let args = [
        "auth",
        "can-i",
        verb,
        resource,
        &subresource,
        "-n",
        namespace,
        "--as",
        user,
    ];
    let answer = kubectl.output(args, "").await?;
    match answer.stdout.trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => bail!("{verb} {resource}: {answer:?}"),
    }
}

#[tokio::test]
async fn the_operator_may_do_what_it_needs_and_nothing_else() {
    case::run(async {
        let (_, kubectl) = installed().await?;
        let needed = [
            (
                "get list watch patch",
                "oidcproviders.oidc-operator.io oidcclients.oidc-operator.io",
            ),
            (
                "patch",
                "oidcproviders.oidc-operator.io/status oidcclients.oidc-operator.io/status",
            ),
            ("get list watch create patch delete", "secrets configmaps"),
            ("get list watch", "namespaces"),
            ("create patch", "events.events.k8s.io"),
        ];
        let refused = [
            (
                "create update delete deletecollection",
                "oidcproviders.oidc-operator.io oidcclients.oidc-operator.io",
            ),
            ("update deletecollection", "secrets configmaps"),
            ("create patch delete", "namespaces"),
            ("get create", "pods pods/exec serviceaccounts serviceaccounts/token"),
            ("escalate bind create", "clusterroles roles rolebindings"),
            ("impersonate", "users"),
            ("patch", "deployments.apps"),
        ];
        for (rights, expected) in [(needed.as_slice(), true), (refused.as_slice(), false)] {
            for (verbs, resources) in rights {
                for (verb, resource) in verbs
                    .split(' ')
                    .flat_map(|verb| resources.split(' ').map(move |one| (verb, one)))
                {
                    assert_eq!(
                        may(&kubectl, "kube-system", OPERATOR, verb, resource).await?,
                        expected,
                        "{verb} {resource}"
                    );
                }
            }
        }
        Ok(())
    })
    .await;
}

/// In the namespace of a Dex, once it was given there, and nowhere else.
#[tokio::test]
async fn the_operator_keeps_dexs_clients_where_it_was_allowed_to() {
    case::run(async {
        let (control_plane, kubectl) = installed().await?;
        let namespace = control_plane.namespace("dex-storage").await?;
        // All rights at once: there need be no CRD of Dex's for that.
        let rights = async |namespace: &str| {
            let list = [
                "auth",
                "can-i",
                "--list",
                "--no-headers",
                "-n",
                namespace,
                "--as",
                OPERATOR,
            ];
            let all = kubectl.run(list).await?;
            let of_dex = all.lines().filter(|line| line.contains("dex.coreos.com"));
            let words = of_dex.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            anyhow::Ok(words.collect::<Vec<_>>())
        };
        assert_eq!(rights(&namespace).await?, Vec::<String>::new());
        kubectl
            .run(["apply", "-n", &namespace, "-k", "config/dex-storage"])
            .await?;
        let given = "oauth2clients.dex.coreos.com [] [] [get list watch create patch delete]";
        eventually("the API server knows the rights", Duration::from_secs(30), async || {
            let found = rights(&namespace).await?;
            ensure!(found == [given], "{found:?}");
            Ok(())
        })
        .await?;
        assert_eq!(rights("default").await?, Vec::<String>::new());
        Ok(())
    })
    .await;
}

/// Through the roles that Kubernetes brings: `edit` makes clients, `view` sees them, neither sees providers.
#[tokio::test]
async fn application_teams_get_clients_by_kubernetes_own_roles() {
    case::run(async {
        let (control_plane, kubectl) = installed().await?;
        let namespace = control_plane.namespace("team").await?;
        for role in ["edit", "view"] {
            let user = format!("--user=team-{role}");
            let role_flag = format!("--clusterrole={role}");
            kubectl
                .run(["create", "rolebinding", role, &role_flag, &user, "-n", &namespace])
                .await?;
        }
        let may = async |user: &str, verb: &str, resource: &str| may(&kubectl, &namespace, user, verb, resource).await;
        // kube-controller-manager puts the rules of our roles into theirs.
        eventually("roles are aggregated", Duration::from_secs(30), async || {
            ensure!(
                may("team-edit", "create", "oidcclients.oidc-operator.io").await?,
                "edit lacks create"
            );
            ensure!(
                may("team-view", "list", "oidcclients.oidc-operator.io").await?,
                "view lacks list"
            );
            Ok(())
        })
        .await?;
        assert!(!may("team-view", "create", "oidcclients.oidc-operator.io").await?);
        for user in ["team-edit", "team-view"] {
            assert!(!may(user, "get", "oidcproviders.oidc-operator.io").await?, "{user}");
            assert!(
                !may(user, "patch", "oidcclients.oidc-operator.io/status").await?,
                "{user}"
            );
        }
        Ok(())
    })
    .await;
}

/// They stay on the server, which the documentation's examples are tried on too: where names are the same, so must be what is
/// fixed from the start.
#[tokio::test]
async fn samples_are_accepted() {
    case::run(async {
        let (_, kubectl) = installed().await?;
        samples(&kubectl).await
    })
    .await;
}

async fn samples(kubectl: &Kubectl) -> Result<()> {
    static APPLIED: OnceCell<()> = OnceCell::const_new();
    let apply = async || {
        let mut tried = 0;
        for folder in fs::read_dir(tools::repository().join("config/samples"))? {
            kubectl.apply_path(folder?.path()).await?;
            tried += 1;
        }
        ensure!(tried > 0, "no samples");
        Ok(())
    };
    APPLIED.get_or_try_init(apply).await.copied()
}

/// ```` ```yaml ```` blocks of a page that hold our kinds.
fn examples(page: &str) -> Vec<String> {
    let blocks = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```"));
    blocks
        .map(|(block, _)| block.to_owned())
        .filter(|block| block.contains("apiVersion: oidc-operator.io/"))
        .collect()
}

fn pages(folder: &Path, found: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            pages(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push((path.display().to_string(), fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_example_in_the_documentation_is_accepted() {
    case::run(async {
        let (_, kubectl) = installed().await?;
        // Whichever test is first.
        samples(&kubectl).await?;
        let mut all = Vec::new();
        pages(&tools::repository().join("docs"), &mut all)?;
        let readme = tools::repository().join("README.md");
        if readme.is_file() {
            all.push(("README.md".to_owned(), fs::read_to_string(readme)?));
        }
        let mut namespaces = BTreeSet::new();
        let mut tried = 0;
        for (page, text) in &all {
            for example in examples(text) {
                for document in documents(&example).with_context(|| format!("{page}:\n{example}"))? {
                    if let Some(namespace) = document["metadata"]["namespace"].as_str()
                        && namespaces.insert(namespace.to_owned())
                    {
                        let namespace = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
                        kubectl.apply(&namespace.to_string()).await?;
                    }
                }
                let args = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"];
                kubectl.run_with_input(args, &example).await.with_context(|| format!("{page}:\n{example}"))?;
                tried += 1;
            }
        }
        ensure!(tried >= 6, "{tried} examples found: are they still fenced as yaml?");
        Ok(())
    })
    .await;
}
