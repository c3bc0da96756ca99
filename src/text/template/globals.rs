//! What templates call by name, and the words that [`super::translate`] puts in.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value, functions};

use super::percent;
use super::python::{as_float, wrong};
use super::translate::{ITERATED, REMAINDER};

/// As many as jinja2's sandbox allows.
const LONGEST_RANGE: i64 = 100_000;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.remove_global("debug");
    environment.add_function("raise_exception", |message: &Value| -> Result<Value, Error> {
        Err(wrong(message.as_str().map_or_else(|| message.to_string(), str::to_owned)))
    });
    environment.add_function("namespace", namespace);
    environment.add_global("dict", Value::from_object(Dict));
    environment.add_function("range", range);
    environment.add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_function(REMAINDER, remainders);
    environment.add_function(ITERATED, iterated);
}

/// Mappings or pairs, then names.
fn pairs(positional: &[Value], named: &Kwargs) -> Result<Vec<(Value, Value)>, Error> {
    let mut pairs = Vec::new();
    match positional {
        [] => (),
        [one] if one.kind() == ValueKind::Map => {
            for key in one.try_iter()?.checked() {
                let key = key?;
                let value = one.get_item(&key)?;
                pairs.push((key, value));
            }
        }
        [one] => {
            for pair in one.try_iter()?.checked() {
                let pair = pair?;
                match (pair.len(), pair.get_item_by_index(0), pair.get_item_by_index(1)) {
                    (Some(2), Ok(key), Ok(value)) => pairs.push((key, value)),
                    _ => return Err(wrong("a mapping is made of pairs")),
                }
            }
        }
        _ => return Err(Error::new(ErrorKind::TooManyArguments, "a mapping is made of one other")),
    }
    for name in named.args() {
        pairs.push((Value::from(name), named.get(name)?));
    }
    Ok(pairs)
}

fn namespace(positional: Rest<Value>, named: Kwargs) -> Result<Value, Error> {
    let pairs = pairs(&positional, &named)?;
    let hidden = pairs.iter().filter_map(|(key, _)| key.as_str()).find(|key| key.starts_with('_'));
    if let Some(name) = hidden {
        return Err(wrong(format!("a namespace has no names that begin with an underscore: `{name}`")));
    }
    functions::namespace(Some(Value::from_pairs(pairs).into()))
}

/// `dict(...)` and `dict.fromkeys(...)`.
#[derive(Debug)]
struct Dict;

impl Object for Dict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, arguments: &[Value]) -> Result<Value, Error> {
        let (positional, named): (&[Value], Kwargs) = minijinja::value::from_args(arguments)?;
        pairs(positional, &named).map(Value::from_pairs)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        if method != "fromkeys" {
            return Err(ErrorKind::UnknownMethod.into());
        }
        let (keys, value): (&Value, Option<Value>) = minijinja::value::from_args(arguments)?;
        let value = value.unwrap_or(Value::from(()));
        let keys: Vec<Value> = keys.try_iter()?.checked().collect::<Result<_, _>>()?;
        Ok(Value::from_pairs(keys.into_iter().map(|key| (key, value.clone()))))
    }
}

/// Numbers from one to another.
#[derive(Debug)]
pub(super) struct Range {
    start: i64,
    stop: i64,
    step: i64,
    length: i64,
}

fn range(first: i64, second: Option<i64>, step: Option<i64>) -> Result<Value, Error> {
    let (start, stop) = second.map_or((0, first), |second| (first, second));
    let step = step.unwrap_or(1);
    let distance = i128::from(stop) - i128::from(start);
    let length = match i128::from(step) {
        0 => return Err(wrong("the step of a range cannot be 0")),
        step if (step > 0) == (distance > 0) => (distance.abs() + step.abs() - 1) / step.abs(),
        _ => 0,
    };
    match i64::try_from(length) {
        Ok(length @ ..=LONGEST_RANGE) => Ok(Value::from_object(Range { start, stop, step, length })),
        _ => Err(wrong(format!("a range of {length} numbers is longer than {LONGEST_RANGE}"))),
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            1 => write!(formatter, "range({}, {})", self.start, self.stop),
            step => write!(formatter, "range({}, {}, {step})", self.start, self.stop),
        }
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = i64::try_from(key.clone()).ok().filter(|index| (0..self.length).contains(index))?;
        Some(Value::from(self.start + index * self.step))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.length as usize)
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Keys, values or items of a mapping.
#[derive(Debug)]
pub(super) struct View {
    pub method: &'static str,
    pub items: Value,
}

impl View {
    /// What Python calls it.
    pub fn name(&self) -> String {
        format!("dict_{}", self.method)
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.items.try_iter() {
            Ok(items) => Enumerator::Iter(Box::new(items)),
            Err(_) => Enumerator::NonEnumerable,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.items.len()
    }
}

/// What a loop is given, as something with a length. Several values are those of a tuple without brackets.
fn iterated(state: &State, values: Rest<Value>) -> Result<Value, Error> {
    let [value] = &values[..] else { return Ok(Value::from(values.0)) };
    match value.kind() {
        ValueKind::None => Err(wrong("none cannot be looped over")),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            state.consume_fuel(text.len() as u64)?;
            Ok(text.chars().map(Value::from).collect())
        }
        ValueKind::Iterable if value.len().is_none() => {
            let mut items = Vec::new();
            for item in value.try_iter()?.checked() {
                state.consume_fuel(1)?;
                items.push(item?);
            }
            Ok(Value::from(items))
        }
        _ => Ok(value.clone()),
    }
}

/// `a % b % c`, from left to right.
fn remainders(state: &mut State, operands: Rest<Value>) -> Result<Value, Error> {
    let mut operands = operands.0.into_iter();
    let mut result = operands.next().unwrap_or_default();
    for operand in operands {
        result = remainder(state, &result, &operand)?;
    }
    Ok(result)
}

/// A remainder with the sign of the divisor, or a text with values filled in.
fn remainder(state: &mut State, left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(format) = left.as_str() {
        return percent::fill_in(state, format, right).map(Value::from);
    }
    let whole = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        _ => i128::try_from(value.clone()).ok().filter(|_| value.is_integer()),
    };
    let float = |value: &Value| as_float(value).or(whole(value).map(|whole| whole as f64));
    match (whole(left), whole(right), float(left), float(right)) {
        (_, Some(0), Some(_), _) => Err(wrong("a remainder of a division by zero")),
        (Some(left), Some(right), ..) => {
            let rest = left.checked_rem(right).unwrap_or(0);
            Ok(Value::from(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest }))
        }
        (_, _, Some(_), Some(0.0)) => Err(wrong("a remainder of a division by zero")),
        (_, _, Some(left), Some(right)) => {
            let rest = left % right;
            let rest = if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest };
            Ok(Value::from(if rest == 0.0 { 0.0_f64.copysign(right) } else { rest }))
        }
        _ => Err(wrong(format!(
            "`%` stands between numbers or behind a text, not between {} and {}",
            left.kind(),
            right.kind()
        ))),
    }
}
