//! Keys of site.lock that a newer bf-admin wrote: kept as they are when this one writes the file.

use serde_json::{Map as Object, Value};

use crate::shape::{Map, Shape};

/// What a document has and `map` does not describe, below the same keys; `None` when there is nothing.
pub(super) fn of(value: &Value, map: &Map) -> Option<Value> {
    let object = value.as_object()?;
    let mut unknown = Object::new();
    for (key, value) in object {
        let kept = match map.keys.iter().find(|known| known.name == key) {
            None => Some(value.clone()),
            Some(known) => below(value, &known.shape),
        };
        unknown.extend(kept.map(|kept| (key.clone(), kept)));
    }
    (!unknown.is_empty()).then_some(Value::Object(unknown))
}

fn below(value: &Value, shape: &Shape) -> Option<Value> {
    match shape {
        Shape::Map(map) => of(value, map),
        Shape::Named(_, of) => {
            let entries = value.as_object()?.iter();
            let unknown: Object<String, Value> =
                entries.filter_map(|(name, value)| Some((name.clone(), below(value, of)?))).collect();
            (!unknown.is_empty()).then_some(Value::Object(unknown))
        }
        // Files are listed anew whenever their thing is.
        _ => None,
    }
}

/// Puts the unknown keys back, where what they are about is still there and the same as in `before`: unknown facts about a
/// thing say nothing of the one that replaces it.
pub(super) fn put_back(new: &mut Value, unknown: &Value, before: &Value, map: &Map) {
    let (Some(new), Some(unknown)) = (new.as_object_mut(), unknown.as_object()) else { return };
    for (key, value) in unknown {
        match map.keys.iter().find(|known| known.name == key).map(|known| &known.shape) {
            None => {
                new.insert(key.clone(), value.clone());
            }
            Some(Shape::Named(_, Shape::Map(_))) => {
                let Some(entries) = new.get_mut(key).and_then(Value::as_object_mut) else { continue };
                for (name, value) in value.as_object().into_iter().flatten() {
                    keep(entries.get_mut(name), value, before.get(key).and_then(|before| before.get(name)));
                }
            }
            Some(_) => keep(new.get_mut(key), value, before.get(key)),
        }
    }
}

/// Adds keys to a thing that is the same as before.
fn keep(now: Option<&mut Value>, unknown: &Value, before: Option<&Value>) {
    if let (Some(now), Some(before)) = (now, before)
        && now == before
    {
        merge(now, unknown);
    }
}

/// Adds keys, also below those that are there.
fn merge(now: &mut Value, unknown: &Value) {
    let (Some(now), Some(unknown)) = (now.as_object_mut(), unknown.as_object()) else { return };
    for (key, value) in unknown {
        match now.get_mut(key) {
            Some(own) => merge(own, value),
            None => {
                now.insert(key.clone(), value.clone());
            }
        }
    }
}
