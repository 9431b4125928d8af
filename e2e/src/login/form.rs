//! The login form of a page: enough of HTML to fill it in.

/// A form with a password field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Where it is sent, as written on the page (may be relative).
    pub(super) action: String,
    hidden: Vec<(String, String)>,
    username: String,
    password: String,
}

impl Form {
    /// The fields as a browser would send them.
    pub(super) fn filled(&self, username: &str, password: &str) -> Vec<(String, String)> {
        let mut fields = self.hidden.clone();
        fields.push((self.username.clone(), username.to_owned()));
        fields.push((self.password.clone(), password.to_owned()));
        fields
    }
}

/// The first form of `page` with a field for text and one for a password.
pub(super) fn login_form(page: &str) -> Option<Form> {
    page.split("<form").skip(1).find_map(|rest| {
        let (form, _) = rest.split_once("</form").unwrap_or((rest, ""));
        let (head, body) = form.split_once('>')?;
        let mut found = Form {
            action: attribute(head, "action").unwrap_or_default(),
            hidden: Vec::new(),
            username: String::new(),
            password: String::new(),
        };
        for input in body.split("<input").skip(1).filter_map(|rest| rest.split('>').next()) {
            let Some(name) = attribute(input, "name") else { continue };
            match attribute(input, "type").as_deref() {
                Some("hidden") => found.hidden.push((name, attribute(input, "value").unwrap_or_default())),
                Some("password") if found.password.is_empty() => found.password = name,
                Some("text" | "email") | None if found.username.is_empty() => found.username = name,
                _ => {}
            }
        }
        (!found.username.is_empty() && !found.password.is_empty()).then_some(found)
    })
}

/// The value of an attribute inside a tag, unescaped.
fn attribute(tag: &str, name: &str) -> Option<String> {
    tag.match_indices(name).find_map(|(at, _)| {
        let starts_word = tag[..at].ends_with(|before: char| before.is_whitespace());
        let value = tag[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
        let quote = value
            .chars()
            .next()
            .filter(|quote| starts_word && matches!(quote, '"' | '\''))?;
        value[1..].split_once(quote).map(|(value, _)| unescape(value))
    })
}

fn unescape(text: &str) -> String {
    let plain = text
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#43;", "+");
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dex_login_page() {
        let page = r#"<h2>Log in</h2><form method="post" action="/dex/auth/local/login?back=&amp;state=abc">
            <input tabindex="1" required id="login" name="login" type="text" placeholder="email" autofocus />
            <input type="hidden" name="csrf" value="a&#43;b"/>
            <input id="password" name="password" type="password"/><button type="submit">Login</button></form>"#;
        let form = login_form(page).expect("a form");
        assert_eq!(form.action, "/dex/auth/local/login?back=&state=abc");
        let sent = form.filled("jane", "secret");
        let sent: Vec<_> = sent.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(sent, [("csrf", "a+b"), ("login", "jane"), ("password", "secret")]);
    }

    #[test]
    fn keycloak_login_page() {
        let page = r#"<script>if (a < b) { }</script><form id="kc-form-login" class="pf-v5-c-form"
            onsubmit="login.disabled = true; return true;" action="https://sso/authenticate?session_code=a-b&amp;tab_id=c" method="post">
            <input id="username" name="username" value="" type="text" autocomplete="username" autofocus aria-invalid=""/>
            <input id="password" name="password" value="" type="password" autocomplete="current-password"/>
            <button type="button" aria-label="Show password"></button><input id="rememberMe" name="rememberMe" type="checkbox">
            <input type="hidden" id="id-hidden-input" name="credentialId" />
            <button name="login" id="kc-login" type="submit">Sign In</button></form>"#;
        let form = login_form(page).expect("a form");
        assert_eq!(form.action, "https://sso/authenticate?session_code=a-b&tab_id=c");
        let sent = form.filled("jane", "secret");
        let sent: Vec<_> = sent.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            sent,
            [("credentialId", ""), ("username", "jane"), ("password", "secret")]
        );
    }

    #[test]
    fn a_form_without_password_is_no_login() {
        assert_eq!(
            login_form(r#"<form action="/search"><input name="q" type="text"></form>"#),
            None
        );
    }
}
