//! Writes replies in the protocol version that the client has chosen.
//!
//! A command says what it answers, a map, a null, a double; this file says which bytes that is in RESP2 and in RESP3.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::chunks::{Chunks, SHARED_MIN};
use super::number::{double_text, push_integer, whole};

/// The protocol version, chosen by HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resp {
    /// What every client begins with.
    #[default]
    V2,
    /// Maps, sets, doubles, nulls of their own.
    V3,
}

/// Why a command was not done: the whole line of the error, its code first, as in `ERR syntax error`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure(pub Cow<'static, str>);

impl Failure {
    /// A fixed line.
    pub const fn new(line: &'static str) -> Failure {
        Failure(Cow::Borrowed(line))
    }

    /// A line made up for this call.
    pub fn text(line: String) -> Failure {
        Failure(Cow::Owned(line))
    }

    /// The first word: what INFO errorstats counts under.
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or("ERR")
    }

    /// `ERR syntax error`
    pub const SYNTAX: Failure = Failure::new("ERR syntax error");
    /// `ERR value is not an integer or out of range`
    pub const NOT_INTEGER: Failure = Failure::new("ERR value is not an integer or out of range");
    /// `ERR value is not a valid float`
    pub const NOT_FLOAT: Failure = Failure::new("ERR value is not a valid float");
    /// `WRONGTYPE Operation against a key holding the wrong kind of value`
    pub const WRONG_TYPE: Failure =
        Failure::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// `ERR index out of range`
    pub const INDEX_RANGE: Failure = Failure::new("ERR index out of range");
    /// `ERR no such key`
    pub const NO_KEY: Failure = Failure::new("ERR no such key");
    /// `ERR max number of clients reached`
    pub const TOO_MANY_CLIENTS: Failure = Failure::new("ERR max number of clients reached");
    /// `OOM command not allowed when used memory > 'maxmemory'.`
    pub const OUT_OF_MEMORY: Failure =
        Failure::new("OOM command not allowed when used memory > 'maxmemory'.");
}

/// What commands answer with: done, or why not.
pub type Outcome = Result<(), Failure>;

/// Where elements of a reply end, in bytes from its beginning.
pub type Ends = SmallVec<[u32; 6]>;

/// The writer of one reply.
pub struct Reply<'a> {
    out: &'a mut Chunks,
    resp: Resp,
    /// Elements are wanted one by one, without the array around them.
    ends: Option<&'a mut Ends>,
}

impl<'a> Reply<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Chunks, resp: Resp) -> Reply<'a> {
        Reply { out, resp, ends: None }
    }

    /// Appends the elements of an array one by one to `out`, and where each ends to `ends`: to be put together with those of other shards.
    pub fn of_elements(out: &'a mut Chunks, resp: Resp, ends: &'a mut Ends) -> Reply<'a> {
        Reply { out, resp, ends: Some(ends) }
    }

    /// The head of an array whose elements each end with [`Reply::element`]: on several shards the coordinator writes it.
    #[inline]
    pub fn elements(&mut self, len: usize) {
        if self.ends.is_none() {
            self.array(len);
        }
    }

    /// Here ends an element.
    #[inline]
    pub fn element(&mut self) {
        if let Some(ends) = &mut self.ends {
            ends.push(self.out.len() as u32);
        }
    }

    /// True if elements are wanted one by one: somebody else writes what stands around them.
    #[inline]
    pub fn is_of_elements(&self) -> bool {
        self.ends.is_some()
    }

    /// Where another protocol than Redis's is encoded.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        self.out.tail()
    }

    /// The client's protocol.
    pub fn resp(&self) -> Resp {
        self.resp
    }

    /// Goes on in another protocol, as HELLO does.
    pub fn switch(&mut self, resp: Resp) {
        self.resp = resp;
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.tail().extend_from_slice(b"+OK\r\n");
    }

    /// A short line without line ends.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error line. Line ends within become spaces: a reply cannot be torn by what a client sent.
    pub fn error(&mut self, failure: &Failure) {
        let tail = self.out.tail();
        tail.push(b'-');
        tail.extend(failure.0.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        tail.extend_from_slice(b"\r\n");
    }

    /// A whole number.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A count.
    #[inline]
    pub fn count(&mut self, value: usize) {
        self.integer(value as i64);
    }

    /// Bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        let tail = self.out.tail();
        tail.reserve(bytes.len() + HEADER_MAX);
        put_header(tail, b'$', bytes.len() as i64);
        tail.extend_from_slice(bytes);
        tail.extend_from_slice(b"\r\n");
    }

    /// Text as bytes.
    pub fn text(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// Makes room for about so many bytes that follow.
    pub fn reserve(&mut self, bytes: usize) {
        self.out.tail().reserve(bytes);
    }

    /// An integer as bytes, as GET answers for a counter.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A large value, shared if that pays.
    pub fn bulk_shared(&mut self, value: &Arc<Vec<u8>>) {
        if value.len() < SHARED_MIN {
            return self.bulk(value);
        }
        self.header(b'$', value.len() as i64);
        self.out.push_shared(Arc::clone(value));
        self.out.tail().extend_from_slice(b"\r\n");
    }

    /// Nothing: `$-1` or, in RESP3, `_`.
    #[inline]
    pub fn null(&mut self) {
        self.out.tail().extend_from_slice(if self.resp == Resp::V3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Nothing where an array was expected: `*-1` or, in RESP3, `_`.
    pub fn null_array(&mut self) {
        self.out.tail().extend_from_slice(if self.resp == Resp::V3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// Begins an array of `len` replies.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// Begins a map of `len` pairs; in RESP2 an array of twice as many.
    pub fn map(&mut self, len: usize) {
        match self.resp {
            Resp::V2 => self.array(2 * len),
            Resp::V3 => self.header(b'%', len as i64),
        }
    }

    /// Begins a set of `len` members; in RESP2 an array.
    pub fn set(&mut self, len: usize) {
        self.header(if self.resp == Resp::V3 { b'~' } else { b'*' }, len as i64);
    }

    /// Begins an out-of-band message of `len` parts; in RESP2 an array.
    pub fn push(&mut self, len: usize) {
        self.header(if self.resp == Resp::V3 { b'>' } else { b'*' }, len as i64);
    }

    /// A double; in RESP2 its text as bytes.
    pub fn double(&mut self, value: f64) {
        if let Some(whole) = whole(value) {
            return match self.resp {
                Resp::V2 => self.bulk_integer(whole),
                Resp::V3 => self.header(b',', whole),
            };
        }
        let text = double_text(value);
        match self.resp {
            Resp::V2 => self.text(&text),
            Resp::V3 => self.line(b',', text.as_bytes()),
        }
    }

    /// A double whose digits the command has chosen; in RESP2 they are bytes.
    pub fn decimal(&mut self, digits: &str) {
        match self.resp {
            Resp::V2 => self.text(digits),
            Resp::V3 => self.line(b',', digits.as_bytes()),
        }
    }

    /// True or false; in RESP2 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        match self.resp {
            Resp::V2 => self.integer(i64::from(value)),
            Resp::V3 => self.line(b'#', if value { b"t" } else { b"f" }),
        }
    }

    /// An integer of any length, given as its digits; in RESP2 they are bytes.
    pub fn big_number(&mut self, digits: &str) {
        match self.resp {
            Resp::V2 => self.text(digits),
            Resp::V3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Text to be shown as it is, such as INFO; `format` is three letters. In RESP2 it is bytes.
    pub fn verbatim(&mut self, format: &str, text: &str) {
        debug_assert_eq!(format.len(), 3, "the format of a verbatim string has three letters");
        match self.resp {
            Resp::V2 => self.text(text),
            Resp::V3 => {
                self.header(b'=', text.len() as i64 + 4);
                let tail = self.out.tail();
                tail.extend_from_slice(format.as_bytes());
                tail.push(b':');
                tail.extend_from_slice(text.as_bytes());
                tail.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Bytes that are already encoded for this protocol version.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.tail().extend_from_slice(bytes);
    }

    /// The bytes of a large value alone, shared if that pays.
    pub fn raw_shared(&mut self, value: &Arc<Vec<u8>>) {
        match value.len() < SHARED_MIN {
            true => self.raw(value),
            false => self.out.push_shared(Arc::clone(value)),
        }
    }

    /// Pieces that are already encoded for this protocol version.
    pub fn append(&mut self, chunks: Chunks) {
        self.out.append(chunks);
    }

    #[inline]
    fn header(&mut self, kind: u8, value: i64) {
        let tail = self.out.tail();
        tail.reserve(HEADER_MAX);
        put_header(tail, kind, value);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        debug_assert!(!text.contains(&b'\n'), "a line has no line end within");
        let tail = self.out.tail();
        tail.push(kind);
        tail.extend_from_slice(text);
        tail.extend_from_slice(b"\r\n");
    }
}

/// A kind, a number and two line ends fit.
const HEADER_MAX: usize = 32;

/// A kind and a number up to three digits as one piece, since nearly all are.
#[inline]
fn put_header(tail: &mut Vec<u8>, kind: u8, value: i64) {
    let digit = |n: i64| b'0' + (n % 10) as u8;
    match value {
        0..10 => tail.extend_from_slice(&[kind, digit(value), b'\r', b'\n']),
        10..100 => tail.extend_from_slice(&[kind, digit(value / 10), digit(value), b'\r', b'\n']),
        100..1_000 => {
            tail.extend_from_slice(&[kind, digit(value / 100), digit(value / 10), digit(value), b'\r', b'\n'])
        }
        _ => {
            tail.push(kind);
            push_integer(tail, value);
            tail.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
        for (resp, expected) in [(Resp::V2, resp2), (Resp::V3, resp3)] {
            let mut chunks = Chunks::default();
            write(&mut Reply::new(&mut chunks, resp));
            assert_eq!(String::from_utf8_lossy(&chunks.to_vec()), expected);
        }
    }

    #[test]
    fn each_kind_has_its_bytes() {
        check(|r| r.ok(), "+OK\r\n", "+OK\r\n");
        check(|r| r.integer(-7), ":-7\r\n", ":-7\r\n");
        check(|r| r.bulk(b"a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n");
        check(|r| r.null(), "$-1\r\n", "_\r\n");
        check(|r| r.null_array(), "*-1\r\n", "_\r\n");
        check(|r| r.map(2), "*4\r\n", "%2\r\n");
        check(|r| r.set(2), "*2\r\n", "~2\r\n");
        check(|r| r.push(2), "*2\r\n", ">2\r\n");
        check(|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(|r| r.boolean(true), ":1\r\n", "#t\r\n");
        check(
            |r| r.big_number("12345678901234567890"),
            "$20\r\n12345678901234567890\r\n",
            "(12345678901234567890\r\n",
        );
        check(|r| r.verbatim("txt", "hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n");
        check(|r| r.error(&Failure::text("ERR a\r\nb".into())), "-ERR a  b\r\n", "-ERR a  b\r\n");
    }
}
