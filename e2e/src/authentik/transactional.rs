//! An application with its provider, both or neither. It creates and never changes.

use serde_json::{Map, Value, json};

use super::input;
use super::providers::MODEL;
use super::reply::{self, Reply};
use super::request::Request;
use super::roles::right;
use super::state::State;
use super::users::User;
use super::{applications, events, providers};

pub(super) fn put(state: &mut State, request: &Request, user: &User) -> Result<Reply, Reply> {
    let mut fields = request.json()?;
    let mut errors = Map::new();
    let mut part = |key: &str| match fields.remove(key) {
        Some(Value::Object(part)) => Some(part),
        Some(other) => {
            let message = format!(
                "Invalid data. Expected a dictionary, but got {}.",
                input::python_type(&other)
            );
            errors.insert(key.to_owned(), json!({ "non_field_errors": [message] }));
            None
        }
        None => {
            errors.insert(key.to_owned(), json!([input::IS_REQUIRED]));
            None
        }
    };
    let (app, provider) = (part("app"), part("provider"));
    match fields.get("provider_model") {
        Some(Value::String(model)) if model == MODEL => {}
        None => {
            errors.insert("provider_model".to_owned(), json!([input::IS_REQUIRED]));
        }
        Some(other) => {
            errors.insert("provider_model".to_owned(), json!([input::not_a_choice(other)]));
        }
    }
    let application = app.map(|app| applications::validated(state, app, None, false));
    if let Some(Err(wrong)) = &application {
        errors.insert("app".to_owned(), json!(wrong));
    }
    // The provider is looked at once all else is right.
    let (Some(Ok(mut application)), Some(provider), true) = (application, provider, errors.is_empty()) else {
        return Err(input::bad_request(errors));
    };
    let provider = providers::validated(state, provider, None, false)
        .map_err(|wrong| reply::json(400, json!({ "provider": wrong })))?;
    for (key, model) in [("provider", MODEL), ("app", applications::MODEL)] {
        if !state.may(user.pk, &right(model, "add")) {
            let message = format!("User lacks permission to create {model}");
            return Err(reply::json(403, json!({ key: message })));
        }
    }
    let (provider_name, name) = (provider.name.clone(), application.name.clone());
    let application_pk = application.pk.clone();
    let pk = providers::insert(state, provider)?;
    application.provider = Some(pk);
    if let Err(refusal) = applications::insert(state, application) {
        providers::remove(state, pk);
        return Err(refusal);
    }
    events::add(state, request, user, "model_created", MODEL, json!(pk), &provider_name);
    let app = applications::MODEL;
    events::add(state, request, user, "model_created", app, json!(application_pk), &name);
    Ok(reply::ok(json!({ "applied": true, "logs": [] })))
}
