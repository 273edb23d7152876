//! What a connection does by itself, as it should be: its database, its protocol, what it has queued since MULTI, what it watches.
//!
//! It answers what needs no key, and says of everything else what it asks of the store. It does not know what the store answers.

use super::footprint::selects;
use super::replay::Deed;
use super::serial::Op;
use crate::decoder::Reply;
use crate::dialogue::Expect;
use crate::reference::store;

/// The words of a request.
type Words = Vec<Vec<u8>>;

/// What a request is about.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// The connection alone.
    Alone(Expect),
    /// The store.
    Store(Deed),
    /// A step of a scan.
    Scan,
    /// CLIENT UNBLOCK of the client of this name.
    Unblocks {
        /// The name.
        id: u64,
        /// It is to hear an error.
        with_error: bool,
    },
    /// The connection, which ends.
    Ends(Expect),
}

/// Keys that are watched.
#[derive(Clone, Debug)]
struct Watching {
    op: Op,
    database: usize,
    keys: Words,
}

/// A connection, as of the requests taken.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The selected database.
    pub database: usize,
    /// The protocol.
    pub resp3: bool,
    queue: Option<Vec<Words>>,
    /// A command was refused since MULTI.
    broken: bool,
    watching: Vec<Watching>,
    /// What an EXEC under way leaves selected, if it is not refused.
    selects: Option<(Op, usize)>,
}

impl Session {
    /// True between MULTI and its end.
    pub fn is_in_multi(&self) -> bool {
        self.queue.is_some()
    }

    /// What is watched, by database.
    pub fn watched(&self) -> Vec<(usize, Words)> {
        self.watching.iter().map(|watching| (watching.database, watching.keys.clone())).collect()
    }

    /// A WATCH has its name.
    pub fn watches(&mut self, op: Op, keys: Words) {
        self.watching.push(Watching { op, database: self.database, keys });
    }

    /// EXEC has its place: nothing is watched any more. `databases`: how many there are.
    pub fn executes(&mut self, op: Op, commands: &[Words], databases: usize) {
        self.watching.clear();
        let selected = commands.iter().filter_map(|words| selects(words, databases)).next_back();
        self.selects = selected.map(|database| (op, database));
    }

    /// EXEC has run, or was refused.
    pub fn executed(&mut self, op: Op, refused: bool) {
        let selected = self.selects.take_if(|(by, _)| *by == op);
        if let (Some((_, database)), false) = (selected, refused) {
            self.database = database;
        }
    }

    /// The next request, taken by a core that refuses changes with `refusal`, if it does; the error says what should not be.
    pub fn next(
        &mut self,
        words: &Words,
        databases: usize,
        refusal: Option<Reply>,
    ) -> Result<Meaning, String> {
        let name = words[0].to_ascii_lowercase();
        let exactly = |reply| Ok(Meaning::Alone(Expect::Exactly(reply)));
        match &name[..] {
            b"quit" => return Ok(Meaning::Ends(Expect::Exactly(Reply::ok()))),
            b"hello" if self.queue.is_none() && words.len() == 2 => {
                self.resp3 = words[1] == b"3";
                return Ok(Meaning::Alone(Expect::Any));
            }
            b"save" | b"bgsave" | b"lastsave" | b"waitaof" if self.queue.is_none() => {
                return Ok(Meaning::Alone(Expect::Any));
            }
            b"scan" if self.queue.is_none() => return Ok(Meaning::Scan),
            b"client" if self.queue.is_none() && words.len() > 2 => {
                let id = std::str::from_utf8(&words[2]).ok().and_then(|text| text.parse().ok());
                let with_error = words.get(3).is_some_and(|word| word.eq_ignore_ascii_case(b"error"));
                return Ok(Meaning::Unblocks {
                    id: id.ok_or("the simulator names clients by numbers")?,
                    with_error,
                });
            }
            _ => {}
        }
        let refused = match store::refusal(words) {
            None => Some(unknown(words)),
            Some(Some(refused)) => Some(refused),
            // Who asks how the server is hears of it.
            Some(None) if name == b"ping" => refusal,
            Some(None) => None,
        };
        if let Some(refused) = refused {
            self.broken |= self.queue.is_some();
            return exactly(refused);
        }
        if self.selects.is_some() {
            return Err("a request is taken before an EXEC with SELECT is over".into());
        }
        let reply = match (&name[..], &mut self.queue) {
            (b"migrate", Some(_)) => {
                self.broken = true;
                Reply::error("ERR Command not allowed inside a transaction")
            }
            (b"multi", Some(_)) => Reply::error("ERR MULTI calls can not be nested"),
            (b"multi", None) => {
                self.queue = Some(Vec::new());
                Reply::ok()
            }
            (b"watch", Some(_)) => Reply::error("ERR WATCH inside MULTI is not allowed"),
            (b"watch", None) => return Ok(Meaning::Store(Deed::Watch(words[1..].to_vec()))),
            (b"unwatch", None) => {
                self.watching.clear();
                Reply::ok()
            }
            (b"discard", None) => Reply::error("ERR DISCARD without MULTI"),
            (b"discard", Some(_)) => {
                self.end();
                self.watching.clear();
                Reply::ok()
            }
            (b"exec", None) => Reply::error("ERR EXEC without MULTI"),
            (b"exec", Some(_)) => {
                let (broken, commands) = self.end();
                if broken {
                    self.watching.clear();
                    return exactly(Reply::error(ABORTED));
                }
                let watches = self.watching.iter().map(|watching| watching.op).collect();
                return Ok(Meaning::Store(Deed::Exec { commands, watches }));
            }
            (_, Some(queue)) => {
                queue.push(words.clone());
                Reply::Simple("QUEUED".into())
            }
            (b"ping", None) => words.get(1).map_or(Reply::Simple("PONG".into()), |word| Reply::bulk(word)),
            (b"echo", None) => Reply::bulk(&words[1]),
            (b"select", None) => self.select(words, databases),
            (_, None) => return Ok(Meaning::Store(Deed::Command(words.clone()))),
        };
        exactly(reply)
    }

    fn select(&mut self, words: &Words, databases: usize) -> Reply {
        let number = std::str::from_utf8(&words[1]).ok().and_then(|text| text.parse::<i64>().ok());
        match (number, selects(words, databases)) {
            (None, _) => Reply::error("ERR value is not an integer or out of range"),
            (_, None) => Reply::error("ERR DB index is out of range"),
            (_, Some(database)) => {
                self.database = database;
                Reply::ok()
            }
        }
    }

    fn end(&mut self) -> (bool, Vec<Words>) {
        (std::mem::take(&mut self.broken), self.queue.take().unwrap_or_default())
    }
}

/// The error of an EXEC after a command that was refused.
pub const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";

fn unknown(words: &Words) -> Reply {
    let rest: Vec<String> =
        words[1..].iter().map(|word| format!("'{}' ", String::from_utf8_lossy(word))).collect();
    Reply::Error(format!(
        "ERR unknown command '{}', with args beginning with: {}",
        String::from_utf8_lossy(&words[0]),
        rest.concat()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::serial::{Said, Serial};

    #[test]
    fn exec_has_what_was_queued_and_selects_if_it_is_not_refused() {
        for (refused, database) in [(false, 1), (true, 0)] {
            let mut session = Session::default();
            let mut say = |line: &str| {
                let words: Words = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
                session.next(&words, 2, None)
            };
            assert!(matches!(say("MULTI"), Ok(Meaning::Alone(_))));
            assert!(matches!(say("SELECT 1"), Ok(Meaning::Alone(_))));
            assert!(matches!(say("SET k v"), Ok(Meaning::Alone(_))));
            let Ok(Meaning::Store(Deed::Exec { commands, watches })) = say("EXEC") else { panic!("it runs") };
            assert_eq!((commands.len(), watches.len()), (2, 0));
            let op = Serial::default().begin(Said { connection: 0, number: 0 }, 0);
            session.executes(op, &commands, 2);
            assert!(session.next(&vec![b"PING".to_vec()], 2, None).is_err());
            session.executed(op, refused);
            assert_eq!(session.database, database);
        }
    }

    #[test]
    fn a_refused_command_spoils_what_is_queued() {
        let mut session = Session::default();
        for (line, expected) in [
            ("MULTI", "OK"),
            ("GET", "ERR wrong number of arguments for 'get' command"),
            ("SET k v", "QUEUED"),
            ("EXEC", ABORTED),
            ("EXEC", "ERR EXEC without MULTI"),
        ] {
            let words: Words = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let Ok(Meaning::Alone(Expect::Exactly(reply))) = session.next(&words, 2, None) else {
                panic!("{line}")
            };
            let text = match reply {
                Reply::Simple(text) | Reply::Error(text) => text,
                other => format!("{other:?}"),
            };
            assert_eq!(text, expected, "{line}");
        }
    }

    #[test]
    fn who_asks_a_core_that_cannot_write_is_refused() {
        let no_room = Reply::error("MISCONF Errors writing to the AOF file: No space left on device");
        let pong = Reply::Simple("PONG".into());
        let queued = Reply::Simple("QUEUED".into());
        let mut session = Session::default();
        for (line, refusal, expected) in [
            ("PING", None, pong),
            ("PING", Some(&no_room), no_room.clone()),
            ("PING word", Some(&no_room), no_room.clone()),
            ("PING a b", Some(&no_room), Reply::error("ERR wrong number of arguments for 'ping' command")),
            ("ECHO word", Some(&no_room), Reply::bulk(b"word")),
            ("MULTI", Some(&no_room), Reply::ok()),
            ("PING", None, queued),
            ("PING", Some(&no_room), no_room.clone()),
            ("EXEC", None, Reply::error(ABORTED)),
        ] {
            let words: Words = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let Ok(Meaning::Alone(Expect::Exactly(reply))) = session.next(&words, 2, refusal.cloned()) else {
                panic!("{line}")
            };
            assert_eq!(reply, expected, "{line}");
        }
    }
}
