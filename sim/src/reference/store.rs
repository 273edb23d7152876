//! The whole store, as if it had never been cut into shards: commands run one after the other.
//!
//! It is told the order. It does not know connections, nor who asked. Time is that of the shard on which a key lies, since shards judge expiry
//! each by its own latest instant: whoever replays says before each command which shard judges by which instant.

use super::answer::Answer;
use super::{Line, SYNTAX, Shard, Words, arity, glob, integer, is};
use crate::decoder::Reply;

/// Where a key lies.
pub type Home = dyn Fn(&[u8]) -> usize + Send + Sync;

/// All keys.
#[derive(Clone, Debug)]
pub struct Store {
    /// As one shard.
    pub all: Shard,
}

/// What a key was when somebody began to watch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    database: usize,
    key: Vec<u8>,
    version: u64,
    lives: bool,
}

impl Watched {
    /// True for two looks at one key.
    pub fn is_of_the_same_key(&self, other: &Watched) -> bool {
        (self.database, &self.key) == (other.database, &other.key)
    }
}

impl Store {
    /// Without keys, on so many shards.
    pub fn new(databases: usize, shards: usize, home: Box<Home>) -> Store {
        let mut all = Shard::new(databases);
        all.homes = Some(super::Homes { of: home.into(), clocks: vec![0; shards] });
        Store { all }
    }

    /// Without keys, on one shard.
    pub fn of_one_shard(databases: usize) -> Store {
        Store::new(databases, 1, Box::new(|_| 0))
    }

    /// From now on this shard judges by this instant, Unix milliseconds.
    pub fn judge_by(&mut self, shard: usize, unix_millis: u64) {
        self.all.homes.as_mut().expect("a store knows its shards").clocks[shard] = unix_millis;
    }

    /// Runs a command outside of MULTI; `None` if the reference does not know it.
    pub fn run(&mut self, database: usize, words: &Words) -> Option<Answer> {
        let name = words[0].to_ascii_lowercase();
        if let Some(refusal) = refusal(words)? {
            return Some(Answer::Exactly(refusal));
        }
        self.all.moment += 1;
        let whole = match &name[..] {
            b"dbsize" => {
                // Keys whose time has come count until somebody removes them, as in Redis.
                let living = self.all.living(database).count() as i64;
                Ok(Answer::Between(living, self.all.databases[database].len() as i64))
            }
            b"keys" => {
                let living = self.all.living(database).map(|(key, _)| key);
                let fitting = living.filter(|key| glob::fits(&words[1], key));
                Ok(Answer::Unordered(fitting.map(|key| Reply::bulk(key)).collect()))
            }
            b"randomkey" => {
                let mut keys: Vec<Reply> =
                    self.all.living(database).map(|(key, _)| Reply::bulk(key)).collect();
                // Who meets nothing but keys whose time has come gives up.
                if keys.len() < self.all.databases[database].len() || keys.is_empty() {
                    keys.push(Reply::Null);
                }
                Ok(Answer::OneOf(keys))
            }
            b"zrandmember" => {
                match (super::sorted_sets::set(&mut self.all, database, &words[1]), &words[2..]) {
                    (Err(line), _) => Err(line),
                    (Ok(None), []) => Ok(Answer::Exactly(Reply::Null)),
                    (Ok(Some(set)), []) => {
                        Ok(Answer::OneOf(set.keys().map(|member| Reply::bulk(member)).collect()))
                    }
                    // So many that it has to be all, in any order.
                    (Ok(set), [_]) => {
                        let members = set.unwrap_or_default().into_keys().map(Reply::Bulk);
                        Ok(Answer::Unordered(members.collect()))
                    }
                    _ => return None,
                }
            }
            b"flushdb" => mode(words).map(|()| self.flush(database)),
            b"flushall" => mode(words).map(|()| {
                (0..self.all.databases.len()).for_each(|database| {
                    self.flush(database);
                });
                Answer::Exactly(Reply::ok())
            }),
            b"swapdb" => self.swap(words),
            _ => {
                let answer = self.all.run_unordered(database, words);
                return answer.or_else(|| self.all.run(database, words).map(Answer::Exactly));
            }
        };
        Some(whole.unwrap_or_else(|line| Answer::Exactly(Reply::error(line))))
    }

    /// Runs a memcached client's request: see [`Shard::run_item`].
    pub fn run_item(&mut self, words: &Words) -> Answer {
        self.all.moment += 1;
        Answer::Stamped(self.all.run_item(words))
    }

    /// Begins to watch a key.
    pub fn watch(&self, database: usize, key: &[u8]) -> Watched {
        let (version, lives) = (self.all.version(database, key), self.all.lives(database, key));
        Watched { database, key: key.to_vec(), version, lives }
    }

    /// True if the key has changed since, by a command or by its time having come.
    pub fn has_changed(&self, watched: &Watched) -> bool {
        let Watched { database, key, version, lives } = watched;
        self.all.version(*database, key) != *version || *lives && !self.all.lives(*database, key)
    }

    /// True if that is because its time has come, and for no other reason.
    pub fn has_only_expired(&self, watched: &Watched) -> bool {
        self.has_changed(watched) && self.all.version(watched.database, &watched.key) == watched.version
    }

    /// EXEC: nothing if something watched has changed, else all commands, in the database that they leave selected. `None` if the reference does not
    /// know one of them.
    pub fn exec(
        &mut self,
        database: &mut usize,
        commands: &[Vec<Vec<u8>>],
        watched: &[Watched],
    ) -> Option<Answer> {
        if watched.iter().any(|watched| self.has_changed(watched)) {
            return Some(Answer::Exactly(Reply::Null));
        }
        let answers: Option<Vec<Answer>> =
            commands.iter().map(|words| self.run_selected(database, words)).collect();
        answers.map(Answer::Each)
    }

    /// Runs a command that may be one about the connection.
    pub fn run_selected(&mut self, database: &mut usize, words: &Words) -> Option<Answer> {
        let reply = match (&words[0].to_ascii_lowercase()[..], refusal(words)?) {
            (_, Some(refusal)) => refusal,
            (b"ping", None) => words.get(1).map_or(Reply::Simple("PONG".into()), |word| Reply::bulk(word)),
            (b"echo", None) => Reply::bulk(&words[1]),
            (b"unwatch", None) => Reply::ok(),
            (b"select", None) => match self.database(&words[1], super::NOT_INTEGER) {
                Ok(selected) => {
                    *database = selected;
                    Reply::ok()
                }
                Err(line) => Reply::error(line),
            },
            _ => return self.run(*database, words),
        };
        Some(Answer::Exactly(reply))
    }

    fn database(&self, word: &[u8], not_a_number: Line) -> Result<usize, Line> {
        let number = integer(word).map_err(|_| not_a_number)?;
        let known = usize::try_from(number).ok().filter(|&number| number < self.all.databases.len());
        known.ok_or("ERR DB index is out of range")
    }

    fn flush(&mut self, database: usize) -> Answer {
        let living: Vec<Vec<u8>> = self.all.living(database).map(|(key, _)| key.clone()).collect();
        living.iter().for_each(|key| self.all.changed(database, key));
        self.all.databases[database].clear();
        Answer::Exactly(Reply::ok())
    }

    /// Whoever watches a key in one of both has seen it change, if it was in either.
    fn swap(&mut self, words: &Words) -> Result<Answer, Line> {
        let one = integer(&words[1]).map_err(|_| "ERR invalid first DB index")?;
        let _ = integer(&words[2]).map_err(|_| "ERR invalid second DB index")?;
        let other = self.database(&words[2], SYNTAX)?;
        let one = self.database(one.to_string().as_bytes(), SYNTAX)?;
        if one != other {
            let living = |database| self.all.living(database).map(|(key, _)| key.clone());
            let keys: Vec<Vec<u8>> = living(one).chain(living(other)).collect();
            for key in &keys {
                self.all.seen_changed(one, key);
                self.all.seen_changed(other, key);
            }
            self.all.databases.swap(one, other);
        }
        Ok(Answer::Exactly(Reply::ok()))
    }
}

/// The error of a command with too few or too many words; `None` if the reference does not know the command.
pub fn refusal(words: &Words) -> Option<Option<Reply>> {
    let name = words[0].to_ascii_lowercase();
    let (least, most) = arity::of(&name)?;
    let uneven = matches!(&name[..], b"mset" | b"msetnx") && words.len().is_multiple_of(2);
    let text = String::from_utf8_lossy(&name).into_owned();
    let refused = !(least..=most).contains(&words.len()) || uneven;
    Some(refused.then(|| Reply::Error(format!("ERR wrong number of arguments for '{text}' command"))))
}

/// SYNC, ASYNC or nothing.
fn mode(words: &Words) -> Result<(), Line> {
    match &words[1..] {
        [] => Ok(()),
        [mode] if is(mode, "sync") || is(mode, "async") => Ok(()),
        _ => Err(SYNTAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::words;

    #[test]
    fn each_shard_judges_by_its_own_instant() {
        // Keys of one letter lie on shard 0, longer ones on shard 1.
        let mut store = Store::new(1, 2, Box::new(|key| usize::from(key.len() > 1)));
        store.run(0, &words("SET a 1 PX 10"));
        store.run(0, &words("SET bb 1 PX 10"));
        store.judge_by(1, 10);
        let answer = store.run(0, &words("MGET a bb"));
        assert_eq!(answer, Some(Answer::Exactly(Reply::Array(vec![Reply::bulk(b"1"), Reply::Null]))));
        assert_eq!(store.run(0, &words("DBSIZE")), Some(Answer::Between(1, 2)));
        assert_eq!(store.run(0, &words("KEYS *")), Some(Answer::Unordered(vec![Reply::bulk(b"a")])));
    }

    #[test]
    fn many_keys_are_set_with_one_deadline() {
        let mut store = Store::of_one_shard(1);
        let mut check = |line: &str, expected: i64| {
            let answer = store.run(0, &words(line));
            assert_eq!(answer, Some(Answer::Exactly(Reply::Integer(expected))), "{line}");
        };
        check("MSETEX 2 a 1 b 2 PX 100", 1);
        check("PTTL b", 100);
        check("MSETEX 2 a 1 c 2 NX", 0);
        check("MSETEX 2 a 1 c 2 XX", 0);
        check("EXISTS c", 0);
        check("MSETEX 2 a 3 b 4 XX KEEPTTL", 1);
        check("PTTL a", 100);
        check("MSETEX 1 a 3", 1);
        check("PTTL a", -1);
    }

    #[test]
    fn databases_change_places() {
        let mut store = Store::of_one_shard(2);
        store.run(0, &words("SET k zero"));
        assert_eq!(store.run(0, &words("SWAPDB 0 1")), Some(Answer::Exactly(Reply::ok())));
        assert_eq!(store.run(1, &words("GET k")), Some(Answer::Exactly(Reply::bulk(b"zero"))));
        let refused = Some(Answer::Exactly(Reply::error("ERR DB index is out of range")));
        assert_eq!(store.run(0, &words("SWAPDB 0 2")), refused);
    }
}
