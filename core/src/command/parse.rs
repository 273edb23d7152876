//! Reading arguments, with Redis's words where they make no sense.

use crate::args::Args;
use crate::protocol::reply::Failure;
use crate::protocol::request::parse_integer;
use crate::time::UnixMillis;

/// A whole number.
#[inline]
pub fn integer(word: &[u8]) -> Result<i64, Failure> {
    parse_integer(word).ok_or(Failure::NOT_INTEGER)
}

/// A whole number of at least `min`; whatever else it is, the error is `wrong`.
pub fn ranged(word: &[u8], min: i64, wrong: &'static str) -> Result<i64, Failure> {
    parse_integer(word).filter(|&number| number >= min).ok_or(Failure::new(wrong))
}

/// A number with a fraction: decimal, exponents, `inf`; no `nan`, no spaces.
pub fn float(word: &[u8]) -> Result<f64, Failure> {
    let text = std::str::from_utf8(word).ok().filter(|text| !text.is_empty()).ok_or(Failure::NOT_FLOAT)?;
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eEinfINFtyTY".contains(&b));
    let value: f64 = text.parse().map_err(|_| Failure::NOT_FLOAT)?;
    if !plain || value.is_nan() { Err(Failure::NOT_FLOAT) } else { Ok(value) }
}

/// A score, or what is added to one: as [`float`], but what is too large for a double is none.
pub fn score(word: &[u8]) -> Result<f64, Failure> {
    let is_infinite_in_words = || !word.iter().any(u8::is_ascii_digit);
    float(word).ok().filter(|score| score.is_finite() || is_infinite_in_words()).ok_or(Failure::NOT_FLOAT)
}

/// Unit and origin of a time that a client gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMillis,
}

impl TimeUnit {
    /// The unit of an option: EX, PX, EXAT, PXAT.
    pub fn of_option(args: Args<'_>, n: usize) -> Option<TimeUnit> {
        [
            ("ex", TimeUnit::Seconds),
            ("px", TimeUnit::Millis),
            ("exat", TimeUnit::UnixSeconds),
            ("pxat", TimeUnit::UnixMillis),
        ]
        .into_iter()
        .find(|(word, _)| args.is(n, word))
        .map(|(_, unit)| unit)
    }

    /// The moment that a number means, in milliseconds since 1970; may be negative. `None` if it does not fit.
    pub fn moment(self, number: i64, now: UnixMillis) -> Option<i64> {
        let millis = match self {
            TimeUnit::Seconds | TimeUnit::UnixSeconds => number.checked_mul(1_000)?,
            TimeUnit::Millis | TimeUnit::UnixMillis => number,
        };
        match self {
            TimeUnit::Seconds | TimeUnit::Millis => millis.checked_add(now.0 as i64),
            TimeUnit::UnixSeconds | TimeUnit::UnixMillis => Some(millis),
        }
    }
}

/// `ERR invalid expire time in 'set' command`
pub fn invalid_expire(command: &str) -> Failure {
    Failure::text(format!("ERR invalid expire time in '{command}' command"))
}

/// The deadline of an option such as `EX 10`: a positive number that does not overflow.
pub fn deadline(word: &[u8], unit: TimeUnit, now: UnixMillis, command: &str) -> Result<UnixMillis, Failure> {
    let number = integer(word)?;
    if number <= 0 {
        return Err(invalid_expire(command));
    }
    let moment = unit.moment(number, now).ok_or_else(|| invalid_expire(command))?;
    u64::try_from(moment).map(UnixMillis).map_err(|_| invalid_expire(command))
}

/// A range of `len` places that may be counted from the end, cut to what exists; `None` if nothing is left.
pub fn range(start: i64, end: i64, len: usize) -> Option<(usize, usize)> {
    let len = len as i64;
    let from = if start < 0 { (len + start).max(0) } else { start };
    let to = if end < 0 { (len + end).max(0) } else { end.min(len - 1) };
    (len > 0 && from <= to && from < len).then(|| (from as usize, to as usize + 1))
}

/// How long a client wants to wait, in milliseconds; 0: for ever.
pub fn seconds_to_wait(word: &[u8]) -> Result<u64, Failure> {
    let seconds = float(word).map_err(|_| Failure::new("ERR timeout is not a float or out of range"))?;
    let millis = (seconds * 1_000.0).ceil();
    if millis > i64::MAX as f64 {
        return Err(Failure::new("ERR timeout is out of range"));
    }
    if millis < 0.0 {
        return Err(Failure::new("ERR timeout is negative"));
    }
    Ok(millis as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_exists() {
        for (start, end, len, cut) in [
            (0, -1, 5, Some((0, 5))),
            (-3, -2, 5, Some((2, 4))),
            (1, 100, 5, Some((1, 5))),
            (5, 9, 5, None),
            (3, 1, 5, None),
            (-100, 1, 5, Some((0, 2))),
            (0, 0, 0, None),
            (0, 5, 0, None),
            (i64::MIN, i64::MAX, 3, Some((0, 3))),
        ] {
            assert_eq!(range(start, end, len), cut, "{start} {end} {len}");
        }
    }

    #[test]
    fn times_that_do_not_fit_are_refused() {
        let now = UnixMillis(1_000_000);
        let at = |word: &str, unit| deadline(word.as_bytes(), unit, now, "set");
        assert_eq!(at("10", TimeUnit::Seconds), Ok(UnixMillis(1_010_000)));
        assert_eq!(at("10", TimeUnit::UnixMillis), Ok(UnixMillis(10)));
        assert_eq!(at("0", TimeUnit::Seconds), Err(invalid_expire("set")));
        assert_eq!(at("9223372036854775807", TimeUnit::Seconds), Err(invalid_expire("set")));
        assert_eq!(at("9223372036854775807", TimeUnit::Millis), Err(invalid_expire("set")));
        assert_eq!(at("x", TimeUnit::Seconds), Err(Failure::NOT_INTEGER));
    }

    #[test]
    fn floats_are_strict() {
        for (word, ok) in [
            ("1.5", true),
            ("-inf", true),
            ("nan", false),
            (" 1", false),
            ("1x", false),
            ("", false),
            ("1e400", true),
        ] {
            assert_eq!(float(word.as_bytes()).is_ok(), ok, "{word}");
        }
    }
}
