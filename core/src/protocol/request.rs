//! The request parser: RESP arrays and inline commands, incremental at any byte boundary, in place.
//!
//! It knows Redis's limits and error texts (<https://redis.io/docs/latest/develop/reference/protocol-spec/>). It does not know
//! any command. Its input always begins with the first byte of the request that is not complete yet; what it has
//! understood of that request is kept as offsets, so that no byte is looked at twice however it is chunked.

use std::mem::MaybeUninit;

use super::owned::{LARGE_MIN, LINE_END, OwnedRequest};
use crate::args::{Args, OwnedArgs, Span};
use crate::quoting;

/// The longest line: of an inline request, of a count, of a length. As Redis's PROTO_INLINE_MAX_SIZE.
pub const LINE_MAX: usize = 64 << 10;
/// Arguments and bytes that a client may send before it has authenticated.
const UNAUTHENTICATED_ARGS_MAX: i64 = 10;
const UNAUTHENTICATED_BULK_MAX: i64 = 16_384;
/// A request with more arguments than this is understood where it was received, whatever their lengths.
const ARGS_OWNED_MAX: u32 = 64;
/// The longest request: offsets are 32 bits.
pub const REQUEST_MAX: usize = u32::MAX as usize;

/// What this client may send.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// `proto-max-bulk-len`.
    pub bulk_max: u64,
    /// False until AUTH where a password is set.
    pub authenticated: bool,
}

/// A request that cannot be understood. The client gets `-ERR Protocol error: <this>` and is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// A line without an end.
    TooBigInline,
    /// An inline request whose quotes do not close.
    UnbalancedQuotes,
    /// The array's count has no end.
    TooBigCount,
    /// The array's count is no number or too large.
    InvalidCount,
    /// Too many arguments before AUTH.
    UnauthenticatedCount,
    /// A bulk's length has no end.
    TooBigBulkLength,
    /// Another byte where a bulk should begin.
    ExpectedBulk(u8),
    /// The bulk's length is no number or too large.
    InvalidBulkLength,
    /// Too long an argument before AUTH.
    UnauthenticatedBulkLength,
    /// Over four gigabytes.
    TooBigRequest,
}

impl RequestError {
    /// Redis's words.
    pub fn text(self) -> String {
        match self {
            RequestError::TooBigInline => "too big inline request".into(),
            RequestError::UnbalancedQuotes => "unbalanced quotes in request".into(),
            RequestError::TooBigCount => "too big mbulk count string".into(),
            RequestError::InvalidCount => "invalid multibulk length".into(),
            RequestError::UnauthenticatedCount => "unauthenticated multibulk length".into(),
            RequestError::TooBigBulkLength => "too big bulk count string".into(),
            RequestError::ExpectedBulk(byte) => format!("expected '$', got '{}'", printable(byte)),
            RequestError::InvalidBulkLength => "invalid bulk length".into(),
            RequestError::UnauthenticatedBulkLength => "unauthenticated bulk length".into(),
            RequestError::TooBigRequest => "too big request".into(),
        }
    }
}

/// A reply is one line: whatever would break it is shown as a question mark.
fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '?' }
}

/// What the parser found at the beginning of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A whole request of `len` bytes; see [`RequestParser::args`]. It may have no arguments, and then means nothing.
    Request {
        /// Bytes that it took.
        len: usize,
    },
    /// More bytes are needed, and these first `len` are not: they belong to a large argument and were taken.
    Taken {
        /// Bytes that it took.
        len: usize,
    },
    /// The client is to be told and closed.
    Error(RequestError),
}

/// Where the parser stands within a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// This many arguments are missing; the next header begins at `at`.
    Header {
        missing: u32,
    },
    /// The bulk of `len` bytes begins at `at`.
    Bulk {
        missing: u32,
        len: u32,
    },
}

/// The parser of one client.
#[derive(Clone, Debug)]
pub struct RequestParser {
    state: State,
    /// Offset of the first byte not understood yet.
    at: usize,
    /// No line end before this offset: a long line is not searched again from its beginning.
    searched: usize,
    spans: Vec<Span>,
    /// The arguments of an inline request, unquoted.
    inline: Option<Box<OwnedArgs>>,
    is_inline: bool,
    /// The request, if it has a large argument: then `at` counts from the first byte that was not taken.
    owned: Option<Box<OwnedRequest>>,
    /// Bytes of input that it is made of so far.
    taken: usize,
}

impl Default for RequestParser {
    fn default() -> Self {
        RequestParser {
            state: State::Start,
            at: 0,
            searched: 0,
            spans: Vec::new(),
            inline: None,
            is_inline: false,
            owned: None,
            taken: 0,
        }
    }
}

/// Capacity that an idle parser may keep.
const SPANS_KEPT: usize = 64;

impl RequestParser {
    /// Looks for one whole request at the beginning of `bytes`. After [`Parsed::Request`] the caller reads
    /// [`RequestParser::args`], then calls [`RequestParser::reset`] and goes on behind it, or calls `reset` alone to see the same request again later.
    #[inline]
    pub fn parse(&mut self, bytes: &[u8], limits: &RequestLimits) -> Parsed {
        if self.owned.is_some() {
            let parsed = self.parse_owned(bytes, limits).unwrap_or_else(Parsed::Error);
            return self.count(parsed);
        }
        if bytes.is_empty() {
            return Parsed::Incomplete;
        }
        if self.state == State::Start {
            if bytes[0] != b'*' {
                return self.parse_inline(bytes).unwrap_or_else(Parsed::Error);
            }
            if let Some(len) = parse_whole(bytes, 0, limits, &mut self.spans) {
                return Parsed::Request { len };
            }
        }
        let parsed = self.parse_array(bytes, limits).unwrap_or_else(Parsed::Error);
        if self.owned.is_some() { self.count(parsed) } else { parsed }
    }

    fn count(&mut self, parsed: Parsed) -> Parsed {
        if let Parsed::Taken { len } | Parsed::Request { len } = parsed {
            self.taken += len;
        }
        parsed
    }

    /// The arguments of the request that was just found in these same bytes.
    #[inline]
    pub fn args<'a>(&'a self, bytes: &'a [u8]) -> Args<'a> {
        match (&self.inline, &self.owned) {
            (_, Some(owned)) => owned.view(),
            (Some(inline), None) if self.is_inline => inline.view(),
            _ => Args::new(bytes, &self.spans),
        }
    }

    /// Forgets the request: the next input begins with another one.
    #[inline]
    pub fn reset(&mut self) {
        self.state = State::Start;
        self.at = 0;
        self.searched = 0;
        self.is_inline = false;
        self.owned = None;
        self.taken = 0;
        self.spans.clear();
        if self.spans.capacity() > SPANS_KEPT {
            self.spans.shrink_to(SPANS_KEPT);
        }
    }

    /// Bytes that this parser itself keeps.
    pub fn allocated_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.taken_bytes()
    }

    /// Bytes of a request with a large argument that were taken.
    pub fn taken_bytes(&self) -> usize {
        self.owned.as_ref().map_or(0, |owned| owned.len())
    }

    /// Bytes of input that were taken of a request which has not run.
    pub fn taken_input(&self) -> usize {
        self.taken
    }

    /// True if the request lies here and not in the bytes that were given: it stays until [`RequestParser::reset`].
    #[inline]
    pub fn owns(&self) -> bool {
        self.owned.is_some()
    }

    /// Where the next bytes of a large argument belong, instead of in a buffer of the driver's: see [`crate::Engine::room`].
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        self.owned.as_mut().map_or(&mut [], |owned| owned.room())
    }

    /// The first `bytes` of it were written.
    pub(crate) fn filled(&mut self, bytes: usize) {
        if let Some(owned) = &mut self.owned {
            owned.filled(bytes);
            self.taken += bytes;
        }
    }

    pub(crate) fn digest(&self, hasher: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        // Everything else follows from the bytes that the driver still holds.
        self.owned.hash(hasher);
    }

    /// True in the middle of a request.
    pub fn is_within_request(&self) -> bool {
        self.state != State::Start || self.owned.is_some()
    }

    fn parse_inline(&mut self, bytes: &[u8]) -> Result<Parsed, RequestError> {
        let from = self.searched.min(bytes.len());
        let Some(found) = memchr::memchr(b'\n', &bytes[from..]) else {
            self.searched = bytes.len();
            return if bytes.len() > LINE_MAX {
                Err(RequestError::TooBigInline)
            } else {
                Ok(Parsed::Incomplete)
            };
        };
        let end = from + found;
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        let words = quoting::split_args(line).ok_or(RequestError::UnbalancedQuotes)?;
        let inline = self.inline.get_or_insert_default();
        inline.clear();
        for word in &words {
            inline.push(word);
        }
        self.is_inline = true;
        Ok(Parsed::Request { len: end + 1 })
    }

    fn parse_array(&mut self, bytes: &[u8], limits: &RequestLimits) -> Result<Parsed, RequestError> {
        if self.state == State::Start {
            let Some((count, next)) = self.line_number(bytes, RequestError::TooBigCount)? else {
                return Ok(Parsed::Incomplete);
            };
            let count = count.filter(|&n| n <= i64::from(i32::MAX)).ok_or(RequestError::InvalidCount)?;
            if count > UNAUTHENTICATED_ARGS_MAX && !limits.authenticated {
                return Err(RequestError::UnauthenticatedCount);
            }
            if count <= 0 {
                return Ok(Parsed::Request { len: next });
            }
            self.step(next, State::Header { missing: count as u32 });
        }
        loop {
            match self.state {
                State::Start => return Ok(Parsed::Request { len: self.at }),
                State::Header { missing } => {
                    let Some(&first) = bytes.get(self.at) else { return Ok(Parsed::Incomplete) };
                    let Some((len, next)) = self.line_number(bytes, RequestError::TooBigBulkLength)? else {
                        return Ok(Parsed::Incomplete);
                    };
                    let len = judge_bulk(first, len, next, limits)?;
                    self.step(next, State::Bulk { missing, len: len as u32 });
                    if len >= LARGE_MIN && bytes.len() < next + len + 2 && missing <= ARGS_OWNED_MAX {
                        let args = Args::new(bytes, &self.spans);
                        if args.len() <= ARGS_OWNED_MAX as usize {
                            self.owned = Some(Box::new(OwnedRequest::new(args, missing, len, LINE_END)));
                            self.step(0, State::Start);
                            return self.take(bytes, next);
                        }
                    }
                }
                State::Bulk { missing, len } => {
                    let end = self.at + len as usize;
                    if bytes.len() < end + 2 {
                        return Ok(Parsed::Incomplete);
                    }
                    self.spans.push(Span { start: self.at as u32, len });
                    if missing == 1 {
                        return Ok(Parsed::Request { len: end + 2 });
                    }
                    self.step(end + 2, State::Header { missing: missing - 1 });
                }
            }
        }
    }

    /// Goes on with a request that has a large argument.
    fn parse_owned(&mut self, bytes: &[u8], limits: &RequestLimits) -> Result<Parsed, RequestError> {
        self.step(0, State::Start);
        self.parse_further(bytes, 0, limits)
    }

    /// Takes what has come of a large argument, which begins at `from`.
    fn take(&mut self, bytes: &[u8], from: usize) -> Result<Parsed, RequestError> {
        let Some(owned) = &mut self.owned else { return Ok(Parsed::Incomplete) };
        Ok(Parsed::Taken { len: from + owned.take(&bytes[from..]) })
    }

    /// The arguments that follow, one after the other: each is taken when all of it is here.
    fn parse_further(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        limits: &RequestLimits,
    ) -> Result<Parsed, RequestError> {
        loop {
            let Some(owned) = &mut self.owned else { return Ok(Parsed::Taken { len: at }) };
            if owned.is_within_large() {
                at += owned.take(&bytes[at..]);
                if owned.is_within_large() {
                    return Ok(Parsed::Taken { len: at });
                }
            }
            if owned.missing() == 0 {
                return Ok(Parsed::Request { len: at });
            }
            let Some(&first) = bytes.get(at) else { return Ok(Parsed::Taken { len: at }) };
            self.at = at;
            self.searched = at;
            let Some((len, next)) = self.line_number(bytes, RequestError::TooBigBulkLength)? else {
                return Ok(Parsed::Taken { len: at });
            };
            let len = judge_bulk(first, len, next, limits)?;
            let end = next + len;
            if bytes.len() < end + 2 {
                return Ok(Parsed::Taken { len: at });
            }
            if let Some(owned) = &mut self.owned {
                owned.push(&bytes[next..end]);
            }
            at = end + 2;
        }
    }

    #[inline]
    fn step(&mut self, at: usize, state: State) {
        self.at = at;
        self.searched = at;
        self.state = state;
    }

    /// The number behind the type byte at `self.at`, and the offset behind its line. As in Redis, the byte
    /// behind the carriage return is not looked at. `None` inside: the line holds no number.
    #[inline]
    #[allow(clippy::type_complexity)]
    fn line_number(
        &mut self,
        bytes: &[u8],
        too_big: RequestError,
    ) -> Result<Option<(Option<i64>, usize)>, RequestError> {
        // Nearly all counts and lengths have one to three digits.
        let line = &bytes[self.at..];
        for digits in 1..=3 {
            if line.len() > digits + 2 && line[digits + 1] == b'\r' {
                return Ok(Some((parse_integer(&line[1..=digits]), self.at + digits + 3)));
            }
        }
        let from = self.searched.max(self.at).min(bytes.len());
        let Some(found) = memchr::memchr(b'\r', &bytes[from..]) else {
            self.searched = bytes.len();
            return if bytes.len() - self.at > LINE_MAX { Err(too_big) } else { Ok(None) };
        };
        let end = from + found;
        if bytes.len() < end + 2 {
            return Ok(None);
        }
        let text = bytes.get(self.at + 1..end).unwrap_or(b"");
        Ok(Some((parse_integer(text), end + 2)))
    }
}

/// The length of a bulk whose header has this first byte and number, and that begins at `next`.
fn judge_bulk(
    first: u8,
    len: Option<i64>,
    next: usize,
    limits: &RequestLimits,
) -> Result<usize, RequestError> {
    if first != b'$' {
        return Err(RequestError::ExpectedBulk(first));
    }
    let bulk_max = limits.bulk_max.min(REQUEST_MAX as u64) as i64;
    let len = len.filter(|&n| (0..=bulk_max).contains(&n)).ok_or(RequestError::InvalidBulkLength)?;
    if len > UNAUTHENTICATED_BULK_MAX && !limits.authenticated {
        return Err(RequestError::UnauthenticatedBulkLength);
    }
    if next + len as usize + 2 > REQUEST_MAX {
        return Err(RequestError::TooBigRequest);
    }
    Ok(len as usize)
}

/// Where the ordinary request that begins at `start` ends, if all of it is here; its arguments are added to `spans`, counted from the
/// beginning of `bytes`. `None`, and nothing is added, for whatever is not ordinary: the parser says what it is.
#[inline]
pub fn parse_whole(
    bytes: &[u8],
    start: usize,
    limits: &RequestLimits,
    spans: &mut Vec<Span>,
) -> Option<usize> {
    if bytes.get(start) != Some(&b'*') || !limits.authenticated {
        return None;
    }
    let before = spans.len();
    let (count, mut at) = short_number(bytes, start + 1)?;
    for _ in 0..count {
        if bytes.get(at) != Some(&b'$') {
            break;
        }
        let Some((len, first)) = short_number(bytes, at + 1) else { break };
        at = first + len + 2;
        if at > bytes.len() || len as u64 > limits.bulk_max {
            break;
        }
        spans.push(Span { start: first as u32, len: len as u32 });
    }
    if spans.len() == before + count && count > 0 && at <= REQUEST_MAX {
        return Some(at);
    }
    spans.truncate(before);
    None
}

/// A number of one to five digits without a leading zero that begins at `at`, and where its line ends.
#[inline]
fn short_number(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?;
    let first = line.first()?.wrapping_sub(b'0');
    if first > 9 {
        return None;
    }
    let mut value = usize::from(first);
    for (n, &byte) in line[1..].iter().take(5).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            // As in Redis, the byte behind the carriage return is not looked at.
            return (byte == b'\r').then_some((value, at + n + 3));
        }
        if first == 0 {
            return None;
        }
        value = value * 10 + usize::from(digit);
    }
    None
}

/// A whole signed 64-bit integer in decimal, as Redis's string2ll takes it: no plus sign, no leading zero, no space.
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    let mut value: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    if negative {
        (value <= 1 << 63).then(|| (value as i64).wrapping_neg())
    } else {
        i64::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: RequestLimits = RequestLimits { bulk_max: 512 << 20, authenticated: true };

    /// All requests of an input that arrives in chunks of the given sizes, and the error that ended it.
    fn parse_all(
        input: &[u8],
        chunks: &mut dyn Iterator<Item = usize>,
        limits: RequestLimits,
    ) -> (Vec<Vec<Vec<u8>>>, Option<RequestError>) {
        let (mut parser, mut requests) = (RequestParser::default(), Vec::new());
        let (mut start, mut end) = (0, 0);
        while end < input.len() {
            end = end.saturating_add(chunks.next().unwrap_or(usize::MAX).max(1)).min(input.len());
            loop {
                match parser.parse(&input[start..end], &limits) {
                    Parsed::Incomplete => break,
                    Parsed::Taken { len } => {
                        start += len;
                        break;
                    }
                    Parsed::Request { len } => {
                        requests.push(parser.args(&input[start..end]).iter().map(<[u8]>::to_vec).collect());
                        parser.reset();
                        start += len;
                    }
                    Parsed::Error(error) => return (requests, Some(error)),
                }
            }
        }
        (requests, None)
    }

    fn check(input: &str, requests: &[&[&str]], error: Option<RequestError>) {
        let expected: Vec<Vec<Vec<u8>>> =
            requests.iter().map(|r| r.iter().map(|a| a.as_bytes().to_vec()).collect()).collect();
        for size in [1, 2, 3, 7, 1_000] {
            let found = parse_all(input.as_bytes(), &mut std::iter::repeat(size), LIMITS);
            assert_eq!(found, (expected.clone(), error), "{input:?} in chunks of {size}");
        }
    }

    #[test]
    fn arrays_and_lines_are_understood_at_any_chunking() {
        check("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n", &[&["GET", "k"], &["PING"]], None);
        check("PING\r\nset k \"a b\"\n", &[&["PING"], &["set", "k", "a b"]], None);
        check("\r\n", &[&[]], None);
        check("*0\r\n*-1\r\nPING\r\n", &[&[], &[], &["PING"]], None);
        check("*1\r\n$0\r\n\r\n", &[&[""]], None);
        check("*2\r\n$0000\r\n", &[], Some(RequestError::InvalidBulkLength));
    }

    #[test]
    fn errors_are_those_of_redis() {
        use RequestError as E;
        check("*x\r\n", &[], Some(E::InvalidCount));
        check("*3000000000\r\n", &[], Some(E::InvalidCount));
        check("*1\r\n:1\r\n", &[], Some(E::ExpectedBulk(b':')));
        check("*1\r\n$-1\r\n", &[], Some(E::InvalidBulkLength));
        check("*1\r\n$2000000000\r\n", &[], Some(E::InvalidBulkLength));
        check("get \"x\r\n", &[], Some(E::UnbalancedQuotes));
        check(&"x".repeat(LINE_MAX + 1), &[], Some(E::TooBigInline));
        check(&format!("*{}", "1".repeat(LINE_MAX + 1)), &[], Some(E::TooBigCount));
        check(&format!("*1\r\n${}", "1".repeat(LINE_MAX + 1)), &[], Some(E::TooBigBulkLength));
        assert_eq!(E::ExpectedBulk(b'\n').text(), "expected '$', got '?'");
    }

    #[test]
    fn strangers_may_say_little() {
        let stranger = RequestLimits { authenticated: false, ..LIMITS };
        let parse = |text: &str| parse_all(text.as_bytes(), &mut std::iter::empty(), stranger).1;
        assert_eq!(parse("*11\r\n"), Some(RequestError::UnauthenticatedCount));
        assert_eq!(parse("*10\r\n"), None);
        assert_eq!(parse("*1\r\n$16385\r\n"), Some(RequestError::UnauthenticatedBulkLength));
        assert_eq!(parse("*1\r\n$16384\r\n"), None);
    }

    #[test]
    fn integers_are_canonical() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", None),
            ("01", None),
            ("+1", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), value, "{text}");
        }
    }

    proptest! {
        #[test]
        fn chunking_never_changes_what_is_read(
            input in proptest::collection::vec(prop_oneof![
                Just(b"*1\r\n$4\r\nPING\r\n".to_vec()),
                Just(b"*2\r\n$3\r\nGET\r\n$300\r\n".iter().copied().chain(std::iter::repeat_n(b'x', 302)).collect()),
                Just(b"PING\r\n".to_vec()),
                Just(b"*".to_vec()), Just(b"$".to_vec()), Just(b"\r\n".to_vec()), Just(b"\"".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..6),
            ], 0..12),
            chunks in proptest::collection::vec(1usize..9, 0..200),
        ) {
            let input: Vec<u8> = input.concat();
            let whole = parse_all(&input, &mut std::iter::empty(), LIMITS);
            prop_assert_eq!(parse_all(&input, &mut chunks.into_iter(), LIMITS), whole);
        }
    }

    #[test]
    fn large_arguments_are_taken_in_however_they_arrive() {
        let value = vec![b'v'; 40_000];
        let other: Vec<u8> = (0..33_000u32).map(|n| n as u8).collect();
        let requests: [&[&[u8]]; 6] = [
            &[b"SET", b"k", &value],
            &[b"SET", b"k", &value, b"EX", b"10"],
            &[b"MSET", b"a", &value, b"b", &other, b"c", b"short"],
            &[b"GET", b"k"],
            &[&other],
            &[b"PING"],
        ];
        let mut input = Vec::new();
        for request in requests {
            input.extend_from_slice(format!("*{}\r\n", request.len()).as_bytes());
            for word in request {
                input.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                input.extend_from_slice(word);
                input.extend_from_slice(b"\r\n");
            }
        }
        for chunk in [usize::MAX, 1, 7, 1_000, 16_384, 33_001, 39_999, 40_030] {
            let (found, error) = parse_all(&input, &mut std::iter::repeat(chunk), LIMITS);
            assert_eq!(error, None);
            assert_eq!(found.len(), requests.len(), "{chunk}");
            assert!(found.iter().zip(requests).all(|(found, request)| found == request), "{chunk}");
        }
    }

    #[test]
    fn a_large_argument_is_shared_with_whoever_keeps_it_and_ends_by_the_rules() {
        let mut parser = RequestParser::default();
        assert_eq!(
            parser.parse(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$40000\r\nab", &LIMITS),
            Parsed::Taken { len: 30 }
        );
        assert!(parser.owns() && parser.is_within_request());
        assert_eq!(parser.parse(&[b'c'; 39_998], &LIMITS), Parsed::Taken { len: 39_998 });
        assert_eq!(parser.parse(b"\r", &LIMITS), Parsed::Taken { len: 0 });
        assert_eq!(parser.parse(b"\r\n*1", &LIMITS), Parsed::Request { len: 2 });
        assert_eq!(parser.args(b"").large(2).map(|large| large.len()), Some(40_000));
        // A request that has to wait is asked for again, without a byte.
        assert_eq!(parser.parse(b"", &LIMITS), Parsed::Request { len: 0 });
        parser.reset();
        assert!(!parser.owns());
        let begin = b"*3\r\n$3\r\nSET\r\n$40000\r\n";
        assert_eq!(parser.parse(begin, &LIMITS), Parsed::Taken { len: begin.len() });
        parser.parse(&[b'c'; 40_000], &LIMITS);
        assert_eq!(parser.parse(b"\r\n:3\r\n", &LIMITS), Parsed::Error(RequestError::ExpectedBulk(b':')));
    }
}
