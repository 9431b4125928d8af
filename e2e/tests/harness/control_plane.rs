//! The control plane: users, rights, counts, restarts.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use oidc_operator_e2e::control_plane::{ControlPlane, Options, User};
use oidc_operator_e2e::proxy::{FaultProxy, Mode};
use oidc_operator_e2e::wait::eventually;
use oidc_operator_e2e::{case, shared};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn kubectl_works_and_keeps_what_an_error_says() {
    case::run(async {
        let kubectl = shared::control_plane().await?.kubectl()?;
        let namespaces = kubectl.get_json(["namespaces"]).await?;
        let names: Vec<_> = namespaces["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|item| &item["metadata"]["name"])
            .collect();
        assert!(names.iter().any(|name| **name == "kube-system"), "{names:?}");

        let error = kubectl
            .run(["get", "nonsense"])
            .await
            .expect_err("there is no such resource");
        assert!(
            error
                .to_string()
                .contains(r#"the server doesn't have a resource type "nonsense""#),
            "{error:#}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_service_account_has_the_rights_of_its_bindings_and_no_other() {
    case::run(async {
        let cluster = shared::control_plane().await?;
        let namespace = cluster.namespace("rights").await?;
        let kubectl = cluster.kubectl()?;
        kubectl
            .run(["-n", &namespace, "create", "serviceaccount", "robot"])
            .await?;
        let robot = cluster.kubectl_for(&cluster.service_account_kubeconfig(&namespace, "robot").await?)?;

        let error = robot
            .run(["-n", &namespace, "get", "secrets"])
            .await
            .expect_err("nothing is bound yet");
        assert!(error.to_string().contains("Forbidden"), "{error:#}");

        let role = [
            "-n",
            &namespace,
            "create",
            "role",
            "reader",
            "--verb=list",
            "--resource=secrets",
        ];
        kubectl.run(role).await?;
        let subject = format!("--serviceaccount={namespace}:robot");
        kubectl
            .run([
                "-n",
                &namespace,
                "create",
                "rolebinding",
                "reader",
                "--role=reader",
                &subject,
            ])
            .await?;
        eventually("the binding counts", SOON, async || {
            robot.run(["-n", &namespace, "get", "secrets"]).await
        })
        .await?;
        robot
            .run(["-n", &namespace, "get", "configmaps"])
            .await
            .expect_err("only Secrets are bound");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_audit_log_counts_exactly() {
    case::run(async {
        let cluster = shared::control_plane().await?;
        let namespace = cluster.namespace("audit").await?;
        let kubectl = cluster.kubectl()?;
        kubectl
            .run(["-n", &namespace, "create", "serviceaccount", "writer"])
            .await?;
        kubectl
            .run([
                "-n",
                &namespace,
                "create",
                "role",
                "w",
                "--verb=create,delete",
                "--resource=configmaps",
            ])
            .await?;
        let subject = format!("--serviceaccount={namespace}:writer");
        kubectl
            .run(["-n", &namespace, "create", "rolebinding", "w", "--role=w", &subject])
            .await?;
        let kubeconfig = cluster.service_account_kubeconfig(&namespace, "writer").await?;
        let writer: Api<ConfigMap> = Api::namespaced(cluster.client_for(&kubeconfig).await?, &namespace);

        let config_map = |name: &str| ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        };
        let before = config_map("before");
        eventually("the binding counts", SOON, async || {
            Ok(writer.create(&PostParams::default(), &before).await?)
        })
        .await?;

        let audit = cluster.audit();
        let mark = audit.mark().await?;
        for number in 0..20 {
            writer
                .create(&PostParams::default(), &config_map(&format!("counted-{number}")))
                .await?;
        }
        writer.delete("counted-0", &Default::default()).await?;
        writer
            .create(
                &PostParams {
                    dry_run: true,
                    ..PostParams::default()
                },
                &config_map("dry"),
            )
            .await?;
        writer.get("counted-1").await.expect_err("reading is not bound");

        let ours = audit
            .since(&mark)
            .await?
            .by_service_account(&namespace, "writer")
            .namespace(&namespace);
        let counts = ours.clone().writes().counts();
        assert_eq!(
            counts,
            [
                ("create configmaps".to_owned(), 20),
                ("delete configmaps".to_owned(), 1)
            ]
            .into()
        );
        assert_eq!(ours.clone().refused().verb("get").resource("configmaps").count(), 1);
        assert_eq!(ours.by_agent("oidc-operator-e2e/").count(), 23);
        assert_eq!(
            audit
                .since(&audit.mark().await?)
                .await?
                .by_service_account(&namespace, "writer")
                .count(),
            0
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_audit_log_can_be_marked_while_it_is_written() {
    case::run(async {
        let cluster = shared::control_plane().await?;
        let namespaces: Api<Namespace> = Api::all(cluster.client().await?);
        let asked = async {
            for _ in 0..300 {
                let asking = (0..8).map(|_| namespaces.get("default"));
                futures::future::try_join_all(asking).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        let marked = async {
            for _ in 0..150 {
                let mark = cluster.audit().mark().await?;
                // An error if the mark is inside a line.
                cluster.audit().since(&mark).await?;
            }
            Ok(())
        };
        futures::future::try_join(asked, marked).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner_and_namespaces_end() {
    case::run(async {
        let cluster = shared::control_plane().await?;
        let namespace = cluster.namespace("collected").await?;
        let kubectl = cluster.kubectl()?;
        kubectl.run(["-n", &namespace, "create", "configmap", "owner"]).await?;
        let owner = kubectl.get_json(["-n", &namespace, "configmap", "owner"]).await?;
        let uid = owner["metadata"]["uid"].as_str().unwrap_or_default();
        kubectl
            .apply(&format!(
                "{{apiVersion: v1, kind: Secret, metadata: {{name: owned, namespace: {namespace}, ownerReferences: \
                 [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]}}}}"
            ))
            .await?;
        kubectl.delete("configmap", &namespace, "owner").await?;
        eventually("the Secret is collected", SOON, async || {
            let left = kubectl.get_json(["-n", &namespace, "secrets"]).await?;
            ensure!(left["items"] == serde_json::json!([]), "{left}");
            Ok(())
        })
        .await?;
        // Waits until it is gone.
        kubectl.delete("namespace", "", &namespace).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_api_server_can_be_cut_off_stopped_and_started_again() {
    case::run(async {
        let user = User {
            token: "t0ken".to_owned(),
            name: "somebody".to_owned(),
            groups: vec!["system:masters".to_owned()],
        };
        let options = Options {
            name: "faults".to_owned(),
            controller_manager: false,
            users: vec![user],
            ..Options::default()
        };
        let cluster = ControlPlane::start(options).await?;
        let kubeconfig = cluster.kubeconfig_for("somebody", "t0ken")?;
        let proxy = FaultProxy::start(cluster.address())?;
        let through = cluster
            .client_for(&cluster.kubeconfig_through(&kubeconfig, proxy.address())?)
            .await?;
        let through: Api<Namespace> = Api::all(through);
        let mark = cluster.audit().mark().await?;

        let kept = Namespace {
            metadata: ObjectMeta {
                name: Some("kept".to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        through.create(&PostParams::default(), &kept).await?;
        assert!(proxy.connections() > 0);
        proxy.set(Mode::Refuse);
        through.get("kept").await.expect_err("the proxy refuses");
        Api::<Namespace>::all(cluster.client().await?).get("kept").await?;

        proxy.set(Mode::Pass);
        cluster.stop_apiserver();
        through.get("kept").await.expect_err("nobody listens");
        cluster.start_apiserver_again().await?;
        through.get("kept").await?;

        cluster.freeze_apiserver()?;
        let mut waiting = std::pin::pin!(through.get("kept"));
        tokio::time::timeout(Duration::from_millis(300), &mut waiting)
            .await
            .expect_err("it is frozen");
        cluster.thaw_apiserver()?;
        waiting.await?;

        let creations = cluster.audit().since(&mark).await?.by_user("somebody").writes();
        assert_eq!(creations.counts(), [("create namespaces".to_owned(), 1)].into());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_controllers_can_be_started_later() -> Result<()> {
    let options = Options {
        name: "late-controllers".to_owned(),
        controller_manager: false,
        ..Options::default()
    };
    let cluster = ControlPlane::start(options).await?;
    assert_eq!(cluster.pids().len(), 2);
    cluster.start_controller_manager().await?;
    assert_eq!(cluster.pids().len(), 3);
    assert!(cluster.cpu_seconds()? > 0.0);
    Ok(())
}
