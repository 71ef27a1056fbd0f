//! The API's document: names, places, examples, and that nothing is left untold. That it is true of the answers is
//! checked by `document.rs`, wherever a test gets one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::support::document::{DOCUMENT, assert_fits, nodes, validator};

fn operations() -> impl Iterator<Item = (String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("operations");
        operations.iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

fn schemas() -> impl Iterator<Item = (&'static String, &'static Value)> {
    DOCUMENT["components"]["schemas"].as_object().expect("schemas").iter()
}

/// The names of all schemas that a part of the document leads to.
fn reached<'a>(from: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<&Value> = from.collect();
    while let Some(part) = waiting.pop() {
        for name in nodes(part).filter_map(|node| node["$ref"].as_str()?.rsplit_once('/').map(|(_, name)| name)) {
            if found.insert(name.to_owned()) {
                waiting.push(&DOCUMENT["components"]["schemas"][name]);
            }
        }
    }
    found
}

/// The properties of a schema, also of the parts that are its own.
fn properties(schema: &Value) -> Vec<(&String, &Value, bool)> {
    let own = schema["properties"].as_object().into_iter().flatten();
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let parts = ["allOf", "oneOf"].iter().filter_map(|of| schema[*of].as_array()).flatten();
    own.map(|(name, property)| (name, property, required(name))).chain(parts.flat_map(properties)).collect()
}

#[test]
fn every_operation_has_a_name_of_its_own_that_says_what_it_does() {
    let mut names = BTreeMap::new();
    for (operation, details) in operations() {
        let name = details["operationId"].as_str().unwrap_or_else(|| panic!("{operation} has no name"));
        let readable = name.len() > 4
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(readable, "{operation}: {name}");
        assert_eq!(names.insert(name, operation.clone()), None, "two operations are called {name}, one is {operation}");
    }
}

#[test]
fn every_reference_leads_to_a_schema() {
    let known: BTreeSet<_> = schemas().map(|(name, _)| name.clone()).collect();
    let unknown: Vec<_> =
        reached(std::iter::once(&*DOCUMENT)).into_iter().filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "no schema is called {unknown:?}");
}

#[test]
fn two_types_never_share_a_schema_name() {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                for name in schema_names(&std::fs::read_to_string(&path).expect("source")) {
                    let before = names.insert(name.clone(), path.display().to_string());
                    assert_eq!(before, None, "two types are documented as {name}, one is in {}", path.display());
                }
            }
        }
    }
    for (name, _) in schemas() {
        assert!(names.contains_key(name), "where does {name} come from?");
    }
    let consume =
        &DOCUMENT["paths"]["/api/usage/consume"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let name = consume["$ref"].as_str().expect("a reference").rsplit_once('/').expect("a name").1;
    assert!(DOCUMENT["components"]["schemas"][name]["properties"]["items"].is_object(), "consume takes {name}");
}

/// The names under which the types of a file stand in the document.
fn schema_names(source: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let declared = source
        .split("#[derive(")
        .skip(1)
        .filter(|rest| rest.split_once(')').is_some_and(|(derives, _)| derives.contains("ToSchema")));
    declared
        .map(|rest| {
            let head = rest.split_once('{').map_or(rest, |(head, _)| head);
            let renamed = head.split_once("#[schema(as = ").map(|(_, name)| word(name));
            let kind = ["pub struct ", "pub enum "].iter().find_map(|kind| head.split_once(kind));
            renamed.unwrap_or_else(|| word(kind.unwrap_or_else(|| panic!("a type that is not public: {head}")).1))
        })
        .collect()
}

#[test]
fn every_answer_is_described_and_every_refusal_is_a_problem() {
    for (operation, details) in operations() {
        let responses = details["responses"].as_object().expect("answers");
        assert!(responses.contains_key("default"), "{operation}");
        for (status, response) in responses {
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{operation} {status}");
            let content = &response["content"];
            if status == "304" {
                assert!(content.is_null(), "{operation}: what is not modified is not sent");
                continue;
            }
            if status.starts_with(['1', '2']) {
                let told = status == "204" || nodes(content).any(|node| node.get("$ref").is_some());
                assert!(told, "{operation} {status} does not say what it answers");
            } else {
                let problem =
                    json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
                assert_eq!(*content, problem, "{operation} {status}");
            }
        }
    }
}

#[test]
fn parameters_are_documented_where_they_stand() {
    for (operation, details) in operations() {
        let parameters: Vec<_> = details["parameters"].as_array().into_iter().flatten().collect();
        let in_path: BTreeSet<_> =
            parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
        let named: BTreeSet<_> =
            operation.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
        assert_eq!(in_path, named, "{operation}");
        for parameter in parameters {
            assert!(
                parameter.get("example").is_some() || nodes(parameter).any(|n| n.get("$ref").is_some()),
                "{operation}: {parameter}"
            );
        }
    }
    for path in ["/api/realtime", "/api/realtime/sse"] {
        let parameters = DOCUMENT["paths"][path]["get"]["parameters"].as_array().expect("parameters");
        let names: Vec<_> = parameters.iter().map(|p| json!([p["name"], p["in"]])).collect();
        assert_eq!(names, [json!(["ticket", "query"]), json!(["since", "query"])], "{path}");
    }
}

#[test]
fn what_an_answer_always_has_is_required() {
    let left_out: BTreeMap<&str, Vec<&str>> = BTreeMap::from([
        ("Action", vec!["href", "plans"]),
        ("Decision", vec!["feature", "limits", "plan", "subscription", "suspended"]),
        (
            "GrantBody",
            vec![
                "enabled",
                "failOpen",
                "limitType",
                "limitValue",
                "overagePrice",
                "reset",
                "rolloverCap",
                "thresholds",
            ],
        ),
        (
            "PlanEditBody",
            vec![
                "basePrice",
                "contactSales",
                "description",
                "features",
                "isActive",
                "name",
                "position",
                "trialDays",
                "visible",
                "yearlyPrice",
            ],
        ),
        ("Problem", vec!["actions", "decision", "errors", "quota", "quotas"]),
        ("Recorded", vec!["overrun"]),
        ("ThresholdsEdit", vec!["critical", "warning"]),
    ]);
    let answers = reached(operations().map(|(_, details)| &details["responses"]));
    for (name, schema) in schemas().filter(|(name, _)| answers.contains(*name)) {
        let optional: BTreeSet<_> =
            properties(schema).iter().filter(|(_, _, required)| !required).map(|(name, ..)| name.as_str()).collect();
        let known = left_out.get(name.as_str()).into_iter().flatten().copied().collect();
        assert_eq!(optional, known, "{name}");
    }
}

#[test]
fn every_plain_value_has_an_example_or_a_list_of_what_it_may_be() {
    for (name, schema) in schemas() {
        for (property, details, _) in properties(schema) {
            let types = details["type"].as_array().cloned().unwrap_or_else(|| vec![details["type"].clone()]);
            let plain = types.iter().any(|kind| kind == "string" || kind == "integer" || kind == "number");
            let untyped = ["type", "$ref", "oneOf", "allOf", "enum"].iter().all(|key| details.get(key).is_none());
            let told = ["example", "examples", "enum"].iter().any(|key| details.get(key).is_some());
            assert!(told || !(plain || untyped), "{name}.{property}: {details}");
            if let Some(example) = details.get("example") {
                assert!(validator(details).is_valid(example), "{name}.{property}: {example} is no example");
            }
        }
    }
}

#[test]
fn words_of_closed_sets_are_listed() {
    let schema = |name: &str| DOCUMENT["components"]["schemas"][name].clone();
    for (owner, property) in [
        ("Action", "type"),
        ("User", "role"),
        ("TenantBody", "mode"),
        ("SubscriptionBody", "status"),
        ("SubscriptionBody", "interval"),
        ("ComponentBody", "provider"),
        ("RunBody", "provider"),
        ("KeyBody", "scopes"),
        ("Quota", "status"),
        ("Ready", "database"),
    ] {
        let reached = reached(std::iter::once(&schema(owner)["properties"][property]));
        assert!(reached.iter().any(|name| schema(name).get("enum").is_some()), "{owner}.{property}: {reached:?}");
    }
}

#[test]
fn streams_and_forms_are_described() {
    let run = &DOCUMENT["paths"]["/api/ai/{component}/{action}"]["post"];
    let events = &run["responses"]["200"]["content"]["text/event-stream"]["schema"];
    for event in ["start", "delta", "done", "error"] {
        let names =
            nodes(&DOCUMENT["components"]["schemas"][reference(events)]).filter_map(|node| node["enum"][0].as_str());
        assert!(names.into_iter().any(|name| name == event), "{event}");
    }
    let form = &run["requestBody"]["content"]["multipart/form-data"]["schema"];
    assert_eq!(DOCUMENT["components"]["schemas"][reference(form)]["properties"]["files"]["type"], "array");
    assert_fits("RunBody", &run_of(json!("prose")));
    assert_fits("RunBody", &run_of(json!({ "total": 1 })));
    let sse =
        &DOCUMENT["paths"]["/api/realtime/sse"]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"];
    let socket =
        &DOCUMENT["paths"]["/api/realtime"]["get"]["responses"]["101"]["content"]["application/json"]["schema"];
    assert_eq!((reference(sse), reference(socket)), ("Message", "Message"));
}

fn reference(schema: &Value) -> &str {
    schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_else(|| panic!("no reference: {schema}"))
}

fn run_of(result: Value) -> Value {
    let usage = json!({ "inputTokens": 1, "outputTokens": 1, "credits": 2 });
    json!({ "id": null, "result": result, "quota": null, "quotas": {}, "usage": usage, "model": "m", "provider": "demo", "demo": true })
}

#[test]
fn an_answer_is_not_as_documented_with_a_field_too_many_or_too_few() {
    let run = validator(&json!({ "$ref": "#/components/schemas/RunBody" }));
    let good = run_of(json!(null));
    assert!(run.is_valid(&good));
    let mut more = good.clone();
    more["unheardOf"] = json!(1);
    let mut less = good;
    less.as_object_mut().expect("an object").remove("quota");
    assert!(!run.is_valid(&more) && !run.is_valid(&less));
}
