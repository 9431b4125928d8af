//! Authentik, as far as its stand-in goes: what somebody changes there by hand is undone, and a deletion leaves nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use oidc_operator_e2e::{
    authentik::{AuthentikOptions, Managed, USER, USER_PASSWORD},
    authentik_api::{Api, Traces},
    control_plane::ControlPlane,
    scene::Idp,
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{Demo, Sample, Shown, say, show};

/// How long a repair may take.
const SOON: Duration = Duration::from_secs(60);
/// Where an attacker, or a hurried administrator, would send users of the shop.
const ELSEWHERE: &str = "https://elsewhere.example.com/callback";
/// The sample that is deleted at the end.
const GIVEN_UP: &str = "nightly-report";

impl Shown for Managed {
    type Idp = Self;
    const STARTS: &'static str = "a STAND-IN for authentik (2026.5) with TLS";
    const NOTICE: Option<&'static str> = Some(
        "This is not authentik: its server is in no package registry, so it cannot be fetched and started here. The stand-in\n\
         answers as real servers did whose answers were recorded; `cargo test -p oidc-operator-e2e --test authentik_replay`\n\
         compares them. To see a real one: make e2e-authentik AUTHENTIK_URL=... AUTHENTIK_TOKEN=...",
    );
    const ADAPTED: &'static str =
        "with the stand-in's address and CA, and the token of its service account oidc-operator";
    const CLIENT: Sample = Sample {
        namespace: "bookshop",
        name: "bookshop",
    };

    async fn start(_: &ControlPlane) -> Result<Self> {
        Self::start(AuthentikOptions::default())
    }

    fn idp(&self) -> &Self {
        self
    }

    fn issuer(&self) -> String {
        format!("{} (an issuer for each client)", self.server.url())
    }

    fn replacements(&self) -> Vec<(&'static str, String)> {
        vec![
            ("https://auth.example.com", self.server.url()),
            ("https://authentik-server.authentik.svc", self.server.url()),
            ("put-the-token-of-the-service-account-here", self.token.clone()),
            (
                "Put the CA of authentik's certificate here, as PEM.",
                self.ca.pem().trim_end().replace('\n', "\n    "),
            ),
        ]
    }

    fn user(&self) -> (&str, &str) {
        (USER, USER_PASSWORD)
    }

    async fn own_part(&self, demo: &Demo) -> Result<()> {
        let api = Api::new(&self.server.url(), Some(self.ca.pem()), self.server.token())?;
        let client_id = demo.secret_value("client-id").await?;
        let provider = api.provider(&client_id).await?.context("no provider")?;
        let mark = provider["name"].as_str().context("name")?.to_owned();
        say(
            "What the operator made there: a provider that carries its mark, an application, and a scope mapping for each claim",
        );
        println!("{}", listed(&traces(&api, &mark).await?));
        drift(self, demo, &api, &client_id).await?;
        deletion(demo, &api).await
    }

    fn proposals() -> String {
        let Sample { namespace, name } = Self::CLIENT;
        format!(
            "# Ask for a scope that nobody has mapped there:
kubectl patch oidcc {name} -n {namespace} --type merge -p '{{\"spec\":{{\"optionalScopes\":[\"payments\"]}}}}'"
        )
    }
}

/// What carries the mark, with the application that is linked to it.
async fn traces(api: &Api, mark: &str) -> Result<Traces> {
    // No slug begins like a mark.
    api.traces(mark, mark).await
}

/// Applications by slug, providers and mappings by name.
fn listed(traces: &Traces) -> String {
    let applications = traces.applications.iter().map(|slug| ("application", slug));
    let providers = traces.providers.iter().map(|(_, name)| ("OAuth2 provider", name));
    let mappings = traces.mappings.iter().map(|(_, name)| ("scope mapping", name));
    let rows = applications.chain(providers).chain(mappings);
    let rows = rows.map(|(what, name)| format!("  {what:<15}  {name}"));
    rows.collect::<Vec<_>>().join("\n")
}

async fn drift(server: &Managed, demo: &Demo, api: &Api, client_id: &str) -> Result<()> {
    let Sample { namespace, name } = demo.sample;
    let before = demo.secret_value("client-secret").await?;
    let redirect_uri = demo.secret_value("redirect-uri").await?;

    say("An administrator of authentik changes the client by hand: another redirect URI, and a new secret");
    let patch = json!({
        "redirect_uris": [{"matching_mode": "strict", "url": ELSEWHERE}],
        "client_secret": "somebody-else-knows-this-one",
    });
    api.change_provider(client_id, &patch).await?;
    let refused = demo.log_in().await;
    ensure!(refused.is_err(), "a login works although the client was changed");
    println!("users of {client_id} would be sent to {ELSEWHERE} now; a login at the shop fails");

    say("The operator finds it in its list of all clients, and puts it right; the Secret stays as it was");
    server.server.forget_requests();
    demo.ask(Managed::NAME).await?;
    eventually("the client is as the spec says", SOON, async || {
        let provider = api.provider(client_id).await?.context("no provider")?;
        let urls: Vec<&Value> = provider["redirect_uris"]
            .as_array()
            .context("redirect_uris")?
            .iter()
            .map(|uri| &uri["url"])
            .collect();
        ensure!(urls == [redirect_uri.as_str()], "{urls:?}");
        ensure!(provider["client_secret"] == before.as_str(), "its secret is another");
        Ok(())
    })
    .await?;
    ensure!(
        demo.secret_value("client-secret").await? == before,
        "the Secret was changed"
    );
    let filter = format!("involvedObject.name={name},reason=Updated");
    let command = ["get", "events", "-n", namespace, "--field-selector", &filter];
    let events = eventually("an Event that names what was changed", SOON, async || {
        let events = demo.kubectl.run(command).await?;
        let named = events.contains("redirectURIs") && events.contains("secret");
        ensure!(named, "there is: {events}");
        Ok(events)
    })
    .await?;
    let asked = server.server.requests();
    let writes = asked
        .iter()
        .filter(|request| request.user_agent.starts_with("oidc-operator/") && request.method != "GET");
    for request in writes.filter(|request| request.path.starts_with("/api/")) {
        println!("  written to authentik: {} {}", request.method, request.path);
    }
    print!("$ kubectl {}\n{events}", command.join(" "));
    demo.log_in().await?;
    println!("logged in again with the Secret that was there before");
    Ok(())
}

async fn deletion(demo: &Demo, api: &Api) -> Result<()> {
    let (namespace, name) = (demo.sample.namespace, GIVEN_UP);
    let path = ["oidcc", name, "-n", namespace];
    let client = demo.kubectl.get_json(path).await?;
    let client_id = client["status"]["clientID"].as_str().context("status.clientID")?;
    let provider = api.provider(client_id).await?.context("no provider")?;
    let mark = provider["name"].as_str().context("name")?;

    say("Another application is given up: its OIDCClient is deleted, and nothing of it is left in authentik");
    println!("{}", listed(&traces(api, mark).await?));
    let [kind, name, flag, namespace] = path;
    show(&demo.kubectl, &["delete", kind, name, flag, namespace, "--timeout=60s"]).await?;
    let left = traces(api, mark).await?;
    ensure!(left.count() == 0, "left: {left:?}");
    let application = api.application(client_id).await?;
    ensure!(application.is_none(), "left: {application:?}");
    println!("no provider of that mark, and no application {client_id}");
    Ok(())
}
