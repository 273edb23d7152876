//! Reads replies and judges them while their bytes come in: one reader per connection, which keeps no value. It does not know which
//! request is whose, nor sockets.

use std::collections::VecDeque;

use super::frame::{Frame, Frames};
use super::protocol::{Expect, Protocol};
use super::tally::Tally;
use super::template::KeyNames;
use super::value::Values;

/// What all replies of a run are judged by.
#[derive(Debug)]
pub struct Rules {
    /// The language.
    pub protocol: Protocol,
    /// How keys are called.
    pub names: KeyNames,
    /// What values keys have.
    pub values: Values,
    /// The smallest value there can be.
    pub value_min: usize,
    /// Whether the bytes of values are compared; lengths, types and counts always are.
    pub compare_values: bool,
    /// Whether a key without a value is wrong.
    pub misses_are_wrong: bool,
}

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What the reply must be.
    pub expect: &'a Expect,
    /// The keys asked for stand at the front.
    pub keys: &'a VecDeque<u64>,
}

/// What has become of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// More bytes are needed.
    Begun,
    /// It has come to its end.
    Ended,
    /// Nothing that follows can be read.
    Broken,
}

/// The reply that is being read on one connection.
#[derive(Debug, Default)]
pub struct Reader {
    frames: Frames,
    reply: Reply,
}

#[derive(Debug, Default)]
struct Reply {
    /// Parts still to come, the one being read included; zero between replies.
    parts: u64,
    /// Values that have come or are missing.
    values: usize,
    /// The key whose value is read, if it is known.
    key: Option<u64>,
    /// The length of the value that is read.
    len: usize,
    /// Whether it was said already that the reply is wrong.
    bad: bool,
    /// Whether any part was an error.
    error: bool,
}

/// What a line is followed by.
enum After {
    /// A line, or nothing if the reply has ended.
    Line,
    /// A block of so many bytes.
    Block(usize),
}

impl Reader {
    /// Reads the reply to this question as far as there are bytes, from the front of `input`.
    pub fn read(
        &mut self,
        input: &mut &[u8],
        question: Question,
        rules: &Rules,
        tally: &mut Tally,
    ) -> Outcome {
        let reply = &mut self.reply;
        loop {
            match self.frames.next(input) {
                None => return Outcome::Begun,
                Some(Frame::Broken) => {
                    tally.wrong(|| "the stream has no lines, or a value has no end".into());
                    return Outcome::Broken;
                }
                Some(Frame::Line(line)) => {
                    let after = match rules.protocol {
                        Protocol::Resp => reply.resp(line, question, rules, tally),
                        Protocol::Memcached | Protocol::Meta => reply.memcached(line, question, rules, tally),
                    };
                    match after {
                        Some(After::Line) => {}
                        Some(After::Block(len)) => self.frames.expect_block(len),
                        None => {
                            let shown = line[..line.len().min(40)].escape_ascii();
                            tally.wrong(|| format!("not a line of the protocol: {shown}"));
                            return Outcome::Broken;
                        }
                    }
                }
                Some(Frame::Block { at, bytes, last }) => {
                    reply.block(at, bytes, rules, tally);
                    // In Memcached's text protocol a line follows a value; it ends the reply.
                    if last && rules.protocol != Protocol::Memcached {
                        reply.parts -= 1;
                    }
                }
            }
            if reply.parts == 0 {
                reply.end(question, rules, tally);
                return Outcome::Ended;
            }
        }
    }
}

impl Reply {
    fn complain(&mut self, tally: &mut Tally, text: impl FnOnce() -> String) {
        if !self.bad {
            self.bad = true;
            tally.wrong(text);
        }
    }

    /// Judges a line of RESP. None if it is not one.
    fn resp(&mut self, line: &[u8], question: Question, rules: &Rules, tally: &mut Tally) -> Option<After> {
        let first = self.parts == 0;
        if first {
            self.parts = 1;
        }
        let (kind, text) = line.split_first()?;
        let expect = question.expect;
        let mut fits = true;
        match kind {
            b'-' => {
                tally.error(text);
                self.error = true;
            }
            b'+' => fits = line_fits(expect, line),
            b':' => {
                integer(text)?;
                fits = matches!(expect, Expect::Integer | Expect::Any);
            }
            b'*' => {
                let len = integer(text)?;
                fits = match expect {
                    Expect::Values { keys, array: true, .. } => first && len == *keys as i64,
                    expect => *expect == Expect::Any,
                };
                self.parts += u64::try_from(len).unwrap_or(0);
            }
            b'$' => {
                let len = integer(text)?;
                let value = matches!(expect, Expect::Values { array, .. } if *array != first);
                if !value && *expect != Expect::Any {
                    self.complain(tally, || format!("{} for {expect:?}", line.escape_ascii()));
                }
                if len >= 0 {
                    self.begin_value(len as usize, value.then_some(question), rules, tally);
                    return Some(After::Block(len as usize));
                }
                if value {
                    self.values += 1;
                    tally.misses += 1;
                }
            }
            _ => return None,
        }
        if !fits {
            self.complain(tally, || format!("{} for {expect:?}", line.escape_ascii()));
        }
        self.parts -= 1;
        Some(After::Line)
    }

    /// The same for Memcached's protocols.
    fn memcached(
        &mut self,
        line: &[u8],
        question: Question,
        rules: &Rules,
        tally: &mut Tally,
    ) -> Option<After> {
        self.parts = 1;
        let expect = question.expect;
        let mut words = line.split(|byte| *byte == b' ');
        let name = words.next()?;
        let text_values = rules.protocol == Protocol::Memcached;
        if text_values && name == b"VALUE" {
            let key = words.next()?;
            let len = usize::try_from(integer(words.nth(1)?)?).ok()?;
            self.skip_to(key, question, rules, tally);
            self.begin_value(len, Some(question), rules, tally);
            return Some(After::Block(len));
        }
        if !text_values && name == b"VA" {
            let len = usize::try_from(integer(words.next()?)?).ok()?;
            self.begin_value(len, Some(question), rules, tally);
            return Some(After::Block(len));
        }
        if rules.protocol.is_error(line) {
            tally.error(line);
            self.error = true;
        } else {
            let fits = match expect {
                Expect::Values { .. } => name == if text_values { &b"END"[..] } else { b"EN" },
                Expect::Integer => line == b"NOT_FOUND" || integer(line).is_some(),
                _ => line_fits(expect, line),
            };
            if !fits {
                self.complain(tally, || format!("{} for {expect:?}", line.escape_ascii()));
            }
            if let Expect::Values { keys, .. } = expect {
                tally.misses += keys.saturating_sub(self.values) as u64;
                self.values = (*keys).max(self.values);
            }
        }
        self.parts = 0;
        Some(After::Line)
    }

    /// Memcached leaves out what it does not find: the keys in front of this one are missing.
    fn skip_to(&mut self, name: &[u8], question: Question, rules: &Rules, tally: &mut Tally) {
        let Expect::Values { keys, known: true, .. } = question.expect else { return };
        // A template may put text around the key.
        let len = rules.names.len().min(name.len());
        let number = (0..=name.len() - len).find_map(|at| rules.names.number(&name[at..at + len]));
        let asked = (self.values..*keys).find(|at| question.keys.get(*at).copied() == number);
        // A key that nobody asked for has no place among them, which is found at its value.
        let at = asked.unwrap_or(*keys);
        tally.misses += asked.map_or(0, |at| (at - self.values) as u64);
        self.values = at;
    }

    fn begin_value(&mut self, len: usize, question: Option<Question>, rules: &Rules, tally: &mut Tally) {
        self.len = len;
        self.key = None;
        let Some(Question { expect: Expect::Values { keys, known, .. }, keys: drawn }) = question else {
            if question.is_some_and(|question| *question.expect != Expect::Any) {
                self.complain(tally, || format!("a value of {len} bytes for no question"));
            }
            return;
        };
        let at = self.values;
        self.values += 1;
        tally.hits += 1;
        if at >= *keys {
            self.complain(tally, || "a value that was not asked for".into());
        } else if *known && rules.compare_values {
            self.key = drawn.get(at).copied();
            if len < rules.value_min || len > rules.values.len_max() {
                self.key = None;
                self.complain(tally, || format!("a value of {len} bytes"));
            }
        }
    }

    fn block(&mut self, at: usize, bytes: &[u8], rules: &Rules, tally: &mut Tally) {
        let Some(key) = self.key else { return };
        if !rules.values.matches(key, at, bytes) {
            let len = self.len;
            let shown = bytes[..bytes.len().min(32)].escape_ascii();
            self.complain(tally, || format!("key {key} cannot have, at {at} of {len} bytes: {shown}"));
        }
    }

    fn end(&mut self, question: Question, rules: &Rules, tally: &mut Tally) {
        tally.replies += 1;
        if let Expect::Values { keys, .. } = question.expect
            && !self.error
            && self.values != *keys
        {
            let values = self.values;
            self.complain(tally, || format!("{values} values for {keys} keys"));
        }
        if rules.misses_are_wrong && tally.misses > 0 {
            let missing = std::mem::take(&mut tally.misses);
            self.complain(tally, || format!("{missing} of the keys {:?} lost", question.keys.iter().take(3)));
        }
        (self.values, self.bad, self.error) = (0, false, false);
    }
}

fn line_fits(expect: &Expect, line: &[u8]) -> bool {
    match expect {
        Expect::Line(expected) => line == *expected,
        Expect::OneOf(lines) => lines.contains(&line),
        Expect::Any => true,
        Expect::Integer | Expect::Values { .. } => false,
    }
}

/// Reads decimal digits.
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits));
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0i64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(i64::from(digit))
    })?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(protocol: Protocol) -> Rules {
        Rules {
            protocol,
            names: KeyNames::new("key:", 8, 100).expect("room"),
            values: Values::new(10),
            value_min: 10,
            compare_values: true,
            misses_are_wrong: false,
        }
    }

    fn value(key: u64) -> Vec<u8> {
        let mut value = Vec::new();
        Values::new(10).append(key, 10, &mut value);
        value
    }

    /// Reads one reply, whole and cut at every place. The last is what remained behind it.
    fn judge(rules: &Rules, expect: &Expect, keys: &[u64], stream: &[u8]) -> (Tally, Outcome, usize) {
        let keys: VecDeque<u64> = keys.iter().copied().collect();
        let question = Question { expect, keys: &keys };
        let read = |chunks: &[&[u8]]| {
            let (mut reader, mut tally) = (Reader::default(), Tally::default());
            let mut outcome = Outcome::Begun;
            let mut left: usize = chunks.iter().map(|chunk| chunk.len()).sum();
            for chunk in chunks {
                let mut input = *chunk;
                if outcome == Outcome::Begun {
                    outcome = reader.read(&mut input, question, rules, &mut tally);
                    left -= chunk.len() - input.len();
                }
            }
            (tally, outcome, left)
        };
        let whole = read(&[stream]);
        for cut in 0..=stream.len() {
            let (tally, outcome, left) = read(&[&stream[..cut], &stream[cut..]]);
            let same = (outcome, tally.wrong, tally.errors, tally.hits, tally.misses, tally.replies);
            let other =
                (whole.1, whole.0.wrong, whole.0.errors, whole.0.hits, whole.0.misses, whole.0.replies);
            assert_eq!(same, other, "cut at {cut} of {}", stream.escape_ascii());
            if outcome == Outcome::Ended {
                assert_eq!(left, whole.2, "cut at {cut}");
            }
        }
        whole
    }

    /// Right replies with their hits and misses, or -1 as misses where they are wrong.
    fn check(protocol: Protocol, command: &str, keys: &[u64], stream: &[&[u8]], hits: u64, misses: i64) {
        let expect = protocol.expect(&command.split(' ').collect::<Vec<_>>(), keys.len());
        let (tally, outcome, left) = judge(&rules(protocol), &expect, keys, &stream.concat());
        if misses < 0 {
            assert_eq!(tally.wrong, 1, "{command}: {tally:?}");
            return;
        }
        assert_eq!((outcome, left), (Outcome::Ended, 0), "{command}");
        let found = (tally.replies, tally.wrong, tally.hits, tally.misses);
        assert_eq!(found, (1, 0, hits, misses as u64), "{command}: {tally:?}");
    }

    #[test]
    fn resp_replies_fit_their_commands() {
        let check = |command: &str, keys: &[u64], stream: &[&[u8]], hits, misses| {
            check(Protocol::Resp, command, keys, stream, hits, misses);
        };
        check("GET k", &[7], &[b"$10\r\n", &value(7), b"\r\n"], 1, 0);
        check("GET k", &[7], &[b"$-1\r\n"], 0, 1);
        check("MGET a b", &[7, 8], &[b"*2\r\n$-1\r\n$10\r\n", &value(8), b"\r\n"], 1, 1);
        check("SET k v", &[7], &[b"+OK\r\n"], 0, 0);
        check("INCR k", &[7], &[b":-12\r\n"], 0, 0);
        check("LRANGE k 0 -1", &[7], &[b"*3\r\n$1\r\na\r\n*1\r\n:1\r\n*0\r\n"], 0, 0);
        // Another key's value, another type, another number of values.
        check("GET k", &[7], &[b"$10\r\n", &value(8), b"\r\n"], 0, -1);
        check("GET k", &[7], &[b"$9\r\n", &value(7)[..9], b"\r\n"], 0, -1);
        check("GET k", &[7], &[b"+OK\r\n"], 0, -1);
        check("GET k", &[7], &[b"*1\r\n$-1\r\n"], 0, -1);
        check("SET k v", &[7], &[b"$-1\r\n"], 0, -1);
        check("SET k v", &[7], &[b"+QUEUED\r\n"], 0, -1);
        check("INCR k", &[7], &[b"$1\r\n1\r\n"], 0, -1);
        check("INCR k", &[7], &[b"*1\r\n:1\r\n"], 0, -1);
        check("MGET a b", &[7, 8], &[b"*1\r\n$-1\r\n"], 0, -1);
        check("MGET a b", &[7, 8], &[b"*2\r\n:1\r\n:2\r\n"], 0, -1);
        check("PING", &[], &[b"HTTP/1.1 400\r\n"], 0, -1);
        check("PING", &[], &[b":\r\n"], 0, -1);
    }

    #[test]
    fn memcached_replies_fit_their_commands() {
        let text = |command: &str, keys: &[u64], stream: &[&[u8]], hits, misses| {
            check(Protocol::Memcached, command, keys, stream, hits, misses);
        };
        let found =
            |key: u64| [format!("VALUE key:{key:04} 0 10\r\n").as_bytes(), &value(key), b"\r\n"].concat();
        text("get a", &[7], &[&found(7), b"END\r\n"], 1, 0);
        text("get a", &[7], &[b"END\r\n"], 0, 1);
        text("get a b c", &[7, 8, 9], &[&found(7), &found(9), b"END\r\n"], 2, 1);
        text("set a 0 0 v", &[7], &[b"STORED\r\n"], 0, 0);
        text("incr a 1", &[7], &[b"12\r\n"], 0, 0);
        text("get a", &[7], &[&found(8), b"END\r\n"], 0, -1);
        text("get a b", &[7, 8], &[&found(8), &found(7), b"END\r\n"], 0, -1);
        text("get a", &[7], &[b"VALUE key:0007 0 10\r\n", &value(8), b"\r\nEND\r\n"], 0, -1);
        text("set a 0 0 v", &[7], &[b"NOT_STORED\r\n"], 0, -1);
        let meta = |command: &str, keys: &[u64], stream: &[&[u8]], hits, misses| {
            check(Protocol::Meta, command, keys, stream, hits, misses);
        };
        meta("mg a v", &[7], &[b"VA 10\r\n", &value(7), b"\r\n"], 1, 0);
        meta("mg a v", &[7], &[b"EN\r\n"], 0, 1);
        meta("ms a v", &[7], &[b"HD\r\n"], 0, 0);
        meta("mg a v", &[7], &[b"VA 10 k\r\n", &value(6), b"\r\n"], 0, -1);
        meta("mg a v", &[7], &[b"HD\r\n"], 0, -1);
    }

    #[test]
    fn errors_are_counted_and_lost_keys_are_wrong_when_told() {
        let get = Protocol::Resp.expect(&["GET", "k"], 1);
        let (tally, outcome, _) = judge(&rules(Protocol::Resp), &get, &[7], b"-ERR no\r\n");
        assert_eq!((tally.errors, tally.wrong, outcome), (1, 0, Outcome::Ended));
        assert_eq!(tally.error_samples, ["ERR no"]);
        let get = Protocol::Memcached.expect(&["get", "k"], 1);
        let (tally, ..) = judge(&rules(Protocol::Memcached), &get, &[7], b"SERVER_ERROR out of memory\r\n");
        assert_eq!((tally.errors, tally.wrong), (1, 0));
        let strict = Rules { misses_are_wrong: true, ..rules(Protocol::Resp) };
        let get = Protocol::Resp.expect(&["GET", "k"], 1);
        assert_eq!(judge(&strict, &get, &[7], b"$-1\r\n").0.wrong, 1);
    }

    #[test]
    fn what_follows_a_reply_stays() {
        let get = Protocol::Resp.expect(&["GET", "k"], 1);
        let stream = [b"$10\r\n", &value(7)[..], b"\r\n+OK\r\n"].concat();
        let (tally, outcome, left) = judge(&rules(Protocol::Resp), &get, &[7], &stream);
        assert_eq!((tally.wrong, outcome, left), (0, Outcome::Ended, 5));
    }
}
