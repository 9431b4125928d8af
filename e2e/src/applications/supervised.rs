//! An application whose Deployment is watched: it is replaced whenever that asks for new Pods, as
//! `kubectl rollout restart` and the operator's `rolloutRestart` do. There is no kubelet in the tests.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use tokio::sync::watch;

use super::Application;

/// The annotation of the Pod template that a restart changes.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// One restart.
#[derive(Debug, Clone)]
pub struct Restart {
    /// The annotation's value.
    pub asked: String,
    /// When it was seen.
    pub seen: Instant,
    /// When the old process had ended.
    pub done: Instant,
}

impl Application {
    /// Replaces the process whenever the Deployment's restartedAt changes, until `body` has ended; gives what that gave, and
    /// the restarts, which `body` sees as they are done. One that has begun by then is not waited for.
    ///
    /// # Errors
    /// Those of `body`; a restart fails; the Deployment is deleted.
    pub async fn supervised<T>(
        &mut self,
        kube: &Client,
        namespace: &str,
        body: impl AsyncFnOnce(watch::Receiver<Vec<Restart>>) -> Result<T>,
    ) -> Result<(T, Vec<Restart>)> {
        let deployments: Api<Deployment> = Api::namespaced(kube.clone(), namespace);
        let name = self.program().name();
        let mut last = restarted_at(&deployments.get(name).await?);
        let (restarts, seen_restarts) = watch::channel(Vec::new());
        let follow = async {
            let changes = watch_object(deployments, name);
            pin_mut!(changes);
            while let Some(change) = changes.next().await {
                // A watch that is interrupted begins anew.
                let Ok(change) = change else { continue };
                let now = restarted_at(&change.with_context(|| format!("Deployment {name} is gone"))?);
                if let Some(asked) = now.clone().filter(|_| now != last) {
                    let seen = Instant::now();
                    self.restart(kube, namespace).await.context("restart")?;
                    let done = Instant::now();
                    restarts.send_modify(|restarts| restarts.push(Restart { asked, seen, done }));
                    last = now;
                }
            }
            bail!("the watch of Deployment {name} has ended")
        };
        let given = tokio::select! {
            given = body(seen_restarts) => given?,
            failed = follow => return failed,
        };
        Ok((given, restarts.borrow().clone()))
    }
}

fn restarted_at(deployment: &Deployment) -> Option<String> {
    let template = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    template.annotations.as_ref()?.get(RESTARTED_AT).cloned()
}
