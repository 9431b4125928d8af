//! `make demo`: the operator's whole job on a real API server and a real identity provider, step by step.
//!
//! Without a terminal on standard input it ends with exit code 0 only if every step held. On a terminal it stays up and says
//! what to try next.

#![allow(clippy::print_stdout, reason = "a demonstration shows what it does")]

mod authentik;
mod by_hand;
mod dex;
mod dex_config;
mod dex_storage;
mod keycloak;
mod registration;

use std::{
    io::IsTerminal as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use clap::{Parser, ValueEnum};
use oidc_operator_e2e::{
    authentik::Managed,
    control_plane::{ControlPlane, Options},
    dex::{Dex, StoredDex},
    http, install,
    kubectl::Kubectl,
    login::{ClientAuth, Login},
    operator::{Operator, OperatorOptions},
    scene::Idp,
    tools,
};
use serde_json::Value;

use self::{by_hand::ByHand, dex_config::ByConfiguration, keycloak::KeycloakRealm, registration::Registration};

/// Shows the operator at work.
#[derive(Debug, Parser)]
struct Args {
    /// The identity provider.
    #[arg(long, value_enum, default_value_t = Provider::Dex)]
    provider: Provider,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    Dex,
    /// Dex by its configuration file.
    DexConfig,
    /// Dex, by the objects of its Kubernetes storage.
    DexCrd,
    Keycloak,
    /// A stand-in for it: see docs/authentik.md.
    Authentik,
    /// Dynamic registration, at a Keycloak.
    Dcr,
    /// A client that somebody made by hand, in a Keycloak.
    Static,
}

/// An identity provider, and the part of the demonstration that is its own.
trait Shown: Sized {
    type Idp: Idp;
    /// The folder of its samples.
    const SAMPLES: &'static str = <Self::Idp as Idp>::NAME;
    /// What is started.
    const STARTS: &'static str;
    /// Said at the beginning and at the end, where what is started is not the real thing.
    const NOTICE: Option<&'static str> = None;
    /// Does it run in Pods of a Deployment, whose manifest here takes the place of the sample's?
    const WORKLOAD: bool = false;
    /// What stands in place of the samples' own values.
    const ADAPTED: &'static str;
    /// The sample whose user logs in.
    const CLIENT: Sample;

    async fn start(cluster: &ControlPlane) -> Result<Self>;

    /// What the operator needs besides its usual rights.
    async fn prepare(&self, _cluster: &ControlPlane) -> Result<()> {
        Ok(())
    }

    fn idp(&self) -> &Self::Idp;

    fn issuer(&self) -> String;

    /// Values of the samples, and what this server has in their place.
    fn replacements(&self) -> Vec<(&'static str, String)>;

    /// Name and password of the user that logs in.
    fn user(&self) -> (&str, &str);

    /// What it needs once its manifests are applied.
    async fn placed(&self, _cluster: &ControlPlane) -> Result<()> {
        Ok(())
    }

    /// What only this provider shows, at the end.
    async fn own_part(&self, demo: &Demo) -> Result<()>;

    /// Commands to try, for `sample`.
    fn proposals() -> String;
}

/// An OIDCClient of the samples.
struct Sample {
    namespace: &'static str,
    name: &'static str,
}

/// What every step works with.
struct Demo {
    kubectl: Kubectl,
    sample: Sample,
    user: (String, String),
    /// Name of the sample's output Secret.
    secret: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    http::choose_crypto();
    let shown = match args.provider {
        Provider::Dex => demo::<Dex>().await,
        Provider::DexConfig => demo::<ByConfiguration>().await,
        Provider::DexCrd => demo::<StoredDex>().await,
        Provider::Keycloak => demo::<KeycloakRealm>().await,
        Provider::Authentik => demo::<Managed>().await,
        Provider::Dcr => demo::<Registration>().await,
        Provider::Static => demo::<ByHand>().await,
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Says what comes next.
fn say(what: &str) {
    if std::io::stdout().is_terminal() {
        println!("\n\x1b[1m# {what}\x1b[0m");
    } else {
        println!("\n# {what}");
    }
}

/// Runs kubectl, and shows command and answer.
async fn show(kubectl: &Kubectl, args: &[&str]) -> Result<String> {
    println!("$ kubectl {}", args.join(" "));
    let answer = kubectl.run(args.iter().copied()).await?;
    print!("{answer}");
    Ok(answer)
}

async fn demo<P: Shown>() -> Result<()> {
    let start = Instant::now();
    say(&format!("A Kubernetes control plane, and {}", P::STARTS));
    if let Some(notice) = P::NOTICE {
        println!("{notice}");
    }
    let cluster = ControlPlane::start(Options {
        name: "demo-control-plane".to_owned(),
        workloads: P::WORKLOAD,
        ..Options::default()
    })
    .await?;
    let provider = P::start(&cluster).await?;
    println!("API server {}\nissuer     {}", cluster.url(), provider.issuer());
    let kubectl = cluster.kubectl()?;

    say("CRDs and rights, then the operator, with exactly these rights");
    println!("$ kubectl apply -k config/crd -k config/rbac");
    let kubeconfig = install::install(&cluster).await?;
    provider.prepare(&cluster).await?;
    let operator = Operator::start(OperatorOptions::new(kubeconfig, "demo"))?;
    operator.wait_ready(Duration::from_secs(30)).await?;
    println!("oidc-operator run: ready ({}/readyz)", operator.health_url());

    say("The samples: a provider, and clients of applications");
    apply_samples(&kubectl, &provider).await?;
    provider.placed(&cluster).await?;
    show(
        &kubectl,
        &[
            "wait",
            "--for=condition=Ready",
            "oidcp,oidcc",
            "-A",
            "--all",
            "--timeout=60s",
        ],
    )
    .await?;
    println!();
    show(&kubectl, &["get", "oidcp,oidcc", "-A"]).await?;

    let Sample { namespace, name } = P::CLIENT;
    say("What the operator found, as conditions");
    let conditions = r#"{range .status.conditions[*]}{.type}{"\t"}{.status}{"\t"}{.message}{"\n"}{end}"#;
    let path = format!("jsonpath={conditions}");
    println!("$ kubectl get oidcc {name} -n {namespace} -o jsonpath='{{.status.conditions}}'");
    print!(
        "{}",
        kubectl
            .run(["get", "oidcc", name, "-n", namespace, "-o", &path])
            .await?
    );

    say("The application's Secret (its keys) and ConfigMap");
    let secret = kubectl.get_json(["oidcc", name, "-n", namespace]).await?["status"]["binding"]["name"]
        .as_str()
        .context("status.binding.name")?
        .to_owned();
    show(&kubectl, &["describe", "secret", &secret, "-n", namespace]).await?;
    let (username, password) = provider.user();
    let demo = Demo {
        kubectl,
        sample: P::CLIENT,
        user: (username.to_owned(), password.to_owned()),
        secret,
    };
    let map = demo.config_map_name();
    show(
        &demo.kubectl,
        &["get", "configmap", &map, "-n", namespace, "-o", "yaml"],
    )
    .await?;

    say("A user logs in, with nothing but this Secret and this ConfigMap");
    let claims = demo.log_in().await?;
    println!("ID token of client {}, verified against the JWKS:", claims["aud"]);
    println!("{}", serde_json::to_string_pretty(&claims)?);

    provider.own_part(&demo).await?;

    println!("\nAll of it held, in {:.0} s.", start.elapsed().as_secs_f64());
    if let Some(notice) = P::NOTICE {
        println!("{notice}");
    }
    if std::io::stdin().is_terminal() {
        stay::<P>(&cluster, &operator, &demo).await?;
    }
    Ok(())
}

/// The samples as they lie in the repository, with the values of this provider.
async fn apply_samples<P: Shown>(kubectl: &Kubectl, provider: &P) -> Result<()> {
    let folder = format!("config/samples/{}", P::SAMPLES);
    println!("$ kubectl apply -k {folder}    ({})", P::ADAPTED);
    let mut samples = kubectl.run(["kustomize", &folder]).await?;
    for (theirs, ours) in provider.replacements() {
        ensure!(samples.contains(theirs), "the samples do not say {theirs:?} any more");
        samples = samples.replace(theirs, &ours);
    }
    print!("{}", kubectl.apply(&samples).await?);
    // Samples without placeholders for them leave it to the user.
    let home = provider.idp().home().unwrap_or("identity");
    for reference in provider.idp().references(home) {
        let name = reference["metadata"]["name"].as_str().context("name")?;
        if P::WORKLOAD || !samples.contains(&format!("name: {name}\n  namespace: {home}")) {
            print!("{}", kubectl.apply(&reference.to_string()).await?);
        }
    }
    Ok(())
}

impl Demo {
    fn config_map_name(&self) -> String {
        format!("{}-oidc", self.sample.name)
    }

    /// A value of the output Secret.
    async fn secret_value(&self, key: &str) -> Result<String> {
        let secret = self
            .kubectl
            .get_json(["secret", &self.secret, "-n", self.sample.namespace])
            .await?;
        decoded(&secret, key)
    }

    /// Asks the operator to look at the provider now, as users do.
    async fn ask(&self, provider: &str) -> Result<()> {
        let now = format!(
            "oidc-operator.io/reconcile-requested={}",
            jiff::Timestamp::now().as_millisecond()
        );
        show(
            &self.kubectl,
            &["annotate", "oidcp", provider, "-n", "identity", "--overwrite", &now],
        )
        .await
        .map(drop)
    }

    /// Logs the user in as an application would: everything comes from the two outputs.
    async fn log_in(&self) -> Result<Value> {
        let namespace = self.sample.namespace;
        let secret = self.kubectl.get_json(["secret", &self.secret, "-n", namespace]).await?;
        let map = self
            .kubectl
            .get_json(["configmap", &self.config_map_name(), "-n", namespace])
            .await?;
        let ca = map["data"]["ca-bundle.crt"]
            .as_str()
            .context("the ConfigMap has no ca-bundle.crt")?;
        let value = |key: &str| decoded(&secret, key);
        let auth = ClientAuth::SecretBasic(value("client-secret")?);
        let login = Login::new(
            &value("issuer-uri")?,
            ca,
            &value("client-id")?,
            auth,
            &value("redirect-uri")?,
        );
        let login = login
            .with_user(&self.user.0, &self.user.1)
            .with_scope(&value("scope")?)
            .with_pkce();
        Ok(login.run().await?.claims)
    }
}

fn decoded(secret: &Value, key: &str) -> Result<String> {
    let encoded = secret["data"][key]
        .as_str()
        .with_context(|| format!("the Secret has no key {key}"))?;
    Ok(String::from_utf8(
        base64::engine::general_purpose::STANDARD.decode(encoded)?,
    )?)
}

/// Stays up until Ctrl-C.
async fn stay<P: Shown>(cluster: &ControlPlane, operator: &Operator, demo: &Demo) -> Result<()> {
    let Sample { namespace, name } = demo.sample;
    let (username, password) = &demo.user;
    say("It stays up until Ctrl-C. In another terminal:");
    println!(
        "export KUBECONFIG={}
alias kubectl={}
kubectl get oidcp,oidcc -A
kubectl describe oidcc {name} -n {namespace}

# Break something, and watch it being repaired:
kubectl delete secret {} -n {namespace}        # a new secret, set at the provider
kubectl patch configmap {} -n {namespace} --type merge -p '{{\"data\":{{\"issuer-uri\":\"https://elsewhere\"}}}}'
kubectl get events -n {namespace}

{}

# Log in as {username} / {password}; logs of the operator:
tail -f {}",
        cluster.admin_kubeconfig().display(),
        tools::tool("kubectl")?.display(),
        demo.secret,
        demo.config_map_name(),
        P::proposals(),
        operator.process().log().display(),
    );
    tokio::signal::ctrl_c().await.context("Ctrl-C")
}
