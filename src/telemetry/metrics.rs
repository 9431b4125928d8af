//! Numbers for Prometheus. Every label has a bounded set of values: no names of objects, no texts of errors.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::domain::ResourceName;

/// What a pass was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An OIDCProvider.
    Provider,
    /// An OIDCClient.
    Client,
}

impl Kind {
    /// As Kubernetes calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "OIDCProvider",
            Self::Client => "OIDCClient",
        }
    }
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do until something changes.
    Settled,
    /// It is tried again: something outside stands in the way.
    Retry,
    /// Kubernetes failed a call, or the operator has a defect.
    Failed,
    /// It took too long.
    Deadline,
    /// The object cannot be read.
    Invalid,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Retry => "retry",
            Self::Failed => "failed",
            Self::Deadline => "deadline",
            Self::Invalid => "invalid",
        }
    }
}

/// Label sets are derived, one for each combination of names.
macro_rules! labels {
    ($($name:ident { $($label:ident),+ })+) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
            struct $name { $($label: &'static str,)+ }
        )+
    };
}

labels! {
    KindLabels { kind }
    PassLabels { kind, outcome }
    StepLabels { step, result }
    CallLabels { operation, outcome }
    OperationLabels { operation }
    IdpCallLabels { provider_type, operation, outcome }
    IdpLabels { provider_type, operation }
    WhatLabels { what }
    ResultLabels { result }
    WatchLabels { watch }
    VersionLabels { version }
    CertificateLabels { provider_type, certificate }
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// From 1 ms to 65 s: a request over loopback up to a pass at its end.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 9))
}

fn histograms<L: Clone + std::hash::Hash + Eq>() -> Histograms<L> {
    Family::new_with_constructor(seconds as fn() -> Histogram)
}

/// All metrics. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    passes: Family<PassLabels, Counter>,
    pass_seconds: Histograms<KindLabels>,
    steps: Family<StepLabels, Counter>,
    kubernetes_requests: Family<CallLabels, Counter>,
    kubernetes_seconds: Histograms<OperationLabels>,
    idp_requests: Family<IdpCallLabels, Counter>,
    idp_seconds: Histograms<IdpLabels>,
    deadlines: Family<WhatLabels, Counter>,
    left_behind: Counter,
    invalid_objects: Family<KindLabels, Counter>,
    events: Family<ResultLabels, Counter>,
    watch_errors: Family<WatchLabels, Counter>,
    watch_rebuilds: Family<WatchLabels, Counter>,
    certificates: Family<CertificateLabels, Gauge>,
    /// By provider, what the gauge is the least of.
    expiries: Mutex<HashMap<ResourceName, Vec<(CertificateLabels, i64)>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero. docs/metrics.md explains each.
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::with_prefix("oidc_operator"),
            passes: Family::default(),
            pass_seconds: histograms(),
            steps: Family::default(),
            kubernetes_requests: Family::default(),
            kubernetes_seconds: histograms(),
            idp_requests: Family::default(),
            idp_seconds: histograms(),
            deadlines: Family::default(),
            left_behind: Counter::default(),
            invalid_objects: Family::default(),
            events: Family::default(),
            watch_errors: Family::default(),
            watch_rebuilds: Family::default(),
            certificates: Family::default(),
            expiries: Mutex::default(),
        };
        let build: Family<VersionLabels, Gauge> = Family::default();
        build
            .get_or_create(&VersionLabels {
                version: env!("CARGO_PKG_VERSION"),
            })
            .set(1);
        let registry = &mut inner.registry;
        registry.register("build_info", "The version that runs", build);
        registry.register("passes", "Passes over objects", inner.passes.clone());
        registry.register(
            "pass_seconds",
            "Time of a pass, waiting not counted",
            inner.pass_seconds.clone(),
        );
        registry.register("steps", "Steps that passes carried out", inner.steps.clone());
        registry.register(
            "kubernetes_requests",
            "Calls to the API server",
            inner.kubernetes_requests.clone(),
        );
        registry.register(
            "kubernetes_request_seconds",
            "Time of a call",
            inner.kubernetes_seconds.clone(),
        );
        registry.register(
            "idp_requests",
            "Calls to identity providers",
            inner.idp_requests.clone(),
        );
        registry.register(
            "idp_request_seconds",
            "Time of a call, waiting not counted",
            inner.idp_seconds.clone(),
        );
        registry.register(
            "deadlines",
            "Calls and passes that took too long",
            inner.deadlines.clone(),
        );
        registry.register(
            "left_behind",
            "Clients that may be left at a provider",
            inner.left_behind.clone(),
        );
        registry.register(
            "invalid_objects",
            "Passes over unreadable objects",
            inner.invalid_objects.clone(),
        );
        registry.register("events", "Kubernetes Events", inner.events.clone());
        registry.register("watch_errors", "Failed tries to watch", inner.watch_errors.clone());
        registry.register(
            "watch_rebuilds",
            "Watches that were begun anew",
            inner.watch_rebuilds.clone(),
        );
        registry.register(
            "certificate_not_after_timestamp_seconds",
            "When the first certificate of this kind expires, in Unix time",
            inner.certificates.clone(),
        );
        Self(Arc::new(inner))
    }

    /// The text exposition format (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// A pass ended.
    pub fn pass(&self, kind: Kind, outcome: Outcome, seconds: f64) {
        let kind = kind.as_str();
        self.0
            .passes
            .get_or_create(&PassLabels {
                kind,
                outcome: outcome.as_str(),
            })
            .inc();
        self.0.pass_seconds.get_or_create(&KindLabels { kind }).observe(seconds);
    }

    /// A step was carried out.
    pub fn step(&self, step: &'static str, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.0.steps.get_or_create(&StepLabels { step, result }).inc();
    }

    /// A call to the API server ended.
    pub fn kubernetes_request(&self, operation: &'static str, outcome: &'static str, seconds: f64) {
        self.0
            .kubernetes_requests
            .get_or_create(&CallLabels { operation, outcome })
            .inc();
        self.0
            .kubernetes_seconds
            .get_or_create(&OperationLabels { operation })
            .observe(seconds);
    }

    /// A call to an identity provider ended.
    pub fn idp_request(
        &self,
        provider_type: &'static str,
        operation: &'static str,
        outcome: &'static str,
        seconds: f64,
    ) {
        self.0
            .idp_requests
            .get_or_create(&IdpCallLabels {
                provider_type,
                operation,
                outcome,
            })
            .inc();
        self.0
            .idp_seconds
            .get_or_create(&IdpLabels {
                provider_type,
                operation,
            })
            .observe(seconds);
    }

    /// Something took too long and was cut off.
    pub fn deadline(&self, what: &'static str) {
        self.0.deadlines.get_or_create(&WhatLabels { what }).inc();
    }

    /// An object was let go although something of it may be left at a provider.
    pub fn left_behind(&self) {
        self.0.left_behind.inc();
    }

    /// An object could not be read.
    pub fn invalid_object(&self, kind: Kind) {
        self.0
            .invalid_objects
            .get_or_create(&KindLabels { kind: kind.as_str() })
            .inc();
    }

    /// What became of an Event.
    pub fn event(&self, result: &'static str) {
        self.0.events.get_or_create(&ResultLabels { result }).inc();
    }

    /// When the certificates of a provider expire, by kind, in Unix time. Shown is the first of all providers of its type: a
    /// label holds no names.
    pub fn certificates(&self, provider: &ResourceName, provider_type: &'static str, expiries: &[(&'static str, i64)]) {
        let labelled = expiries.iter().map(|(certificate, not_after)| {
            let labels = CertificateLabels {
                provider_type,
                certificate,
            };
            (labels, *not_after)
        });
        let labelled = labelled.collect();
        self.change_certificates(|all| drop(all.insert(provider.clone(), labelled)));
    }

    /// A provider is gone.
    pub fn forget_certificates(&self, provider: &ResourceName) {
        self.change_certificates(|all| drop(all.remove(provider)));
    }

    fn change_certificates(&self, change: impl FnOnce(&mut HashMap<ResourceName, Vec<(CertificateLabels, i64)>>)) {
        let mut all = self.0.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds: Vec<CertificateLabels> = all.values().flatten().map(|(labels, _)| labels.clone()).collect();
        change(&mut all);
        let mut first: HashMap<CertificateLabels, i64> = HashMap::new();
        for (labels, not_after) in all.values().flatten() {
            let least = first.entry(labels.clone()).or_insert(*not_after);
            *least = (*least).min(*not_after);
        }
        for gone in kinds.iter().filter(|labels| !first.contains_key(labels)) {
            self.0.certificates.remove(gone);
        }
        for (labels, not_after) in first {
            self.0.certificates.get_or_create(&labels).set(not_after);
        }
    }

    /// A try to list or watch failed.
    pub fn watch_error(&self, watch: &'static str) {
        self.0.watch_errors.get_or_create(&WatchLabels { watch }).inc();
    }

    /// A watch was begun anew, with a list.
    pub fn watch_rebuild(&self, watch: &'static str) {
        self.0.watch_rebuilds.get_or_create(&WatchLabels { watch }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_certificate_to_expire_is_shown_and_goes_with_its_provider() {
        let metrics = Metrics::new();
        let (one, other) = (ResourceName::new("n", "one"), ResourceName::new("n", "other"));
        metrics.certificates(&one, "Dex", &[("Issuer", 200), ("AdminAPI", 300)]);
        metrics.certificates(&other, "Dex", &[("Issuer", 100)]);
        let shows = |certificate: &str, value: i64| {
            const NAME: &str = "oidc_operator_certificate_not_after_timestamp_seconds";
            let line = format!("{NAME}{{provider_type=\"Dex\",certificate=\"{certificate}\"}} {value}\n");
            metrics.text().contains(&line)
        };
        assert!(shows("Issuer", 100) && shows("AdminAPI", 300), "{}", metrics.text());
        metrics.forget_certificates(&other);
        assert!(shows("Issuer", 200));
        metrics.certificates(&one, "Dex", &[("Issuer", 400)]);
        assert!(shows("Issuer", 400));
        assert!(!metrics.text().contains("AdminAPI"), "{}", metrics.text());
    }

    #[test]
    fn are_printed_with_prefix_and_labels() {
        let metrics = Metrics::new();
        metrics.pass(Kind::Client, Outcome::Settled, 0.01);
        metrics.step("create-secret", true);
        metrics.idp_request("Dex", "get", "ok", 0.001);
        metrics.left_behind();
        let text = metrics.text();
        for line in [
            r#"oidc_operator_passes_total{kind="OIDCClient",outcome="settled"} 1"#,
            r#"oidc_operator_steps_total{step="create-secret",result="ok"} 1"#,
            r#"oidc_operator_idp_requests_total{provider_type="Dex",operation="get",outcome="ok"} 1"#,
            "oidc_operator_left_behind_total 1",
            r#"oidc_operator_pass_seconds_count{kind="OIDCClient"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
