//! Methods of Python's values. What changes a list or a mapping is refused there, so there is none of it here.

use minijinja::value::{Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::globals::View;
use super::python::{is_sequence, wrong};
use super::strings;

/// Those that change what they belong to.
const CHANGING: [&str; 13] = [
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
    "add",
    "discard",
];

/// Called where the renderer knows no such method.
pub(super) fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => strings::method(state, value.as_str().unwrap_or_default(), name, arguments)?,
        _ if is_sequence(value) => list_method(state, value, name, arguments)?,
        ValueKind::Map => map_method(state, value, name, arguments)?,
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None if CHANGING.contains(&name) && value.kind() != ValueKind::String => {
            Err(wrong(format!("`{name}` would change a value, which templates may not")))
        }
        None => pycompat::unknown_method_callback(state, value, name, arguments),
    }
}

fn list_method(state: &State, list: &Value, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match name {
        "index" => {
            let (sought, start, stop): (&Value, Option<i64>, Option<i64>) = from_args(arguments)?;
            let length = list.len().unwrap_or_default() as i64;
            state.consume_fuel(length as u64)?;
            let bound = |index: i64| if index < 0 { (index + length).max(0) } else { index };
            let (start, stop) = (start.map_or(0, bound), stop.map_or(length, bound));
            let mut items = list.try_iter()?.zip(0..);
            let found = items.find(|(item, index)| (start..stop).contains(index) && item == sought);
            found.map(|(_, index)| Value::from(index)).ok_or_else(|| wrong(format!("{sought} is not in the list")))?
        }
        "count" => {
            let (sought,): (&Value,) = from_args(arguments)?;
            state.consume_fuel(list.len().unwrap_or_default() as u64)?;
            Value::from(list.try_iter()?.filter(|item| item == sought).count())
        }
        "copy" if !list.is_tuple() => {
            let () = from_args(arguments)?;
            list.try_iter()?.collect()
        }
        _ => return Ok(None),
    }))
}

fn map_method(state: &State, map: &Value, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    let pairs = |pair: &dyn Fn(Value, Value) -> Value| -> Result<Value, Error> {
        let () = from_args(arguments)?;
        map.try_iter()?
            .map(|key| map.get_item(&key).map(|value| pair(key, value)))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::from)
    };
    if ["keys", "values", "items", "copy"].contains(&name) {
        // What a view holds is not seen by the fuel later on.
        state.consume_fuel(2 * map.len().unwrap_or_default() as u64)?;
    }
    let view = |method, items| Ok(Some(Value::from_object(View { method, items })));
    match name {
        "keys" => view("keys", pairs(&|key, _| key)?),
        "values" => view("values", pairs(&|_, value| value)?),
        "items" => view("items", pairs(&|key, value| Value::from(Tuple::from([key, value])))?),
        "copy" => {
            let () = from_args(arguments)?;
            let keys: Vec<Value> = map.try_iter()?.collect();
            let items: Vec<_> =
                keys.into_iter().map(|key| map.get_item(&key).map(|value| (key, value))).collect::<Result<_, _>>()?;
            Ok(Some(Value::from_pairs(items)))
        }
        "get" => {
            let (key, default): (&Value, Option<Value>) = from_args(arguments)?;
            let object = map.as_object().ok_or(ErrorKind::UnknownMethod)?;
            Ok(Some(object.get_value(key).or(default).unwrap_or(Value::from(()))))
        }
        _ => Ok(None),
    }
}
