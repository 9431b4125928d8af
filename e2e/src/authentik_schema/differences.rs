//! Where what servers do differs from what a document says, other than by fields that not all releases have.

use serde_json::Value;

use super::{Case, Release};
use crate::openapi::{Content, Part, Rule};

/// One difference.
#[derive(Debug)]
pub struct Difference {
    /// What tests call it.
    pub name: &'static str,
    /// Why it is no mistake of ours.
    pub reason: &'static str,
    /// Where that is known from. A recording is one of 2026.5.
    pub source: &'static str,
    /// Whether it explains this.
    pub(super) explains: fn(&Case<'_>) -> bool,
}

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "not found",
        reason: "documents have no 404; objects that are not there and pages beyond the end are answered with `detail`",
        source: "recordings 020, 145, 183",
        explains: |case| status(case, &[404]) && has_only_detail(case),
    },
    Difference {
        name: "negotiation",
        reason: "Django REST framework refuses content types that it does not know before the operation is asked",
        source: "recordings 060, 160",
        explains: |case| status(case, &[406, 415]) && has_only_detail(case),
    },
    Difference {
        name: "who asks",
        reason: "Django REST framework asks for credentials before it looks whether there is such a method",
        source: "rest_framework/views.py, APIView.dispatch",
        explains: |case| {
            let refused = case.violation.part == Part::Response && case.violation.rule == Rule::Operation;
            refused && case.exchange.status == 403 && has_only_detail(case)
        },
    },
    Difference {
        name: "failed write",
        reason: "a failure in a POST, PATCH, PUT or DELETE arrives as 405 without a body",
        source: "recordings 326, 370 to 372",
        explains: |case| {
            status(case, &[405]) && case.exchange.method != "GET" && !matches!(case.exchange.response, Content::Json(_))
        },
    },
    Difference {
        name: "failed read",
        reason: "with its database down the server answers 500 with a page",
        source: "recordings 368, 369",
        explains: |case| status(case, &[500]) && matches!(case.exchange.response, Content::Other(_)),
    },
    Difference {
        name: "router",
        reason: "the router itself answers while the server starts (503) and when a worker is gone (502)",
        source: "recordings 001, 377",
        explains: |case| status(case, &[502, 503]),
    },
    Difference {
        name: "OPTIONS",
        reason: "Django REST framework describes each path on OPTIONS; documents leave that out",
        source: "recording 157",
        explains: |case| {
            let described = case.violation.part == Part::Response && case.violation.rule == Rule::Operation;
            described && case.exchange.method == "OPTIONS" && case.exchange.status == 200
        },
    },
    Difference {
        name: "empty address",
        reason: "an address that is not set is an empty text; the document has only its format",
        source: "recordings 027, 064, 353",
        explains: |case| {
            let fields = ["/logout_uri", "/meta_launch_url", "/email"];
            let at = &case.violation.at;
            case.violation.rule == Rule::Value
                && fields.iter().any(|field| at.ends_with(field))
                && body(case).and_then(|body| body.pointer(at)) == Some(&Value::String(String::new()))
        },
    },
    Difference {
        name: "setup_urls without an application",
        reason: "addresses that have the application's slug in them are null, or missing, until there is one",
        source: "recording 080",
        explains: |case| {
            let setup_urls = is_answer(case, "GET /providers/oauth2/{id}/setup_urls/", 200);
            let null = body(case).is_some_and(|body| body["issuer"].is_null());
            let fields = ["/issuer", "/provider_info", "/logout", "/jwks"];
            setup_urls && null && fields.contains(&case.violation.at.as_str())
        },
    },
    Difference {
        name: "refused transaction",
        reason: "a lack of rights is told by `app` or `provider`, not by `detail`",
        source: "recording 256",
        explains: |case| {
            let refused = is_answer(case, "PUT /core/transactional/applications/", 403);
            refused && ["/app", "/provider", "/detail"].contains(&case.violation.at.as_str())
        },
    },
    Difference {
        name: "application without a provider",
        reason: "`provider_obj` is null then; documents say so since 2026.2",
        source: "recording 062; the documents",
        explains: |case| {
            let at = &case.violation.at;
            case.document < Release::R2026_2
                && case.violation.part == Part::Response
                && case.violation.rule == Rule::Value
                && at.ends_with("/provider_obj")
                && body(case).and_then(|body| body.pointer(at)) == Some(&Value::Null)
        },
    },
    Difference {
        name: "parts of a binding",
        reason: "what a binding has not is null, and documents say so since 2026.2; users are shown in part since 2025.12",
        source: "the documents",
        explains: |case| {
            let parts = ["/policy_obj", "/group_obj", "/user_obj"];
            case.document < Release::R2026_2
                && case.server >= Release::R2026_2
                && case.violation.part == Part::Response
                && case.exchange.path.starts_with("/api/v3/policies/bindings/")
                && parts.iter().any(|part| case.violation.at.contains(part))
        },
    },
    Difference {
        name: "long slug",
        reason: "a slug has at most 50 characters in 2025.8; a later server shows longer ones",
        source: "recording 074; the documents",
        explains: |case| {
            case.document == Release::R2025_8
                && case.server > Release::R2025_8
                && case.violation.part == Part::Response
                && case.violation.rule == Rule::Value
                && case.exchange.path.starts_with("/api/v3/core/applications/")
                && case.violation.at.ends_with("/slug")
        },
    },
    Difference {
        name: "users of a role",
        reason: "rights go to roles since 2025.12, and roles have users; 2025.8 has no such operation",
        source: "recording 258; the documents",
        explains: |case| {
            let path = &case.exchange.path;
            case.document == Release::R2025_8
                && case.server > Release::R2025_8
                && case.violation.part == Part::Response
                && case.violation.rule == Rule::Operation
                && path.starts_with("/api/v3/rbac/roles/")
                && path.ends_with("/add_user/")
        },
    },
];

/// The answer has one of these statuses, and the document of the operation has it not.
fn status(case: &Case<'_>, statuses: &[u16]) -> bool {
    case.violation.part == Part::Response
        && case.violation.rule == Rule::Status
        && statuses.contains(&case.exchange.status)
}

/// It is about the answer of this operation with this status.
fn is_answer(case: &Case<'_>, operation: &str, status: u16) -> bool {
    case.violation.part == Part::Response && case.violation.operation == operation && case.exchange.status == status
}

/// The body that the violation is about.
fn body<'a>(case: &Case<'a>) -> Option<&'a Value> {
    let content = match case.violation.part {
        Part::Request => case.exchange.request,
        Part::Response => case.exchange.response,
    };
    match content {
        Content::Json(value) => Some(value),
        _ => None,
    }
}

/// The answer is an object with one field, the text `detail`.
fn has_only_detail(case: &Case<'_>) -> bool {
    let fields = body(case).and_then(Value::as_object);
    fields.is_some_and(|fields| fields.len() == 1 && fields.get("detail").is_some_and(Value::is_string))
}
