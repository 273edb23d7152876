//! Numbers as text, in the forms that Redis's clients and tests expect.

/// Appends a signed integer in decimal.
#[inline]
pub fn push_integer(out: &mut Vec<u8>, value: i64) {
    // Most are counts and lengths.
    if (0..10).contains(&value) {
        return out.push(b'0' + value as u8);
    }
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Whole doubles up to here are written as integers.
const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;

/// The integer that a double is, if it is written as one: minus zero is not.
#[inline]
pub fn whole(value: f64) -> Option<i64> {
    let is_whole = value.abs() <= WHOLE_MAX && value as i64 as f64 == value;
    (is_whole && !(value == 0.0 && value.is_sign_negative())).then_some(value as i64)
}

/// A double in replies such as ZSCORE: the shortest digits that read back as the same number, with an exponent where the number is very
/// large or very small, as Redis writes them since 7.2; `inf`, `-inf` and `nan` in words.
pub fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if let Some(whole) = whole(value) {
        return whole.to_string();
    }
    if value == 0.0 {
        return "-0".into();
    }
    // Most are neither large nor small: these are the same digits, without the way over an exponent.
    if (0.001..10_000.0).contains(&value.abs()) {
        return value.to_string();
    }
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    let (count, exponent) = (digits.len() as i32, exponent.parse::<i32>().unwrap_or(0));
    // The number is its digits as an integer, times ten to this.
    let power = exponent + 1 - count;
    let sign = if value < 0.0 { "-" } else { "" };
    if power >= 0 && exponent.abs() < count + 7 {
        return format!("{sign}{digits}{}", "0".repeat(power as usize));
    }
    if power < 0 && (power > -7 || exponent.abs() < 4) {
        let whole = count + power;
        return match usize::try_from(whole) {
            Ok(whole) if whole > 0 => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
            _ => format!("{sign}0.{}{digits}", "0".repeat(whole.unsigned_abs() as usize)),
        };
    }
    let mark = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{mantissa}e{mark}{}", exponent.abs())
}

/// A double without an exponent, as INCRBYFLOAT stores it: 17 significant digits at the most, no zeros at the end.
pub fn plain_text(value: f64) -> String {
    if value.fract() == 0.0 {
        return format!("{value:.0}").replace("-0", if value == 0.0 { "0" } else { "-0" });
    }
    // Sums such as 10.5 + 0.1 are rounded to 15 digits behind the point or fewer, as far as that reads back closely.
    let short = format!("{value}");
    let digits = short.trim_start_matches('-').len().saturating_sub(1);
    if digits <= 17 {
        return short;
    }
    let whole = (value.abs().log10().floor().max(0.0) as usize) + 1;
    let rounded = format!("{value:.*}", 17usize.saturating_sub(whole).max(1));
    match rounded.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0".into(),
        text => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_written_plainly() {
        for (value, text) in [
            (10.6, "10.6"),
            (5200.0, "5200"),
            (0.1 + 0.2, "0.3"),
            (3.0e20, "300000000000000000000"),
            (-0.0, "0"),
            (-3.5e-18, "0"),
            (1e-5, "0.00001"),
            (-1.5, "-1.5"),
        ] {
            assert_eq!(plain_text(value), text, "{value}");
        }
    }

    #[test]
    fn doubles_read_well() {
        for (value, text) in [
            (0.0, "0"),
            (3.0, "3"),
            (-3.5, "-3.5"),
            (0.1, "0.1"),
            (1e30, "1e+30"),
            (1.5e-7, "1.5e-7"),
            (-0.0, "-0"),
            (1e5, "100000"),
            (1e18, "1000000000000000000"),
            (3.25e20, "3.25e+20"),
            (1e-5, "0.00001"),
            (1.25e-5, "1.25e-5"),
            (0.001234567, "0.001234567"),
            (-123.4567891, "-123.4567891"),
            (123456.7891234, "1.234567891234e+5"),
            (17179869184.5, "17179869184.5"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(double_text(value), text);
        }
    }
}
