//! Glob patterns as Redis matches them: KEYS, SCAN, PSUBSCRIBE, CONFIG GET.
//!
//! `*` any bytes, `?` one byte, `[abc]`, `[a-z]`, `[^a]` one byte of a class, `\x` the byte `x` itself. The
//! matcher works
//! on bytes and does not know what they mean. It never recurses: on failure it returns to the last star
//! only, so the time is at most
//! pattern times text, whatever an attacker sends.

/// True if `pattern` matches the whole of `text`; `nocase` ignores the case of ASCII letters, outside of
/// escapes in a class.
///
/// A class that is never closed ends with the pattern; a lone `\` at the end means itself. No pattern but
/// the empty one
/// matches the empty text, not even `*`: this is Redis's rule too, whose KEYS and SCAN look for a lone `*`
/// before they match.
pub fn matches(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    // Where to go on after a failure: behind the last star, and the first byte that the star has not yet swallowed.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            star = Some((p, t));
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        if t < text.len() && p < pattern.len() {
            let (matched, len) = element(&pattern[p..], text[t], nocase);
            if matched {
                p += len;
                t += 1;
                continue;
            }
        }
        match star {
            Some((behind, swallowed)) if swallowed < text.len() => {
                p = behind;
                t = swallowed + 1;
                star = Some((behind, t));
            }
            _ => return false,
        }
    }
}

/// Whether the first element of a pattern, which is no star, matches `byte`, and how long it is.
fn element(pattern: &[u8], byte: u8, nocase: bool) -> (bool, usize) {
    debug_assert!(!pattern.is_empty());
    match pattern[0] {
        b'?' => (true, 1),
        b'[' => class(pattern, byte, nocase),
        b'\\' if pattern.len() >= 2 => (same(pattern[1], byte, nocase), 2),
        literal => (same(literal, byte, nocase), 1),
    }
}

/// The same for a class. `]` closes it wherever it stands unescaped, except as the end of a range.
fn class(pattern: &[u8], byte: u8, nocase: bool) -> (bool, usize) {
    let fold = |byte: u8| if nocase { byte.to_ascii_lowercase() } else { byte };
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = if negated { 2 } else { 1 };
    let mut found = false;
    while at < pattern.len() {
        let rest = &pattern[at..];
        if rest[0] == b'\\' && rest.len() >= 2 {
            found |= rest[1] == byte;
            at += 2;
        } else if rest[0] == b']' {
            at += 1;
            break;
        } else if rest.len() >= 3 && rest[1] == b'-' {
            let (low, high) = (rest[0].min(rest[2]), rest[0].max(rest[2]));
            found |= (fold(low)..=fold(high)).contains(&fold(byte));
            at += 3;
        } else {
            found |= same(rest[0], byte, nocase);
            at += 1;
        }
    }
    (found != negated, at)
}

fn same(a: u8, b: u8, nocase: bool) -> bool {
    if nocase { a.eq_ignore_ascii_case(&b) } else { a == b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule written down without thought for time: a star is nothing or one byte and a star again.
    fn reference(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        match (pattern.first(), text.first()) {
            (None, _) => text.is_empty(),
            (Some(b'*'), None) => reference(&pattern[1..], text, nocase),
            (Some(b'*'), Some(_)) => {
                reference(&pattern[1..], text, nocase) || reference(pattern, &text[1..], nocase)
            }
            (Some(_), None) => false,
            (Some(_), Some(&byte)) => {
                let (matched, len) = element(pattern, byte, nocase);
                matched && reference(&pattern[len..], &text[1..], nocase)
            }
        }
    }

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes(), false), "{pattern:?} matches {text:?}");
        }
        for text in no {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes(), false),
                "{pattern:?} does not match {text:?}"
            );
        }
    }

    #[test]
    fn matches_as_redis_7_0_15_does() {
        let keys = ["a", "]", "-", "B", "\\", "ab"];
        let table: [(&str, &[&str]); 20] = [
            ("[", &[]),
            ("[^", &["-", "B", "\\", "]", "a"]),
            ("[a-]", &["]", "a"]),
            ("[]]", &[]),
            ("[]", &[]),
            ("[^]", &["-", "B", "\\", "]", "a"]),
            ("\\", &["\\"]),
            ("[\\]", &["]"]),
            ("[\\]]", &["]"]),
            ("a**", &["a", "ab"]),
            ("[a-", &["-", "a"]),
            ("[z-a]", &["a"]),
            ("[\\-]", &["-"]),
            ("a[^", &["ab"]),
            ("a*[", &[]),
            ("a*", &["a", "ab"]),
            ("*\\", &["\\"]),
            ("**", &["-", "B", "\\", "]", "a", "ab"]),
            ("*", &["-", "B", "\\", "]", "a", "ab"]),
            ("", &[]),
        ];
        for (pattern, found) in table {
            let rest: Vec<&str> = keys.into_iter().filter(|key| !found.contains(key)).collect();
            check(pattern, found, &rest);
        }
        check("*", &[], &[""]);
        check("", &[""], &[]);
        check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
        check("h[^e]llo", &["hallo"], &["hello"]);
        check("\\*a", &["*a"], &["aa", "\\*a"]);
        check("*ab*ab", &["abab", "xabxabab"], &["ab", "abba"]);
    }

    #[test]
    fn folds_case_where_redis_folds_it() {
        assert!(matches(b"h[A-C]?LO", b"HbllO", true));
        assert!(matches(b"\\A", b"a", true));
        assert!(!matches(b"[\\A]", b"a", true), "an escape in a class keeps its case");
        assert!(!matches(b"A", b"a", false));
    }

    #[test]
    fn many_stars_cost_little() {
        let mut pattern = b"a*".repeat(1_000);
        pattern.push(b'b');
        let text = vec![b'a'; 20_000];
        // Without the bound this would take longer than the universe has; with it, 40 million steps at most.
        assert!(!matches(&pattern, &text, false));
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference(pattern in r"[ab*?\[\]^\\-]{0,9}", text in r"[abAB\]\\-]{1,9}", nocase: bool) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text, nocase), reference(pattern, text, nocase));
        }

        #[test]
        fn any_bytes_are_safe(pattern: Vec<u8>, text: Vec<u8>, nocase: bool) {
            matches(&pattern, &text, nocase);
            let escaped: Vec<u8> = text.iter().flat_map(|&byte| [b'\\', byte]).collect();
            prop_assert!(matches(&escaped, &text, nocase), "an escaped text matches itself");
        }
    }
}
