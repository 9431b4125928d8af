//! One pass over one OIDCProvider: references, driver, issuer, admin API, list; then its clients are woken.

use std::{collections::HashSet, sync::Arc, time::Instant};

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{
    connect::{self, References},
    context::{Context, Lookup},
    drift_watch::DriftWatch,
    gather,
    registry::{Runtime, State},
    report,
};
use crate::{
    api::{
        OIDCProvider, OIDCProviderStatus,
        provider::{InsecurePart, OIDCProviderSpec, ProviderType},
    },
    domain::{
        Discovery, IdpError, IdpErrorKind, JsonWebKeySummary, ObservedClient, ProviderFacts, ResourceName,
        vocabulary::{ANNOTATION_ORPHAN, ANNOTATION_RECONCILE_REQUESTED, PROVIDER_FINALIZER},
    },
    idp::{Driver, ServerInfo, http::HttpClient, issuer},
    kubernetes::{
        client::KubeError,
        finalizer,
        objects::{carries, name_of},
    },
    plan::{
        certificates::not_after,
        provider::{AdminProblem, Findings, IssuerProblem, Server, status},
        snapshot::{ClientBrief, NotReady},
        verdict::Requeue,
    },
    telemetry::metrics::Metrics,
};

/// One pass over a provider.
///
/// # Errors
/// When Kubernetes fails a call.
pub async fn pass(context: &Context, name: &ResourceName) -> Result<Option<Requeue>, KubeError> {
    let Lookup::Found(object) = context.objects.provider(name).await else {
        context.forget_provider(name);
        wake(context, name).await;
        return Ok(None);
    };
    let mut object = context.recent.provider(object);
    let deleting = object.metadata.deletion_timestamp.is_some();
    let has_finalizer = carries(object.as_ref(), PROVIDER_FINALIZER);
    if deleting && !has_finalizer {
        return Ok(None);
    }
    if !deleting && !has_finalizer {
        finalizer(context, &object, true).await?;
        object = context.recent.provider(object);
    }
    // Before the references are read: from now on a change of them wakes this provider.
    let runtime = context.registry.get_or_make(name, &object.uid().unwrap_or_default());
    let references = connect::references(context, &name.namespace, &object.spec).await?;
    let clients = context.objects.clients_of(name).await;
    let waiting_for = match object.spec.type_ {
        // Nothing is the operator's there.
        ProviderType::Static => Vec::new(),
        _ if deleting => remaining(&clients),
        _ => Vec::new(),
    };
    if deleting && may_end(&object, &references, &waiting_for) {
        finalizer(context, &object, false).await?;
        context.forget_provider(name);
        wake(context, name).await;
        return Ok(None);
    }
    let before = runtime.state();
    let (after, findings) = look(context, &object, &references, &runtime, &before, &clients, waiting_for).await;
    let resync = after.resync;
    let news = differs(&before, &after) || asked(&object);
    runtime.set_state(after);
    let old = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let new = status(&object.spec, &old, generation, &findings, Timestamp::now());
    context
        .metrics
        .certificates(name, object.spec.type_.as_str(), &expiries(&new));
    // Asked for anew: one that came meanwhile may have found a provider that was not looked at yet.
    let clients = context.objects.clients_of(name).await;
    wake_clients(context, &runtime, clients, news || deleting);
    report::provider(context, &object, &new).await?;
    Ok(Some(findings.requeue(resync)))
}

/// When the certificates in status expire, as seconds of Unix time.
fn expiries(status: &OIDCProviderStatus) -> Vec<(&'static str, i64)> {
    let certificates = status.certificates.iter();
    certificates
        .filter_map(|certificate| Some((certificate.use_.as_str(), not_after(certificate)?.as_second())))
        .collect()
}

/// A provider waits only for clients that have something there, and not where it could not help them any more.
fn may_end(object: &OIDCProvider, references: &References, waiting_for: &[String]) -> bool {
    waiting_for.is_empty() || references.credentials_gone || object.annotations().contains_key(ANNOTATION_ORPHAN)
}

/// Names of the clients that may have something there.
pub(super) fn remaining(clients: &[ClientBrief]) -> Vec<String> {
    let with_something = clients.iter().filter(|client| client.finalizer);
    let mut names: Vec<String> = with_something.map(|client| client.name.to_string()).collect();
    names.sort();
    names
}

fn asked(object: &OIDCProvider) -> bool {
    let asked = object.annotations().get(ANNOTATION_RECONCILE_REQUESTED);
    asked.is_some()
        && asked
            != object
                .status
                .as_ref()
                .and_then(|status| status.last_reconcile_request.as_ref())
}

async fn finalizer(context: &Context, object: &OIDCProvider, wanted: bool) -> Result<(), KubeError> {
    let (kube, metrics) = (&context.kube, &context.metrics);
    let written = finalizer::set(kube, metrics, "patch oidcproviders", object, PROVIDER_FINALIZER, wanted).await?;
    match written {
        Some(object) if wanted => context.recent.wrote_provider(object),
        _ => context.recent.forget_provider(&name_of(&object.metadata)),
    }
    Ok(())
}

/// Looks at issuer, admin API and certificates, all at once.
async fn look(
    context: &Context,
    object: &OIDCProvider,
    references: &References,
    runtime: &Arc<Runtime>,
    before: &State,
    clients: &[ClientBrief],
    waiting_for: Vec<String>,
) -> (State, Findings) {
    let (name, spec) = (name_of(&object.metadata), &object.spec);
    let fingerprint = connect::fingerprint(spec, references);
    let http = match &references.issuer {
        Ok(trust) => connect::issuer_http(spec, trust)
            .map_err(|error| IssuerProblem::Issuer(crate::domain::IssuerError::Request(error))),
        Err(problem) => Err(IssuerProblem::Reference(problem.clone())),
    };
    // The same connection where nothing changed: a token, a channel and the limits live on.
    let same = before.driver.clone().filter(|_| before.fingerprint == fingerprint);
    let driver = match (&references.admin, same, &http) {
        (Err(problem), ..) => Err(AdminProblem::Reference(problem.clone())),
        (Ok(_), Some(driver), _) => Ok(driver),
        (Ok(admin), None, Ok(http)) => connect::driver(context, &name, spec, admin, http.clone()),
        // The admin API is looked at all the same, so that a person sees both problems at once.
        (Ok(admin), None, Err(_)) => match connect::issuer_http(spec, &connect::IssuerTrust::default()) {
            Ok(http) => connect::driver(context, &name, spec, admin, http),
            Err(error) => Err(AdminProblem::Call(error)),
        },
    };
    // It lives as long as its driver.
    let same_watch = (before.watch.clone()).filter(|watch| before.fingerprint == fingerprint && !watch.has_ended());
    let watch = match (&driver, same_watch) {
        (Ok(driver), None) => {
            let watch = driver.watch();
            watch.map(|watch| DriftWatch::start(context, &name, runtime, watch))
        }
        (_, same) => same,
    };
    let look_at_admin = async {
        match &watch {
            // It tells by itself, and nothing is asked.
            Some(watch) if driver.is_ok() => watch.server(connect::timeout(spec)).await.map_err(AdminProblem::Call),
            _ => look_at_admin(runtime, &driver, clients).await,
        }
    };
    let (issuer, admin, certificates) = tokio::join!(
        look_at_issuer(&context.metrics, object, references, http),
        look_at_admin,
        connect::certificates(spec, references)
    );
    let findings = Findings {
        issuer: issuer.map(|facts| Arc::new(with_server(facts, &admin, before))),
        admin: admin.map(|server| Server {
            product: server.product,
            version: server.version,
            api_version: server.api_version,
        }),
        certificates,
        insecure: connect::insecure(spec),
        capabilities: Some(gather::model(spec).capabilities()),
        clients: i32::try_from(clients.len()).unwrap_or(i32::MAX),
        waiting_for,
        request: object.annotations().get(ANNOTATION_RECONCILE_REQUESTED).cloned(),
    };
    let not_ready = match (&findings.issuer, &findings.admin) {
        (Ok(_), Ok(_)) => None,
        (_, Err(_)) => Some(NotReady::AdminApi),
        (Err(_), _) => Some(NotReady::Issuer),
    };
    let state = State {
        looked_at: true,
        generation: object.metadata.generation,
        facts: findings.issuer.as_ref().ok().cloned().or_else(|| before.facts.clone()),
        driver: driver.ok(),
        watch,
        fingerprint,
        not_ready,
        credentials_gone: references.credentials_gone,
        resync: connect::resync(spec),
    };
    (state, findings)
}

/// The facts, with what the admin API adds to them; while it does not answer, what was known before is better than nothing.
fn with_server(facts: ProviderFacts, admin: &Result<ServerInfo, AdminProblem>, before: &State) -> ProviderFacts {
    let (scopes, server_version, signing_algorithms) = match (admin, &before.facts) {
        (Ok(server), _) => (
            server.scopes.clone(),
            server.version.clone(),
            server.signing_algorithms.clone(),
        ),
        (Err(_), Some(known)) => (
            known.scopes.clone(),
            known.server_version.clone(),
            Some(known.discovery.signing_algorithms.clone()),
        ),
        (Err(_), None) => (None, None, None),
    };
    let mut facts = ProviderFacts {
        scopes,
        server_version,
        ..facts
    };
    // The discovery document says it, where the provider has one.
    if facts.discovery.signing_algorithms.is_empty() {
        facts.discovery.signing_algorithms = signing_algorithms.unwrap_or_default();
    }
    facts
}

async fn look_at_issuer(
    metrics: &Metrics,
    object: &OIDCProvider,
    references: &References,
    http: Result<HttpClient, IssuerProblem>,
) -> Result<ProviderFacts, IssuerProblem> {
    let http = http?;
    let insecure_endpoints_allowed = connect::allows(&object.spec, InsecurePart::Endpoints);
    let (discovery, keys) = if object.spec.type_ == ProviderType::Authentik {
        // Each client has its own, which is read with the proof of its credentials.
        (Discovery::default(), Vec::new())
    } else if let Some(given) = connect::given_discovery(&object.spec) {
        // No request: the document cannot be read, and the keys may be out of reach, too.
        (given, Vec::new())
    } else {
        read_issuer(metrics, &object.spec, &http).await?
    };
    let internal_issuer = object.spec.issuer.internal_issuer_url().map(str::to_owned);
    let ca = references.issuer.as_ref().ok().and_then(|trust| trust.bundle.as_ref());
    Ok(ProviderFacts {
        provider_type: object.spec.type_.as_str(),
        discovery,
        internal_issuer,
        keys,
        ca_bundle: ca.map(crate::domain::CaBundle::to_pem).unwrap_or_default(),
        ca_bundle_with_system_roots: connect::with_system_roots(ca),
        ca_expiry: ca.map(crate::domain::CaBundle::earliest_expiry),
        username_claim: object.spec.username_claim().to_owned(),
        insecure_endpoints_allowed,
        scopes: None,
        server_version: None,
    })
}

async fn read_issuer(
    metrics: &Metrics,
    spec: &OIDCProviderSpec,
    http: &HttpClient,
) -> Result<(Discovery, Vec<JsonWebKeySummary>), IssuerProblem> {
    let request = connect::issuer_request(spec);
    let start = Instant::now();
    let read = issuer::read(http, &request).await;
    let outcome = read.as_ref().map_or_else(|error| error.reason(), |_| "ok");
    let seconds = start.elapsed().as_secs_f64();
    metrics.idp_request(spec.type_.as_str(), "discovery", outcome, seconds);
    let (mut discovery, keys) = read.map_err(IssuerProblem::Issuer)?;
    // Whatever the document inside names: browsers and what checks their tokens know the public one.
    if let Some(public) = &spec.issuer.issuer_url {
        discovery.issuer.clone_from(public);
    }
    Ok((discovery, keys))
}

/// Who answers, then the list of all clients: what drifted is found here, in bulk.
async fn look_at_admin(
    runtime: &Runtime,
    driver: &Result<Arc<dyn Driver>, AdminProblem>,
    clients: &[ClientBrief],
) -> Result<ServerInfo, AdminProblem> {
    let driver = driver.as_ref().map_err(Clone::clone)?;
    let server = driver.probe().await.map_err(AdminProblem::Call)?;
    let began = Instant::now();
    if !server.bulk_list {
        runtime.forget_all();
        return Ok(server);
    }
    match list(driver.as_ref(), clients).await {
        Ok(rows) => runtime.listed(began, rows),
        // This server cannot: every client is asked for by its id instead.
        Err(error) if error.kind == IdpErrorKind::Unsupported => runtime.forget_all(),
        Err(error) => return Err(AdminProblem::Call(error)),
    }
    Ok(server)
}

/// All pages of the list, each a call of its own with its own deadline. Only rows that an OIDCClient asks for are kept: a realm
/// may have many thousand others, and their secrets are nobody's business here.
async fn list(driver: &dyn Driver, clients: &[ClientBrief]) -> Result<Vec<ObservedClient>, IdpError> {
    let wanted: HashSet<&str> = clients.iter().map(|client| client.client_id.as_str()).collect();
    let mut rows = Vec::new();
    for page in 0.. {
        let found = driver.list(page).await?;
        let last = !found.more || found.rows.is_empty();
        let ours = found.rows.into_iter();
        rows.extend(ours.filter(|row| wanted.contains(row.client_id.as_str())));
        if last {
            break;
        }
    }
    Ok(rows)
}

/// Does anything differ that clients depend on?
fn differs(before: &State, after: &State) -> bool {
    before.looked_at != after.looked_at
        || before.generation != after.generation
        || before.facts != after.facts
        || before.not_ready != after.not_ready
        || before.fingerprint != after.fingerprint
        || before.credentials_gone != after.credentials_gone
        || before.resync != after.resync
}

/// Wakes the clients that the list shows otherwise than last seen; then, where the provider has news for them, all others.
fn wake_clients(context: &Context, runtime: &Runtime, clients: Vec<ClientBrief>, all: bool) {
    let ready = runtime.state().not_ready.is_none();
    let (others, differ): (Vec<_>, Vec<_>) = clients
        .into_iter()
        .partition(|client| !ready || runtime.unchanged(&client.client_id));
    let others = others.into_iter().filter(|_| all);
    for client in differ.into_iter().chain(others) {
        context.triggers.client(client.name);
    }
}

/// Wakes all clients of a provider that is gone.
async fn wake(context: &Context, provider: &ResourceName) {
    for client in context.objects.clients_of(provider).await {
        context.triggers.client(client.name);
    }
}
