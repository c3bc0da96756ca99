//! Dates as Python's `strftime` writes them (C locale, glibc's flags), for chat templates that tell the model what day
//! it is.

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

/// What a clock on the wall shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Seconds since 1970 in universal time.
    pub unix_seconds: i64,
    /// How many seconds the time zone is ahead of universal time.
    pub offset_seconds: i32,
    /// Of the second that has begun.
    pub microseconds: u32,
}

/// A point in time, taken apart.
struct Moment<'t> {
    time: &'t LocalTime,
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

/// What stands for a directive.
enum Field {
    /// A number, its least width, and what fills it up.
    Number(i64, usize, char),
    Text(String),
}

impl<'t> Moment<'t> {
    fn new(time: &'t LocalTime) -> Self {
        let local = time.unix_seconds.saturating_add(i64::from(time.offset_seconds));
        let days = local.div_euclid(86_400);
        let second = local.rem_euclid(86_400);
        let (year, month, day) = civil(days);
        Self {
            time,
            year,
            month,
            day,
            weekday: (days + 4).rem_euclid(7),
            day_of_year: days_before(year, month, day),
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    /// What stands for one directive; `None` where it is not known.
    fn field(&self, directive: char) -> Option<Field> {
        let name = |names: &[&'static str], index: i64| names[index as usize];
        let text = |text: &str| Field::Text(text.to_owned());
        let zeros = |number, width| Field::Number(number, width, '0');
        let composed = |format| Field::Text(self.format(format));
        let hour_12 = (self.hour + 11) % 12 + 1;
        let from_monday = (self.weekday + 6) % 7;
        Some(match directive {
            'Y' => zeros(self.year, 1),
            'C' => zeros(self.year.div_euclid(100), 2),
            'y' => zeros(self.year.rem_euclid(100), 2),
            'G' => zeros(self.week_year().0, 1),
            'g' => zeros(self.week_year().0.rem_euclid(100), 2),
            'V' => zeros(self.week_year().1, 2),
            'm' => zeros(self.month, 2),
            'B' => text(name(&MONTHS, self.month - 1)),
            'b' | 'h' => text(&name(&MONTHS, self.month - 1)[..3]),
            'd' => zeros(self.day, 2),
            'e' => Field::Number(self.day, 2, ' '),
            'j' => zeros(self.day_of_year, 3),
            'A' => text(name(&WEEKDAYS, self.weekday)),
            'a' => text(&name(&WEEKDAYS, self.weekday)[..3]),
            'w' => zeros(self.weekday, 1),
            'u' => zeros(from_monday + 1, 1),
            'U' => zeros((self.day_of_year + 6 - self.weekday) / 7, 2),
            'W' => zeros((self.day_of_year + 6 - from_monday) / 7, 2),
            'H' => zeros(self.hour, 2),
            'k' => Field::Number(self.hour, 2, ' '),
            'I' => zeros(hour_12, 2),
            'l' => Field::Number(hour_12, 2, ' '),
            'M' => zeros(self.minute, 2),
            'S' => zeros(self.second, 2),
            'f' => zeros(i64::from(self.time.microseconds), 6),
            's' => zeros(self.time.unix_seconds, 1),
            'p' => text(if self.hour < 12 { "AM" } else { "PM" }),
            'P' => text(if self.hour < 12 { "am" } else { "pm" }),
            // The time that templates get there does not know its zone.
            'z' | 'Z' => text(""),
            'F' => composed("%Y-%m-%d"),
            'D' | 'x' => composed("%m/%d/%y"),
            'T' | 'X' => composed("%H:%M:%S"),
            'R' => composed("%H:%M"),
            'r' => composed("%I:%M:%S %p"),
            'c' => composed("%a %b %e %H:%M:%S %Y"),
            'n' => text("\n"),
            't' => text("\t"),
            '%' => text("%"),
            _ => return None,
        })
    }

    /// Year and number of the week that this day belongs to: a week is of the year that has its Thursday.
    fn week_year(&self) -> (i64, i64) {
        let thursday = self.day_of_year + 3 - (self.weekday + 6) % 7;
        let length = |year| days_before(year, 12, 31);
        match thursday {
            ..=0 => (self.year - 1, (thursday + length(self.year - 1) + 6) / 7),
            late if late > length(self.year) => (self.year + 1, 1),
            _ => (self.year, (thursday + 6) / 7),
        }
    }

    /// Fills in the directives; one that is not known stays as it is.
    fn format(&self, format: &str) -> String {
        let mut text = String::new();
        let mut rest = format;
        while let Some(start) = rest.find('%') {
            text.push_str(&rest[..start]);
            let inside = &rest[start + 1..];
            let flags_end = inside.find(|flag| !"-_0^#".contains(flag)).unwrap_or(inside.len());
            let width_end =
                inside[flags_end..].find(|digit: char| !digit.is_ascii_digit()).unwrap_or_default() + flags_end;
            let (flags, width) = (&inside[..flags_end], &inside[flags_end..width_end]);
            let directive = inside[width_end..].chars().next();
            let end = start + 1 + width_end + directive.map_or(0, char::len_utf8);
            match directive.and_then(|directive| self.field(directive)) {
                Some(field) => text.push_str(&written(field, flags, width.parse().unwrap_or_default())),
                None => text.push_str(&rest[start..end]),
            }
            rest = &rest[end..];
        }
        text + rest
    }
}

/// A field as its flags want it: `-` fills nothing up, `_` by blanks, `0` by zeros, `^` is large letters.
fn written(field: Field, flags: &str, width: usize) -> String {
    let flag = flags.chars().rev().find(|flag| "-_0".contains(*flag));
    let text = match field {
        Field::Number(number, least, fill) => {
            let fill = match flag {
                Some('-') => return number.to_string(),
                Some('_') => ' ',
                Some('0') => '0',
                _ => fill,
            };
            let width = width.clamp(least, MOST_WIDTH.max(least));
            return if fill == '0' { format!("{number:0width$}") } else { format!("{number:width$}") };
        }
        Field::Text(text) if flags.contains('^') => text.to_uppercase(),
        Field::Text(text) => text,
    };
    let width = width.min(MOST_WIDTH);
    format!("{text:>width$}")
}

/// What follows is a date, not a page.
const MOST_WIDTH: usize = 64;

/// Fills in the directives of `format`.
pub(super) fn strftime(format: &str, time: &LocalTime) -> String {
    Moment::new(time).format(format)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(local_seconds: i64, format: &str, expected: &str) {
        let time = LocalTime { unix_seconds: local_seconds - 7200, offset_seconds: 7200, microseconds: 42 };
        assert_eq!(strftime(format, &time), expected);
    }

    #[test]
    fn as_python_writes_them() {
        check(0, "%A %a %d %b %Y %H:%M:%S %j %w", "Thursday Thu 01 Jan 1970 00:00:00 001 4");
        check(1_709_210_096, "%F %T %j %f %s", "2024-02-29 12:34:56 060 000042 1709202896");
        check(
            1_735_689_599,
            "%d %B %y, %I:%M %p, %-d/%-m, %e, %j, 100%%",
            "31 December 24, 11:59 PM, 31/12, 31, 366, 100%",
        );
        check(-1, "%Y-%m-%d %H:%M:%S", "1969-12-31 23:59:59");
        check(1_751_673_600, "%-d %-H %_H %^a %5d %10A", "5 0  0 SAT 00005   Saturday");
    }

    #[test]
    fn weeks_as_python_counts_them() {
        // 1 January of 2021 to 2028, and 31 December 2024.
        for (seconds, expected) in [
            (1_609_459_200, "2020 53 00 00"),
            (1_640_995_200, "2021 52 00 00"),
            (1_672_531_200, "2022 52 01 00"),
            (1_704_067_200, "2024 01 00 01"),
            (1_735_689_600, "2025 01 00 00"),
            (1_767_225_600, "2026 01 00 00"),
            (1_798_761_600, "2026 53 00 00"),
            (1_830_297_600, "2027 52 00 00"),
            (1_735_603_200, "2025 01 52 53"),
        ] {
            check(seconds, "%G %V %U %W", expected);
        }
    }

    #[test]
    fn unknown_directives_stay() {
        check(0, "%d %Q %", "01 %Q %");
        check(0, "%999999999d %é", &format!("{}1 %é", "0".repeat(63)));
    }
}
