//! One connection as its checkers see it: what was said, what of it the engine took, what must be answered.

use std::collections::BTreeSet;
use std::hash::Hasher;

use crate::check::replay::Deed;
use crate::check::serial::Op;
use crate::check::session::Session;
use crate::check::under_way::Taking;
use crate::decoder::{Decoded, Decoder, Reply};
use crate::text;
use crate::trace::Trace;

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words.
    Words,
    /// Bytes that end the connection with an error.
    Malformed,
    /// Bytes that are taken without an answer.
    Nothing,
    /// Words that are taken without an answer.
    Silent,
    /// Words that are answered always in the same way, by whoever reads them.
    Said,
}

impl Kind {
    /// True for what is run.
    pub fn is_run(self) -> bool {
        matches!(self, Kind::Words | Kind::Silent)
    }

    /// True for what has an answer.
    pub fn is_answered(self) -> bool {
        !matches!(self, Kind::Nothing | Kind::Silent)
    }
}

/// What a reply must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It has not run yet: no reply may come.
    Unknown,
    /// Exactly this.
    Exactly(Reply),
    /// Any one well-formed reply.
    Any,
    /// An error, whatever its words.
    AnyError,
    /// Whatever the order of all requests says: it is judged when that is known.
    Replayed(Op),
    /// A cursor and some of these keys, each as [`fingerprint`] gives it.
    ScanOf(Vec<u64>),
    /// Whether CLIENT UNBLOCK has ended a wait: that is known when all is said.
    Unblocks {
        /// Of whom.
        id: u64,
        /// It is to hear an error.
        with_error: bool,
    },
}

impl Expect {
    fn fits(&self, reply: &Reply) -> bool {
        match self {
            Expect::Unknown => false,
            Expect::Any | Expect::Replayed(_) => true,
            Expect::AnyError => matches!(reply, Reply::Error(_)),
            Expect::Unblocks { .. } => matches!(reply, Reply::Integer(0 | 1)),
            Expect::Exactly(expected) => reply == expected,
            Expect::ScanOf(keys) => scan_reply(reply)
                .is_some_and(|(_, found)| found.iter().all(|key| keys.contains(&fingerprint(key)))),
        }
    }
}

/// A number that stands for a key where there are many.
pub fn fingerprint(key: &[u8]) -> u64 {
    let mut hasher = Trace::new(false, false);
    hasher.write(key);
    hasher.finish()
}

/// Cursor and keys of a reply to SCAN.
pub fn scan_reply(reply: &Reply) -> Option<(u64, Vec<Vec<u8>>)> {
    let Reply::Array(pair) = reply else { return None };
    let [Reply::Bulk(cursor), Reply::Array(found)] = &pair[..] else { return None };
    let cursor = std::str::from_utf8(cursor).ok()?.parse().ok()?;
    let keys = found.iter().map(|key| if let Reply::Bulk(key) = key { Some(key.clone()) } else { None });
    Some((cursor, keys.collect::<Option<Vec<_>>>()?))
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its words.
    pub words: Vec<Vec<u8>>,
    /// What it is.
    pub kind: Kind,
    /// Where its bytes begin and end in all that the client says.
    pub start: u64,
    /// See `start`.
    pub end: u64,
    /// What its reply must be.
    pub expect: Expect,
    /// The protocol in which its reply is given.
    pub resp3: bool,
}

/// One connection from its opening to its end.
#[derive(Clone, Debug)]
pub struct Dialogue {
    /// Whose.
    pub client: usize,
    /// On which core.
    pub core: u16,
    /// Its name, as the engine calls it.
    pub id: u64,
    /// All that was said.
    pub requests: Vec<Request>,
    /// Bytes of it that the engine has consumed.
    pub consumed: u64,
    /// The first request that the engine has not taken.
    pub taken: usize,
    /// The first request that is not answered.
    pub answered: usize,
    /// The request that is about to be taken, if something of it has run already.
    pub taking: Option<Taking>,
    /// What the connection is, as of the requests taken.
    pub session: Session,
    /// Says whatever the table knows.
    pub wild: bool,
    /// The request that ended it: nothing behind it is taken.
    pub ended_by: Option<usize>,
    /// The request that it waited for when it was gone.
    pub gave_up: Option<usize>,
    /// The engine has asked to close it: what comes now is taken by nobody.
    pub shut: bool,
    /// The client says no more and is closed when everything is answered.
    pub half_closed: bool,
    /// The client will hear nothing more.
    pub over: bool,
    /// Requests at other cores that are not answered there yet.
    pub remote: BTreeSet<usize>,
    /// It speaks memcached's protocol.
    pub is_of_items: bool,
    ear: Ear,
}

/// Understands replies.
#[derive(Clone, Debug)]
enum Ear {
    Redis(Decoder),
    Memcached(text::Decoder),
}

impl Ear {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Ear::Redis(decoder) => decoder.push(bytes),
            Ear::Memcached(decoder) => decoder.push(bytes),
        }
    }

    fn next_reply(&mut self) -> Result<Option<Decoded>, String> {
        match self {
            Ear::Redis(decoder) => decoder.next_reply(),
            Ear::Memcached(decoder) => decoder.next_reply(),
        }
    }

    fn rest(&self) -> usize {
        match self {
            Ear::Redis(decoder) => decoder.rest(),
            Ear::Memcached(decoder) => decoder.rest(),
        }
    }
}

impl Dialogue {
    /// The same in memcached's protocol.
    pub fn of_items(client: usize, core: u16) -> Dialogue {
        let ear = Ear::Memcached(text::Decoder::default());
        Dialogue { is_of_items: true, ear, ..Dialogue::new(client, core, false) }
    }

    /// Nothing has been said.
    pub fn new(client: usize, core: u16, wild: bool) -> Dialogue {
        Dialogue {
            client,
            core,
            id: 0,
            requests: Vec::new(),
            consumed: 0,
            taken: 0,
            answered: 0,
            taking: None,
            session: Session::default(),
            wild,
            ended_by: None,
            gave_up: None,
            shut: false,
            half_closed: false,
            over: false,
            remote: BTreeSet::new(),
            is_of_items: false,
            ear: Ear::Redis(Decoder::default()),
        }
    }

    /// What words ask of the store.
    pub fn deed(&self, words: Vec<Vec<u8>>) -> Deed {
        if self.is_of_items { Deed::Item(words) } else { Deed::Command(words) }
    }

    /// The client says this, in these many bytes; the request's number.
    pub fn say(&mut self, words: Vec<Vec<u8>>, kind: Kind, bytes: u64) -> usize {
        let start = self.requests.last().map_or(0, |request| request.end);
        self.requests.push(Request {
            words,
            kind,
            start,
            end: start + bytes,
            expect: Expect::Unknown,
            resp3: false,
        });
        self.requests.len() - 1
    }

    /// The next request that the engine has to take.
    pub fn next(&self) -> usize {
        let is_passed = |request: &&Request| matches!(request.kind, Kind::Nothing | Kind::Said);
        self.taken + self.requests[self.taken..].iter().take_while(is_passed).count()
    }

    /// The first request that wants an answer and has none yet.
    pub fn first_unanswered(&self) -> Option<usize> {
        (self.answered..self.requests.len()).find(|number| self.requests[*number].kind.is_answered())
    }

    /// Requests that are not answered yet, as the client sees it.
    pub fn outstanding(&self) -> usize {
        let open = &self.requests[self.answered..];
        open.iter().filter(|request| request.kind.is_answered()).count()
    }

    /// The client has received bytes; the requests that they answer, with their replies. Each reply is compared with what it must be.
    pub fn received(&mut self, bytes: &[u8]) -> Result<Vec<(usize, Reply)>, String> {
        if self.over && !bytes.is_empty() {
            return Err(format!("client {} hears something after the end", self.client));
        }
        self.ear.push(bytes);
        let mut answered = Vec::new();
        while let Some(decoded) = self.ear.next_reply()? {
            while self.requests.get(self.answered).is_some_and(|request| !request.kind.is_answered()) {
                self.answered += 1;
            }
            let Some(request) = self.requests.get(self.answered) else {
                return Err(format!(
                    "client {} hears {:?}, which answers nothing",
                    self.client, decoded.reply
                ));
            };
            self.judge(request, &decoded)?;
            answered.push((self.answered, decoded.reply));
            self.answered += 1;
        }
        Ok(answered)
    }

    fn judge(&self, request: &Request, decoded: &Decoded) -> Result<(), String> {
        let said = spoken(&request.words);
        if !request.expect.fits(&decoded.reply) {
            return Err(format!(
                "client {} said {said} and hears {}, but must hear {}",
                self.client,
                short(&format!("{:?}", decoded.reply)),
                short(&format!("{:?}", request.expect))
            ));
        }
        if decoded.only_resp3 && !request.resp3 || decoded.only_resp2 && request.resp3 {
            return Err(format!("client {} said {said} and hears the wrong protocol", self.client));
        }
        Ok(())
    }

    /// The server has closed the connection and everything it had to say has arrived. `excused`: it may do so at any time.
    pub fn closed_by_server(&mut self, excused: bool) -> Result<(), String> {
        self.over = true;
        if excused {
            return Ok(());
        }
        let due = match self.ended_by {
            Some(last) => last + 1,
            None if self.half_closed => self.requests.len(),
            None => return Err(format!("client {} was closed without a reason", self.client)),
        };
        // Who says no more is not waited with.
        let due = self.gave_up.map_or(due, |gave_up| due.min(gave_up));
        let open = self.requests.get(self.answered..due).unwrap_or_default();
        let is_answered = open.iter().all(|request| !request.kind.is_answered());
        if !is_answered || self.answered > due || self.ear.rest() > 0 {
            let unanswered: Vec<String> = open.iter().map(|request| spoken(&request.words)).collect();
            return Err(format!(
                "client {} was closed after reply {} with {} bytes of another, but {} were due: {unanswered:?}",
                self.client,
                self.answered,
                self.ear.rest(),
                due
            ));
        }
        Ok(())
    }
}

/// Words for people, the long ones cut.
pub fn spoken(words: &[Vec<u8>]) -> String {
    let words: Vec<String> = words.iter().map(|word| short(&String::from_utf8_lossy(word))).collect();
    short(&words.join(" "))
}

fn short(text: &str) -> String {
    const SHOWN: usize = 300;
    if text.len() <= SHOWN {
        text.to_string()
    } else {
        format!("{}...", text.chars().take(SHOWN).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialogue(expects: Vec<Expect>) -> Dialogue {
        let mut dialogue = Dialogue::new(0, 0, false);
        for expect in expects {
            let n = dialogue.say(vec![b"GET".to_vec()], Kind::Words, 10);
            dialogue.requests[n].expect = expect;
        }
        dialogue
    }

    #[test]
    fn a_reply_must_be_due_and_right() {
        let exact = |n| Expect::Exactly(Reply::Integer(n));
        assert!(dialogue(vec![exact(1), exact(2)]).received(b":1\r\n:2\r\n").is_ok());
        for (expects, bytes) in [
            (vec![exact(1), exact(2)], &b":2\r\n"[..]),
            (vec![Expect::Unknown], b":1\r\n"),
            (vec![exact(1)], b":1\r\n:1\r\n"),
            (vec![Expect::Any], b"_\r\n"),
        ] {
            assert!(dialogue(expects.clone()).received(bytes).is_err(), "{expects:?}");
        }
    }

    #[test]
    fn an_end_needs_a_reason_and_all_replies() {
        let mut quit = dialogue(vec![Expect::Any, Expect::Any]);
        quit.ended_by = Some(1);
        let _ = quit.received(b"+OK\r\n");
        assert!(quit.clone().closed_by_server(false).is_err());
        let _ = quit.received(b"+OK\r\n");
        assert!(quit.clone().closed_by_server(false).is_ok());
        assert!(quit.received(b"+OK\r\n").is_err());
        assert!(dialogue(vec![]).closed_by_server(false).is_err());
    }
}
