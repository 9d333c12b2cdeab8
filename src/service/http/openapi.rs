//! The description of the interface, from the table of routes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::answers::json as as_json;
use super::call::Call;
use super::health::KeyState;
use super::refusal::{BROWSER, HOST, REASONS, Refusal, Row, UNAUTHORIZED};
use super::routes::{Listener, ROUTES, Route};
use super::sign::Duty;
use super::state::State;
use crate::service::limits::LIST_MAX;

/// `GET /openapi.json` where signatures are given out.
pub(super) async fn of_signing(_: Arc<State>, _: Call) -> Result<Response, Refusal> {
    Ok(as_json(StatusCode::OK, &openapi(Listener::Signing)))
}

/// `GET /openapi.json` where figures are.
pub(super) async fn of_metrics(_: Arc<State>, _: Call) -> Result<Response, Refusal> {
    Ok(as_json(StatusCode::OK, &openapi(Listener::Metrics)))
}

/// What a listener answers, as OpenAPI 3.1 describes it.
pub fn openapi(listener: Listener) -> Value {
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| route.listener == listener) {
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        entry[route.method.as_str().to_lowercase()] = operation(route);
    }
    let paths = Value::Object(paths);
    let mut components = json!({ "schemas": named(schemas(), &paths) });
    let description = match listener {
        Listener::Signing => {
            components["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" } });
            "Signatures and authentication paths of hash-based keys. A slot is an epoch of the key."
        }
        Listener::Metrics => {
            "Figures of a service that signs with hash-based keys, and a page of them. Nothing here signs."
        }
    };
    json!({
        "openapi": "3.1.0",
        "info": { "title": "keymill", "version": env!("CARGO_PKG_VERSION"), "description": description },
        "paths": paths,
        "components": components,
    })
}

/// Those schemas that are named in a description, or in one of themselves that is.
fn named(mut schemas: Value, paths: &Value) -> Value {
    let mut wanted = BTreeSet::new();
    let mut texts = vec![paths.to_string()];
    while let Some(text) = texts.pop() {
        let names = text.split("#/components/schemas/").skip(1);
        for name in names.filter_map(|behind| behind.split('"').next()) {
            if wanted.insert(name.to_owned()) {
                texts.push(schemas[name].to_string());
            }
        }
    }
    if let Some(all) = schemas.as_object_mut() {
        all.retain(|name, _| wanted.contains(name));
    }
    schemas
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({ "summary": route.summary, "responses": responses(route) });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some((schema, _)) = route.body {
        operation["requestBody"] = json!({ "required": true, "content": content(schema) });
    }
    if !route.is_open {
        operation["security"] = json!([{}, { "token": [] }]);
    }
    operation
}

fn content(schema: &str) -> Value {
    let content_type = match schema {
        "Text" => "text/plain",
        "Page" => "text/html",
        "Events" => "text/event-stream",
        "Style" => "text/css",
        "Script" => "text/javascript",
        schema => return json!({ "application/json": { "schema": reference(schema) } }),
    };
    json!({ content_type: { "schema": { "type": "string" } } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<_> = in_path
        .map(|name| {
            let schema = if name == "slot" { "Number" } else { "PublicKey" };
            json!({ "name": name, "in": "path", "required": true, "schema": reference(schema) })
        })
        .collect();
    if let Some((name, what)) = route.query {
        let schema = reference("Number");
        parameters
            .push(json!({ "name": name, "in": "query", "required": false, "description": what, "schema": schema }));
    }
    parameters
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    let (status, schema) = route.answer;
    let mut good = content(schema);
    if route.also_bytes {
        good["application/octet-stream"] = json!({ "schema": { "type": "string", "format": "binary" } });
    }
    responses.insert(status.to_string(), json!({ "description": "done", "content": good }));
    if route.path == "/healthcheck" {
        responses.insert(
            "503".to_owned(),
            json!({ "description": "a key cannot sign, or memory is nearly full", "content": content(schema) }),
        );
    }
    let common: &[Row] = match (route.listener, route.is_open) {
        (Listener::Metrics, _) => &[HOST],
        (Listener::Signing, true) => &[BROWSER, HOST],
        (Listener::Signing, false) => &[UNAUTHORIZED, BROWSER, HOST],
    };
    for (status, reason, means) in common.iter().chain(route.refusals) {
        let text = format!("`{reason}`: {means}");
        let entry = responses
            .entry(status.as_str())
            .or_insert_with(|| json!({ "description": "", "content": content("Refusal") }));
        let before = entry["description"].as_str().unwrap_or_default();
        let separator = if before.is_empty() { "" } else { "; " };
        entry["description"] = Value::String(format!("{before}{separator}{text}"));
    }
    Value::Object(responses)
}

fn object(properties: &Value) -> Value {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn schemas() -> Value {
    let hex = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let number = reference("Number");
    let number_or_null = json!({ "anyOf": [number, { "type": "null" }] });
    let sign = json!({
        "type": { "type": "string", "enum": Duty::ALL.map(Duty::name) },
        "slot": number,
        "signing_root": hex("^0x[0-9a-fA-F]{64}$"),
    });
    let mut listed = sign.clone();
    listed["identifier"] = reference("PublicKey");
    let signature = object(&json!({ "signature": hex("^0x[0-9a-f]+$") }));
    let reasons: Vec<_> = REASONS.iter().map(|(_, reason, _)| reason).collect();
    json!({
        "Empty": { "type": "object" },
        "Number": { "type": "string", "pattern": "^[0-9]+$" },
        "PublicKey": hex("^(0x)?([0-9a-fA-F]{2})+$"),
        "SignRequest": object(&sign),
        "SignList": { "type": "array", "maxItems": LIST_MAX, "items": object(&listed) },
        "Signature": signature,
        "SignedList": {
            "type": "array",
            "items": { "anyOf": [reference("Signature"), object(&json!({ "error": reference("Refusal") }))] },
        },
        "PublicKeys": { "type": "array", "items": reference("PublicKey") },
        "Key": object(&json!({
            "public_key": reference("PublicKey"), "state": reference("KeyState"), "scheme": { "type": "string" }, "first_slot": number, "last_slot": number,
            "unused_from": number_or_null, "spent": number, "highest": number_or_null, "left": number,
        })),
        "Paths": object(&json!({
            "scheme": { "type": "string" },
            "root": hex("^0x[0-9a-f]+$"),
            "paths": { "type": "array", "items": object(&json!({
                "slot": number,
                "leaf": hex("^0x[0-9a-f]+$"),
                "siblings": { "type": "array", "items": hex("^0x[0-9a-f]+$") },
            })) },
        })),
        "Health": object(&json!({
            "status": { "type": "string", "enum": ["UP", "DOWN"] },
            "memory": { "type": "string", "enum": ["enough", "nearly_full"] },
            "keys": { "type": "array", "items": object(&json!({
                "public_key": reference("PublicKey"), "state": reference("KeyState"),
            })) },
        })),
        "KeyState": { "type": "string", "enum": KeyState::WORDS },
        "Reload": object(&json!({
            "begun": number, "done": number,
            "failures": { "type": "array", "items": object(&json!({
                "of": { "type": "string" }, "message": { "type": "string" },
            })) },
        })),
        "Refusal": object(&json!({
            "code": { "type": "integer" },
            "reason": { "type": "string", "enum": reasons },
            "message": { "type": "string" },
        })),
    })
}
