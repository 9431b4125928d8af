//! What the API server's failures mean for Dex's objects.

use std::time::Duration;

use kube::{core::Status, runtime::watcher};

use crate::{
    domain::{ClientSecret, IdpError, IdpErrorKind},
    idp::dex::errors::without_secret,
    kubernetes::{
        client::{CallError, chain},
        watch::Failure,
    },
};

/// What is done to OAuth2Clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Get,
    List,
    Watch,
    Create,
    Patch,
    Delete,
}

impl Operation {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get OAuth2Client",
            Self::List => "list OAuth2Clients",
            Self::Watch => "watch OAuth2Clients",
            Self::Create => "create OAuth2Client",
            Self::Patch => "patch OAuth2Client",
            Self::Delete => "delete OAuth2Client",
        }
    }

    /// For the label of a metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Get => "get oauth2clients",
            Self::List => "list oauth2clients",
            Self::Watch => "watch oauth2clients",
            Self::Create => "create oauth2clients",
            Self::Patch => "patch oauth2clients",
            Self::Delete => "delete oauth2clients",
        }
    }

    /// As RBAC has it.
    fn verb(self) -> &'static str {
        self.label().split_once(' ').map_or("", |(verb, _)| verb)
    }
}

/// Where a call went.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) timeout: Duration,
}

/// Is the answer about the object of this name: does it say that there is none? Where the CRD is missing, the code is the same.
pub(super) fn is_missing(failure: &CallError, name: &str) -> bool {
    answer(failure)
        .is_some_and(|status| status.code == 404 && status.details.as_ref().is_some_and(|details| details.name == name))
}

/// Is there an object of this name already?
pub(super) fn is_taken(failure: &CallError) -> bool {
    answer(failure).is_some_and(Status::is_already_exists)
}

/// Was the object changed since it was looked at? Nothing was done then.
pub(super) fn is_conflict(failure: &CallError) -> bool {
    answer(failure).is_some_and(|status| status.is_conflict() && !status.is_already_exists())
}

fn answer(failure: &CallError) -> Option<&Status> {
    match failure {
        CallError::Failed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// Classifies a failed call. `sent` is cut out of whatever text the API server answers.
pub(super) fn classify(
    operation: Operation,
    failure: &CallError,
    place: &Place,
    sent: Option<&ClientSecret>,
) -> IdpError {
    match failure {
        CallError::Timeout => {
            let message = format!(
                "the Kubernetes API server did not answer within {} s",
                place.timeout.as_secs_f32()
            );
            IdpError::new(IdpErrorKind::Timeout, operation.name(), message)
        }
        CallError::Failed(error) => failed(operation, error, place, sent),
    }
}

/// Classifies the failure of a watch.
pub(super) fn classify_watch(failure: &Failure, place: &Place) -> IdpError {
    let watch = Operation::Watch;
    match failure {
        Failure::Told(watcher::Error::InitialListFailed(error)) => failed(Operation::List, error, place, None),
        Failure::Told(watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error)) => {
            failed(watch, error, place, None)
        }
        Failure::Told(watcher::Error::WatchError(status)) => answered(watch, status, place, None),
        Failure::Silent(time) => {
            let message = format!("no answer from the Kubernetes API server within {} s", time.as_secs());
            IdpError::new(IdpErrorKind::Timeout, watch.name(), message)
        }
        Failure::Told(watcher::Error::NoResourceVersion) | Failure::Ended => {
            IdpError::new(IdpErrorKind::Protocol, watch.name(), failure.to_string())
        }
    }
}

fn failed(operation: Operation, error: &kube::Error, place: &Place, sent: Option<&ClientSecret>) -> IdpError {
    let (kind, message) = match error {
        kube::Error::Api(status) => return answered(operation, status, place, sent),
        kube::Error::Service(source) => (IdpErrorKind::Unreachable, chain(source.as_ref())),
        kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => (IdpErrorKind::Unreachable, chain(error)),
        // Not its text: that of a parser may quote what it read.
        kube::Error::SerdeError(_) => (IdpErrorKind::Protocol, "the answer is no OAuth2Client".to_owned()),
        other => (IdpErrorKind::Server, chain(other)),
    };
    let message = format!("the Kubernetes API server cannot be used: {message}");
    IdpError::new(kind, operation.name(), without_secret(message, sent))
}

fn answered(operation: Operation, status: &Status, place: &Place, sent: Option<&ClientSecret>) -> IdpError {
    let (namespace, verb) = (&place.namespace, operation.verb());
    let words = without_secret(status.message.clone(), sent);
    let (kind, message) = match status.code {
        401 => (
            IdpErrorKind::Unauthorized,
            "the Kubernetes API server refuses the operator's own credentials".to_owned(),
        ),
        403 if words.contains(&format!("cannot {verb} resource")) => (
            IdpErrorKind::Forbidden,
            format!(
                "the operator has no right to {verb} oauth2clients.dex.coreos.com in namespace {namespace}: apply \
                 config/dex-storage there (docs/dex.md)"
            ),
        ),
        403 => (IdpErrorKind::Forbidden, format!("Kubernetes forbids it: {words}")),
        404 => (
            IdpErrorKind::Unsupported,
            "this cluster knows no oauth2clients.dex.coreos.com: Dex makes that CRD when it first starts with storage type \
             kubernetes; is it running, and is that its storage?"
                .to_owned(),
        ),
        409 => (
            IdpErrorKind::Server,
            "the object was changed by somebody else meanwhile".to_owned(),
        ),
        400 | 413 | 422 => (
            IdpErrorKind::Refused,
            format!("Kubernetes refuses the object: {words}"),
        ),
        429 => (
            IdpErrorKind::Throttled,
            "the Kubernetes API server asks to slow down".to_owned(),
        ),
        code => (
            IdpErrorKind::Server,
            format!("the Kubernetes API server answers {code} {words}"),
        ),
    };
    let seconds = status.details.as_ref().map(|details| details.retry_after_seconds);
    let wait = seconds.filter(|seconds| *seconds > 0 && status.code == 429);
    IdpError::new(kind, operation.name(), message).after(wait.map(|seconds| Duration::from_secs(seconds.into())))
}

#[cfg(test)]
mod tests {
    use kube::core::response::StatusDetails;

    use super::*;

    fn place() -> Place {
        Place {
            namespace: "identity".to_owned(),
            timeout: Duration::from_secs(2),
        }
    }

    fn api(code: u16, reason: &str, message: &str) -> CallError {
        CallError::Failed(kube::Error::Api(
            Status::failure(message, reason).with_code(code).boxed(),
        ))
    }

    fn missing(name: &str) -> CallError {
        let details = StatusDetails {
            name: name.to_owned(),
            ..serde_json::from_str("{}").unwrap()
        };
        let status = Status::failure("not found", "NotFound").with_code(404);
        CallError::Failed(kube::Error::Api(status.with_details(details).boxed()))
    }

    #[test]
    fn an_object_that_is_missing_is_told_from_a_missing_crd() {
        assert!(is_missing(&missing("mv4gc"), "mv4gc"));
        assert!(!is_missing(&missing("another"), "mv4gc"));
        let no_crd = api(404, "Failed to parse error data", "404 page not found");
        assert!(!is_missing(&no_crd, "mv4gc"));
        let error = classify(Operation::Get, &no_crd, &place(), None);
        assert_eq!(error.kind, IdpErrorKind::Unsupported);
        assert!(error.message.contains("storage type kubernetes"), "{error}");
    }

    #[test]
    fn a_missing_right_names_the_verb_the_namespace_and_what_gives_it() {
        let words =
            r#"oauth2clients.dex.coreos.com is forbidden: User "o" cannot list resource "oauth2clients" in API group"#;
        let error = classify(Operation::List, &api(403, "Forbidden", words), &place(), None);
        assert_eq!(error.kind, IdpErrorKind::Forbidden);
        for told in ["to list", "namespace identity", "config/dex-storage"] {
            assert!(error.message.contains(told), "{error}");
        }
        let quota = classify(
            Operation::Create,
            &api(403, "Forbidden", "exceeded quota"),
            &place(),
            None,
        );
        assert!(quota.message.contains("exceeded quota"), "{quota}");
    }

    #[test]
    fn failures_are_told_apart_by_what_to_do() {
        for (failure, kind) in [
            (api(401, "Unauthorized", ""), IdpErrorKind::Unauthorized),
            (api(422, "Invalid", ""), IdpErrorKind::Refused),
            (api(429, "TooManyRequests", ""), IdpErrorKind::Throttled),
            (api(503, "ServiceUnavailable", ""), IdpErrorKind::Server),
            (CallError::Timeout, IdpErrorKind::Timeout),
        ] {
            assert_eq!(classify(Operation::Patch, &failure, &place(), None).kind, kind);
        }
        assert!(is_conflict(&api(409, "Conflict", "")) && !is_taken(&api(409, "Conflict", "")));
        assert!(is_taken(&api(409, "AlreadyExists", "")) && !is_conflict(&api(409, "AlreadyExists", "")));
    }

    #[test]
    fn the_secret_is_cut_out_of_an_answer() {
        let secret = ClientSecret::new("hunter2");
        let refused = api(422, "Invalid", "secret: Invalid value: \"hunter2\"");
        let error = classify(Operation::Create, &refused, &place(), Some(&secret));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_watch_that_may_not_be_begun_says_so() {
        let status = Status::failure("x cannot watch resource y", "Forbidden").with_code(403);
        let failure = Failure::Told(watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed())));
        let error = classify_watch(&failure, &place());
        assert_eq!(error.kind, IdpErrorKind::Forbidden);
        assert!(error.message.contains("to watch"), "{error}");
        assert_eq!(classify_watch(&Failure::Ended, &place()).kind, IdpErrorKind::Protocol);
    }
}
