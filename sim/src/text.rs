//! A memcached client's end of its connection: how it writes requests and understands replies, apart from the engine's own code.
//!
//! It knows the text and the meta protocol (<https://github.com/memcached/memcached/blob/1.6.18/doc/protocol.txt>). It does not know what requests
//! do.
//!
//! A request is kept as its words without the length of the value, which stands last: `set key flags exptime value`,
//! `cas key flags exptime stamp value`, `ms key flag* value`. A stamp is `@` until it is said: see [`with_stamps`].
//!
//! | reply | as |
//! |---|---|
//! | `VALUE`s up to `END` | an array of arrays: key, flags, value, perhaps the stamp |
//! | a line of the meta protocol | a push of its words, `c` as a big number, a value last |
//! | an error | an error |
//! | any other line | simple |

use std::collections::BTreeMap;

use crate::decoder::{Decoded, Reply};
use crate::dialogue::Kind;

/// Said where a client has not heard any stamp.
const NO_STAMP: &str = "9999999999999999";
/// Codes that begin a reply of the meta protocol.
const CODES: [&str; 6] = ["HD", "VA", "EN", "NS", "EX", "NF"];

/// True for what stores: its last word is a value.
fn has_value(name: &[u8]) -> bool {
    matches!(name, b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" | b"ms")
}

/// A request as bytes.
pub fn encode(words: &[Vec<u8>]) -> Vec<u8> {
    let (line, value) = match has_value(&words[0]) {
        true => (&words[..words.len() - 1], words.last()),
        false => (words, None),
    };
    let mut line = line.to_vec();
    if let Some(value) = value {
        let place = if words[0] == b"ms" { 2 } else { 4 };
        line.insert(place, value.len().to_string().into_bytes());
    }
    let mut bytes = line.join(&b' ');
    bytes.extend_from_slice(b"\r\n");
    if let Some(value) = value {
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// What a request is, and its reply if it is the same always.
pub fn kind(words: &[Vec<u8>]) -> (Kind, Option<Reply>) {
    let line = words.len() - usize::from(has_value(&words[0]));
    let answer = match &words[0][..] {
        b"version" => Reply::Simple("VERSION 1.6.18".into()),
        b"mn" => Reply::Simple("MN".into()),
        b"nosuch" => Reply::error("ERROR"),
        b"verbosity" => Reply::ok(),
        _ if words[line - 1] == b"noreply" => return (Kind::Silent, None),
        _ => return (Kind::Words, None),
    };
    (Kind::Said, Some(answer))
}

/// The stamps that anybody has heard of each key: the latest, and the one before it.
#[derive(Clone, Debug, Default)]
pub struct Heard(BTreeMap<Vec<u8>, [Option<String>; 2]>);

impl Heard {
    /// A reply has come.
    pub fn hear(&mut self, words: &[Vec<u8>], reply: &Reply) {
        match reply {
            Reply::Array(items) => {
                for item in items {
                    if let Reply::Array(parts) = item
                        && let [Reply::Bulk(key), .., Reply::BigNumber(stamp)] = &parts[..]
                    {
                        self.note(key, stamp);
                    }
                }
            }
            Reply::Push(parts) => {
                for part in parts {
                    if let Reply::BigNumber(stamp) = part {
                        self.note(&words[1], stamp);
                    }
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, key: &[u8], stamp: &str) {
        // None, which would compare with nothing.
        if stamp == "0" {
            return;
        }
        let heard = self.0.entry(key.to_vec()).or_default();
        if heard[0].as_deref() != Some(stamp) {
            let before = heard[0].replace(stamp.to_string());
            heard[1] = before;
        }
    }
}

/// True if a request names a stamp that is still to be put in.
pub fn names_a_stamp(words: &[Vec<u8>]) -> bool {
    words.iter().skip(2).any(|word| matches!(&word[..], b"@" | b"@-" | b"C@" | b"C@-"))
}

/// Puts the stamps in: `@` is the latest that anybody has heard of the key, `@-` the one before.
pub fn with_stamps(mut words: Vec<Vec<u8>>, heard: &Heard) -> Vec<Vec<u8>> {
    let of_key = words.get(1).and_then(|key| heard.0.get(key));
    let stamp = |which: usize| of_key.and_then(|stamps| stamps[which].clone()).unwrap_or(NO_STAMP.into());
    for word in words.iter_mut().skip(2) {
        *word = match &word[..] {
            b"@" => stamp(0).into_bytes(),
            b"@-" => stamp(1).into_bytes(),
            b"C@" => format!("C{}", stamp(0)).into_bytes(),
            b"C@-" => format!("C{}", stamp(1)).into_bytes(),
            _ => continue,
        };
    }
    words
}

/// Bytes of one connection on their way to becoming replies.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    taken: usize,
}

impl Decoder {
    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that are not part of a whole reply yet.
    pub fn rest(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// The next whole reply, `None` if there is none yet, or what is wrong.
    pub fn next_reply(&mut self) -> Result<Option<Decoded>, String> {
        let mut at = self.taken;
        let reply = reply(&self.bytes, &mut at)?;
        if reply.is_some() {
            self.taken = at;
        }
        Ok(reply.map(|reply| Decoded { reply, only_resp3: false, only_resp2: false }))
    }
}

/// A line, without its end.
fn line<'b>(bytes: &'b [u8], at: &mut usize) -> Option<&'b [u8]> {
    let rest = &bytes[*at..];
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += end + 2;
    Some(&rest[..end])
}

/// A value and the end of its line.
fn value(bytes: &[u8], at: &mut usize, len: &str) -> Result<Option<Vec<u8>>, String> {
    let len: usize = len.parse().map_err(|_| format!("{len:?} is no length"))?;
    let Some(found) = bytes.get(*at..*at + len + 2) else { return Ok(None) };
    if &found[len..] != b"\r\n" {
        return Err("a value does not end where its length says".into());
    }
    *at += len + 2;
    Ok(Some(found[..len].to_vec()))
}

fn reply(bytes: &[u8], at: &mut usize) -> Result<Option<Reply>, String> {
    let mut items = Vec::new();
    loop {
        let Some(line) = line(bytes, at) else { return Ok(None) };
        let text = String::from_utf8_lossy(line).into_owned();
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["END"] => return Ok(Some(Reply::Array(items))),
            ["VALUE", key, flags, len, ref stamp @ ..] if stamp.len() < 2 => {
                let flags = flags.parse().map_err(|_| format!("{text:?} has no flags"))?;
                let Some(value) = value(bytes, at, len)? else { return Ok(None) };
                let mut item = vec![Reply::bulk(key.as_bytes()), Reply::Integer(flags), Reply::Bulk(value)];
                item.extend(stamp.iter().map(|stamp| Reply::BigNumber(stamp.to_string())));
                items.push(Reply::Array(item));
            }
            _ if !items.is_empty() => return Err(format!("{text:?} among items")),
            ["ERROR" | "CLIENT_ERROR" | "SERVER_ERROR", ..] => return Ok(Some(Reply::Error(text))),
            [code, ref flags @ ..] if CODES.contains(&code) => {
                let (value, flags) = match (code, flags) {
                    ("VA", [len, flags @ ..]) => match value(bytes, at, len)? {
                        Some(value) => (Some(value), flags),
                        None => return Ok(None),
                    },
                    (_, flags) => (None, flags),
                };
                let mut parts = vec![Reply::Simple(code.to_string())];
                parts.extend(flags.iter().map(|flag| match flag.strip_prefix('c') {
                    Some(stamp) => Reply::BigNumber(stamp.to_string()),
                    None => Reply::Simple(flag.to_string()),
                }));
                parts.extend(value.map(Reply::Bulk));
                return Ok(Some(Reply::Push(parts)));
            }
            _ if text.is_empty() => return Err("an empty line instead of a reply".into()),
            _ => return Ok(Some(Reply::Simple(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::words;

    #[test]
    fn requests_say_how_long_their_value_is() {
        for (line, expected) in [
            ("set k 1 0 abc", "set k 1 0 3\r\nabc\r\n"),
            ("set k 1 0 noreply abc", "set k 1 0 3 noreply\r\nabc\r\n"),
            ("cas k 1 0 77 abc", "cas k 1 0 3 77\r\nabc\r\n"),
            ("ms k T0 c abc", "ms k 3 T0 c\r\nabc\r\n"),
            ("get a b", "get a b\r\n"),
        ] {
            assert_eq!(encode(&words(line)), expected.as_bytes(), "{line}");
        }
        assert_eq!(kind(&words("set k 1 0 noreply abc")).0, Kind::Silent);
        assert_eq!(kind(&words("set k 1 0 noreply")).0, Kind::Words);
    }

    #[test]
    fn every_chunking_gives_the_same_replies() {
        let bytes =
            b"STORED\r\nVALUE k 5 3 17\r\na\r\n\r\nVALUE l 0 0\r\n\r\nEND\r\nEND\r\nVA 2 c9 t-1\r\nEN\r\n\
            SERVER_ERROR no\r\nHD Oc1\r\n12\r\n";
        let decode = |piece: usize| -> Result<Vec<Reply>, String> {
            let (mut decoder, mut replies) = (Decoder::default(), Vec::new());
            for part in bytes.chunks(piece) {
                decoder.push(part);
                while let Some(decoded) = decoder.next_reply()? {
                    replies.push(decoded.reply);
                }
            }
            assert_eq!(decoder.rest(), 0);
            Ok(replies)
        };
        let whole = decode(bytes.len()).expect("they are replies");
        let stamp = |text: &str| Reply::BigNumber(text.into());
        let item = vec![Reply::bulk(b"k"), Reply::Integer(5), Reply::bulk(b"a\r\n"), stamp("17")];
        let empty = vec![Reply::bulk(b"l"), Reply::Integer(0), Reply::bulk(b"")];
        let simple = |text: &str| Reply::Simple(text.into());
        let expected = [
            simple("STORED"),
            Reply::Array(vec![Reply::Array(item), Reply::Array(empty)]),
            Reply::Array(Vec::new()),
            Reply::Push(vec![simple("VA"), stamp("9"), simple("t-1"), Reply::bulk(b"EN")]),
            Reply::error("SERVER_ERROR no"),
            Reply::Push(vec![simple("HD"), simple("Oc1")]),
            simple("12"),
        ];
        assert_eq!(whole, expected);
        for piece in 1..9 {
            assert_eq!(decode(piece), Ok(whole.clone()), "{piece}");
        }
    }

    #[test]
    fn a_stamp_is_the_latest_that_was_heard_of_the_key() {
        let mut heard = Heard::default();
        assert_eq!(with_stamps(words("cas k 0 0 @ v"), &heard)[4], NO_STAMP.as_bytes());
        for stamp in ["5", "5", "7"] {
            let stamp = Reply::BigNumber(stamp.into());
            heard.hear(&words("mg k c"), &Reply::Push(vec![Reply::Simple("HD".into()), stamp]));
        }
        assert_eq!(with_stamps(words("cas k 0 0 @ v"), &heard), words("cas k 0 0 7 v"));
        assert_eq!(with_stamps(words("md k C@-"), &heard), words("md k C5"));
        assert!(names_a_stamp(&words("md k C@-")) && !names_a_stamp(&words("md k C5")));
    }
}
