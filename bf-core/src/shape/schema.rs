//! A description as JSON Schema, by which editors check and complete.

use serde_json::{Map as Object, Value, json};

use super::{By, Key, Map, Shape};

/// The JSON Schema (draft 2020-12) of a file.
pub fn json_schema(title: &str, map: &Map) -> Value {
    let mut object = Object::new();
    object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    object.insert("title".into(), title.into());
    object.extend(of_map(map));
    Value::Object(object)
}

fn of_map(map: &Map) -> Object<String, Value> {
    let mut object = Object::new();
    object.insert("type".into(), "object".into());
    let properties = map.keys.iter().map(|key| (key.name.to_owned(), of_key(key))).collect();
    object.insert("properties".into(), Value::Object(properties));
    let required: Vec<&str> = map.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    if !required.is_empty() {
        object.insert("required".into(), required.into());
    }
    if !map.is_open {
        object.insert("additionalProperties".into(), false.into());
    }
    object
}

fn of_key(key: &Key) -> Value {
    let mut object = of_shape(&key.shape);
    if !key.is_required {
        or_null(&mut object);
    }
    let note = match key.by {
        By::Admin | By::User => "",
        By::Nobody => " (nothing obeys it yet)",
        By::Later => " (skipped in this version)",
        By::Refused => " (not supported yet)",
    };
    object.insert("description".into(), format!("{}{note}", key.doc).into());
    if !key.default.is_empty() && !matches!(key.shape, Shape::List(_) | Shape::Map(_)) {
        let value = match key.shape {
            Shape::Bool | Shape::Whole(..) => serde_json::from_str(key.default).ok(),
            Shape::Choice(of) => of.contains(&key.default).then(|| key.default.into()),
            _ => None,
        };
        object.extend(value.map(|value| ("default".to_owned(), value)));
    }
    Value::Object(object)
}

fn of_shape(shape: &Shape) -> Object<String, Value> {
    let value = match shape {
        Shape::Text => json!({"type": "string", "minLength": 1}),
        Shape::Lines => json!({"type": "string"}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Bytes => json!({"type": "integer", "minimum": 0}),
        Shape::Positive => json!({"type": "number", "exclusiveMinimum": 0}),
        Shape::Choice(of) => json!({"enum": of}),
        Shape::Format(format) if format.is_number => {
            json!({"type": ["string", "integer"], "examples": format.examples})
        }
        Shape::Format(format) => json!({"type": "string", "minLength": 1, "examples": format.examples}),
        Shape::List(of) => json!({"type": "array", "items": of_shape(of)}),
        Shape::Map(map) => return of_map(map),
        Shape::Named(_, of) => json!({"type": "object", "additionalProperties": of_shape(of)}),
        Shape::OrNull(of) => {
            let mut object = of_shape(of);
            or_null(&mut object);
            return object;
        }
    };
    match value {
        Value::Object(object) => object,
        _ => Object::new(), // it is one
    }
}

/// Lets nothing do as well: what is empty in YAML counts as not given.
fn or_null(object: &mut Object<String, Value>) {
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.push(Value::Null);
    }
    object.remove("minLength");
    match object.get_mut("type") {
        Some(Value::Array(types)) if !types.contains(&"null".into()) => types.push("null".into()),
        Some(kind @ Value::String(_)) => *kind = json!([kind.clone(), "null"]),
        _ => {}
    }
}
