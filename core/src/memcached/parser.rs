//! Finds one request of a memcached client in its bytes, in either form, at any chunking, without copying its words.
//!
//! As for Redis's clients, its input always begins with the first byte that was not consumed, and a large value is taken into its buffer
//! as it comes. It does not know what commands do.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::mem::MaybeUninit;

use super::binary;
pub(crate) use super::lines::Limits;
use super::lines::{self, Line};
use super::meta;
use crate::args::{Args, OwnedArgs, Span};
use crate::command::table::CommandId;
use crate::protocol::owned::{LARGE_MIN, OwnedRequest};

/// The longest line that does not ask for keys.
const LINE_MAX: usize = 2_048;
/// Spaces that may stand before a longer one.
const INDENT_MAX: usize = 100;
/// Words of a line that are told apart, unless they are keys.
const WORDS_MAX: usize = 24;
/// Bytes that end a value in the text form.
const LINE_END: usize = 2;
/// Capacity that an idle parser may keep.
const SPANS_KEPT: usize = 64;

/// Which protocol a connection has begun with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// Lines.
    Text,
    /// Headers of 24 bytes.
    Binary,
}

/// What was found at the beginning of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// These bytes are not needed any more, and there is no request yet.
    Taken {
        /// How many.
        len: usize,
    },
    /// A whole request: see [`Parser::args`].
    Request {
        /// Its row.
        command: CommandId,
        /// Bytes that it took.
        len: usize,
    },
    /// What is answered without being run; may be empty.
    Said {
        /// The answer.
        answer: Cow<'static, [u8]>,
        /// Bytes that were answered.
        len: usize,
        /// The connection ends when all is answered.
        closes: bool,
    },
    /// The connection ends at once.
    Close,
}

/// The parser of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parser {
    form: Option<Form>,
    /// No line end before this offset.
    searched: usize,
    /// Bytes to come that nobody looks at.
    skip: u64,
    /// The same once the request at hand is done.
    skip_then: u64,
    spans: Vec<Span>,
    /// The request at hand if its key was written in Base64.
    decoded: Option<Box<OwnedArgs>>,
    /// The request at hand if it has a large value.
    large: Option<(CommandId, Box<OwnedRequest>)>,
    /// Bytes of input that it is made of so far.
    taken: usize,
}

impl Parser {
    /// The form, once the first byte has come.
    pub(crate) fn form(&self) -> Option<Form> {
        self.form
    }

    /// Looks for one whole request at the beginning of `bytes`. After [`Parsed::Request`] the caller reads [`Parser::args`] and then calls
    /// [`Parser::reset`].
    pub(crate) fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Parsed {
        if self.skip > 0 {
            let len = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= len as u64;
            return if len == 0 { Parsed::Incomplete } else { Parsed::Taken { len } };
        }
        if self.large.is_some() {
            return self.parse_large(bytes);
        }
        let Some(first) = bytes.first() else { return Parsed::Incomplete };
        let form =
            *self.form.get_or_insert(if *first == binary::REQUEST { Form::Binary } else { Form::Text });
        match form {
            Form::Text => self.parse_line(bytes, limits),
            Form::Binary => self.parse_binary(bytes, limits),
        }
    }

    /// The request that was just found in these same bytes.
    pub(crate) fn args<'a>(&'a self, bytes: &'a [u8]) -> Args<'a> {
        match (&self.large, &self.decoded) {
            (Some((_, large)), _) => large.view(),
            (None, Some(decoded)) => decoded.view(),
            (None, None) => Args::new(bytes, &self.spans),
        }
    }

    /// Forgets the request that was found; unless it is `done` it will be found again.
    pub(crate) fn reset(&mut self, done: bool) {
        self.decoded = None;
        self.searched = 0;
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT);
        if done {
            self.skip += self.skip_then;
            self.large = None;
            self.taken = 0;
        }
        self.skip_then = 0;
    }

    /// True if the request lies here and not in the bytes that were given.
    pub(crate) fn owns(&self) -> bool {
        self.large.is_some()
    }

    /// Bytes of a large value that were taken.
    pub(crate) fn taken_bytes(&self) -> usize {
        self.large.as_ref().map_or(0, |(_, large)| large.len())
    }

    /// Bytes that this parser itself keeps.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.taken_bytes()
    }

    /// Where the next bytes of a large value belong.
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        self.large.as_mut().map_or(&mut [], |(_, large)| large.room())
    }

    /// The first `bytes` of it were written.
    pub(crate) fn filled(&mut self, bytes: usize) {
        if let Some((_, large)) = &mut self.large {
            large.filled(bytes);
            self.taken += bytes;
        }
    }

    /// Bytes of input that were taken of a request which has not run.
    pub(crate) fn taken_input(&self) -> usize {
        self.taken
    }

    /// What decides how it goes on, besides the bytes that the driver still holds.
    pub(crate) fn digest(&self, hasher: &mut impl Hasher) {
        (self.form, self.skip, &self.large).hash(hasher);
    }

    fn parse_large(&mut self, bytes: &[u8]) -> Parsed {
        let Some((command, large)) = &mut self.large else { return Parsed::Incomplete };
        let len = if large.is_within_large() { large.take(bytes) } else { 0 };
        self.taken += len;
        if large.missing() > 0 {
            return if len == 0 { Parsed::Incomplete } else { Parsed::Taken { len } };
        }
        if self.form == Some(Form::Text) && !large.ends_line() {
            self.large = None;
            self.taken = 0;
            return bad_chunk(len);
        }
        Parsed::Request { command: *command, len }
    }

    fn parse_line(&mut self, bytes: &[u8], limits: &Limits) -> Parsed {
        let from = self.searched.min(bytes.len());
        let Some(found) = memchr::memchr(b'\n', &bytes[from..]) else {
            self.searched = bytes.len();
            return if bytes.len() > LINE_MAX && !asks_for_keys(bytes) {
                Parsed::Close
            } else {
                Parsed::Incomplete
            };
        };
        let (end, next) = (from + found, from + found + 1);
        let line = if end > 0 && bytes[end - 1] == b'\r' { &bytes[..end - 1] } else { &bytes[..end] };
        // As if it ended there.
        let line = memchr::memchr(0, line).map_or(line, |end| &line[..end]);
        self.searched = 0;
        self.split(line);
        let words = Args::new(bytes, &self.spans);
        match lines::understand(words, limits) {
            Line::Run(command) => Parsed::Request { command, len: next },
            Line::RunEncoded(command) => {
                self.decode(bytes);
                Parsed::Request { command, len: next }
            }
            Line::RunAndSkip { command, len, encoded } => {
                self.skip_then = len + LINE_END as u64;
                if encoded {
                    self.decode(bytes);
                }
                Parsed::Request { command, len: next }
            }
            Line::Value { command, len, encoded } => {
                let Ok(len) = usize::try_from(len) else { return Parsed::Close };
                if bytes.len() - next >= len + LINE_END {
                    let end = next + len + LINE_END;
                    if bytes[next + len..end] != *b"\r\n" {
                        return bad_chunk(end);
                    }
                    self.spans.push(Span { start: next as u32, len: len as u32 });
                    if encoded {
                        self.decode(bytes);
                    }
                    return Parsed::Request { command, len: end };
                }
                if len < LARGE_MIN {
                    return Parsed::Incomplete;
                }
                if encoded {
                    self.decode(bytes);
                }
                self.begin_large(command, bytes, next, len, LINE_END)
            }
            Line::Say(answer) => said(answer, next),
            Line::SayAndSkip(answer, len) => {
                self.skip = len + LINE_END as u64;
                said(answer, next)
            }
            Line::Quit => Parsed::Said { answer: Cow::Borrowed(b""), len: next, closes: true },
            Line::Close => Parsed::Close,
        }
    }

    /// Goes on with a value that is taken as it comes.
    fn begin_large(
        &mut self,
        command: CommandId,
        bytes: &[u8],
        from: usize,
        len: usize,
        end_len: usize,
    ) -> Parsed {
        let words = match &self.decoded {
            Some(decoded) => decoded.view(),
            None => Args::new(bytes, &self.spans),
        };
        let mut large = Box::new(OwnedRequest::new(words, 1, len, end_len));
        let taken = from + large.take(&bytes[from..]);
        self.decoded = None;
        self.large = Some((command, large));
        self.taken = taken;
        Parsed::Taken { len: taken }
    }

    fn parse_binary(&mut self, bytes: &[u8], limits: &Limits) -> Parsed {
        let Some(header) = binary::Header::read(bytes) else { return Parsed::Incomplete };
        let begin = binary::HEADER + usize::from(header.extras) + usize::from(header.key);
        if header.magic == binary::REQUEST && bytes.len() < begin {
            return Parsed::Incomplete;
        }
        self.spans.clear();
        match binary::understand(&header, bytes, limits) {
            binary::Frame::Run { command, value } => {
                let key_at = binary::HEADER + usize::from(header.extras);
                let span = |start: usize, len: usize| Span { start: start as u32, len: len as u32 };
                self.spans.extend([
                    span(0, binary::HEADER),
                    span(binary::HEADER, header.extras.into()),
                    span(key_at, header.key.into()),
                ]);
                let Some(len) = value else { return Parsed::Request { command, len: begin } };
                let Ok(len) = usize::try_from(len) else { return Parsed::Close };
                if bytes.len() - begin >= len {
                    self.spans.push(span(begin, len));
                    return Parsed::Request { command, len: begin + len };
                }
                if len < LARGE_MIN {
                    return Parsed::Incomplete;
                }
                self.begin_large(command, bytes, begin, len, 0)
            }
            binary::Frame::RunAndSkip { command, len } => {
                let key_at = binary::HEADER + usize::from(header.extras);
                let span = |start: usize, len: usize| Span { start: start as u32, len: len as u32 };
                self.spans.extend([
                    span(0, binary::HEADER),
                    span(binary::HEADER, header.extras.into()),
                    span(key_at, header.key.into()),
                ]);
                self.skip_then = len;
                Parsed::Request { command, len: begin }
            }
            binary::Frame::Say { answer, skip, closes } => {
                self.skip = skip;
                Parsed::Said { answer: Cow::Owned(answer), len: begin, closes }
            }
            binary::Frame::Close => Parsed::Close,
        }
    }

    /// Finds the words of a line that begins where the input does.
    fn split(&mut self, line: &[u8]) {
        self.spans.clear();
        let mut start = 0;
        let unbounded =
            line.iter().find(|byte| **byte != b' ').is_some_and(|byte| matches!(byte, b'g' | b'b'));
        for end in memchr::memchr_iter(b' ', line).chain([line.len()]) {
            if end > start {
                self.spans.push(Span { start: start as u32, len: (end - start) as u32 });
            }
            start = end + 1;
            if self.spans.len() == WORDS_MAX && !unbounded {
                break;
            }
        }
    }

    /// The same words, but the key as the bytes that it stands for.
    fn decode(&mut self, bytes: &[u8]) {
        let words = Args::new(bytes, &self.spans);
        let mut decoded = OwnedArgs::default();
        for (n, word) in words.iter().enumerate() {
            match n {
                1 => decoded.push(&meta::decoded(word)),
                _ => decoded.push(word),
            }
        }
        self.decoded = Some(Box::new(decoded));
    }
}

/// True for the beginning of a long line that asks for many keys.
fn asks_for_keys(bytes: &[u8]) -> bool {
    let indent = bytes.iter().take_while(|byte| **byte == b' ').count();
    let line = &bytes[indent..];
    indent <= INDENT_MAX && ["get ", "gets "].iter().any(|word| line.starts_with(word.as_bytes()))
}

fn said(line: &'static str, len: usize) -> Parsed {
    let answer = match line {
        "" => Cow::Borrowed(&b""[..]),
        line => Cow::Owned([line.as_bytes(), b"\r\n"].concat()),
    };
    Parsed::Said { answer, len, closes: false }
}

/// A value is not followed by the end of a line.
fn bad_chunk(len: usize) -> Parsed {
    said("CLIENT_ERROR bad data chunk", len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { item_max: 1 << 20, authenticated: true };

    /// What is found, and the words of requests, if the input comes in pieces of this size.
    fn found(input: &[u8], piece: usize) -> Vec<String> {
        let mut parser = Parser::default();
        let (mut all, mut begin, mut end) = (Vec::new(), 0, 0);
        loop {
            match parser.parse(&input[begin..end], &LIMITS) {
                Parsed::Incomplete if end == input.len() => return all,
                Parsed::Incomplete => end = (end + piece).min(input.len()),
                Parsed::Taken { len } => begin += len,
                Parsed::Request { command, len } => {
                    let args = parser.args(&input[begin..end]);
                    let words: Vec<String> = args
                        .iter()
                        .map(|word| match word.len() {
                            0..100 => String::from_utf8_lossy(word).into_owned(),
                            len => format!("{len} bytes"),
                        })
                        .collect();
                    all.push(format!("{} {}", command.row().name, words.join(",")));
                    begin += len;
                    parser.reset(true);
                }
                Parsed::Said { answer, len, closes } => {
                    let closes = if closes { " and closes" } else { "" };
                    all.push(format!("says {:?}{closes}", String::from_utf8_lossy(&answer)));
                    begin += len;
                    parser.reset(true);
                }
                Parsed::Close => {
                    all.push("closes".into());
                    return all;
                }
            }
        }
    }

    fn check(input: &[u8], expected: &[&str]) {
        for piece in [1, 2, 3, 7, 64, 40_000, 2_000_000] {
            if piece < 64 && input.len() > 10_000 {
                continue;
            }
            assert_eq!(found(input, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn requests_are_found_however_they_come() {
        check(b"get a  b\r\ngets c\nmn\r\n", &["get get,a,b", "gets gets,c", "says \"MN\\r\\n\""]);
        check(b"set k 0 0 2 noreply\r\nab\r\nget k\r\n", &["set set,k,0,0,2,noreply,ab", "get get,k"]);
        check(
            b"set k 0 0 2\r\nabcd\r\nmn\r\n",
            &["says \"CLIENT_ERROR bad data chunk\\r\\n\"", "says \"ERROR\\r\\n\"", "says \"MN\\r\\n\""],
        );
        check(b"ms Zm9v 2 b\r\nab\r\nmg Zm9v b v\r\n", &["ms ms,foo,2,b,ab", "mg mg,foo,b,v"]);
        check(b"get a\0b c\r\nquit\r\n", &["get get,a", "says \"\" and closes"]);
    }

    #[test]
    fn large_values_are_taken_as_they_come_and_too_large_ones_skipped() {
        let mut input = b"set k 1 0 50000\r\n".to_vec();
        input.resize(input.len() + 50_000, b'x');
        input.extend_from_slice(b"\r\nset k 0 0 1200000\r\n");
        input.resize(input.len() + 1_200_000, b'y');
        input.extend_from_slice(b"\r\nmn\r\n");
        check(&input, &["set set,k,1,0,50000,50000 bytes", "forget set,k,0,0,1200000", "says \"MN\\r\\n\""]);
    }

    #[test]
    fn a_line_without_an_end_ends_the_connection_unless_it_asks_for_keys() {
        check(&[b'x'; 3_000], &["closes"]);
        let mut keys = b"get ".to_vec();
        keys.extend_from_slice(&[b"key ".repeat(1_000), b"\r\n".to_vec()].concat());
        let expected = format!("get get{}", ",key".repeat(1_000));
        check(&keys, &[&expected]);
    }
}
