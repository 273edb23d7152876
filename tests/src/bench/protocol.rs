//! Which language a server is spoken to, and what a command of it is answered by. It renders and reads no bytes.

use clap::ValueEnum;
use serde::Serialize;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RESP2, Redis's.
    Resp,
    /// Memcached's text protocol.
    Memcached,
    /// Memcached's meta commands.
    Meta,
}

/// What the reply to a command must be. Errors are counted apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This line, without its end.
    Line(&'static [u8]),
    /// One of these lines.
    OneOf(&'static [&'static [u8]]),
    /// An integer.
    Integer,
    /// The values of so many keys, each of which may be missing: a bulk, an array of bulks, or lines `VALUE` or `VA`.
    Values {
        /// How many keys were asked for.
        keys: usize,
        /// Whether the command answers an array even for one key.
        array: bool,
        /// Whether the keys were drawn, so that the values can be known.
        known: bool,
    },
    /// Anything but an error.
    Any,
}

/// Commands of Redis that answer an integer whatever their arguments are.
const INTEGERS: [&str; 37] = [
    "APPEND",
    "DECR",
    "DECRBY",
    "DEL",
    "EXISTS",
    "EXPIRE",
    "HDEL",
    "HEXISTS",
    "HLEN",
    "HSET",
    "INCR",
    "INCRBY",
    "LINSERT",
    "LLEN",
    "LPUSH",
    "LPUSHX",
    "LREM",
    "MSETNX",
    "PERSIST",
    "PEXPIRE",
    "PTTL",
    "PUBLISH",
    "RPUSH",
    "RPUSHX",
    "SADD",
    "SCARD",
    "SETNX",
    "SETRANGE",
    "SISMEMBER",
    "SREM",
    "STRLEN",
    "TOUCH",
    "TTL",
    "UNLINK",
    "ZCARD",
    "ZREM",
    "DBSIZE",
];

impl Protocol {
    /// What answers a command of these words, of which so many are keys that were drawn.
    pub fn expect(self, words: &[&str], keys: usize) -> Expect {
        let name = words[0].to_uppercase();
        let values = |asked: usize, array| Expect::Values { keys: asked, array, known: asked == keys };
        match self {
            Protocol::Resp => match name.as_str() {
                "GET" => values(1, false),
                "MGET" => values(words.len() - 1, true),
                "SET" if plain_set(words) => Expect::Line(b"+OK"),
                "MSET" => Expect::Line(b"+OK"),
                "PING" if words.len() == 1 => Expect::Line(b"+PONG"),
                name if INTEGERS.contains(&name) => Expect::Integer,
                _ => Expect::Any,
            },
            Protocol::Memcached => match name.as_str() {
                "GET" => values(words.len() - 1, false),
                "SET" => Expect::Line(b"STORED"),
                "ADD" | "REPLACE" | "APPEND" | "PREPEND" => Expect::OneOf(&[b"STORED", b"NOT_STORED"]),
                "DELETE" => Expect::OneOf(&[b"DELETED", b"NOT_FOUND"]),
                "TOUCH" => Expect::OneOf(&[b"TOUCHED", b"NOT_FOUND"]),
                "INCR" | "DECR" => Expect::Integer,
                _ => Expect::Any,
            },
            Protocol::Meta => match name.as_str() {
                // Without the flag v there is no value.
                "MG" if words.iter().skip(2).any(|word| *word == "v") => values(1, false),
                "MS" => Expect::OneOf(&[b"HD", b"NS"]),
                "MD" => Expect::OneOf(&[b"HD", b"NF"]),
                "MN" => Expect::Line(b"MN"),
                _ => Expect::Any,
            },
        }
    }

    /// A request that every server of this language answers with one line that is no error.
    pub fn greeting(self) -> &'static [u8] {
        match self {
            Protocol::Resp => b"*1\r\n$4\r\nPING\r\n",
            Protocol::Memcached | Protocol::Meta => b"version\r\n",
        }
    }

    /// Whether a line of a reply is an error, and none that is an answer.
    pub fn is_error(self, line: &[u8]) -> bool {
        match self {
            Protocol::Resp => line.starts_with(b"-"),
            Protocol::Memcached | Protocol::Meta => {
                [&b"ERROR"[..], b"CLIENT_ERROR", b"SERVER_ERROR"].iter().any(|error| line.starts_with(error))
            }
        }
    }
}

/// Whether SET answers OK whatever the key holds.
fn plain_set(words: &[&str]) -> bool {
    !words.iter().skip(3).any(|word| ["NX", "XX", "GET", "IFEQ"].contains(&word.to_uppercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_their_replies() {
        let check = |protocol: Protocol, line: &str, keys, expected| {
            assert_eq!(protocol.expect(&line.split(' ').collect::<Vec<_>>(), keys), expected, "{line}");
        };
        let one = |known| Expect::Values { keys: 1, array: false, known };
        check(Protocol::Resp, "GET __key__", 1, one(true));
        check(Protocol::Resp, "get fixed", 0, one(false));
        check(Protocol::Resp, "MGET a b", 2, Expect::Values { keys: 2, array: true, known: true });
        check(Protocol::Resp, "SET k v EX 10", 1, Expect::Line(b"+OK"));
        check(Protocol::Resp, "SET k v EX 10 nx", 1, Expect::Any);
        check(Protocol::Resp, "INCR k", 1, Expect::Integer);
        check(Protocol::Resp, "PING", 0, Expect::Line(b"+PONG"));
        check(Protocol::Resp, "ZRANGE k 0 -1", 1, Expect::Any);
        check(Protocol::Memcached, "get a b", 2, Expect::Values { keys: 2, array: false, known: true });
        check(Protocol::Memcached, "set k 0 0 v", 1, Expect::Line(b"STORED"));
        check(Protocol::Meta, "mg k v", 1, one(true));
        check(Protocol::Meta, "mg k", 1, Expect::Any);
        check(Protocol::Meta, "ms k v T0", 1, Expect::OneOf(&[b"HD", b"NS"]));
    }

    #[test]
    fn errors_are_told_from_answers() {
        assert!(Protocol::Resp.is_error(b"-ERR"));
        assert!(!Protocol::Resp.is_error(b"+ERROR"));
        assert!(Protocol::Memcached.is_error(b"CLIENT_ERROR bad data chunk"));
        assert!(!Protocol::Meta.is_error(b"EN"));
    }
}
