//! One client: what it still has to say, and its end of the connection.

use std::collections::VecDeque;

use darter_core::event::ConnId;

/// Something that a client still has to say.
#[derive(Clone, Debug)]
pub enum Op {
    /// A request.
    Say(Vec<Vec<u8>>),
    /// Bytes that are none.
    Send(Vec<u8>),
    /// A scan from beginning to end.
    Scan(u64),
    /// Nothing more on this connection.
    HalfClose,
}

/// One client.
#[derive(Debug)]
pub struct Client {
    /// On which core its connections lie.
    pub core: usize,
    /// Says whatever the table knows.
    pub wild: bool,
    /// Speaks memcached's protocol.
    pub is_of_items: bool,
    /// What is still to be said.
    pub ops: VecDeque<Op>,
    /// Bytes that are said but not sent.
    pub out: VecDeque<u8>,
    /// A connection is being opened.
    pub opening: bool,
    /// The open connection: its name on the core and that of the checkers.
    pub open: Option<(ConnId, usize)>,
    /// When the last bytes on their way arrive.
    pub last_arrival: u64,
    /// Reads nothing until then.
    pub stalled_until: u64,
    /// Has ended its sending half.
    pub half_closed: bool,
    /// A tick is in the heap.
    pub ticking: bool,
}

impl Client {
    /// Not connected.
    pub fn new(core: usize, wild: bool) -> Client {
        Client {
            core,
            wild,
            is_of_items: false,
            ops: VecDeque::new(),
            out: VecDeque::new(),
            opening: false,
            open: None,
            last_arrival: 0,
            stalled_until: 0,
            half_closed: false,
            ticking: false,
        }
    }

    /// Its connection is gone.
    pub fn lose(&mut self) {
        self.open = None;
        self.out.clear();
        self.half_closed = false;
        self.stalled_until = 0;
    }
}

/// A request as bytes: in the usual form, or on one line where that is possible and asked for.
pub fn encode(words: &[Vec<u8>], inline: bool) -> Vec<u8> {
    let plain = |word: &Vec<u8>| {
        !word.is_empty()
            && word.len() < 100
            && word.iter().all(|b| b.is_ascii_alphanumeric() || b"{}:*".contains(b))
    };
    if inline && words.iter().all(plain) && words[0][0].is_ascii_alphabetic() {
        let mut line = words.join(&b' ');
        line.extend_from_slice(b"\r\n");
        return line;
    }
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_two_forms() {
        let words = |list: &[&str]| list.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(encode(&words(&["GET", "k"]), true), b"GET k\r\n");
        assert_eq!(encode(&words(&["GET", "k"]), false), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
        assert_eq!(encode(&words(&["GET", "k y"]), true), b"*2\r\n$3\r\nGET\r\n$3\r\nk y\r\n");
    }
}
