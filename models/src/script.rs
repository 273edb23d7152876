//! What one client says, in which pieces, and what it must hear.

/// What a reply must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// These bytes.
    Exactly(Vec<u8>),
    /// The value of the counter with this number after one more: different for everybody, and growing for each.
    Counter(usize),
}

/// One client.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Its core.
    pub core: u16,
    /// Its index there.
    pub index: u32,
    /// Connects when this other client is gone, with the same index.
    pub after: Option<usize>,
    /// What it says, in the pieces in which it arrives.
    pub pieces: Vec<Vec<u8>>,
    /// What it must hear.
    pub replies: Vec<Expect>,
    /// It may vanish at any time.
    pub may_vanish: bool,
    /// It ends its sending half behind the last piece.
    pub half_closes: bool,
    /// Reads of one byte before it reads all.
    pub small_reads: u8,
    /// The last request ends the connection.
    pub quits: bool,
}

impl Script {
    /// A client of a core.
    pub fn on(core: u16, index: u32) -> Script {
        Script { core, index, ..Script::default() }
    }

    /// Says this as one piece.
    #[must_use]
    pub fn says(mut self, piece: &str, replies: Vec<Expect>) -> Script {
        self.pieces.push(piece.as_bytes().to_vec());
        self.replies.extend(replies);
        self
    }

    /// Reads what it has heard: the numbers of the counters, or what is wrong. The end may be a part of a reply.
    pub fn hear(&self, heard: &[u8]) -> Result<Heard, String> {
        let (mut at, mut counters, mut whole) = (0, Vec::new(), 0);
        for expect in &self.replies {
            let rest = &heard[at..];
            if rest.is_empty() {
                break;
            }
            let len = match expect {
                Expect::Exactly(bytes) => {
                    let len = bytes.len().min(rest.len());
                    if rest[..len] != bytes[..len] {
                        return Err(format!("reply {whole}: {}", rest.escape_ascii()));
                    }
                    if len < bytes.len() {
                        break;
                    }
                    len
                }
                Expect::Counter(counter) => {
                    let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { break };
                    let number =
                        std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.strip_prefix(':'));
                    match number.and_then(|text| text.parse().ok()) {
                        Some(number) => counters.push((*counter, number)),
                        None => return Err(format!("reply {whole}: {}", rest.escape_ascii())),
                    }
                    end + 2
                }
            };
            at += len;
            whole += 1;
        }
        if whole == self.replies.len() && at < heard.len() {
            return Err(format!("a reply too many: {}", heard[at..].escape_ascii()));
        }
        Ok(Heard { replies: whole, counters })
    }
}

/// What a client has understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Whole replies.
    pub replies: usize,
    /// Counters and their values, in order.
    pub counters: Vec<(usize, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_right_and_everything_else_is_not() {
        let ok = Expect::Exactly(b"+OK\r\n".to_vec());
        let script = Script::on(0, 0).says("x", vec![ok, Expect::Counter(3)]);
        let replies = |heard: &str| script.hear(heard.as_bytes()).map(|heard| heard.replies);
        assert_eq!(replies(""), Ok(0));
        assert_eq!(replies("+O"), Ok(0));
        assert_eq!(replies("+OK\r\n:1"), Ok(1));
        assert_eq!(script.hear(b"+OK\r\n:12\r\n"), Ok(Heard { replies: 2, counters: vec![(3, 12)] }));
        for wrong in [":1\r\n", "+OK\r\n+OK\r\n", "+OK\r\n:1\r\n:2\r\n"] {
            assert!(replies(wrong).is_err(), "{wrong}");
        }
    }
}
