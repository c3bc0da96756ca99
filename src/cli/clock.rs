//! The clock on the wall, for chat templates that tell the model what day it is.

use isobath::text::LocalTime;
use jiff::Zoned;

/// What it shows now, in the time zone of this machine, as Python's `datetime.now()` has it.
pub fn local_time() -> LocalTime {
    let now = Zoned::now();
    LocalTime {
        unix_seconds: now.timestamp().as_second(),
        offset_seconds: now.offset().seconds(),
        microseconds: now.timestamp().subsec_nanosecond().unsigned_abs() / 1000,
    }
}
