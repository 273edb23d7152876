//! A reply as a value: for programs that compute with what a server says. It does not know what was asked.

use std::io::{BufRead, Error, ErrorKind, Result};

/// One reply of RESP2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`.
    Simple(String),
    /// `-ERR ...`, without the dash.
    Error(String),
    /// `:1`.
    Integer(i64),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// The null of bulks and of arrays.
    Nil,
    /// An array.
    Array(Vec<Reply>),
}

impl Reply {
    /// Reads one reply. The end of the stream is an error, in front of a reply as well as within one.
    pub fn read(stream: &mut impl BufRead) -> Result<Reply> {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let text = line.strip_suffix(b"\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        let text = String::from_utf8_lossy(text);
        let (kind, rest) = text.split_at_checked(1).ok_or_else(|| strange(&text))?;
        let number = || rest.parse::<i64>().map_err(|_| strange(&text));
        Ok(match kind {
            "+" => Reply::Simple(rest.into()),
            "-" => Reply::Error(rest.into()),
            ":" => Reply::Integer(number()?),
            "$" | "*" if number()? < 0 => Reply::Nil,
            "$" => {
                let mut bytes = vec![0; number()? as usize + 2];
                stream.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(bytes)
            }
            "*" => Reply::Array((0..number()?).map(|_| Reply::read(stream)).collect::<Result<_>>()?),
            _ => return Err(strange(&text)),
        })
    }

    /// The text of a bulk or of a simple string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Reply::Simple(text) => Some(text),
            Reply::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The first error in it, at any depth.
    pub fn error(&self) -> Option<&str> {
        match self {
            Reply::Error(text) => Some(text),
            Reply::Array(parts) => parts.iter().find_map(Reply::error),
            _ => None,
        }
    }
}

fn strange(line: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not a reply: {line:?}"))
}

/// Appends one request as an array of bulks.
pub fn encode<W: AsRef<[u8]>>(request: &mut Vec<u8>, words: &[W]) {
    request.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
}

/// One request for each line, its words split at spaces.
pub fn pipeline(lines: &[String]) -> Vec<u8> {
    let mut request = Vec::new();
    lines.iter().for_each(|line| encode(&mut request, &line.split(' ').collect::<Vec<_>>()));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_become_values() {
        let mut bytes = &b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n*-1\r\n:1\r\n"[..];
        let replies: Vec<Reply> = (0..6).map(|_| Reply::read(&mut bytes).expect("a reply")).collect();
        assert_eq!(
            replies,
            [
                Reply::Simple("OK".into()),
                Reply::Error("ERR no".into()),
                Reply::Integer(-7),
                Reply::Bulk(b"a\r\n".to_vec()),
                Reply::Nil,
                Reply::Array(vec![Reply::Nil, Reply::Integer(1)]),
            ]
        );
        assert_eq!(Reply::read(&mut bytes).expect_err("the end").kind(), ErrorKind::UnexpectedEof);
        assert!(Reply::read(&mut &b"hello\r\n"[..]).is_err());
    }
}
