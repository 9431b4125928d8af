//! The operator at work: a real control plane, the user's server, and three OIDCClients from their creation to their end.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::{
    api::{OIDCClient, OIDCProvider},
    idp::authentik::slug,
};
use oidc_operator_e2e::{
    authentik_api::Api,
    control_plane::{ControlPlane, Options},
    install,
    operator::{Operator, OperatorOptions},
    scene::{Idp as _, SOON, Scene},
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{MARK, own::Own, say};

/// The OIDCClients, by name.
const CLIENTS: [&str; 3] = ["web", "spa", "job"];

pub(crate) async fn run(own: &Own, api: &Api) -> Result<()> {
    say("A control plane, and the operator with exactly the rights of config/rbac");
    let cluster = ControlPlane::start(Options {
        name: "own-authentik-control-plane".to_owned(),
        ..Options::default()
    })
    .await?;
    let kubeconfig = install::install(&cluster).await?;
    let operator = Operator::start(OperatorOptions::new(kubeconfig, &own.run))?;
    operator.wait_ready(SOON).await?;
    let scene = Scene::empty(&cluster, own, "own").await?;
    let played = play(&Set { own, api, scene }).await;
    played.with_context(|| format!("the operator's log ends:\n{}", operator.process().log_tail(20)))
}

struct Set<'a> {
    own: &'a Own,
    api: &'a Api,
    scene: Scene<'a, Own>,
}

async fn play(set: &Set<'_>) -> Result<()> {
    set.scene.provider(json!({})).await?;
    let provider = set.scene.ready::<OIDCProvider>(Own::NAME).await?;
    let server = provider.status.and_then(|status| status.server);
    println!("OIDCProvider: ready, {server:?}");
    set.create().await?;
    set.change().await?;
    set.drift().await?;
    set.delete().await
}

impl Set<'_> {
    fn client_id(&self, name: &str) -> String {
        format!("{}_{name}", self.own.run)
    }

    /// Applies an OIDCClient and waits until it works, its credentials proven where it has any.
    async fn ready(&self, name: &str, mut spec: Value) -> Result<()> {
        spec["clientID"] = json!(self.client_id(name));
        let client = self.scene.ready_client(name, spec).await?;
        let status = client.status.context("status")?;
        println!(
            "OIDCClient {name}: ready, issuer {}",
            status.issuer.as_deref().unwrap_or("unknown")
        );
        for condition in status
            .conditions
            .iter()
            .filter(|condition| condition.type_ == "CredentialsVerified")
        {
            println!(
                "  {} {:?} ({}): {}",
                condition.type_, condition.status, condition.reason, condition.message
            );
            ensure!(
                format!("{:?}", condition.status) != "False",
                "the credentials are not good"
            );
        }
        Ok(())
    }

    async fn provider(&self, name: &str) -> Result<Value> {
        let found = self.api.provider(&self.client_id(name)).await?;
        found.with_context(|| format!("authentik has no provider for {name}"))
    }

    async fn application(&self, name: &str) -> Result<Value> {
        let found = self.api.application(&slug(&self.client_id(name))).await?;
        found.with_context(|| format!("authentik has no application for {name}"))
    }

    /// The expressions of the scope mappings of a client, by claim.
    async fn claims(&self, name: &str) -> Result<Vec<(String, String)>> {
        let mark = format!("{MARK}{}/{}/{name}/", self.own.run, self.scene.app);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let found = self.api.mappings(&mark).await?;
        let mut claims: Vec<_> = found
            .iter()
            .map(|mapping| {
                let claim = text(&mapping["name"]).rsplit('/').next().unwrap_or_default().to_owned();
                (claim, text(&mapping["expression"]))
            })
            .collect();
        claims.sort();
        Ok(claims)
    }

    async fn create(&self) -> Result<()> {
        say("Three OIDCClients: a web application with claims, a single-page application, a job");
        let web = json!({
            "displayName": "Web",
            "grantTypes": ["authorization_code", "refresh_token"],
            "claims": [
                {"name": "teams", "type": "Groups", "groups": {"path": "Name"}},
                {"name": "tier", "type": "Constant", "constant": {"value": "gold"}},
            ],
            "tokenLifetimes": {"accessToken": "5m"},
        });
        self.ready("web", web).await?;
        self.ready("spa", json!({"type": "Public"})).await?;
        let job = json!({"redirectURIs": null, "grantTypes": ["client_credentials"], "scopes": ["profile"]});
        self.ready("job", job).await?;

        for name in CLIENTS {
            let (provider, application) = (self.provider(name).await?, self.application(name).await?);
            let mark = provider["name"].as_str().unwrap_or_default();
            ensure!(mark.starts_with(&format!("{MARK}{}/", self.own.run)), "marked {mark:?}");
            ensure!(
                application["provider"] == provider["pk"],
                "the application has another provider"
            );
            println!("authentik: {} with provider {mark}", application["slug"]);
        }
        let claims = self.claims("web").await?;
        let names: Vec<&str> = claims.iter().map(|(name, _)| name.as_str()).collect();
        ensure!(names == ["teams", "tier"], "scope mappings for {names:?}");
        println!("authentik: a scope mapping for each of {names:?}");
        let secret = self.scene.secret("web-oidc").await?;
        println!(
            "Secret web-oidc: {}",
            secret.keys().cloned().collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }

    async fn change(&self) -> Result<()> {
        say("Changes of the spec: another redirect URI and name, a claim of another value, a claim less");
        let web = json!({
            "displayName": "Web, renamed",
            "redirectURIs": ["https://app.example.com/other"],
            "claims": [{"name": "tier", "type": "Constant", "constant": {"value": "silver"}}],
        });
        self.ready("web", web).await?;
        let urls = redirect_uris(&self.provider("web").await?);
        ensure!(urls == ["https://app.example.com/other"], "redirect URIs {urls:?}");
        let name = self.application("web").await?["name"].clone();
        ensure!(name == "Web, renamed", "the application's name is {name}");
        let claims = self.claims("web").await?;
        ensure!(
            matches!(claims.as_slice(), [(name, expression)] if name == "tier" && expression.contains("silver")),
            "scope mappings {claims:?}"
        );
        println!("authentik: {urls:?}, {name}, claim tier is silver, the mapping of teams is gone");
        Ok(())
    }

    async fn drift(&self) -> Result<()> {
        say("Somebody changes the redirect URIs by hand, and the operator puts them right");
        let elsewhere =
            json!({"redirect_uris": [{"matching_mode": "strict", "url": "https://elsewhere.example.com/"}]});
        self.api.change_provider(&self.client_id("web"), &elsewhere).await?;
        self.scene.ask::<OIDCProvider>(Own::NAME, "after-the-change").await?;
        let urls = eventually("the redirect URIs of the spec", SOON, async || {
            let urls = redirect_uris(&self.provider("web").await?);
            ensure!(urls == ["https://app.example.com/other"], "{urls:?}");
            Ok(urls)
        })
        .await?;
        println!("authentik: {urls:?}");
        Ok(())
    }

    async fn delete(&self) -> Result<()> {
        say("The OIDCClients are deleted");
        for name in CLIENTS {
            self.scene.delete::<OIDCClient>(name).await?;
            println!("OIDCClient {name}: gone");
        }
        let mark = format!("{MARK}{}/", self.own.run);
        let left = self.api.traces(&mark, &self.own.run).await?;
        ensure!(left.count() == 0, "left at the server: {left:?}");
        Ok(())
    }
}

fn redirect_uris(provider: &Value) -> Vec<String> {
    let uris = provider["redirect_uris"].as_array().cloned().unwrap_or_default();
    uris.iter()
        .map(|uri| uri["url"].as_str().unwrap_or_default().to_owned())
        .collect()
}
