//! Values of parameters: text to number and back, with Redis 7.0's words for what is wrong.
//!
//! It knows the forms of values. It does not know which parameter has which.

use super::{Access, OutputLimit};
use crate::aof::pen::SyncPolicy;
use crate::event::LogLevel;

/// When the log is durable, by name.
pub const SYNC_POLICIES: &[(&str, SyncPolicy)] =
    &[("everysec", SyncPolicy::EverySecond), ("always", SyncPolicy::Always), ("no", SyncPolicy::No)];

/// The four log levels by name, least first.
pub const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("debug", LogLevel::Debug),
    ("verbose", LogLevel::Verbose),
    ("notice", LogLevel::Notice),
    ("warning", LogLevel::Warning),
];

/// Who may use a command, by name.
pub const ACCESS: &[(&str, Access)] = &[("no", Access::No), ("yes", Access::Yes), ("local", Access::Local)];

/// `pipeline-order`: true for the strict one.
pub const PIPELINE_ORDERS: &[(&str, bool)] = &[("relaxed", false), ("strict", true)];

/// The classes of clients that have output limits, by the names that are printed.
pub const CLIENT_CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// `yes` or `no`, in any case.
pub fn yes_no(text: &str) -> Result<bool, String> {
    if text.eq_ignore_ascii_case("yes") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("no") {
        Ok(false)
    } else {
        Err("argument must be 'yes' or 'no'".into())
    }
}

/// Prints what [`yes_no`] reads.
pub fn print_yes_no(value: bool) -> String {
    if value { "yes".into() } else { "no".into() }
}

/// A whole number between two bounds. Strict, as everywhere in the protocol: no plus sign, no space, no leading zero.
pub fn integer<T: TryFrom<i64>>(text: &str, min: i64, max: i64) -> Result<T, String> {
    let canonical =
        matches!(text.strip_prefix('-').unwrap_or(text).as_bytes(), [b'1'..=b'9', ..]) || text == "0";
    let number: i64 = match text.parse() {
        Ok(number) if canonical => number,
        _ => return Err("argument couldn't be parsed into an integer".into()),
    };
    let beyond = || format!("argument must be between {min} and {max} inclusive");
    if number < min || number > max {
        return Err(beyond());
    }
    T::try_from(number).map_err(|_| beyond())
}

/// A file mode: an octal number from 0 to 777. C reads it, so white space and a plus sign may come first and
/// nothing means 0.
pub fn octal(text: &str) -> Result<u32, String> {
    let digits = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (negative, digits) = match digits.as_bytes().first() {
        Some(b'-') => (true, &digits[1..]),
        Some(b'+') => (false, &digits[1..]),
        _ => (false, digits),
    };
    if !text.is_empty() && (digits.is_empty() || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'))) {
        return Err("argument couldn't be parsed as an octal number".into());
    }
    let value =
        digits.bytes().fold(0_u64, |sum, byte| sum.saturating_mul(8).saturating_add(u64::from(byte - b'0')));
    match u32::try_from(value) {
        Ok(mode) if mode <= 0o777 && (!negative || mode == 0) => Ok(mode),
        _ => Err("argument must be between 0 and 777 inclusive".into()),
    }
}

/// Prints what [`octal`] reads.
pub fn print_octal(mode: u32) -> String {
    format!("{mode:o}")
}

/// Bytes: digits and a unit in any case; `None` if it is anything else. `k`, `m`, `g` are powers of 1000,
/// `kb`, `mb`, `gb` of 1024, `b` is one. No digits
/// mean 0, as in Redis. What exceeds 64 bits is their greatest number; Redis would let the product of a unit
/// wrap round.
fn bytes(text: &str) -> Option<u64> {
    // The longest run of digits that Redis copies out.
    const DIGITS_MAX: usize = 127;
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = match text[end..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    if end > DIGITS_MAX {
        return None;
    }
    let number = text[..end]
        .bytes()
        .fold(0_u64, |sum, byte| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')));
    Some(number.saturating_mul(unit))
}

/// A number of bytes between two bounds: `100`, `1k`, `64mb`.
pub fn memory(text: &str, min: u64, max: u64) -> Result<u64, String> {
    match bytes(text) {
        None => Err("argument must be a memory value".into()),
        Some(bytes) if bytes < min || bytes > max => {
            Err(format!("argument must be between {min} and {max} inclusive"))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// A number of bytes in the greatest binary unit that divides it, as the file is written.
pub fn print_memory(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// A number of bytes, or a percentage of `whole` bytes, which is 0 where that is not known.
pub fn memory_or_share(text: &str, whole: u64) -> Result<u64, String> {
    let Some(digits) = text.strip_suffix('%') else { return memory(text, 0, u64::MAX) };
    let percent: u64 = integer(digits, 0, 100)?;
    match whole {
        0 => Err("the memory of this machine is not known, so that a percentage of it means nothing".into()),
        whole => Ok((u128::from(whole) * u128::from(percent) / 100) as u64),
    }
}

/// A number of bytes or a percentage, normalised to `123` or `5%`.
pub fn memory_or_percent(text: &str) -> Result<String, String> {
    let wrong = || String::from("argument must be a memory or percent value");
    match text.strip_suffix('%') {
        // Redis keeps percentages as negative numbers, so half of the range is all there is.
        None => match bytes(text) {
            Some(bytes) if i64::try_from(bytes).is_ok() => Ok(bytes.to_string()),
            _ => Err(wrong()),
        },
        Some(digits) => {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong());
            }
            match digits.parse::<i64>().map_err(|_| wrong())? {
                0 => Ok("0".into()),
                percent @ 1..=100 => Ok(format!("{percent}%")),
                _ => Err("percentage argument must be less or equal to 100".into()),
            }
        }
    }
}

/// One of the names in a list, in any case.
pub fn choice<T: Copy>(text: &str, names: &[(&str, T)]) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| one_of(names.iter().map(|(name, _)| *name)))
}

/// Prints what [`choice`] reads; empty for a value without a name.
pub fn print_choice<T: PartialEq>(value: T, names: &[(&str, T)]) -> String {
    names.iter().find(|(_, named)| *named == value).map(|(name, _)| (*name).into()).unwrap_or_default()
}

/// What is said of a word that is none of these.
pub fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("argument(s) must be one of the following: {}", names.collect::<Vec<_>>().join(", "))
}

/// `class hard soft seconds`, as often as wished: limits of the classes that are named, the others stay.
pub fn output_limits(words: &[&str], limits: &mut [OutputLimit; 3]) -> Result<(), String> {
    if !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".into());
    }
    let mut new = *limits;
    for four in words.chunks_exact(4) {
        let class = match four[0].to_ascii_lowercase().as_str() {
            "normal" => 0,
            "slave" | "replica" => 1,
            "pubsub" => 2,
            _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
        };
        new[class] = match (bytes(four[1]), bytes(four[2]), seconds(four[3])) {
            (Some(hard), Some(soft), Some(soft_seconds)) => OutputLimit { hard, soft, soft_seconds },
            _ => {
                return Err(
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration.".into()
                );
            }
        };
    }
    *limits = new;
    Ok(())
}

/// Seconds of an output limit; C reads them, so a plus sign may come first and nothing means 0.
fn seconds(text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let number: i32 = text.parse().ok()?;
    u64::try_from(number).ok()
}

/// Prints what [`output_limits`] reads, in bytes.
pub fn print_output_limits(limits: &[OutputLimit; 3]) -> String {
    let one = |(class, limit): (&str, &OutputLimit)| {
        format!("{class} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)
    };
    CLIENT_CLASSES.into_iter().zip(limits).map(one).collect::<Vec<_>>().join(" ")
}

/// Percentiles from 0 to 100. They are kept with the six decimals that are printed, so that a printed list
/// reads back as itself.
pub fn percentiles(words: &[&str]) -> Result<Vec<f64>, String> {
    let mut list = Vec::with_capacity(words.len());
    for word in words {
        let number: f64 = match word.parse() {
            Ok(number) if !f64::is_nan(number) => number,
            _ => return Err("Invalid latency-tracking-info-percentiles parameters".into()),
        };
        if !(0.0..=100.0).contains(&number) {
            return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
        }
        list.push(print_percentile(number).parse().unwrap_or(number));
    }
    Ok(list)
}

/// One percentile as INFO and CONFIG GET show it: up to six decimals.
pub fn print_percentile(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// How many shards: `auto`, which is 0, or 1 to 1024.
pub fn shards(text: &str) -> Result<u16, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(0);
    }
    integer(text, 1, 1_024).map_err(|_| "argument must be 'auto' or between 1 and 1024 inclusive".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEMORY: &str = "argument must be a memory value";
    const INTEGER: &str = "argument couldn't be parsed into an integer";

    fn check<T: PartialEq + std::fmt::Debug>(
        read: impl Fn(&str) -> Result<T, String>,
        table: &[(&str, Result<T, &str>)],
    ) {
        for (text, expected) in table {
            let found = read(text);
            match expected {
                Ok(value) => assert_eq!(found.as_ref(), Ok(value), "{text:?}"),
                Err(reason) => assert_eq!(found, Err((*reason).into()), "{text:?}"),
            }
        }
    }

    #[test]
    fn reads_memory() {
        let most = u64::MAX;
        let long = "1".repeat(150);
        check(
            |text| memory(text, 0, most),
            &[
                ("1", Ok(1)),
                ("1b", Ok(1)),
                ("1B", Ok(1)),
                ("1k", Ok(1_000)),
                ("1K", Ok(1_000)),
                ("1Kb", Ok(1_024)),
                ("1m", Ok(1_000_000)),
                ("1MB", Ok(1 << 20)),
                ("1g", Ok(1_000_000_000)),
                ("1gb", Ok(1 << 30)),
                ("07", Ok(7)),
                ("", Ok(0)),
                ("k", Ok(0)),
                ("mb", Ok(0)),
                ("18446744073709551615", Ok(most)),
                ("18446744073709551616", Ok(most)),
                ("10 mb", Err(MEMORY)),
                ("1.5mb", Err(MEMORY)),
                ("-1", Err(MEMORY)),
                ("+5", Err(MEMORY)),
                (" 5", Err(MEMORY)),
                ("5 ", Err(MEMORY)),
                ("0x10", Err(MEMORY)),
                ("5t", Err(MEMORY)),
                ("1bb", Err(MEMORY)),
                ("1kk", Err(MEMORY)),
                ("50%", Err(MEMORY)),
                ("1e3", Err(MEMORY)),
                ("١", Err(MEMORY)),
                (&long, Err(MEMORY)),
            ],
        );
        let over = "argument must be between 1048576 and 9223372036854775807 inclusive";
        check(
            |text| memory(text, 1 << 20, i64::MAX.unsigned_abs()),
            &[("", Err(over)), ("99999999999999999999999", Err(over)), ("1mb", Ok(1 << 20))],
        );
        // Redis wraps round here, to 15140462030378500096.
        assert_eq!(memory("99999999999gb", 0, most), Ok(most));
    }

    #[test]
    fn reads_memory_or_percent() {
        let wrong = "argument must be a memory or percent value";
        let table: [(&str, Result<&str, &str>); 14] = [
            ("50%", Ok("50%")),
            ("0%", Ok("0")),
            ("100%", Ok("100%")),
            ("1k", Ok("1000")),
            ("", Ok("0")),
            ("101%", Err("percentage argument must be less or equal to 100")),
            ("99999999999999999999%", Err(wrong)),
            ("-5%", Err(wrong)),
            ("+5%", Err(wrong)),
            ("5%%", Err(wrong)),
            ("%", Err(wrong)),
            ("5 %", Err(wrong)),
            ("-1", Err(wrong)),
            ("9223372036854775808", Err(wrong)),
        ];
        for (text, expected) in table {
            assert_eq!(memory_or_percent(text), expected.map(Into::into).map_err(Into::into), "{text:?}");
        }
    }

    #[test]
    fn reads_integers() {
        let range = "argument must be between 0 and 2147483647 inclusive";
        check(
            |text| integer::<u32>(text, 0, i64::from(i32::MAX)),
            &[
                ("5", Ok(5)),
                ("0", Ok(0)),
                ("2147483647", Ok(2_147_483_647)),
                ("2147483648", Err(range)),
                ("-1", Err(range)),
                ("9223372036854775807", Err(range)),
                ("-9223372036854775808", Err(range)),
                ("9223372036854775808", Err(INTEGER)),
                ("+5", Err(INTEGER)),
                (" 5", Err(INTEGER)),
                ("5 ", Err(INTEGER)),
                ("05", Err(INTEGER)),
                ("-0", Err(INTEGER)),
                ("00", Err(INTEGER)),
                ("", Err(INTEGER)),
                ("-", Err(INTEGER)),
                ("1e2", Err(INTEGER)),
                ("5.0", Err(INTEGER)),
                ("٥", Err(INTEGER)),
            ],
        );
        assert_eq!(integer::<i64>("-1", -1, i64::MAX), Ok(-1));
    }

    #[test]
    fn reads_octal() {
        let (wrong, range) = (
            "argument couldn't be parsed as an octal number",
            "argument must be between 0 and 777 inclusive",
        );
        check(
            octal,
            &[
                ("777", Ok(0o777)),
                ("0700", Ok(0o700)),
                ("", Ok(0)),
                (" 7", Ok(7)),
                ("+7", Ok(7)),
                ("8", Err(wrong)),
                ("7 ", Err(wrong)),
                ("x", Err(wrong)),
                ("1000", Err(range)),
                ("-1", Err(range)),
                ("77777777777777777777777777777", Err(range)),
            ],
        );
    }

    #[test]
    fn reads_words() {
        check(
            yes_no,
            &[("YES", Ok(true)), ("No", Ok(false)), ("no ", Err("argument must be 'yes' or 'no'"))],
        );
        check(
            |text| choice(text, LOG_LEVELS),
            &[
                ("DEBUG", Ok(LogLevel::Debug)),
                ("x", Err("argument(s) must be one of the following: debug, verbose, notice, warning")),
            ],
        );
        check(
            |text| choice(text, ACCESS),
            &[
                ("local", Ok(Access::Local)),
                ("", Err("argument(s) must be one of the following: no, yes, local")),
            ],
        );
        let own = "argument must be 'auto' or between 1 and 1024 inclusive";
        check(
            shards,
            &[("AUTO", Ok(0)), ("1024", Ok(1_024)), ("0", Err(own)), ("1025", Err(own)), ("x", Err(own))],
        );
    }

    #[test]
    fn reads_output_limits() {
        let count = "Wrong number of arguments in buffer limit configuration.";
        let class = "Invalid client class specified in buffer limit configuration.";
        let number = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
        let read = |text: &str| {
            let mut limits = [OutputLimit::default(); 3];
            output_limits(&text.split(' ').collect::<Vec<_>>(), &mut limits)?;
            Ok(print_output_limits(&limits))
        };
        let table: [(&str, Result<&str, &str>); 17] = [
            ("normal 1 2 3", Ok("normal 1 2 3 slave 0 0 0 pubsub 0 0 0")),
            ("REPLICA 1k 1kb 1 pubsub 1 1 1", Ok("normal 0 0 0 slave 1000 1024 1 pubsub 1 1 1")),
            ("normal 0 0 5 normal 1 1 1", Ok("normal 1 1 1 slave 0 0 0 pubsub 0 0 0")),
            (
                "normal 18446744073709551615 0 0",
                Ok("normal 18446744073709551615 0 0 slave 0 0 0 pubsub 0 0 0"),
            ),
            ("normal 0 0 +5", Ok("normal 0 0 5 slave 0 0 0 pubsub 0 0 0")),
            ("normal  0 0", Ok("normal 0 0 0 slave 0 0 0 pubsub 0 0 0")),
            ("master 0 0 0", Err(class)),
            ("foo 0 0 0", Err(class)),
            ("normal 0 0", Err(count)),
            ("normal 0 0 0 ", Err(count)),
            ("normal -1 0 0", Err(number)),
            ("normal 10% 0 0", Err(number)),
            ("normal 0 0 -1", Err(number)),
            ("normal 0 0 1x", Err(number)),
            ("normal 0 0 0x1", Err(number)),
            ("normal 0 0 4294967295", Err(number)),
            ("normal 0 0 99999999999999999999", Err(number)),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), expected.map(String::from).map_err(String::from), "{text:?}");
        }
    }

    #[test]
    fn reads_percentiles() {
        let wrong = "Invalid latency-tracking-info-percentiles parameters";
        let range = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
        let table: [(&str, Result<&str, &str>); 18] = [
            ("50", Ok("50")),
            ("0", Ok("0")),
            ("100", Ok("100")),
            ("-0", Ok("-0")),
            ("1e1", Ok("10")),
            ("99.99999", Ok("99.99999")),
            ("99.123456789", Ok("99.123457")),
            ("33.333333333333", Ok("33.333333")),
            (".5", Ok("0.5")),
            ("5.", Ok("5")),
            ("1e-5", Ok("0.00001")),
            ("0.000000000001", Ok("0")),
            ("100.0001", Err(range)),
            ("-1", Err(range)),
            ("inf", Err(range)),
            ("nan", Err(wrong)),
            ("", Err(wrong)),
            ("12.5 ", Err(wrong)),
        ];
        for (text, expected) in table {
            let found = percentiles(&[text]).map(|list| print_percentile(list[0]));
            assert_eq!(found, expected.map(String::from).map_err(String::from), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(number: u64, small: u16, shift in 0_u32..40, percent in 0.0..=100.0_f64, mode in 0..=0o777_u32) {
            prop_assert_eq!(memory(&print_memory(number), 0, u64::MAX), Ok(number));
            let round = u64::from(small) << shift;
            prop_assert_eq!(memory(&print_memory(round), 0, u64::MAX), Ok(round));
            prop_assert_eq!(octal(&print_octal(mode)), Ok(mode));
            prop_assert_eq!(integer::<u16>(&small.to_string(), 0, 65_535), Ok(small));
            let once = percentiles(&[&percent.to_string()]).unwrap();
            prop_assert_eq!(percentiles(&[&print_percentile(once[0])]).unwrap(), once);
            let limits = [OutputLimit { hard: number, soft: round, soft_seconds: u64::from(small) }; 3];
            let mut read = [OutputLimit::default(); 3];
            output_limits(&print_output_limits(&limits).split(' ').collect::<Vec<_>>(), &mut read).unwrap();
            prop_assert_eq!(read, limits);
        }

        #[test]
        fn any_text_is_safe(text: String) {
            let _ = (memory(&text, 0, 9), memory_or_percent(&text), integer::<u8>(&text, 0, 9), octal(&text), shards(&text));
            let words: Vec<&str> = text.split(' ').collect();
            let _ = (percentiles(&words), output_limits(&words, &mut [OutputLimit::default(); 3]));
        }
    }
}
