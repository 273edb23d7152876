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

/// A double in RESP3 and in replies such as ZSCORE: the shortest text that reads back as the same number, `%.17g`-like
/// exponents beyond 21 digits, `inf`, `-inf` and `nan` in words.
pub fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    if value.fract() == 0.0 && value.abs() < 1e17 {
        return format!("{}", value as i64);
    }
    let magnitude = value.abs();
    if (1e-5..1e21).contains(&magnitude) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent:0>2}"),
        Some((digits, exponent)) => format!("{digits}e-{:0>2}", &exponent[1..]),
        None => text,
    }
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
            (1.5e-7, "1.5e-07"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(double_text(value), text);
        }
    }
}
