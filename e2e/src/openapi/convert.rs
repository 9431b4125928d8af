//! OpenAPI 3.0's schemas as JSON Schema 2020-12, self-contained, for one direction.
//!
//! OpenAPI leaves open whether an object may have fields that its schema does not name, which would let every misspelt name
//! through. Here it may not, except where the document has `additionalProperties` or names no field at all.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::document::Document;
use super::violation::Part;

/// Keywords that mean the same in both.
const SAME: &[&str] = &[
    "type",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// Whether an object may have fields beside those that are named right here.
#[derive(Clone, Copy, PartialEq)]
enum Fields {
    /// It stands alone.
    Closed,
    /// It is a part of a composition, which knows the other fields.
    Open,
}

/// `schema` of `document` as JSON Schema, with all that it refers to. `part` decides about fields that are only read or
/// only written.
///
/// # Errors
/// A reference points nowhere, or a schema is no object.
pub(super) fn json_schema(document: &Document, part: Part, schema: &Value) -> Result<Value> {
    let mut converter = Converter {
        document,
        part,
        definitions: Map::new(),
    };
    let mut converted = converter.schema(schema, Fields::Closed)?;
    converted["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    converted["$defs"] = Value::Object(converter.definitions);
    Ok(converted)
}

struct Converter<'a> {
    document: &'a Document,
    part: Part,
    definitions: Map<String, Value>,
}

impl Converter<'_> {
    fn schema(&mut self, schema: &Value, fields: Fields) -> Result<Value> {
        let Value::Object(source) = schema else {
            bail!("{schema} is no schema");
        };
        if let Some(reference) = source.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, fields);
        }
        let mut target = Map::new();
        for keyword in SAME {
            if let Some(value) = source.get(*keyword) {
                target.insert((*keyword).to_owned(), value.clone());
            }
        }
        exclusive(&mut target, "minimum", "exclusiveMinimum");
        exclusive(&mut target, "maximum", "exclusiveMaximum");
        if let Some(items) = source.get("items") {
            target.insert("items".to_owned(), self.schema(items, Fields::Closed)?);
        }
        if let Some(not) = source.get("not") {
            target.insert("not".to_owned(), self.schema(not, Fields::Open)?);
        }
        self.object(source, &mut target, fields)?;
        self.composition(source, &mut target, fields)?;
        Ok(nullable(source, target))
    }

    fn reference(&mut self, reference: &str, fields: Fields) -> Result<Value> {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        let key = match fields {
            Fields::Closed => name.to_owned(),
            Fields::Open => format!("{name}.open"),
        };
        if !self.definitions.contains_key(&key) {
            // A schema may refer to itself.
            self.definitions.insert(key.clone(), Value::Null);
            let converted = self.schema(&*self.document.referred(reference)?, fields)?;
            self.definitions.insert(key.clone(), converted);
        }
        Ok(json!({ "$ref": format!("#/$defs/{key}") }))
    }

    fn object(&mut self, source: &Map<String, Value>, target: &mut Map<String, Value>, fields: Fields) -> Result<()> {
        let other_way = match self.part {
            Part::Request => "readOnly",
            Part::Response => "writeOnly",
        };
        let none = Map::new();
        let declared = source.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let hidden = |name: &str| declared.get(name).is_some_and(|property| property[other_way] == true);
        let mut properties = Map::new();
        for (name, property) in declared.iter().filter(|(name, _)| !hidden(name)) {
            properties.insert(name.clone(), self.schema(property, Fields::Closed)?);
        }
        if let Some(Value::Array(required)) = source.get("required") {
            let required = required.iter().filter(|name| !name.as_str().is_some_and(hidden));
            target.insert("required".to_owned(), required.cloned().collect());
        }
        let additional = match source.get("additionalProperties") {
            Some(Value::Object(schema)) if schema.is_empty() => Some(Value::Bool(true)),
            Some(schema @ Value::Object(_)) => Some(self.schema(schema, Fields::Closed)?),
            Some(allowed) => Some(allowed.clone()),
            None if declared.is_empty() => (source.get("type") == Some(&json!("object"))).then_some(Value::Bool(true)),
            None if fields == Fields::Closed && !is_composed(source) => Some(Value::Bool(false)),
            None => None,
        };
        if let Some(additional) = additional {
            target.insert("additionalProperties".to_owned(), additional);
        }
        if !declared.is_empty() {
            target.insert("properties".to_owned(), Value::Object(properties));
        }
        Ok(())
    }

    fn composition(
        &mut self,
        source: &Map<String, Value>,
        target: &mut Map<String, Value>,
        fields: Fields,
    ) -> Result<()> {
        if !is_composed(source) {
            return Ok(());
        }
        // A choice between whole objects, or one that only stands there to have a description: each closes itself. Otherwise
        // the composition closes it, and then JSON Schema takes all fields of a member that fails for unknown.
        let all = source.get("allOf").and_then(Value::as_array);
        let whole = all.is_none_or(|members| members.len() == 1) && !source.contains_key("properties");
        let members = if whole { fields } else { Fields::Open };
        for keyword in ["allOf", "oneOf", "anyOf"] {
            if let Some(Value::Array(schemas)) = source.get(keyword) {
                let schemas = schemas.iter().map(|schema| self.schema(schema, members));
                target.insert(keyword.to_owned(), schemas.collect::<Result<_>>()?);
            }
        }
        if fields == Fields::Closed && !whole && !target.contains_key("additionalProperties") {
            target.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
        }
        Ok(())
    }
}

fn is_composed(schema: &Map<String, Value>) -> bool {
    ["allOf", "oneOf", "anyOf"]
        .iter()
        .any(|keyword| schema.contains_key(*keyword))
}

/// OpenAPI 3.0 has `exclusiveMinimum: true` beside `minimum`, JSON Schema a number in its place.
fn exclusive(schema: &mut Map<String, Value>, limit: &str, keyword: &str) {
    match schema.get(keyword) {
        Some(Value::Bool(true)) => {
            if let Some(value) = schema.remove(limit) {
                schema.insert(keyword.to_owned(), value);
            }
        }
        Some(Value::Bool(false)) => {
            schema.remove(keyword);
        }
        _ => {}
    }
}

/// With a `type`, null is one more type, and an `enum` must name it, as OpenAPI 3.0.3 has it. Without one the standard gives
/// `nullable` no meaning, but generators write it beside `allOf` and `oneOf` and mean that null may stand there.
fn nullable(source: &Map<String, Value>, mut target: Map<String, Value>) -> Value {
    if source.get("nullable") != Some(&Value::Bool(true)) {
        return Value::Object(target);
    }
    match target.remove("type") {
        Some(named) => {
            target.insert("type".to_owned(), json!([named, "null"]));
            Value::Object(target)
        }
        None if target.is_empty() => Value::Object(target),
        None => json!({ "anyOf": [target, { "type": "null" }] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "
paths:
components:
  schemas:
    Colour:
      type: string
      enum: [red, green]
    Named:
      type: object
      properties:
        name: { type: string }
      required: [name]
    Tree:
      type: object
      properties:
        children:
          type: array
          items:
            $ref: '#/components/schemas/Tree'
";

    /// Whether a value fits a schema, in this direction.
    fn fits(part: Part, schema: &Value, value: &Value) -> Result<bool> {
        let document = Document::new("test", DOCUMENT.to_owned())?;
        let converted = json_schema(&document, part, schema)?;
        let validator = jsonschema::options().should_validate_formats(true).build(&converted)?;
        Ok(validator.is_valid(value))
    }

    /// A schema, what fits it and what does not.
    fn check(schema: &Value, good: &[Value], bad: &[Value]) -> Result<()> {
        for value in good {
            assert!(fits(Part::Response, schema, value)?, "{schema}: {value}");
        }
        for value in bad {
            assert!(!fits(Part::Response, schema, value)?, "{schema}: {value}");
        }
        Ok(())
    }

    #[test]
    fn null_needs_nullable() -> Result<()> {
        check(&json!({ "type": "string" }), &[json!("")], &[json!(null)])?;
        check(
            &json!({ "type": "string", "nullable": true }),
            &[json!(""), json!(null)],
            &[json!(1)],
        )?;
        let listed = json!({ "type": "string", "nullable": true, "enum": ["a"] });
        check(&listed, &[json!("a")], &[json!(null), json!("b")])?;
        let referring = json!({ "nullable": true, "allOf": [{ "$ref": "#/components/schemas/Colour" }] });
        check(&referring, &[json!("red"), json!(null)], &[json!("blue")])
    }

    #[test]
    fn a_limit_may_be_exclusive() -> Result<()> {
        let exclusive = json!({ "type": "integer", "minimum": 1, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false });
        check(&exclusive, &[json!(2), json!(9)], &[json!(1), json!(10)])
    }

    #[test]
    fn formats_are_checked() -> Result<()> {
        let uuid = json!({ "type": "string", "format": "uuid" });
        check(
            &uuid,
            &[json!("57ca5eec-aad0-45b3-8865-b2e40bbff193")],
            &[json!("57ca5eec")],
        )
    }

    #[test]
    fn objects_have_no_other_fields() -> Result<()> {
        let named = json!({ "$ref": "#/components/schemas/Named" });
        check(
            &named,
            &[json!({ "name": "a" })],
            &[json!({ "name": "a", "nmae": "b" }), json!({})],
        )?;
        let free = json!({ "type": "object" });
        check(&free, &[json!({ "anything": 1 })], &[json!([])])?;
        let map = json!({ "type": "object", "additionalProperties": { "type": "integer" } });
        check(&map, &[json!({ "a": 1 })], &[json!({ "a": "b" })])
    }

    #[test]
    fn parts_of_a_composition_share_their_fields() -> Result<()> {
        let more = json!({ "type": "object", "properties": { "size": { "type": "integer" } } });
        let both = json!({ "allOf": [{ "$ref": "#/components/schemas/Named" }, more] });
        let good = json!({ "name": "a", "size": 1 });
        check(
            &both,
            &[good],
            &[json!({ "name": "a", "sise": 1 }), json!({ "size": 1 })],
        )?;
        let either =
            json!({ "oneOf": [{ "$ref": "#/components/schemas/Named" }, { "$ref": "#/components/schemas/Colour" }] });
        check(
            &either,
            &[json!({ "name": "a" }), json!("red")],
            &[json!({ "name": "a", "size": 1 }), json!("blue")],
        )
    }

    #[test]
    fn a_schema_may_contain_itself() -> Result<()> {
        let tree = json!({ "$ref": "#/components/schemas/Tree" });
        check(
            &tree,
            &[json!({ "children": [{ "children": [] }] })],
            &[json!({ "children": [{ "leaf": 1 }] })],
        )
    }

    #[test]
    fn fields_go_one_way() -> Result<()> {
        let schema = json!({
            "type": "object",
            "properties": {
                "id": { "type": "integer", "readOnly": true },
                "password": { "type": "string", "writeOnly": true },
            },
            "required": ["id", "password"],
        });
        assert!(fits(Part::Request, &schema, &json!({ "password": "a" }))?);
        assert!(!fits(Part::Request, &schema, &json!({ "password": "a", "id": 1 }))?);
        assert!(fits(Part::Response, &schema, &json!({ "id": 1 }))?);
        assert!(!fits(Part::Response, &schema, &json!({ "id": 1, "password": "a" }))?);
        Ok(())
    }

    #[test]
    fn a_reference_that_points_nowhere_is_an_error() {
        let schema = json!({ "$ref": "#/components/schemas/Missing" });
        let refused = fits(Part::Request, &schema, &json!(1)).map_err(|error| error.to_string());
        assert_eq!(refused, Err("test has no schemas/Missing".to_owned()));
    }
}
