//! Arguments of a filter, by place or by name, as Python takes them.

use std::vec;

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Error, ErrorKind, Value};

/// What a filter was given behind the value.
pub(super) type Given = Rest<ValueOrKwargs>;

/// Taken one by one, in the order in which the filter has them.
pub(super) struct Options {
    positional: vec::IntoIter<Value>,
    named: Kwargs,
}

impl Options {
    pub fn of(given: Given) -> Result<Self, Error> {
        let mut positional: Vec<Value> = given.0.into_iter().map(ValueOrKwargs::into_value).collect();
        let named = match positional.pop_if(|last| last.is_kwargs()) {
            Some(named) => Kwargs::try_from(named)?,
            None => Kwargs::try_from(Value::UNDEFINED)?,
        };
        Ok(Self { positional: positional.into_iter(), named })
    }

    /// The next one, which has that name too.
    pub fn value(&mut self, name: &str) -> Result<Option<Value>, Error> {
        match self.positional.next() {
            Some(value) => Ok(Some(value)),
            None if self.named.has(name) => self.named.get(name).map(Some),
            None => Ok(None),
        }
    }

    /// The next one as a number, a text and the like.
    pub fn get<T: TryFrom<Value, Error = Error>>(&mut self, name: &str, default: T) -> Result<T, Error> {
        self.value(name)?.map_or(Ok(default), T::try_from)
    }

    /// The next one as a condition.
    pub fn is_set(&mut self, name: &str) -> Result<bool, Error> {
        Ok(self.value(name)?.is_some_and(|value| value.is_true()))
    }

    /// There are no more.
    pub fn end(mut self) -> Result<(), Error> {
        match self.positional.next() {
            Some(_) => Err(ErrorKind::TooManyArguments.into()),
            None => self.named.assert_all_used(),
        }
    }
}
