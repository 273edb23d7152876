//! Words on a line, quoted as Redis quotes them: configuration files, inline commands, MONITOR.
//!
//! It knows bytes and quotes. It does not know what the words mean.

/// Splits a line into its words; `None` if a quote is not closed or something other than white space follows
/// a closing one.
///
/// In double quotes `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` and `\` before any other byte are understood; in
/// single quotes only `\'`. A NUL ends the
/// line, as it does in C.
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let line = &line[..memchr::memchr(0, line).unwrap_or(line.len())];
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while at < line.len() && is_space(line[at]) {
            at += 1;
        }
        if at == line.len() {
            return Some(words);
        }
        let mut word = Vec::new();
        at = read_word(line, at, &mut word)?;
        words.push(word);
    }
}

/// Reads one word that begins at `at`; returns where it ends.
fn read_word(line: &[u8], mut at: usize, word: &mut Vec<u8>) -> Option<usize> {
    while at < line.len() {
        match line[at] {
            // Vertical tab and form feed separate words but do not end one.
            b' ' | b'\n' | b'\r' | b'\t' => break,
            b'"' => return read_double(line, at + 1, word),
            b'\'' => return read_single(line, at + 1, word),
            byte => word.push(byte),
        }
        at += 1;
    }
    Some(at)
}

/// Reads up to the closing double quote; returns the place behind it.
fn read_double(line: &[u8], mut at: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *line.get(at)? {
            b'"' => return closed(line, at + 1),
            b'\\' if at + 1 < line.len() => {
                if let Some(byte) = hex_escape(&line[at + 1..]) {
                    word.push(byte);
                    at += 4;
                    continue;
                }
                word.push(match line[at + 1] {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => other,
                });
                at += 2;
            }
            byte => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

/// Reads up to the closing single quote; returns the place behind it.
fn read_single(line: &[u8], mut at: usize, word: &mut Vec<u8>) -> Option<usize> {
    loop {
        match *line.get(at)? {
            b'\'' => return closed(line, at + 1),
            b'\\' if line.get(at + 1) == Some(&b'\'') => {
                word.push(b'\'');
                at += 2;
            }
            byte => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

/// A closing quote must be followed by white space or by nothing.
fn closed(line: &[u8], at: usize) -> Option<usize> {
    match line.get(at) {
        Some(&byte) if !is_space(byte) => None,
        _ => Some(at),
    }
}

/// The byte of `xHH`, what follows a backslash.
fn hex_escape(text: &[u8]) -> Option<u8> {
    if text.len() < 3 || text[0] != b'x' {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(text[1])? * 16 + digit(text[2])?).ok()
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 11 | 12)
}

/// The bytes in double quotes, with everything escaped that is not printable ASCII: [`split_args`] reads it back.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 2);
    text.push('"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            7 => text.push_str("\\a"),
            8 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                text.push_str("\\x");
                for half in [byte >> 4, byte & 15] {
                    text.push(char::from(b"0123456789abcdef"[usize::from(half)]));
                }
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(line: &str, words: Option<&[&str]>) {
        let found = split_args(line.as_bytes());
        let words = words.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(found, words, "{line:?}");
    }

    #[test]
    fn splits_as_redis_does() {
        check("", Some(&[]));
        check(" \t\r\n", Some(&[]));
        check("set  a\tb", Some(&["set", "a", "b"]));
        check(r#"a "b c" 'd e'"#, Some(&["a", "b c", "d e"]));
        check(r#"a"b""#, Some(&["ab"]));
        check(r#""a"b"#, None);
        check("'a'b", None);
        check("\"", None);
        check("'", None);
        check(r#""a\"#, None);
        check(r#"'a\'b\n'"#, Some(&["a'b\\n"]));
        check(r#""\x41\n\t\"\q""#, Some(&["A\n\t\"q"]));
        check(r#""\xg1\x4""#, Some(&["xg1x4"]));
        check(r"a\x41", Some(&["a\\x41"]));
        check("foo\u{b}bar \u{b}baz", Some(&["foo\u{b}bar", "baz"]));
        check("\"\" ''", Some(&["", ""]));
        check("a\0 b", Some(&["a"]));
        check("\"a\0\"", None);
    }

    #[test]
    fn quotes_as_redis_does() {
        assert_eq!(quoted(b"a\"\\\n\r\t\x07\x08\x00\xff~ "), r#""a\"\\\n\r\t\a\b\x00\xff~ ""#);
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(words: Vec<Vec<u8>>) {
            let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            prop_assert_eq!(split_args(line.join(" ").as_bytes()), Some(words));
        }

        #[test]
        fn any_line_is_safe(line: Vec<u8>, quotes in r#"[ab\\"'x1 ]{0,20}"#) {
            split_args(&line);
            split_args(quotes.as_bytes());
        }
    }
}
