//! Pages for people, as small as a test needs them.

use axum::http::Method;

use super::reply::{self, Reply};

fn page(status: u16, title: &str, body: &str) -> Reply {
    reply::html(
        status,
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"UTF-8\"><title>\nauthentik\n</title></head>\n<body>\n\
             <h1 class=\"pf-c-title pf-m-3xl\" data-test-id=\"card-title\">\n{title}\n</h1>\n{body}\n</body>\n</html>\n"
        ),
    )
}

/// An error page with a heading and a sentence.
pub(super) fn error(status: u16, title: &str, text: &str) -> Reply {
    page(status, title, &format!("<p>{}</p>", escaped(text)))
}

/// A page that is not there. Only GET gets a page: see [`reply::empty_405`].
pub(super) fn not_found(method: &Method) -> Reply {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        error(404, "Not Found", "")
    } else {
        reply::empty_405()
    }
}

/// A failure behind the view.
pub(super) fn server_error(method: &Method) -> Reply {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        error(500, "Server Error", "")
    } else {
        reply::empty_405()
    }
}

/// The login form; a real server builds it with scripts.
pub(super) fn login(action: &str, problem: &str) -> Reply {
    let form = format!(
        "<p>{}</p>\n<form method=\"post\" action=\"{}\">\n<input type=\"text\" name=\"uid_field\" autocomplete=\"username\">\n\
         <input type=\"password\" name=\"password\" autocomplete=\"current-password\">\n<button type=\"submit\">Log in</button>\n</form>",
        escaped(problem),
        escaped(action)
    );
    page(200, "Welcome to authentik!", &form)
}

/// A page without a form.
pub(super) fn notice(title: &str, text: &str) -> Reply {
    error(200, title, text)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
