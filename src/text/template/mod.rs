//! Jinja2 and Python as chat templates know them: what lies between a template and the renderer.
//!
//! `lexer`, `grammar` and `translate` put a template into the renderer's dialect, `globals`, `filters`, `methods`, `strings`
//! and `percent` bring what it lacks, `python` and `json` write values. `docs/templates.md` lists what differs all the same.

mod filters;
mod globals;
mod grammar;
mod json;
mod lexer;
mod methods;
mod options;
mod percent;
mod python;
mod strftime;
mod strings;
mod translate;

use minijinja::{Environment, Error, Value};

pub use strftime::LocalTime;
pub(super) use translate::translate;

/// Everything that needs no clock.
pub(super) fn add(environment: &mut Environment<'static>) {
    globals::add(environment);
    filters::add(environment);
    environment.set_unknown_method_callback(methods::method);
}

/// `strftime_now`, by that clock.
pub(super) fn add_clock(environment: &mut Environment<'static>, clock: impl Fn() -> LocalTime + Send + Sync + 'static) {
    let now = move |format: Option<&str>, named: minijinja::value::Kwargs| -> Result<Value, Error> {
        let format = match format {
            Some(format) => format.to_owned(),
            None => named.get("format")?,
        };
        named.assert_all_used()?;
        Ok(Value::from(strftime::strftime(&format, &clock())))
    };
    environment.add_function("strftime_now", now);
}
