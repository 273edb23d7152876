//! Five fields that name minutes, as in a crontab: minute, hour, day of the month, month, day of the week. In UTC.
//!
//! ```text
//! expression   field field field field field
//! field        item {"," item}
//! item         ("*" | value ["-" value]) ["/" step]      a value alone with a step goes up to the last
//! value        number, or the first three letters of an English month or day; 0 and 7 are Sunday
//! ```
//!
//! If both kinds of day are limited, one of them must fit (POSIX, crontab). It knows calendars. It does not know what happens at those minutes.

/// Seconds of a minute and of a day.
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;
/// After so many days without one, there is none: from a 29th of February to the next it is eight years at the most.
const DAYS_MAX: u64 = 8 * 366 + 2;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// One of the five.
struct Field {
    name: &'static str,
    first: u32,
    last: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day of the month", first: 1, last: 31, names: &[] },
    Field { name: "month", first: 1, last: 12, names: &MONTHS },
    Field { name: "day of the week", first: 0, last: 7, names: &WEEKDAYS },
];

/// Minutes, as they were named; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cron {
    /// The expression, one space between its fields; empty: never.
    text: String,
    /// A bit for each value that fits.
    fields: [u64; 5],
    /// Every day of the month fits, or of the week: then the other decides.
    is_any_day: bool,
    is_any_weekday: bool,
}

impl Cron {
    /// Reads an expression by its words; no words: never.
    ///
    /// # Errors
    /// One sentence that names the field.
    pub fn parse(words: &[&str]) -> Result<Cron, String> {
        let words: Vec<&str> = words.iter().flat_map(|word| word.split_whitespace()).collect();
        if words.is_empty() {
            return Ok(Cron::default());
        }
        if words.len() != FIELDS.len() {
            return Err(format!(
                "a cron expression has five fields (minute hour day month weekday), not {}",
                words.len()
            ));
        }
        let mut fields = [0; 5];
        for ((bits, field), word) in fields.iter_mut().zip(&FIELDS).zip(&words) {
            *bits = field.parse(word).ok_or_else(|| {
                let (first, last) = (field.first, field.last);
                format!("'{word}' is no {} of a cron expression: from {first} to {last}", field.name)
            })?;
        }
        // Sunday has two numbers.
        fields[4] = (fields[4] | fields[4] >> 7 & 1) & 0x7f;
        Ok(Cron {
            text: words.join(" "),
            fields,
            is_any_day: words[2].starts_with('*'),
            is_any_weekday: words[4].starts_with('*'),
        })
    }

    /// The expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True if there is no such minute.
    pub fn is_never(&self) -> bool {
        self.text.is_empty()
    }

    fn has(&self, field: usize, value: u64) -> bool {
        self.fields[field] >> value & 1 == 1
    }

    fn has_day(&self, days: u64) -> bool {
        let (month, day) = month_and_day(days);
        // 1970 began on a Thursday.
        let (fits, fits_weekday) = (self.has(2, day), self.has(4, (days + 4) % 7));
        let fits = match self.is_any_day || self.is_any_weekday {
            true => fits && fits_weekday,
            false => fits || fits_weekday,
        };
        fits && self.has(3, month)
    }

    /// The first such minute after a moment, both in Unix seconds.
    pub fn next(&self, after: u64) -> Option<u64> {
        if self.is_never() {
            return None;
        }
        let from = (after / MINUTE + 1) * MINUTE;
        let today = from / DAY;
        for days in (today..today + DAYS_MAX).filter(|days| self.has_day(*days)) {
            let first = if days == today { from % DAY / MINUTE } else { 0 };
            let fits = |minute: &u64| self.has(1, minute / 60) && self.has(0, minute % 60);
            if let Some(minute) = (first..DAY / MINUTE).find(fits) {
                return Some(days * DAY + minute * MINUTE);
            }
        }
        None
    }
}

impl Field {
    fn parse(&self, word: &str) -> Option<u64> {
        let mut bits = 0;
        for item in word.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
                None => (item, None),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.first, self.last),
                Some((from, to)) => (self.value(from)?, self.value(to)?),
                None => {
                    let value = self.value(range)?;
                    (value, if step.is_some() { self.last } else { value })
                }
            };
            if from > to {
                return None;
            }
            (from..=to).step_by(step.unwrap_or(1) as usize).for_each(|value| bits |= 1 << value);
        }
        Some(bits)
    }

    fn value(&self, word: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let value = named.map(|place| place as u32 + self.first).or_else(|| number(word))?;
        (self.first..=self.last).contains(&value).then_some(value)
    }
}

fn number(word: &str) -> Option<u32> {
    word.bytes().all(|digit| digit.is_ascii_digit()).then(|| word.parse().ok())?
}

/// Month and day of the month, by days since 1970-01-01 in the Gregorian calendar.
fn month_and_day(days: u64) -> (u64, u64) {
    // Years that begin in March end with the day that leap years have more, and 400 of them have always as many days.
    let day_of_era = (days + 719_468) % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2024-02-28 00:00 UTC, a Wednesday.
    const START: u64 = 1_709_078_400;

    /// Days and times of the next minutes, counted from that Wednesday.
    fn check(text: &str, expected: &[(u64, &str)]) {
        let cron = Cron::parse(&[text]).unwrap_or_else(|why| panic!("{text}: {why}"));
        let (mut at, mut found) = (START - 1, Vec::new());
        for _ in expected {
            at = cron.next(at).unwrap_or_else(|| panic!("{text} has a next minute"));
            let seconds = at - START;
            found.push((seconds / DAY, format!("{:02}:{:02}", seconds % DAY / 3_600, seconds % 3_600 / 60)));
        }
        let expected: Vec<(u64, String)> =
            expected.iter().map(|(day, time)| (*day, time.to_string())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn minutes_are_those_of_the_expression() {
        check("* * * * *", &[(0, "00:00"), (0, "00:01"), (0, "00:02")]);
        check("*/30 * * * *", &[(0, "00:00"), (0, "00:30"), (0, "01:00")]);
        check("5,50-52 23 * * *", &[(0, "23:05"), (0, "23:50"), (0, "23:51"), (0, "23:52"), (1, "23:05")]);
        check("10/25 6-18/6 * * *", &[(0, "06:10"), (0, "06:35"), (0, "12:10")]);
        check("0 0 29 FEB *", &[(1, "00:00"), (1 + 4 * 365 + 1, "00:00")]);
        check("0 0 1 * *", &[(2, "00:00"), (33, "00:00"), (63, "00:00")]);
        check("0 4 * * mon-fri", &[(0, "04:00"), (1, "04:00"), (2, "04:00"), (5, "04:00")]);
        check("0 4 * * 0", &[(4, "04:00"), (11, "04:00")]);
        check("0 4 * * 5-7", &[(2, "04:00"), (3, "04:00"), (4, "04:00"), (9, "04:00")]);
        check("0 0 1 * thu", &[(1, "00:00"), (2, "00:00"), (8, "00:00")]);
        check("0 0 1-7 * */7", &[(4, "00:00"), (39, "00:00")]);
        check("0 12 31 jan,Mar,dec *", &[(32, "12:00"), (307, "12:00")]);
    }

    #[test]
    fn what_is_no_expression_is_refused_by_its_field() {
        for (text, why) in [
            ("* * * *", "a cron expression has five fields (minute hour day month weekday), not 4"),
            ("60 * * * *", "'60' is no minute of a cron expression: from 0 to 59"),
            ("* 1-24 * * *", "'1-24' is no hour of a cron expression: from 0 to 23"),
            ("* * 0 * *", "'0' is no day of the month of a cron expression: from 1 to 31"),
            ("* * * foo *", "'foo' is no month of a cron expression: from 1 to 12"),
            ("* * * * mo", "'mo' is no day of the week of a cron expression: from 0 to 7"),
            ("*/0 * * * *", "'*/0' is no minute of a cron expression: from 0 to 59"),
            ("5-1 * * * *", "'5-1' is no minute of a cron expression: from 0 to 59"),
            ("+5 * * * *", "'+5' is no minute of a cron expression: from 0 to 59"),
            ("1,, * * * *", "'1,,' is no minute of a cron expression: from 0 to 59"),
        ] {
            assert_eq!(Cron::parse(&[text]).unwrap_err(), why);
        }
        let never = Cron::parse(&[""]).unwrap();
        assert!(never.is_never() && never.next(0).is_none());
        assert_eq!(Cron::parse(&["0", "0", "31", "2", "*"]).unwrap().next(START), None);
        assert_eq!(Cron::parse(&[" 1  2 * * *"]).unwrap().text(), "1 2 * * *");
    }

    proptest! {
        #[test]
        fn the_calendar_goes_from_day_to_day(days in 0u64..200_000) {
            let ((month, day), (next, first)) = (month_and_day(days), month_and_day(days + 1));
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
            let goes_on = next == month && first == day + 1;
            prop_assert!(goes_on || next == month % 12 + 1 && first == 1 && day >= 28);
        }

        #[test]
        fn the_next_minute_is_the_first_that_fits(after in START..START + 40 * DAY, minute in 0u64..60, hour in 0u64..24) {
            let cron = Cron::parse(&[&format!("{minute} {hour} * * *")]).unwrap();
            let next = cron.next(after).unwrap();
            prop_assert!(next > after && next <= after + DAY);
            prop_assert_eq!(next % DAY, hour * 3_600 + minute * 60);
        }

        #[test]
        fn any_text_is_safe(text in "[-*/,0-9a-z ]{0,20}") {
            if let Ok(cron) = Cron::parse(&[&text]) {
                prop_assert!(cron.next(START).is_none_or(|next| next > START));
            }
        }
    }
}
