//! Deaths around a registration, at Keycloak's own registration endpoint: what a server names cannot be looked up there, so the end
//! is not that of an undisturbed run, but by rule: at most one registration for each lost answer, named, and one client that works.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use oidc_operator_e2e::{
    case,
    keycloak::{Mark, Registrar},
    login::secret_accepted,
    shared,
};
use serde_json::{Value, json};

use crate::{
    loops::{NAME, Run, SECRET},
    operator::Death,
    server::{Server, Shown, Subject},
    stage,
};

impl Server for Registrar {
    type Mark = Mark;

    /// Its ID is the realm's choice, so that whatever was registered is meant.
    async fn client(&self, _: &str) -> Result<Option<Shown>> {
        let client = self.realm.registered().await?.into_iter().next_back();
        Ok(client.map(|client| Shown {
            settings: client["redirectUris"]
                .as_array()
                .into_iter()
                .flatten()
                .map(Value::to_string)
                .collect(),
            secret: client["secret"].as_str().map(str::to_owned),
        }))
    }

    async fn accepts(&self, client_id: &str, secret: &str) -> Result<bool> {
        secret_accepted(self.realm.ca_pem(), &self.realm.token_endpoint(), client_id, secret).await
    }

    async fn mark(&self) -> Result<Mark> {
        self.realm.mark().await
    }

    async fn writes_since(&self, mark: Mark) -> Result<BTreeMap<String, usize>> {
        let writes = self.realm.requests_since(mark).await?.of_operator();
        Ok(writes
            .such(|request| request.method != "GET" && request.status < 300)
            .kinds())
    }

    async fn clear(&self, _: &str) -> Result<()> {
        for client in self.realm.registered().await? {
            self.realm
                .delete_client(client["clientId"].as_str().unwrap_or_default())
                .await?;
        }
        Ok(())
    }
}

/// A realm for one scenario: what is registered there is its doing.
async fn subject() -> Result<Subject<Registrar>> {
    let realm = shared::keycloak().await?.realm("registration").await?;
    stage::provide(Box::leak(Box::new(Registrar::new(realm).await?))).await
}

const CREATE: [&str; 7] = [
    "add-finalizer",
    "stage-registration",
    "create-remote",
    "keep-registration",
    "create-secret",
    "create-configmap",
    "prove",
];
/// The answer to the registration was not kept.
const UNANSWERED: [&str; 2] = ["stage-registration", "create-remote"];

/// Every place where the operator can die, with its status kept and wiped.
fn deaths(steps: usize) -> impl Iterator<Item = (Death, bool)> {
    let deaths = [Death::Before(0)].into_iter().chain((0..steps).map(Death::After));
    deaths.flat_map(|death| [(death, false), (death, true)])
}

async fn die(run: &Run<Registrar>, death: Death, wiped: bool) -> Result<Vec<&'static str>> {
    let mut steps = run.live(death).await?;
    if wiped {
        run.wipe_status().await?;
    }
    steps.extend(run.live(Death::Never).await?);
    let again = run.live(Death::Never).await?;
    ensure!(again.iter().all(|step| *step == "prove"), "one more pass did {again:?}");
    Ok(steps)
}

/// What this run has in the realm: told apart from those of earlier runs by the client IDs that were there before.
async fn new_clients(run: &Run<Registrar>, before: &[Value]) -> Result<Vec<Value>> {
    let all = run.subject.server.realm.registered().await?;
    let old: Vec<&Value> = before.iter().map(|client| &client["clientId"]).collect();
    Ok(all
        .into_iter()
        .filter(|client| !old.contains(&&client["clientId"]))
        .collect())
}

async fn records(run: &Run<Registrar>) -> Result<Vec<Secret>> {
    Registrar::records(&run.kube, &run.namespace).await
}

async fn output(run: &Run<Registrar>) -> Result<(String, String)> {
    let data = run.secrets().get(SECRET).await?.data.context("no data")?;
    let text = |key: &str| -> Result<String> { Ok(String::from_utf8(data.get(key).context("no key")?.0.clone())?) };
    Ok((text("client-id")?, text("client-secret")?))
}

async fn works(run: &Run<Registrar>) -> Result<String> {
    let (id, secret) = output(run).await?;
    ensure!(run.subject.server.accepts(&id, &secret).await?, "the Secret is refused");
    Ok(id)
}

async fn orphans(run: &Run<Registrar>) -> Result<Vec<String>> {
    let status = run.clients().get(NAME).await?.status.context("status")?;
    Ok(status
        .registration
        .map(|told| told.possible_orphans)
        .unwrap_or_default())
}

#[tokio::test]
async fn create_at_keycloaks_registration() {
    case::run(async {
        let subject = subject().await?;
        for (death, wiped) in deaths(CREATE.len()) {
            let what = || format!("{death:?} of {CREATE:?}, wiped: {wiped}");
            let run = Run::new(&subject, "register").await?;
            let before = subject.server.realm.registered().await?;
            run.apply(&json!({})).await?;
            die(&run, death, wiped).await.with_context(what)?;
            let id = works(&run).await.with_context(what)?;
            let clients = new_clients(&run, &before).await?;
            ensure!(clients.iter().any(|client| client["clientId"] == *id), "{}", what());
            let unanswered = matches!(death, Death::After(at) if UNANSWERED.contains(&CREATE[at]));
            let lost = matches!(death, Death::After(at) if CREATE[at] == "create-remote");
            assert_eq!(clients.len(), 1 + usize::from(lost), "{}", what());
            assert_eq!(orphans(&run).await?.len(), usize::from(unanswered), "{}", what());
            assert_eq!(records(&run).await?.len(), 1, "{}", what());
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn delete_at_keycloaks_registration() {
    const STEPS: [&str; 3] = ["delete-remote", "drop-registration", "remove-finalizer"];
    case::run(async {
        let subject = subject().await?;
        for (death, wiped) in deaths(STEPS.len()) {
            let what = || format!("{death:?} of {STEPS:?}, wiped: {wiped}");
            let run = Run::new(&subject, "register").await?;
            let before = subject.server.realm.registered().await?;
            run.apply(&json!({})).await?;
            run.live(Death::Never).await?;
            run.delete().await?;
            die(&run, death, wiped).await.with_context(what)?;
            ensure!(run.clients().get_opt(NAME).await?.is_none(), "{}", what());
            assert_eq!(new_clients(&run, &before).await?.len(), 0, "{}", what());
            assert_eq!(records(&run).await?.len(), 0, "{}", what());
        }
        Ok(())
    })
    .await;
}

/// A change that dies with its answer takes the token along: told, and the client works on, unchanged by anybody.
#[tokio::test]
async fn change_at_keycloaks_registration() {
    const STEPS: [&str; 3] = ["update-remote", "keep-registration", "update-secret"];
    case::run(async {
        let subject = subject().await?;
        for (death, wiped) in deaths(STEPS.len()) {
            let what = || format!("{death:?} of {STEPS:?}, wiped: {wiped}");
            let run = Run::new(&subject, "register").await?;
            let before = subject.server.realm.registered().await?;
            run.apply(&json!({})).await?;
            run.live(Death::Never).await?;
            let id = works(&run).await?;
            run.change(json!({"redirectURIs": ["https://app.example.com/other"]}))
                .await?;
            die(&run, death, wiped).await.with_context(what)?;
            assert_eq!(works(&run).await.with_context(what)?, id, "{}", what());
            let clients = new_clients(&run, &before).await?;
            assert_eq!(clients.len(), 1, "{}", what());
            assert_eq!(
                clients[0]["redirectUris"],
                json!(["https://app.example.com/other"]),
                "{}",
                what()
            );
            let status = run.clients().get(NAME).await?.status.context("status")?;
            let provisioned = status
                .conditions
                .iter()
                .find(|condition| condition.type_ == "Provisioned");
            let reason = provisioned
                .map(|condition| condition.reason.clone())
                .unwrap_or_default();
            let lost = matches!(death, Death::After(0));
            assert_eq!(reason == "ManagementTokenLost", lost, "{}: {reason}", what());
        }
        Ok(())
    })
    .await;
}

/// The output Secret goes: it is written again, with the secret that the server gave, wherever the operator dies.
#[tokio::test]
async fn secret_deleted_at_keycloaks_registration() {
    const STEPS: [&str; 2] = ["create-secret", "prove"];
    case::run(async {
        let subject = subject().await?;
        for (death, wiped) in deaths(STEPS.len()) {
            let what = || format!("{death:?} of {STEPS:?}, wiped: {wiped}");
            let run = Run::new(&subject, "register").await?;
            run.apply(&json!({})).await?;
            run.live(Death::Never).await?;
            let held = output(&run).await?;
            run.delete_secret().await?;
            die(&run, death, wiped).await.with_context(what)?;
            assert_eq!(output(&run).await?, held, "{}", what());
        }
        Ok(())
    })
    .await;
}
