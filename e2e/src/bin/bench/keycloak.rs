//! Keycloak: calls are counted from its access log, and compared with bare requests that make the same clients.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{Api, api::DeleteParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    install,
    keycloak::{Keycloak, KeycloakOptions, Mark, Realm, Request},
    operator::{Operator, OperatorOptions},
    scene::Idp as _,
    wait::eventually,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    BOUND, Findings,
    calls::{Calls, Measured},
    rest::{latencies, ready, settled},
    site::{IDENTITY, IN_FLIGHT, Site, make, redirect_uri},
};

/// The operator's own token: the token endpoint answers 200.
const TOKEN: &str = "token request";
/// A proof of a client's credentials: the token endpoint refuses the code.
const PROOF: &str = "credential proof";
const UPDATE: &str = "PUT /admin/clients/{id}";
const LIST: &str = "GET /admin/clients?first&max";
const SCOPES: &str = "GET /admin/client-scopes";

/// Creations, each with a proof, before anything is measured: Java compiles what runs often.
const WARM_UP: usize = 300;
/// Clients that somebody changes by hand.
const DRIFTED: usize = 20;
/// The operator renews a token when this share of its lifetime is over.
const TOKEN_USED: f64 = 0.9;
/// The OIDCClient whose client is the pattern of the bare requests.
const PATTERN: &str = "pattern";

/// A Keycloak and the realm of the operator.
pub(crate) struct KeycloakRealm {
    realm: Realm,
    /// What the operator makes of [`PATTERN`], without what only Keycloak sets.
    pattern: String,
    bare_seconds: Vec<f64>,
    /// Last: it ends when it is dropped.
    keycloak: Keycloak,
}

impl Measured for KeycloakRealm {
    type Idp = Realm;
    type Mark = (Mark, Instant);
    const LABEL: &'static str = "Keycloak";
    const CLIENTS: usize = 1000;

    async fn start() -> Result<Self> {
        let keycloak = Keycloak::start(KeycloakOptions {
            name: "bench-keycloak".to_owned(),
            lasting: true,
            ..KeycloakOptions::default()
        })
        .await?;
        Ok(Self {
            realm: keycloak.realm("bench").await?,
            pattern: String::new(),
            bare_seconds: Vec::new(),
            keycloak,
        })
    }

    fn idp(&self) -> &Realm {
        &self.realm
    }

    fn cpu_seconds(&self) -> Result<f64> {
        self.keycloak.cpu_seconds()
    }

    async fn mark(&self) -> Result<Self::Mark> {
        Ok((self.realm.mark().await?, Instant::now()))
    }

    async fn calls_since(&self, mark: &Self::Mark) -> Result<Calls> {
        let requests = self.realm.requests_since(mark.0).await?.of_operator();
        let mut counts = BTreeMap::new();
        for kind in requests.0.iter().filter_map(kind) {
            *counts.entry(kind).or_default() += 1;
        }
        Ok(Calls {
            counts,
            is_write: |kind| kind.contains(" /admin/") && !kind.starts_with("GET "),
        })
    }

    async fn before(site: &mut Site<Self>, clients: usize) -> Result<()> {
        site.provider.pattern = pattern(site).await?;
        println!("warming Keycloak up: {WARM_UP} clients made and proven");
        site.provider.warm_up().await?;
        site.provider.measure_bare(clients).await
    }

    fn made(clients: usize, calls: &Calls, findings: &mut Findings) {
        let others = calls.of(TOKEN) + calls.of(PROOF) + calls.of(LIST) + calls.of(SCOPES);
        let admin = (calls.total() - others) as f64 / clients as f64;
        println!(
            "  admin requests a client         {admin:.2} (goal 1, at most 2), without lists of clients and scopes"
        );
        println!("  proofs of credentials           {}", calls.of(PROOF));
        findings.put("proof_requests", calls.of(PROOF));
        findings.goal(admin <= 2.0, || format!("{admin} admin requests a client: {calls}"));
    }

    async fn running(&self, (mark, since): &Self::Mark, findings: &mut Findings) -> Result<()> {
        let elapsed = since.elapsed().as_secs_f64();
        let tokens = self.calls_since(&(*mark, *since)).await?.of(TOKEN);
        let realm = self.realm.admin().get(&format!("realms/{}", self.realm.name())).await?;
        let lifetime = realm["accessTokenLifespan"].as_f64().context("accessTokenLifespan")?;
        println!(
            "  token requests of the operator  {tokens} in {elapsed:.0} s (a token lives {lifetime} s, and is renewed after {:.0} s)",
            lifetime * TOKEN_USED
        );
        findings.put("token_requests", tokens);
        findings.goal(tokens as f64 <= 1.0 + elapsed / lifetime + 1.0, || {
            format!("{tokens} token requests in {elapsed:.0} s")
        });
        Ok(())
    }

    fn restarted(clients: usize, calls: &Calls, findings: &mut Findings) {
        let lists = calls.of(LIST);
        findings.goal(lists as f64 <= (clients as f64 / 100.0).ceil(), || {
            format!("{lists} lists for {clients} clients")
        });
        let others = calls.of(TOKEN) + lists + calls.of(SCOPES);
        findings.goal(calls.total() == others, || {
            format!("unchanged, and clients are asked for one by one: {calls}")
        });
    }

    async fn after(site: &mut Site<Self>, operator: &Operator, findings: &mut Findings) -> Result<()> {
        drift(site, operator, findings).await?;
        println!(
            "\n{} bare POSTs of the same clients, {IN_FLIGHT} at once",
            site.clients.len()
        );
        for _ in 0..2 {
            site.provider.measure_bare(site.clients.len()).await?;
        }
        let mut sorted = site.provider.bare_seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let bare = sorted[sorted.len() / 2];
        let operator = findings.values["seconds_to_ready"].as_f64().context("seconds")?;
        let ratio = operator / bare;
        println!(
            "  before, and twice after         {:.1?} s, median {bare:.1} s",
            site.provider.bare_seconds
        );
        println!("  the operator's time by it       {ratio:.2} (goal <= 1.3)");
        findings.put("bare_api_seconds", bare);
        findings.put("bare_ratio", ratio);
        Ok(())
    }
}

/// What a request is counted as; `None`: reading the discovery document and the keys.
fn kind(request: &Request) -> Option<String> {
    let kind = request.kind();
    if kind.ends_with("/protocol/openid-connect/token") {
        let answered = if request.status == 200 { TOKEN } else { PROOF };
        return Some(answered.to_owned());
    }
    kind.contains(" /admin/").then_some(kind)
}

/// Has an operator make one client, and sees what it makes. Nothing of it is left.
async fn pattern(site: &Site<KeycloakRealm>) -> Result<String> {
    let realm = &site.provider.realm;
    let namespace = site.cluster.namespace("pattern").await?;
    let kubeconfig = site
        .cluster
        .service_account_kubeconfig(install::NAMESPACE, install::SERVICE_ACCOUNT)
        .await?;
    let operator = Operator::start(OperatorOptions::new(kubeconfig, "bench"))?;
    let name = (namespace.clone(), PATTERN.to_owned());
    make(&site.kube, Realm::NAME, &[name]).await?;
    let api: Api<OIDCClient> = Api::namespaced(site.kube.clone(), &namespace);
    ready(api.clone(), 1, Instant::now()).await?;
    let client_id = format!("{namespace}_{PATTERN}");
    let mut client = realm.client(&client_id).await?.context("no client to copy")?;
    api.delete(PATTERN, &DeleteParams::default()).await?;
    eventually("the pattern is gone", BOUND, async || {
        ensure!(api.get_opt(PATTERN).await?.is_none(), "it is there");
        Ok(())
    })
    .await?;
    operator.terminate(Duration::from_secs(10)).await?;

    // Only Keycloak sets these.
    let members = client.as_object_mut().context("a client that is no object")?;
    for member in [
        "id",
        "access",
        "alwaysDisplayInConsole",
        "authenticationFlowBindingOverrides",
        "consentRequired",
        "nodeReRegistrationTimeout",
        "notBefore",
        "surrogateAuthRequired",
    ] {
        members.remove(member);
    }
    if let Some(attributes) = client["attributes"].as_object_mut() {
        attributes.retain(|name, _| name != "realm_client" && !name.starts_with("client.secret.creation"));
    }
    for mapper in client["protocolMappers"].as_array_mut().into_iter().flatten() {
        mapper
            .as_object_mut()
            .context("a mapper that is no object")?
            .remove("id");
    }
    Ok(client.to_string())
}

impl KeycloakRealm {
    /// From now on it accepts connections and never answers.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.keycloak.freeze()
    }

    /// The pattern, as another client of another realm.
    fn representation(&self, realm: &Realm, number: usize) -> Result<Value> {
        let mut client: Value = serde_json::from_str(&self.pattern.replace(PATTERN, &format!("bare-{number}")))?;
        let digest: String = Sha256::digest(format!("{} {number}", realm.name()))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // As the operator does, which chooses the id too (RFC 9562, section 5.8).
        let id = format!(
            "{}-{}-8{}-8{}-{}",
            &digest[..8],
            &digest[8..12],
            &digest[12..15],
            &digest[15..18],
            &digest[18..30]
        );
        client["id"] = json!(id);
        client["secret"] = json!(&digest[20..63]);
        Ok(client)
    }

    /// Makes clients in a realm of their own, with one fresh token and as many requests at once as the operator may have.
    async fn make_bare(&self, clients: usize) -> Result<(Realm, Vec<Value>, f64)> {
        let realm = self.keycloak.realm("bare").await?;
        let token = realm.access_token(realm.operator()).await?;
        let path = realm.path("clients");
        let bodies: Vec<Value> = (0..clients)
            .map(|number| self.representation(&realm, number))
            .collect::<Result<_>>()?;
        let start = Instant::now();
        stream::iter(&bodies)
            .map(|body| realm.admin().request_as(&token, Method::POST, &path, Some(body)))
            .buffer_unordered(IN_FLIGHT)
            .try_for_each(async |(status, answer)| {
                ensure!(status == StatusCode::CREATED, "bare POST: {status}: {answer}");
                Ok(())
            })
            .await?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((realm, bodies, seconds))
    }

    async fn measure_bare(&mut self, clients: usize) -> Result<()> {
        let cpu = self.cpu_seconds()?;
        let (_, _, seconds) = self.make_bare(clients).await?;
        let cpu = self.cpu_seconds()? - cpu;
        println!("  {clients} bare POSTs take          {seconds:.1} s, CPU of Keycloak {cpu:.1} s");
        self.bare_seconds.push(seconds);
        Ok(())
    }

    /// Creations, and proofs as the operator makes them: neither it nor the bare requests meet code that never ran.
    async fn warm_up(&self) -> Result<()> {
        let (realm, bodies, _) = self.make_bare(WARM_UP).await?;
        stream::iter(&bodies)
            .map(|body| {
                let realm = &realm;
                async move {
                    let fields = [
                        ("grant_type", "authorization_code"),
                        ("code", "nobody-issued-this"),
                        ("client_id", body["clientId"].as_str().context("clientId")?),
                        ("client_secret", body["secret"].as_str().context("secret")?),
                    ];
                    realm.token(&fields).await
                }
            })
            .buffer_unordered(IN_FLIGHT)
            .try_for_each(async |(status, answer)| {
                ensure!(status.is_client_error(), "an invalid code: {status}: {answer}");
                Ok(())
            })
            .await
    }
}

/// What somebody changes by hand.
fn change_by_hand(number: usize) -> Value {
    match number % 3 {
        0 => json!({"redirectUris": ["https://elsewhere.example.com/callback"]}),
        1 => json!({"attributes": {"post.logout.redirect.uris": "+"}}),
        _ => json!({"secret": "what-somebody-typed"}),
    }
}

/// Clients that were changed by hand are found in one look, and repaired.
async fn drift(site: &Site<KeycloakRealm>, operator: &Operator, findings: &mut Findings) -> Result<()> {
    let realm = &site.provider.realm;
    let drifted = DRIFTED.min(site.clients.len());
    println!("\n{drifted} clients are changed by hand, then the provider is asked to look");
    let every = site.clients.len() / drifted;
    let chosen: Vec<_> = site.clients.iter().step_by(every).take(drifted).collect();
    let mut before = Vec::new();
    for (number, (namespace, name)) in chosen.iter().enumerate() {
        let client_id = format!("{namespace}_{name}");
        before.push(looks(realm, &client_id, name).await?);
        realm.update_client(&client_id, &change_by_hand(number)).await?;
    }
    let mark = site.provider.mark().await?;
    let updates = async || {
        let labels = [("operation", "update"), ("outcome", "ok")];
        operator.metric("oidc_operator_idp_requests_total", &labels).await
    };
    let updates_before = updates().await?;
    let cpu = site.provider.cpu_seconds()?;
    let start = Instant::now();
    let ask = format!("oidc-operator.io/reconcile-requested=bench-{}", std::process::id());
    site.cluster
        .kubectl()?
        .run(["annotate", "oidcp", Realm::NAME, "-n", IDENTITY, "--overwrite", &ask])
        .await?;
    eventually("what was changed is repaired", BOUND, async || {
        let repaired = updates().await? - updates_before;
        ensure!(repaired >= drifted as f64, "{repaired} writes");
        Ok(())
    })
    .await?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = site.provider.cpu_seconds()? - cpu;
    settled(operator).await?;
    let calls = site.provider.calls_since(&mark).await?;
    println!("  until all are repaired          {seconds:.1} s, CPU of Keycloak {cpu:.1} s");
    println!("  mean ms of a request            {}", latencies(operator).await?);
    println!("  calls to Keycloak               {calls}");
    findings.put("drift_seconds", seconds);
    findings.put("drift_writes", calls.writes());
    findings.goal(
        calls.writes() == drifted as u64 && calls.of(UPDATE) == calls.writes(),
        || format!("{drifted} clients were changed by hand: {calls}"),
    );
    for ((namespace, name), before) in chosen.iter().zip(&before) {
        let after = looks(realm, &format!("{namespace}_{name}"), name).await?;
        findings.goal(after == *before, || format!("{namespace}/{name} is not repaired"));
    }
    Ok(())
}

/// What [`change_by_hand`] changes of a client.
async fn looks(realm: &Realm, client_id: &str, name: &str) -> Result<[Value; 4]> {
    let client = realm.client(client_id).await?.context("no client")?;
    ensure!(
        client["redirectUris"] == json!([redirect_uri(name)]),
        "{client_id}: {}",
        client["redirectUris"]
    );
    let parts = [
        "/redirectUris",
        "/webOrigins",
        "/attributes/post.logout.redirect.uris",
        "/secret",
    ];
    Ok(parts.map(|part| client.pointer(part).cloned().unwrap_or_default()))
}
