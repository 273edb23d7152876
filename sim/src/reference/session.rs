//! One connection to the whole store: its database, what it has queued and what it watches.
//!
//! For those who run the requests of a connection one after the other. Whoever replays requests in an order of his own uses the
//! parts of [`Store`] instead.

use super::answer::Answer;
use super::store::{Store, Watched, refusal};
use super::{Line, Words};
use crate::decoder::Reply;

/// A connection.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The selected database.
    pub database: usize,
    /// Since MULTI.
    queue: Option<Vec<Vec<Vec<u8>>>>,
    /// A command was refused since MULTI.
    broken: bool,
    watched: Vec<Watched>,
}

impl Session {
    /// Runs or queues a request; `None` if the reference does not know it.
    pub fn run(&mut self, store: &mut Store, words: &Words) -> Option<Answer> {
        if let Some(refusal) = refusal(words)? {
            self.broken |= self.queue.is_some();
            return Some(Answer::Exactly(refusal));
        }
        let reply = match (&words[0].to_ascii_lowercase()[..], &mut self.queue) {
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
            (b"watch", None) => {
                self.watch(store, &words[1..]);
                Reply::ok()
            }
            (b"unwatch", None) => {
                self.watched.clear();
                Reply::ok()
            }
            (b"discard", _) => {
                self.end("ERR DISCARD without MULTI").map_or_else(Reply::error, |_| Reply::ok())
            }
            (b"exec", _) => {
                let (broken, watched) = (self.broken, self.watched.clone());
                match self.end("ERR EXEC without MULTI") {
                    Err(line) => Reply::error(line),
                    Ok(_) if broken => {
                        Reply::error("EXECABORT Transaction discarded because of previous errors.")
                    }
                    Ok(commands) => return store.exec(&mut self.database, &commands, &watched),
                }
            }
            (_, Some(queue)) => {
                queue.push(words.to_vec());
                Reply::Simple("QUEUED".into())
            }
            (_, None) => return store.run_selected(&mut self.database, words),
        };
        Some(Answer::Exactly(reply))
    }

    /// A key that is watched already is watched from then on.
    fn watch(&mut self, store: &Store, keys: &Words) {
        for key in keys {
            let watched = store.watch(self.database, key);
            if !self.watched.iter().any(|earlier| earlier.is_of_the_same_key(&watched)) {
                self.watched.push(watched);
            }
        }
    }

    /// What was queued; nothing is queued or watched any more.
    fn end(&mut self, without_multi: Line) -> Result<Vec<Vec<Vec<u8>>>, Line> {
        let queue = self.queue.take().ok_or(without_multi)?;
        self.broken = false;
        self.watched.clear();
        Ok(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::words;

    /// Runs lines of two clients at given instants and compares: `A SET k v`.
    #[track_caller]
    fn check(lines: &[(u64, &str, &str)]) {
        let mut store = Store::of_one_shard(2);
        let mut sessions = [Session::default(), Session::default()];
        for (at, line, expected) in lines {
            let words = words(line);
            store.judge_by(0, *at);
            let session = &mut sessions[usize::from(words[0] == b"B")];
            let answer = session.run(&mut store, &words[1..]).expect("the reference knows it");
            let Answer::Exactly(reply) = &answer else {
                assert_eq!(format!("{answer:?}"), *expected, "{line}");
                continue;
            };
            let text = match reply {
                Reply::Simple(text) | Reply::Error(text) => text.clone(),
                Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                other => format!("{other:?}"),
            };
            assert_eq!(text, *expected, "{line}");
        }
    }

    const RUN: &str = "Each([Exactly(Simple(\"PONG\"))])";

    #[test]
    fn exec_answers_nothing_if_what_is_watched_has_changed() {
        for (before, between, changes) in [
            ("SET k v", "SET k v", true),
            ("SET k v", "SET other v", false),
            ("SET k v", "GETEX k PERSIST", false),
            ("SET k v", "EXPIRE k 10", true),
            ("SET k v", "DEL k", true),
            ("SET k v", "FLUSHALL", true),
            ("SET k v", "SWAPDB 0 1", true),
            ("SET k v", "SET k w NX", false),
            ("SET k v", "LPUSH k a", false),
            ("SET k v", "RENAME k other", true),
            ("SET k v", "COPY k other", false),
            ("PING", "DEL k", false),
            ("PING", "FLUSHALL", false),
            ("PING", "SWAPDB 0 1", false),
            ("PING", "RPUSH k a", true),
            ("RPUSH k a b", "LTRIM k 0 -1", true),
            ("RPUSH k a b", "LREM k 0 c", false),
            ("RPUSH k a b", "LPOP k 0", false),
            ("RPUSH k a b", "LMOVE k k LEFT RIGHT", true),
        ] {
            let mut store = Store::of_one_shard(2);
            let mut sessions = [Session::default(), Session::default()];
            let mut run = |client: usize, line: &str| {
                sessions[client].run(&mut store, &words(line)).expect("the reference knows it")
            };
            run(1, before);
            run(0, "WATCH k");
            run(1, between);
            run(0, "MULTI");
            run(0, "PING");
            let answer = run(0, "EXEC");
            assert_eq!(answer == Answer::Exactly(Reply::Null), changes, "{before}; {between}");
        }
    }

    #[test]
    fn a_key_whose_time_has_come_has_changed() {
        check(&[
            (1, "B SET k v PX 10", "OK"),
            (2, "A WATCH k", "OK"),
            (11, "A MULTI", "OK"),
            (11, "A PING", "QUEUED"),
            (11, "A EXEC", "Null"),
            // It was gone when it was watched, whether somebody has removed it or not.
            (11, "A WATCH k", "OK"),
            (12, "B DEL k", "Integer(0)"),
            (12, "A MULTI", "OK"),
            (12, "A PING", "QUEUED"),
            (12, "A EXEC", RUN),
        ]);
    }

    #[test]
    fn multi_queues_and_refuses() {
        check(&[
            (1, "A EXEC", "ERR EXEC without MULTI"),
            (1, "A DISCARD", "ERR DISCARD without MULTI"),
            (1, "A MULTI", "OK"),
            (1, "A MULTI", "ERR MULTI calls can not be nested"),
            (1, "A WATCH k", "ERR WATCH inside MULTI is not allowed"),
            (1, "A GET", "ERR wrong number of arguments for 'get' command"),
            (1, "A SET k v", "QUEUED"),
            (1, "A EXEC", "EXECABORT Transaction discarded because of previous errors."),
            (1, "A MULTI", "OK"),
            (1, "A PING", "QUEUED"),
            (1, "A EXEC", RUN),
            (1, "A GET k", "Null"),
            (1, "A MULTI", "OK"),
            (1, "A SELECT 1", "QUEUED"),
            (1, "A SET k one", "QUEUED"),
            (1, "A EXEC", "Each([Exactly(Simple(\"OK\")), Exactly(Simple(\"OK\"))])"),
            (1, "A GET k", "one"),
            (1, "B GET k", "Null"),
        ]);
    }
}
