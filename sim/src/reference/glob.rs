//! Patterns of KEYS, naively: `*`, `?`, `[a-c]`, `[^a]` and `\` before what is meant as it stands.

/// Whether the whole of `text` fits.
pub fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skipped| fits(rest, &text[skipped..])),
        (Some(_), None) => false,
        (Some((b'?', rest)), Some((_, text))) => fits(rest, text),
        (Some((b'[', class)), Some((letter, text))) => {
            let (is_in, rest) = class_has(class, *letter);
            is_in && fits(rest, text)
        }
        (Some((b'\\', rest)), Some((letter, text))) if !rest.is_empty() => {
            rest[0] == *letter && fits(&rest[1..], text)
        }
        (Some((plain, rest)), Some((letter, text))) => plain == letter && fits(rest, text),
    }
}

/// Whether the class that begins here has the letter, and what comes after the class.
fn class_has(class: &[u8], letter: u8) -> (bool, &[u8]) {
    let (negated, mut rest) = match class.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => return (found != negated, rest),
            [b']', rest @ ..] => return (found != negated, rest),
            [b'\\', plain, rest @ ..] => {
                found |= *plain == letter;
                rest
            }
            [from, b'-', to, rest @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&letter);
                rest
            }
            [plain, rest @ ..] => {
                found |= *plain == letter;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn patterns_fit_whole_keys() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("k*", "k1", true),
            ("*1*", "a1b", true),
            ("k?", "k", false),
            ("k[0-2]", "k1", true),
            ("k[^0-2]", "k1", false),
            ("[b-a]x", "ax", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("a*b*c", "axxbyyc", true),
            ("abc", "ab", false),
        ] {
            assert_eq!(super::fits(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }
}
