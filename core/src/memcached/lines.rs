//! One line of the text protocols: which row it is for, whether a value follows, or what is wrong with it.
//!
//! It says what memcached says, in memcached's order. It knows words. It does not know how bytes come, nor what commands do.

use super::crawl;
use super::item::{self, KEY_MAX, Mode};
use super::limit::{MEGABYTES_MAX, MEGABYTES_MIN};
use super::meta::{self, MetaFlags};
use super::number;
use super::rows;
use super::text::is_quiet;
use super::watch;
use crate::args::Args;
use crate::command::table::CommandId;

/// What a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// This row, with the line's words.
    Run(CommandId),
    /// The same; its key is written in Base64.
    RunEncoded(CommandId),
    /// This row, with the line's words and a value of so many bytes, which follow.
    Value {
        /// Which row.
        command: CommandId,
        /// Bytes.
        len: u64,
        /// The key is written in Base64.
        encoded: bool,
    },
    /// This row; the value that follows is not looked at.
    RunAndSkip {
        /// Which row.
        command: CommandId,
        /// Bytes of the value.
        len: u64,
        /// The key is written in Base64.
        encoded: bool,
    },
    /// Only this answer; empty: none.
    Say(&'static str),
    /// This answer, and the value of so many bytes that follows is not looked at.
    SayAndSkip(&'static str, u64),
    /// The connection ends when all is answered.
    Quit,
    /// The connection ends at once.
    Close,
}

/// What a client may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `memcached-max-item-size`.
    pub(crate) item_max: u64,
    /// False until the client has given the password, where one is set.
    pub(crate) authenticated: bool,
}

const ERROR: Line = Line::Say("ERROR");
const BAD_FORMAT: &str = "CLIENT_ERROR bad command line format";
const TOO_LARGE: &str = "SERVER_ERROR object too large for cache";
/// Of what the words ask for there is nothing here to be changed.
const OK: &str = "OK";
/// The longest user name and password, with what is between them.
const PASSWORD_MAX: u64 = 1_024;

/// What the words of a line mean.
pub(super) fn understand(words: Args<'_>, limits: &Limits) -> Line {
    let Some(command) = words.get(0) else { return ERROR };
    if !limits.authenticated {
        return unauthenticated(words);
    }
    let count = words.len();
    match command {
        b"get" | b"bget" => get(words, rows::GET),
        b"gets" => get(words, rows::GETS),
        b"set" => update(words, Mode::Set, rows::SET, limits),
        b"add" => update(words, Mode::Add, rows::ADD, limits),
        b"replace" => update(words, Mode::Replace, rows::REPLACE, limits),
        b"append" => update(words, Mode::Append, rows::APPEND, limits),
        b"prepend" => update(words, Mode::Prepend, rows::PREPEND, limits),
        b"cas" => update(words, Mode::Cas, rows::CAS, limits),
        b"mg" => meta_line(words, rows::MG, "CLIENT_ERROR options flags are too long"),
        b"ms" => meta_set(words, limits),
        b"md" => meta_line(words, rows::MD, "CLIENT_ERROR options flags too long"),
        b"ma" => meta_line(words, rows::MA, "CLIENT_ERROR options flags too long"),
        b"me" => meta_debug(words),
        b"mn" => Line::Say("MN"),
        b"gat" => get_and_touch(words, rows::GAT),
        b"gats" => get_and_touch(words, rows::GATS),
        b"incr" => arithmetic(words, rows::INCR),
        b"decr" => arithmetic(words, rows::DECR),
        b"touch" => touch(words),
        b"delete" => delete(words),
        b"flush_all" => flush(words),
        b"stats" => Line::Run(rows::STATS),
        b"version" => Line::Say(rows::VERSION_LINE),
        b"verbosity" => match count {
            2 | 3 => {
                let is_number = number::unsigned_32(words.at(1)).is_some();
                quietly(words, if is_number { OK } else { BAD_FORMAT })
            }
            _ => ERROR,
        },
        b"quit" => Line::Quit,
        b"shutdown" => Line::Say("ERROR: shutdown not enabled"),
        b"watch" => match words.skip(1).iter().all(|word| watch::topic(word).is_some()) {
            true => Line::Run(rows::WATCH),
            false => quietly(words, "ERROR"),
        },
        b"slabs" => slabs(words),
        b"lru" => lru(words),
        b"lru_crawler" => lru_crawler(words),
        b"cache_memlimit" => memory_limit(words),
        _ if count > 1 && words.at(count - 1).starts_with(b"HTTP/") => Line::Close,
        _ => ERROR,
    }
}

/// An answer, unless none is wanted.
fn quietly(words: Args<'_>, answer: &'static str) -> Line {
    Line::Say(if is_quiet(words) { "" } else { answer })
}

fn is_key(word: &[u8]) -> bool {
    word.len() <= KEY_MAX
}

fn get(words: Args<'_>, command: CommandId) -> Line {
    match words.len() {
        1 => ERROR,
        _ if words.skip(1).iter().all(is_key) => Line::Run(command),
        _ => Line::Say(BAD_FORMAT),
    }
}

fn get_and_touch(words: Args<'_>, command: CommandId) -> Line {
    match words.len() {
        1 => ERROR,
        _ if number::signed_32(words.at(1)).is_none() => Line::Say("CLIENT_ERROR invalid exptime argument"),
        2 => Line::Say("END"),
        _ if words.skip(2).iter().all(is_key) => Line::Run(command),
        _ => Line::Say(BAD_FORMAT),
    }
}

/// What stores: key, flags, time, bytes, perhaps a stamp, perhaps the wish for no answer.
fn update(words: Args<'_>, mode: Mode, command: CommandId, limits: &Limits) -> Line {
    let least = if mode == Mode::Cas { 6 } else { 5 };
    if words.len() != least && words.len() != least + 1 {
        return ERROR;
    }
    let numbers = (number::unsigned_32(words.at(2)), number::signed_32(words.at(3)), length(words.at(4)));
    let (Some(flags), Some(_), Some(len), true) = (numbers.0, numbers.1, numbers.2, is_key(words.at(1)))
    else {
        return quietly(words, BAD_FORMAT);
    };
    if mode == Mode::Cas && number::unsigned(words.at(5)).is_none() {
        return quietly(words, BAD_FORMAT);
    }
    if !item::is_too_large(words.at(1).len(), flags, len, limits.item_max) {
        return Line::Value { command, len, encoded: false };
    }
    match mode {
        Mode::Set => Line::RunAndSkip { command: rows::FORGET, len, encoded: false },
        _ => Line::SayAndSkip(if is_quiet(words) { "" } else { TOO_LARGE }, len),
    }
}

/// Bytes of a value; the two that end its line are not counted.
fn length(word: &[u8]) -> Option<u64> {
    let len = number::signed_32(word).filter(|len| (0..=i32::MAX - 2).contains(len))?;
    u64::try_from(len).ok()
}

fn arithmetic(words: Args<'_>, command: CommandId) -> Line {
    match words.len() {
        3 | 4 if !is_key(words.at(1)) => quietly(words, BAD_FORMAT),
        3 | 4 if number::unsigned(words.at(2)).is_none() => {
            quietly(words, "CLIENT_ERROR invalid numeric delta argument")
        }
        3 | 4 => Line::Run(command),
        _ => ERROR,
    }
}

fn touch(words: Args<'_>) -> Line {
    match words.len() {
        3 | 4 if !is_key(words.at(1)) => quietly(words, BAD_FORMAT),
        3 | 4 if number::signed_32(words.at(2)).is_none() => {
            quietly(words, "CLIENT_ERROR invalid exptime argument")
        }
        3 | 4 => Line::Run(rows::TOUCH),
        _ => ERROR,
    }
}

fn delete(words: Args<'_>) -> Line {
    let is_whole = match words.len() {
        2 => true,
        // A time to hold the key, of old; only none is taken.
        3 => words.at(2) == b"0" || is_quiet(words),
        4 => words.at(2) == b"0" && is_quiet(words),
        _ => return ERROR,
    };
    match is_key(words.at(1)) {
        _ if !is_whole => {
            quietly(words, "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]")
        }
        true => Line::Run(rows::DELETE),
        false => quietly(words, BAD_FORMAT),
    }
}

fn flush(words: Args<'_>) -> Line {
    let expected = if is_quiet(words) { 2 } else { 1 };
    match words.len() {
        1..=3 if words.len() != expected && number::signed_32(words.at(1)).is_none() => {
            quietly(words, "CLIENT_ERROR invalid exptime argument")
        }
        1..=3 => Line::Run(rows::FLUSH),
        _ => ERROR,
    }
}

/// There are no slabs: what only tunes them is done, what moves them is refused.
fn slabs(words: Args<'_>) -> Line {
    match (words.len(), words.get(1)) {
        (4, Some(b"reassign")) => {
            let are_numbers = words.skip(2).iter().all(|word| number::signed_32(word).is_some());
            Line::Say(if are_numbers { "CLIENT_ERROR slab reassignment disabled" } else { BAD_FORMAT })
        }
        (4.., Some(b"automove")) if words.at(2) == b"ratio" => quietly(words, OK),
        (3.., Some(b"automove")) => match number::unsigned_32(words.at(2)) {
            Some(0..=2) => quietly(words, OK),
            Some(_) => quietly(words, "ERROR"),
            None => quietly(words, BAD_FORMAT),
        },
        _ => ERROR,
    }
}

/// There are no lists by age: what only tunes them is done.
fn lru(words: Args<'_>) -> Line {
    match (words.len(), words.get(1)) {
        (6.., Some(b"tune")) => quietly(words, OK),
        (3.., Some(b"mode")) => match words.at(2) {
            b"flat" | b"segmented" => quietly(words, OK),
            _ => quietly(words, "ERROR"),
        },
        (3.., Some(b"temp_ttl")) if number::signed_32(words.at(2)).is_some() => quietly(words, OK),
        (3.., Some(b"temp_ttl")) => quietly(words, BAD_FORMAT),
        _ => ERROR,
    }
}

/// What has ended is found without a crawler, but there are its dumps; `mgdump` is of later releases.
fn lru_crawler(words: Args<'_>) -> Line {
    match (words.len(), words.get(1)) {
        (2, Some(b"enable" | b"disable")) => Line::Run(rows::CRAWL_SWITCH),
        (3, Some(b"crawl" | b"metadump" | b"mgdump")) => match crawl::are_classes(words.at(2)) {
            true => Line::Run(rows::CRAWL_BEGIN),
            false => Line::Say("BADCLASS invalid class id"),
        },
        (3, Some(b"tocrawl" | b"sleep")) => match number::unsigned_32(words.at(2)) {
            None => Line::Say(BAD_FORMAT),
            Some(micros) if micros > 1_000_000 && words.at(1) == b"sleep" => {
                Line::Say("CLIENT_ERROR sleep must be one second or less")
            }
            Some(_) => Line::Say(OK),
        },
        _ => ERROR,
    }
}

/// `maxmemory` is for all protocols.
fn memory_limit(words: Args<'_>) -> Line {
    match (words.len(), words.get(1).and_then(number::unsigned_32)) {
        (2 | 3, None) => quietly(words, "ERROR"),
        (2 | 3, Some(..MEGABYTES_MIN)) => {
            quietly(words, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m")
        }
        (2 | 3, Some(megabytes)) if megabytes > MEGABYTES_MAX => {
            quietly(words, "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes")
        }
        (2 | 3, Some(_)) => Line::Run(rows::MEMORY_LIMIT),
        _ => ERROR,
    }
}

/// A meta command without a value: `<command> <key> <flag>*`.
fn meta_line(words: Args<'_>, command: CommandId, too_long: &'static str) -> Line {
    if words.len() < 2 {
        return ERROR;
    }
    if !is_key(words.at(1)) {
        return Line::Say(BAD_FORMAT);
    }
    if words.len() > meta::WORDS_MAX {
        return Line::Say(too_long);
    }
    let flags = match MetaFlags::parse(words.skip(2)) {
        Ok(flags) => flags,
        Err(error) if command == rows::MG => return Line::Say(error),
        Err(_) => return Line::Say("CLIENT_ERROR invalid or duplicate flag"),
    };
    if command == rows::MA && !matches!(flags.mode, None | Some(b'I' | b'i' | b'+' | b'D' | b'd' | b'-')) {
        return Line::Say("CLIENT_ERROR invalid mode for ma M token");
    }
    if flags.opaque_too_long {
        return Line::Say("CLIENT_ERROR opaque token too long");
    }
    match (flags.encoded, meta::decodes(words.at(1))) {
        (false, _) => Line::Run(command),
        (true, true) => Line::RunEncoded(command),
        (true, false) if command == rows::MG => Line::Say(meta::NOT_ENCODED),
        (true, false) => Line::Say("CLIENT_ERROR invalid or duplicate flag"),
    }
}

/// `ms <key> <bytes> <flag>*`: where the bytes are known they are not taken for commands, whatever else is wrong.
fn meta_set(words: Args<'_>, limits: &Limits) -> Line {
    let count = words.len();
    match count {
        ..2 => return ERROR,
        2 => return Line::Say(BAD_FORMAT),
        _ if !is_key(words.at(1)) => return Line::Say(BAD_FORMAT),
        _ if count > meta::WORDS_MAX => return Line::Say("CLIENT_ERROR options flags too long"),
        _ => {}
    }
    let Some(len) = length(words.at(2)) else { return Line::Say(BAD_FORMAT) };
    let flags = match MetaFlags::parse(words.skip(3)) {
        Ok(flags) => flags,
        Err(error) => return Line::SayAndSkip(error, len),
    };
    if flags.encoded && !meta::decodes(words.at(1)) {
        return Line::SayAndSkip(meta::NOT_ENCODED, len);
    }
    if meta::store_mode(&flags).is_none() {
        return Line::SayAndSkip("CLIENT_ERROR invalid mode for ms M token", len);
    }
    if flags.opaque_too_long {
        return Line::SayAndSkip("CLIENT_ERROR opaque token too long", len);
    }
    let encoded = flags.encoded;
    match item::is_too_large(words.at(1).len(), flags.client_flags, len, limits.item_max) {
        true => Line::RunAndSkip { command: rows::FORGET, len, encoded },
        false => Line::Value { command: rows::MS, len, encoded },
    }
}

/// `me <key> [b]`.
fn meta_debug(words: Args<'_>) -> Line {
    if words.len() < 2 || !is_key(words.at(1)) {
        return Line::Say(BAD_FORMAT);
    }
    match words.get(2) {
        Some(b"b") if meta::decodes(words.at(1)) => Line::RunEncoded(rows::ME),
        Some(b"b") => Line::Say(BAD_FORMAT),
        _ => Line::Run(rows::ME),
    }
}

/// Where a password is set, the first thing to be stored is user and password, whatever the key.
fn unauthenticated(words: Args<'_>) -> Line {
    let len = words.get(4).and_then(length).filter(|len| *len <= PASSWORD_MAX);
    match len {
        Some(len) if words.at(0) == b"set" => Line::Value { command: rows::AUTH, len, encoded: false },
        _ => Line::Say("CLIENT_ERROR unauthenticated"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OwnedArgs;

    fn line(text: &str) -> Line {
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        understand(OwnedArgs::new(&words).view(), &Limits { item_max: 1 << 20, authenticated: true })
    }

    #[test]
    fn lines_are_refused_with_the_words_of_memcached() {
        let long = "k".repeat(251);
        for (text, answer) in [
            ("", "ERROR"),
            ("get", "ERROR"),
            (&format!("get a {long}"), BAD_FORMAT),
            ("set k 0 0", "ERROR"),
            ("set k x 0 1", BAD_FORMAT),
            ("set k 0 0 -1", BAD_FORMAT),
            ("set k x 0 1 noreply", ""),
            ("cas k 0 0 1", "ERROR"),
            ("cas k 0 0 1 x", BAD_FORMAT),
            ("incr k x", "CLIENT_ERROR invalid numeric delta argument"),
            ("touch k x", "CLIENT_ERROR invalid exptime argument"),
            ("delete k 5", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]"),
            ("mg k v v", "CLIENT_ERROR duplicate flag"),
            ("mg k !", "CLIENT_ERROR invalid flag"),
            ("md k !", "CLIENT_ERROR invalid or duplicate flag"),
            ("ma k Mx", "CLIENT_ERROR invalid mode for ma M token"),
            ("mg k b", "CLIENT_ERROR error decoding key"),
            ("nosuch", "ERROR"),
        ] {
            assert_eq!(line(text), Line::Say(answer), "{text}");
        }
        assert_eq!(line("ms k 5 Mx"), Line::SayAndSkip("CLIENT_ERROR invalid mode for ms M token", 5));
        assert_eq!(line("ms k 5 !"), Line::SayAndSkip("CLIENT_ERROR invalid flag", 5));
        assert_eq!(line("GET / HTTP/1.0"), Line::Close);
    }

    #[test]
    fn what_is_stored_names_its_value() {
        let value = |command, len| Line::Value { command, len, encoded: false };
        assert_eq!(line("set k 0 0 5"), value(rows::SET, 5));
        assert_eq!(line("cas k 0 0 5 7 noreply"), value(rows::CAS, 5));
        assert_eq!(line("ms k 5 T30"), value(rows::MS, 5));
        let skipped = |len| Line::RunAndSkip { command: rows::FORGET, len, encoded: false };
        assert_eq!(line("set k 0 0 2000000"), skipped(2_000_000));
        assert_eq!(line("add k 0 0 2000000"), Line::SayAndSkip(TOO_LARGE, 2_000_000));
    }

    #[test]
    fn nothing_is_done_before_the_password() {
        let limits = Limits { item_max: 1 << 20, authenticated: false };
        let line = |text: &str| {
            let words: Vec<&str> = text.split(' ').collect();
            understand(OwnedArgs::new(&words).view(), &limits)
        };
        assert_eq!(line("get k"), Line::Say("CLIENT_ERROR unauthenticated"));
        assert_eq!(line("quit"), Line::Say("CLIENT_ERROR unauthenticated"));
        assert_eq!(line("set x 0 0 9"), Line::Value { command: rows::AUTH, len: 9, encoded: false });
    }
}
