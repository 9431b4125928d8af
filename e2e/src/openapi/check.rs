//! An exchange against a document.

use anyhow::{Context, Result};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::document::{Document, PathItem};
use super::violation::{Part, Rule, Violation};
use super::{Content, Exchange, convert};

/// One half of an exchange, and what in it does not agree with the document.
struct Check<'a> {
    document: &'a Document,
    /// Method and path.
    operation: String,
    part: Part,
    violations: Vec<Violation>,
}

/// The operation that an exchange asks for.
struct Operation {
    item: PathItem,
    value: Value,
}

impl Document {
    /// What the request does not keep.
    ///
    /// # Errors
    /// The document itself is broken.
    pub fn check_request(&self, exchange: &Exchange<'_>) -> Result<Vec<Violation>> {
        let Some(operation) = self.operation(exchange)? else {
            let mut check = Check::new(self, exchange, None, Part::Request);
            check.add(Rule::Operation, "", "there is no such operation".to_owned());
            return Ok(check.violations);
        };
        let mut check = Check::new(self, exchange, Some(&operation), Part::Request);
        check.parameters(&operation, exchange)?;
        check.request_body(&operation, exchange.request)?;
        Ok(check.violations)
    }

    /// What the answer does not keep.
    ///
    /// # Errors
    /// The document itself is broken.
    pub fn check_response(&self, exchange: &Exchange<'_>) -> Result<Vec<Violation>> {
        let Some(operation) = self.operation(exchange)? else {
            let mut check = Check::new(self, exchange, None, Part::Response);
            // What HTTP has for what is not there.
            if !matches!(exchange.status, 404 | 405) {
                let message = format!("there is no such operation, and it answered {}", exchange.status);
                check.add(Rule::Operation, "", message);
            }
            return Ok(check.violations);
        };
        let mut check = Check::new(self, exchange, Some(&operation), Part::Response);
        check.answer(&operation, exchange)?;
        Ok(check.violations)
    }

    fn operation(&self, exchange: &Exchange<'_>) -> Result<Option<Operation>> {
        let Some(item) = self.path_item(exchange.path)? else {
            return Ok(None);
        };
        let method = match exchange.method {
            "HEAD" => "get".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        let found = item.value.get(&method).cloned();
        Ok(found.map(|value| Operation { item, value }))
    }
}

impl<'a> Check<'a> {
    fn new(document: &'a Document, exchange: &Exchange<'_>, operation: Option<&Operation>, part: Part) -> Self {
        let path = operation.map_or(exchange.path, |operation| &operation.item.template);
        Self {
            document,
            operation: format!("{} {path}", exchange.method),
            part,
            violations: Vec::new(),
        }
    }

    fn add(&mut self, rule: Rule, at: &str, message: String) {
        self.violations.push(Violation {
            document: self.document.name().to_owned(),
            operation: self.operation.clone(),
            part: self.part,
            rule,
            at: at.to_owned(),
            message,
        });
    }

    fn parameters(&mut self, operation: &Operation, exchange: &Exchange<'_>) -> Result<()> {
        let mut described = Vec::new();
        for list in [&operation.item.value["parameters"], &operation.value["parameters"]] {
            for parameter in list.as_array().into_iter().flatten() {
                described.push(self.document.resolved(parameter)?);
            }
        }
        let find = |place: &str, name: &str| {
            let found = described.iter().rev();
            found
                .clone()
                .find(|one| one["in"] == place && one["name"] == name)
                .cloned()
        };
        for (name, value) in &operation.item.parameters {
            if let Some(parameter) = find("path", name) {
                self.parameter(&parameter, name, std::slice::from_ref(value))?;
            }
        }
        let mut sent: Vec<(String, Vec<String>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(exchange.query.as_bytes()) {
            match sent.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value.into_owned()),
                None => sent.push((name.into_owned(), vec![value.into_owned()])),
            }
        }
        for (name, values) in &sent {
            match find("query", name) {
                Some(parameter) => self.parameter(&parameter, name, values)?,
                None => self.add(
                    Rule::UnknownParameter,
                    name,
                    "the query has no such parameter".to_owned(),
                ),
            }
        }
        for parameter in described
            .iter()
            .filter(|one| one["in"] == "query" && one["required"] == true)
        {
            let name = parameter["name"].as_str().unwrap_or_default();
            if !sent.iter().any(|(known, _)| known == name) {
                self.add(Rule::MissingParameter, name, "the query must have it".to_owned());
            }
        }
        Ok(())
    }

    /// Texts of a path or query as the values that they stand for.
    fn parameter(&mut self, parameter: &Value, name: &str, texts: &[String]) -> Result<()> {
        let schema = &parameter["schema"];
        let resolved = self.document.resolved(schema)?;
        let value = if resolved["type"] == "array" {
            let items = self.document.resolved(&resolved["items"])?;
            texts.iter().map(|text| typed(&items, text)).collect()
        } else if let [text] = texts {
            typed(&resolved, text)
        } else {
            self.add(Rule::Parameter, name, format!("it is there {} times", texts.len()));
            return Ok(());
        };
        let purpose = format!("{} {} {name}", self.operation, parameter["in"]);
        let errors = self.schema_errors(&purpose, schema, &value)?;
        for error in errors {
            self.add(Rule::Parameter, name, error.message);
        }
        Ok(())
    }

    fn request_body(&mut self, operation: &Operation, sent: Content<'_>) -> Result<()> {
        let described = self.document.resolved(&operation.value["requestBody"])?;
        if sent == Content::Nothing {
            if described["required"] == true {
                self.add(Rule::ContentType, "", "there is no body".to_owned());
            }
            return Ok(());
        }
        self.body(&described, "request", sent)
    }

    fn answer(&mut self, operation: &Operation, exchange: &Exchange<'_>) -> Result<()> {
        let responses = &operation.value["responses"];
        let status = exchange.status.to_string();
        let described = [status.as_str(), &format!("{}XX", &status[..1]), "default"]
            .iter()
            .find_map(|key| responses.get(*key));
        let Some(described) = described else {
            let known = responses
                .as_object()
                .into_iter()
                .flat_map(|statuses| statuses.keys().cloned());
            let known = known.collect::<Vec<_>>().join(", ");
            let message = format!("the status is {status}, the operation has only {known}");
            self.add(Rule::Status, "", message);
            return Ok(());
        };
        if exchange.method == "HEAD" {
            return Ok(());
        }
        let described = self.document.resolved(described)?;
        self.body(&described, &status, exchange.response)
    }

    /// A body against the `content` of a request body or response.
    fn body(&mut self, described: &Value, purpose: &str, body: Content<'_>) -> Result<()> {
        let known = described["content"].as_object().filter(|content| !content.is_empty());
        let (media_type, schema) = match (known, body.media_type()) {
            (None, None) => return Ok(()),
            (None, Some(media_type)) => {
                self.add(
                    Rule::ContentType,
                    "",
                    format!("there is a body of {media_type}, and should be none"),
                );
                return Ok(());
            }
            (Some(known), media_type) => {
                match media_type.and_then(|media_type| Some((media_type, known.get(media_type)?))) {
                    Some((media_type, entry)) => (media_type, &entry["schema"]),
                    None => {
                        let wanted = known.keys().cloned().collect::<Vec<_>>().join(" or ");
                        let message = format!("the body is {}, not {wanted}", media_type.unwrap_or("missing"));
                        self.add(Rule::ContentType, "", message);
                        return Ok(());
                    }
                }
            }
        };
        let (Content::Json(value), false) = (body, schema.is_null()) else {
            return Ok(());
        };
        let purpose = format!("{} {purpose} {media_type}", self.operation);
        for error in self.schema_errors(&purpose, schema, value)? {
            self.add(error.rule, &error.at, error.message);
        }
        Ok(())
    }

    fn schema_errors(&self, purpose: &str, schema: &Value, value: &Value) -> Result<Vec<Found>> {
        let validator = self.document.validator(purpose, || {
            let converted = convert::json_schema(self.document, self.part, schema)?;
            validator(&converted)
        })?;
        let mut found = Vec::new();
        for error in validator.iter_errors(value) {
            explain(&error, &mut found);
        }
        Ok(found)
    }
}

fn validator(schema: &Value) -> Result<Validator> {
    let options = jsonschema::options().should_validate_formats(true);
    options
        .build(schema)
        .map_err(|error| error.to_owned())
        .context("not a schema")
}

/// A text of a path or query as the type that its schema has; if it is none, as the text, which the schema then refuses.
fn typed(schema: &Value, text: &str) -> Value {
    let parsed = match schema["type"].as_str() {
        Some("integer") => text.parse::<i64>().ok().map(|number| json!(number)),
        Some("number") => text.parse::<f64>().ok().map(|number| json!(number)),
        Some("boolean") => text.parse::<bool>().ok().map(|truth| json!(truth)),
        _ => None,
    };
    parsed.unwrap_or_else(|| json!(text))
}

/// An error of a body, told in our terms.
struct Found {
    rule: Rule,
    at: String,
    message: String,
}

/// Turns a validator's error into ours: one for each field, and for a choice those of the member that was probably meant.
fn explain(error: &ValidationError<'_>, found: &mut Vec<Found>) {
    let at = error.instance_path().as_str();
    let mut add = |rule, at: String, message| found.push(Found { rule, at, message });
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for name in unexpected {
                add(
                    Rule::UnknownField,
                    below(at, name),
                    "there is no such field here".to_owned(),
                );
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            add(Rule::MissingField, below(at, name), "the field is missing".to_owned());
        }
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            let meant = context.iter().min_by_key(|errors| distance(at, errors));
            for error in meant.into_iter().flatten() {
                explain(error, found);
            }
        }
        _ => {
            let mut message = error.masked_with("the value").to_string();
            let value = error.instance();
            if !value.is_object() && !value.is_array() {
                message.push_str(&format!(" (it is {value})"));
            }
            add(Rule::Value, at.to_owned(), message);
        }
    }
}

/// How far a value is from a member of a choice: another type is further than any number of wrong fields.
fn distance(at: &str, errors: &[ValidationError<'_>]) -> (bool, usize) {
    let other_type = |error: &ValidationError<'_>| {
        matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path().as_str() == at
    };
    let mut found = Vec::new();
    errors.iter().for_each(|error| explain(error, &mut found));
    (errors.iter().any(other_type), found.len())
}

/// The JSON pointer of a field.
fn below(pointer: &str, field: &str) -> String {
    format!("{pointer}/{}", field.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "
servers:
- url: /api
paths:
  /things/:
    get:
      parameters:
      - { in: query, name: page, schema: { type: integer } }
      - { in: query, name: hidden, schema: { type: boolean } }
      - { in: query, name: tag, schema: { type: array, items: { type: string, enum: [a, b] } } }
      responses:
        '200': { content: { application/json: { schema: { type: array, items: { $ref: '#/components/schemas/Thing' } } } } }
        '403': { $ref: '#/components/responses/Refused' }
    post:
      parameters:
      - { in: query, name: dry_run, required: true, schema: { type: boolean } }
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: '#/components/schemas/Thing' } } }
      responses:
        '201': { content: { application/json: { schema: { $ref: '#/components/schemas/Thing' } } } }
  /things/{id}/:
    parameters:
    - { in: path, name: id, required: true, schema: { type: integer } }
    delete:
      responses:
        '204': { description: gone }
components:
  schemas:
    Thing:
      type: object
      properties:
        name: { type: string, maxLength: 5 }
        id: { type: integer, readOnly: true }
        part: { oneOf: [{ $ref: '#/components/schemas/Wheel' }, { type: string }], nullable: true }
        spare: { allOf: [{ $ref: '#/components/schemas/Wheel' }], description: one more }
      required: [name, id]
    Wheel:
      type: object
      properties:
        spokes: { type: integer }
      required: [spokes]
  responses:
    Refused: { content: { application/json: { schema: { type: object, properties: { detail: { type: string } } } } } }
";

    fn document() -> Result<Document> {
        Document::new("thing 1.0", DOCUMENT.to_owned())
    }

    /// An exchange without bodies.
    fn plain<'a>(method: &'a str, path: &'a str, query: &'a str, status: u16) -> Exchange<'a> {
        Exchange {
            method,
            path,
            query,
            request: Content::Nothing,
            status,
            response: Content::Nothing,
        }
    }

    /// What is wrong with a request, as people read it.
    fn request(exchange: &Exchange<'_>) -> Result<Vec<String>> {
        Ok(document()?
            .check_request(exchange)?
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    /// What is wrong with an answer, as people read it.
    fn response(exchange: &Exchange<'_>) -> Result<Vec<String>> {
        Ok(document()?
            .check_response(exchange)?
            .iter()
            .map(ToString::to_string)
            .collect())
    }

    /// A POST of this body.
    fn post(body: Content<'_>) -> Result<Vec<String>> {
        request(&Exchange {
            request: body,
            ..plain("POST", "/api/things/", "dry_run=true", 201)
        })
    }

    /// This answer to a GET.
    fn list(status: u16, body: Content<'_>) -> Result<Vec<String>> {
        response(&Exchange {
            response: body,
            ..plain("GET", "/api/things/", "", status)
        })
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn the_operation_must_exist() -> Result<()> {
        let unknown = plain("GET", "/api/nothing/", "", 200);
        assert_eq!(
            request(&unknown)?,
            ["thing 1.0: GET /api/nothing/: request: there is no such operation"]
        );
        assert_eq!(
            response(&unknown)?,
            ["thing 1.0: GET /api/nothing/: answer: there is no such operation, and it answered 200"]
        );
        assert_eq!(response(&plain("GET", "/api/nothing/", "", 404))?, NOTHING);
        assert_eq!(response(&plain("PUT", "/api/things/", "", 405))?, NOTHING);
        assert_eq!(
            request(&plain("PUT", "/api/things/", "", 405))?,
            ["thing 1.0: PUT /api/things/: request: there is no such operation"]
        );
        Ok(())
    }

    #[test]
    fn parameters_have_names_and_types() -> Result<()> {
        let get = |query| request(&plain("GET", "/api/things/", query, 200));
        assert_eq!(get("page=1&hidden=false&tag=a&tag=b")?, NOTHING);
        assert_eq!(
            get("pgae=1")?,
            ["thing 1.0: GET /things/: request at pgae: the query has no such parameter"]
        );
        assert_eq!(
            get("page=one")?,
            ["thing 1.0: GET /things/: request at page: the value is not of type \"integer\" (it is \"one\")"]
        );
        assert_eq!(
            get("page=1&page=2")?,
            ["thing 1.0: GET /things/: request at page: it is there 2 times"]
        );
        assert_eq!(get("hidden=yes")?.len(), 1);
        assert_eq!(get("tag=c")?.len(), 1);
        let without = plain("POST", "/api/things/", "", 201);
        let body = json!({ "name": "a" });
        let missing = request(&Exchange {
            request: Content::Json(&body),
            ..without
        })?;
        assert_eq!(
            missing,
            ["thing 1.0: POST /things/: request at dry_run: the query must have it"]
        );
        assert_eq!(request(&plain("DELETE", "/api/things/7/", "", 204))?, NOTHING);
        assert_eq!(
            request(&plain("DELETE", "/api/things/x/", "", 204))?,
            ["thing 1.0: DELETE /things/{id}/: request at id: the value is not of type \"integer\" (it is \"x\")"]
        );
        Ok(())
    }

    #[test]
    fn a_request_has_the_body_that_is_described() -> Result<()> {
        assert_eq!(post(Content::Json(&json!({ "name": "a" })))?, NOTHING);
        assert_eq!(
            post(Content::Nothing)?,
            ["thing 1.0: POST /things/: request: there is no body"]
        );
        assert_eq!(
            post(Content::Other("text/plain; charset=utf-8"))?,
            ["thing 1.0: POST /things/: request: the body is text/plain, not application/json"]
        );
        assert_eq!(
            post(Content::Json(&json!({ "id": 1, "nmae": "a" })))?,
            [
                "thing 1.0: POST /things/: request at /id: there is no such field here",
                "thing 1.0: POST /things/: request at /nmae: there is no such field here",
                "thing 1.0: POST /things/: request at /name: the field is missing",
            ]
        );
        assert_eq!(
            post(Content::Json(&json!({ "name": "abcdef" })))?,
            ["thing 1.0: POST /things/: request at /name: the value is longer than 5 characters (it is \"abcdef\")"]
        );
        let unwanted = request(&Exchange {
            request: Content::Json(&json!({})),
            ..plain("DELETE", "/api/things/7/", "", 204)
        })?;
        assert_eq!(
            unwanted,
            ["thing 1.0: DELETE /things/{id}/: request: there is a body of application/json, and should be none"]
        );
        Ok(())
    }

    #[test]
    fn a_choice_is_judged_by_the_member_that_was_meant() -> Result<()> {
        assert_eq!(
            post(Content::Json(&json!({ "name": "a", "part": { "spokes": 3 } })))?,
            NOTHING
        );
        assert_eq!(post(Content::Json(&json!({ "name": "a", "part": null })))?, NOTHING);
        assert_eq!(
            post(Content::Json(
                &json!({ "name": "a", "part": { "spokes": 3, "rim/s": 1 } })
            ))?,
            ["thing 1.0: POST /things/: request at /part/rim~1s: there is no such field here"]
        );
        Ok(())
    }

    #[test]
    fn a_wrong_field_makes_no_other_one_unknown() -> Result<()> {
        assert_eq!(
            post(Content::Json(&json!({ "name": "a", "spare": { "spokes": "3" } })))?,
            ["thing 1.0: POST /things/: request at /spare/spokes: the value is not of type \"integer\" (it is \"3\")"]
        );
        Ok(())
    }

    #[test]
    fn an_answer_is_as_described() -> Result<()> {
        assert_eq!(list(200, Content::Json(&json!([{ "name": "a", "id": 1 }])))?, NOTHING);
        assert_eq!(list(403, Content::Json(&json!({ "detail": "no" })))?, NOTHING);
        assert_eq!(
            list(418, Content::Nothing)?,
            ["thing 1.0: GET /things/: answer: the status is 418, the operation has only 200, 403"]
        );
        assert_eq!(
            list(200, Content::Other("text/html"))?,
            ["thing 1.0: GET /things/: answer: the body is text/html, not application/json"]
        );
        assert_eq!(
            list(200, Content::Nothing)?,
            ["thing 1.0: GET /things/: answer: the body is missing, not application/json"]
        );
        assert_eq!(
            list(200, Content::Json(&json!([{ "name": "a", "id": "1" }])))?,
            ["thing 1.0: GET /things/: answer at /0/id: the value is not of type \"integer\" (it is \"1\")"]
        );
        assert_eq!(response(&plain("DELETE", "/api/things/7/", "", 204))?, NOTHING);
        assert_eq!(response(&plain("HEAD", "/api/things/", "", 200))?, NOTHING);
        Ok(())
    }

    #[test]
    fn a_broken_document_is_an_error() -> Result<()> {
        let broken = DOCUMENT.replace("schemas/Wheel", "schemas/Missing");
        let document = Document::new("broken", broken)?;
        let body = json!({ "name": "a" });
        let exchange = Exchange {
            request: Content::Json(&body),
            ..plain("POST", "/api/things/", "dry_run=true", 201)
        };
        assert!(document.check_request(&exchange).is_err());
        Ok(())
    }
}
