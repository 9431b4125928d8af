//! `make demo`: the operator's whole job on a real API server and a real Dex, step by step.
//!
//! Without a terminal on standard input it ends with exit code 0 only if every step held. On a terminal it stays up and says
//! what to try next.

#![allow(clippy::print_stdout, reason = "a demonstration shows what it does")]

use std::{
    io::IsTerminal as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use oidc_operator_e2e::{
    control_plane::{ControlPlane, Options},
    dex::{self, Dex, DexOptions},
    http, install,
    kubectl::Kubectl,
    login::{ClientAuth, Login},
    operator::{Operator, OperatorOptions},
    tools,
};

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
}

/// The sample whose user logs in, and its redirect URI.
const SHOWN: (&str, &str) = ("playpen-platform", "playpen");

#[tokio::main]
async fn main() -> ExitCode {
    let Args {
        provider: Provider::Dex,
    } = Args::parse();
    http::choose_crypto();
    match demo().await {
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

async fn demo() -> Result<()> {
    let start = Instant::now();
    say("A Kubernetes control plane, and a Dex with TLS and a gRPC API that asks for a client certificate");
    let (cluster, dex) = tokio::try_join!(
        ControlPlane::start(Options {
            name: "demo-control-plane".to_owned(),
            ..Options::default()
        }),
        Dex::start(DexOptions {
            name: "demo-dex".to_owned(),
            ..DexOptions::default()
        }),
    )?;
    println!("API server {}\nDex        {}", cluster.url(), dex.issuer());
    let kubectl = cluster.kubectl()?;

    say("CRDs and rights, then the operator, with exactly these rights");
    println!("$ kubectl apply -k config/crd -k config/rbac");
    let kubeconfig = install::install(&cluster).await?;
    let operator = Operator::start(OperatorOptions::new(kubeconfig, "demo"))?;
    operator.wait_ready(Duration::from_secs(30)).await?;
    println!("oidc-operator run: ready ({}/readyz)", operator.health_url());

    say("The samples: a provider, and clients of four applications");
    apply_samples(&kubectl, &dex).await?;
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
    let (namespace, name) = SHOWN;
    println!();
    show(&kubectl, &["get", "oidcp,oidcc", "-A"]).await?;

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
    show(
        &kubectl,
        &[
            "get",
            "configmap",
            &format!("{name}-oidc"),
            "-n",
            namespace,
            "-o",
            "yaml",
        ],
    )
    .await?;

    say("A user logs in, with nothing but this Secret and this ConfigMap");
    let claims = log_in(&kubectl, namespace, &secret, &format!("{name}-oidc")).await?;
    println!("ID token of client {}, verified against the JWKS:", claims["aud"]);
    println!("{}", serde_json::to_string_pretty(&claims)?);

    say("Dex loses its memory; the operator gives it the same clients with the same secrets again");
    dex.restart().await?;
    let now = format!("oidc-operator.io/reconcile-requested={}", std::process::id());
    show(&kubectl, &["annotate", "oidcp", "dex", "-n", "identity", &now]).await?;
    let recovered = oidc_operator_e2e::wait::eventually("the login works again", Duration::from_secs(60), async || {
        log_in(&kubectl, namespace, &secret, &format!("{name}-oidc")).await
    });
    recovered.await?;
    println!("logged in again with the Secret that was there before");

    println!("\nAll of it held, in {:.0} s.", start.elapsed().as_secs_f64());
    if std::io::stdin().is_terminal() {
        stay(&cluster, &operator).await?;
    }
    Ok(())
}

/// The samples as they lie in the repository, with the addresses of this Dex.
async fn apply_samples(kubectl: &Kubectl, dex: &Dex) -> Result<()> {
    println!("$ kubectl apply -k config/samples/dex    (with this Dex's addresses, CA and client certificate)");
    let samples = kubectl.run(["kustomize", "config/samples/dex"]).await?;
    let (issuer, address) = ("https://dex.example.com/dex", "dex.identity.svc:5557");
    ensure!(
        samples.contains(issuer) && samples.contains(address),
        "the samples name other addresses"
    );
    let samples = samples
        .replace(issuer, dex.issuer())
        .replace(address, &dex.grpc_address().to_string());
    print!("{}", kubectl.apply(&samples).await?);
    for reference in install::references(dex, "identity") {
        print!("{}", kubectl.apply(&reference.to_string()).await?);
    }
    Ok(())
}

/// Logs the user in as an application would: everything comes from the two outputs.
async fn log_in(kubectl: &Kubectl, namespace: &str, secret: &str, config_map: &str) -> Result<serde_json::Value> {
    let secret = kubectl.get_json(["secret", secret, "-n", namespace]).await?;
    let value = |key: &str| -> Result<String> {
        use base64::Engine as _;
        let encoded = secret["data"][key]
            .as_str()
            .with_context(|| format!("the Secret has no key {key}"))?;
        Ok(String::from_utf8(
            base64::engine::general_purpose::STANDARD.decode(encoded)?,
        )?)
    };
    let config_map = kubectl.get_json(["configmap", config_map, "-n", namespace]).await?;
    let ca = config_map["data"]["ca-bundle.crt"]
        .as_str()
        .context("the ConfigMap has no ca-bundle.crt")?;
    let auth = ClientAuth::SecretBasic(value("client-secret")?);
    let mut login = Login::new(
        &value("issuer-uri")?,
        ca,
        &value("client-id")?,
        auth,
        &value("redirect-uri")?,
    );
    login.scope = value("scope")?;
    Ok(login.with_pkce().run().await?.claims)
}

/// Stays up until Ctrl-C.
async fn stay(cluster: &ControlPlane, operator: &Operator) -> Result<()> {
    let (namespace, name) = SHOWN;
    let kubectl = tools::tool("kubectl")?;
    say("It stays up until Ctrl-C. In another terminal:");
    println!(
        "export KUBECONFIG={}
alias kubectl={}
kubectl get oidcp,oidcc -A
kubectl describe oidcc {name} -n {namespace}

# Break something, and watch it being repaired:
kubectl delete secret dex-credentials -n {namespace}        # a new secret, set in Dex
kubectl patch configmap {name}-oidc -n {namespace} --type merge -p '{{\"data\":{{\"issuer-uri\":\"https://elsewhere\"}}}}'
kubectl get events -n {namespace}

# Ask for what Dex cannot do:
kubectl patch oidcc {name} -n {namespace} --type merge -p '{{\"spec\":{{\"grantTypes\":[\"client_credentials\"]}}}}'

# Log in as {} / {}; logs of the operator:
tail -f {}",
        cluster.admin_kubeconfig().display(),
        kubectl.display(),
        dex::USER_EMAIL,
        dex::USER_PASSWORD,
        operator.process().log().display(),
    );
    tokio::signal::ctrl_c().await.context("Ctrl-C")
}
