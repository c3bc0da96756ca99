//! Dates as Python's `strftime` writes them (C locale), for chat templates that tell the model what day it is.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A point in time, taken apart.
struct Moment {
    year: i64,
    /// 1 to 12.
    month: i64,
    day: i64,
    /// 0 is Sunday.
    weekday: i64,
    /// 1 is the first of January.
    day_of_year: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Moment {
    fn new(unix_seconds: i64) -> Self {
        let days = unix_seconds.div_euclid(86_400);
        let second = unix_seconds.rem_euclid(86_400);
        let (year, month, day) = civil(days);
        let before = days_before(year, month, day);
        Self {
            year,
            month,
            day,
            weekday: (days + 4).rem_euclid(7),
            day_of_year: before,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    /// What stands for one directive; `None` where it is not known.
    fn field(&self, directive: char) -> Option<String> {
        let name = |names: &[&'static str], index: i64| names[index as usize];
        let hour_12 = (self.hour + 11) % 12 + 1;
        Some(match directive {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year.rem_euclid(100)),
            'm' => format!("{:02}", self.month),
            'B' => name(&MONTHS, self.month - 1).to_string(),
            'b' | 'h' => name(&MONTHS, self.month - 1)[..3].to_string(),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.day_of_year),
            'A' => name(&WEEKDAYS, self.weekday).to_string(),
            'a' => name(&WEEKDAYS, self.weekday)[..3].to_string(),
            'w' => self.weekday.to_string(),
            'H' => format!("{:02}", self.hour),
            'I' => format!("{hour_12:02}"),
            'M' => format!("{:02}", self.minute),
            'S' => format!("{:02}", self.second),
            'p' => if self.hour < 12 { "AM" } else { "PM" }.to_string(),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
            'T' => format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second),
            '%' => "%".to_string(),
            _ => return None,
        })
    }
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant, "chrono-compatible date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Day of the year, counted from 1.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    lengths.iter().take(month as usize - 1).sum::<i64>() + day
}

/// Fills in the directives of `format`; `%-d` leaves out padding. The first unknown directive is the error.
pub(super) fn strftime(format: &str, unix_seconds: i64) -> Result<String, String> {
    let moment = Moment::new(unix_seconds);
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let mut directive = characters.next();
        let unpadded = directive == Some('-');
        if unpadded {
            directive = characters.next();
        }
        let field = directive.and_then(|directive| moment.field(directive));
        let field = field.ok_or_else(|| format!("%{}", directive.map_or(String::new(), String::from)))?;
        let trimmed = field.trim_start_matches(['0', ' ']);
        match (unpadded, trimmed.is_empty()) {
            (true, true) => text.push('0'),
            (true, false) => text.push_str(trimmed),
            (false, _) => text.push_str(&field),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unix_seconds: i64, format: &str, expected: &str) {
        assert_eq!(strftime(format, unix_seconds).as_deref(), Ok(expected));
    }

    #[test]
    fn as_python_writes_them() {
        check(0, "%A %a %d %b %Y %H:%M:%S %j %w", "Thursday Thu 01 Jan 1970 00:00:00 001 4");
        check(1_709_210_096, "%F %T %j", "2024-02-29 12:34:56 060");
        check(
            1_735_689_599,
            "%d %B %y, %I:%M %p, %-d/%-m, %e, %j, 100%%",
            "31 December 24, 11:59 PM, 31/12, 31, 366, 100%",
        );
        check(-1, "%Y-%m-%d %H:%M:%S", "1969-12-31 23:59:59");
        check(1_751_673_600, "%-d %-H", "5 0");
    }

    #[test]
    fn unknown_directives_are_named() {
        assert_eq!(strftime("%d %Q", 0), Err("%Q".to_string()));
        assert_eq!(strftime("%", 0), Err("%".to_string()));
    }
}
