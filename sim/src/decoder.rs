//! Replies as a client understands them: a small decoder of RESP2 and RESP3, written apart from the engine's encoder.
//!
//! It knows the protocol (<https://redis.io/docs/latest/develop/reference/protocol-spec/>). It does not know what was asked.

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    /// `+`
    Simple(String),
    /// `-`
    Error(String),
    /// `:`
    Integer(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`
    Null,
    /// `*`
    Array(Vec<Reply>),
    /// `%`, keys and values by turns
    Map(Vec<Reply>),
    /// `~`
    Set(Vec<Reply>),
    /// `>`
    Push(Vec<Reply>),
    /// `,`
    Double(String),
    /// `#`
    Boolean(bool),
    /// `(`
    BigNumber(String),
    /// `=`
    Verbatim(Vec<u8>),
}

impl Reply {
    /// `+OK`.
    pub fn ok() -> Reply {
        Reply::Simple("OK".into())
    }

    /// An error with this line.
    pub fn error(line: &str) -> Reply {
        Reply::Error(line.into())
    }

    /// A bulk string.
    pub fn bulk(bytes: &[u8]) -> Reply {
        Reply::Bulk(bytes.to_vec())
    }
}

/// A reply, and what was particular about its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The reply.
    pub reply: Reply,
    /// It has a form that RESP2 does not know.
    pub only_resp3: bool,
    /// It has a form that RESP3 has given up (`$-1`, `*-1`).
    pub only_resp2: bool,
}

/// Bytes of one connection on their way to becoming replies.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    taken: usize,
    /// Do not look again before so many bytes are there.
    wanted: usize,
}

/// How deep replies may be nested.
const DEPTH_MAX: usize = 16;

impl Decoder {
    /// More bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 && self.taken == self.bytes.len() {
            self.bytes.clear();
            self.wanted = 0;
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that are not part of a whole reply yet.
    pub fn rest(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// The next whole reply, `None` if there is none yet, or what is wrong.
    pub fn next_reply(&mut self) -> Result<Option<Decoded>, String> {
        if self.bytes.len() < self.wanted {
            return Ok(None);
        }
        let mut walk =
            Walk { bytes: &self.bytes, at: self.taken, only_resp3: false, only_resp2: false, wanted: 0 };
        match walk.reply(0) {
            Ok(reply) => {
                let decoded = Decoded { reply, only_resp3: walk.only_resp3, only_resp2: walk.only_resp2 };
                self.taken = walk.at;
                self.wanted = 0;
                Ok(Some(decoded))
            }
            Err(Stop::Incomplete) => {
                self.wanted = walk.wanted;
                Ok(None)
            }
            Err(Stop::Wrong(text)) => Err(text),
        }
    }
}

enum Stop {
    Incomplete,
    Wrong(String),
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    only_resp3: bool,
    only_resp2: bool,
    wanted: usize,
}

impl Walk<'_> {
    fn reply(&mut self, depth: usize) -> Result<Reply, Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::Wrong("replies are nested too deeply".into()));
        }
        let line = self.line()?.to_vec();
        let (kind, text) = (line[0], line[1..].to_vec());
        self.only_resp3 |= b"%~>,#(=_".contains(&kind);
        match kind {
            b'+' => Ok(Reply::Simple(utf8(text)?)),
            b'-' => Ok(Reply::Error(utf8(text)?)),
            b':' => Ok(Reply::Integer(number(&text)?)),
            b',' => Ok(Reply::Double(utf8(text)?)),
            b'(' => Ok(Reply::BigNumber(utf8(text)?)),
            b'#' if text == b"t" || text == b"f" => Ok(Reply::Boolean(text == b"t")),
            b'_' if text.is_empty() => Ok(Reply::Null),
            b'$' | b'*' if text == b"-1" => {
                self.only_resp2 = true;
                Ok(Reply::Null)
            }
            b'$' => Ok(Reply::Bulk(self.body(&text)?)),
            b'=' => Ok(Reply::Verbatim(self.body(&text)?)),
            b'*' => Ok(Reply::Array(self.elements(count(&text)?, depth)?)),
            b'~' => Ok(Reply::Set(self.elements(count(&text)?, depth)?)),
            b'>' => Ok(Reply::Push(self.elements(count(&text)?, depth)?)),
            b'%' => Ok(Reply::Map(self.elements(2 * count(&text)?, depth)?)),
            _ => Err(Stop::Wrong(format!("no reply begins with {:?}", String::from_utf8_lossy(&line)))),
        }
    }

    fn line(&mut self) -> Result<&[u8], Stop> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return Err(Stop::Incomplete);
        };
        self.at += end + 2;
        if end == 0 {
            return Err(Stop::Wrong("an empty line instead of a reply".into()));
        }
        Ok(&rest[..end])
    }

    fn body(&mut self, text: &[u8]) -> Result<Vec<u8>, Stop> {
        let len = count(text)?;
        let end = self.at + len + 2;
        if self.bytes.len() < end {
            self.wanted = end;
            return Err(Stop::Incomplete);
        }
        let body = self.bytes[self.at..end - 2].to_vec();
        if &self.bytes[end - 2..end] != b"\r\n" {
            return Err(Stop::Wrong("a bulk string does not end where its length says".into()));
        }
        self.at = end;
        Ok(body)
    }

    fn elements(&mut self, count: usize, depth: usize) -> Result<Vec<Reply>, Stop> {
        (0..count).map(|_| self.reply(depth + 1)).collect()
    }
}

fn utf8(text: Vec<u8>) -> Result<String, Stop> {
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn number(text: &[u8]) -> Result<i64, Stop> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Stop::Wrong(format!("{:?} is no number", String::from_utf8_lossy(text))))
}

fn count(text: &[u8]) -> Result<usize, Stop> {
    let number = number(text)?;
    usize::try_from(number)
        .ok()
        .filter(|&count| count <= 1 << 30)
        .ok_or_else(|| Stop::Wrong(format!("{number} is no length")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], chunk: usize) -> Result<Vec<Reply>, String> {
        let mut decoder = Decoder::default();
        let mut replies = Vec::new();
        for part in bytes.chunks(chunk) {
            decoder.push(part);
            while let Some(decoded) = decoder.next_reply()? {
                replies.push(decoded.reply);
            }
        }
        assert_eq!(decoder.rest(), 0);
        Ok(replies)
    }

    #[test]
    fn every_chunking_gives_the_same_replies() {
        let bytes = b"+OK\r\n$4\r\na\r\nb\r\n*2\r\n:1\r\n$-1\r\n%1\r\n+k\r\n_\r\n-ERR no\r\n#t\r\n=5\r\ntxt:a\r\n*0\r\n";
        let whole = decode(bytes, bytes.len());
        assert_eq!(whole.as_ref().map(Vec::len), Ok(8));
        for chunk in 1..9 {
            assert_eq!(decode(bytes, chunk), whole, "{chunk}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for wrong in ["OK\r\n", "\r\n", "$2\r\nabc\r\n", ":x\r\n", "*-2\r\n", "#x\r\n", "$99999999999\r\n"] {
            let mut decoder = Decoder::default();
            decoder.push(wrong.as_bytes());
            assert!(decoder.next_reply().is_err(), "{wrong:?}");
        }
    }
}
