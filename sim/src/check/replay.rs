//! What all shards together did, run once more on a store that was never cut, in the order that explains it: every reply must be what
//! the client heard.
//!
//! It joins [`Serial`], which knows the order, and [`Store`], which knows what commands answer. Who feeds it says of each request when it was
//! taken, which shard ran what part of it by which instant, and what was heard. It knows neither engines nor messages.

use std::collections::BTreeMap;

use super::serial::{Access, Op, Said, Serial};
use super::snapshots::Content;
use super::stamps::Stamps;
use super::waits::Standing;
use crate::decoder::Reply;
use crate::dialogue::spoken;
use crate::reference::answer::Answer;
use crate::reference::store::{Store, Watched};
use crate::reference::streams;
use crate::reference::{Entry, Value, waiting};

/// The words of a request.
type Words = Vec<Vec<u8>>;

/// What a request does when it runs. What a connection does alone, such as MULTI and what it queues, needs no place in the order.
#[derive(Clone, Debug)]
pub enum Deed {
    /// A command.
    Command(Words),
    /// What a memcached client asks for.
    Item(Words),
    /// A command that waits, when it finds nothing.
    Look(Words),
    /// WATCH of these keys.
    Watch(Words),
    /// EXEC.
    Exec {
        /// What was queued.
        commands: Vec<Words>,
        /// The requests that watch for it: all WATCH since the last EXEC, DISCARD or UNWATCH.
        watches: Vec<Op>,
    },
    /// Nobody's request: a shard has removed keys, each of a database, because their time had come.
    Expired(Vec<(usize, Vec<u8>)>),
    /// The cut of the snapshot of this number.
    Cut(u64),
    /// Nobody's request: a shard has removed keys because memory was short.
    Evicted(Vec<(usize, Vec<u8>)>),
}

/// A request that has no place in the order yet.
#[derive(Debug)]
struct Request {
    said: Said,
    database: usize,
    deed: Deed,
    /// By which instant each shard ran it, Unix milliseconds.
    instants: BTreeMap<u16, u64>,
    heard: Option<Reply>,
    /// Keys whose time had come and that it has removed.
    expired: Vec<(usize, Vec<u8>)>,
    /// Of a command that waits: how it stood before its keys when it ran.
    standing: BTreeMap<Vec<u8>, Standing>,
    /// It was in line before.
    has_waited: bool,
    /// It was refused, as memory was short or it could not be written down.
    lacked_room: bool,
}

/// A request's number leaves room for so many bits: its tries, if it has to wait.
pub const TRIES_BITS: u32 = 16;

/// The checker.
#[derive(Debug)]
pub struct Replay {
    serial: Serial,
    store: Store,
    requests: BTreeMap<Op, Request>,
    watched: BTreeMap<Op, Vec<Watched>>,
    /// What stamps name.
    stamps: Stamps,
    /// From where who waits for news reads, by key; by connection and request.
    ends: BTreeMap<(u64, u64), BTreeMap<Vec<u8>, Vec<u8>>>,
    /// By a snapshot's number: what lay in the store at its cut.
    pub cuts: BTreeMap<u64, Content>,
    /// Replies that were compared.
    pub compared: u64,
    /// Situations that only the order shows.
    pub situations: Vec<&'static str>,
}

/// A part of a request that a shard has run.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Of which request.
    pub op: Op,
    /// The shard.
    pub shard: u16,
    /// The database that it touches.
    pub database: usize,
    /// By which instant the shard judged, Unix milliseconds.
    pub unix_millis: u64,
}

impl Replay {
    /// Upon a store without keys.
    pub fn new(store: Store) -> Replay {
        let (requests, watched) = (BTreeMap::new(), BTreeMap::new());
        let (serial, situations) = (Serial::default(), Vec::new());
        let (ends, cuts, stamps) = (BTreeMap::new(), BTreeMap::new(), Stamps::default());
        Replay { serial, store, requests, watched, stamps, ends, cuts, compared: 0, situations }
    }

    /// A request was taken by its core, with this database selected.
    pub fn taken(&mut self, said: Said, database: usize, deed: Deed, moment: u64) -> Op {
        let op = self.serial.begin(said, moment);
        if let Deed::Exec { watches, .. } = &deed {
            watches.iter().for_each(|watch| self.serial.builds_on(op, *watch));
        }
        let (instants, standing) = (BTreeMap::new(), BTreeMap::new());
        let (heard, expired, has_waited) = (None, Vec::new(), false);
        let lacked_room = false;
        let request =
            Request { said, database, deed, instants, heard, expired, standing, has_waited, lacked_room };
        self.requests.insert(op, request);
        op
    }

    /// How a command that waits stands before keys of a shard when it runs there.
    pub fn stands(&mut self, op: Op, has_waited: bool, standing: Vec<(Vec<u8>, Standing)>) {
        if let Some(request) = self.requests.get_mut(&op) {
            request.has_waited |= has_waited;
            request.standing.extend(standing);
        }
    }

    /// A request was refused where it was to run, as memory was short: it has done nothing.
    pub fn lacked_room(&mut self, op: Op) {
        if let Some(request) = self.requests.get_mut(&op) {
            request.lacked_room = true;
        }
    }

    /// A command that waits has found nothing: so it must be at its place in the order.
    pub fn found_nothing(&mut self, op: Op) {
        if let Some(request) = self.requests.get_mut(&op)
            && let Deed::Command(words) = &request.deed
        {
            request.deed = Deed::Look(words.clone());
        }
    }

    /// A request that is under way on a shard has removed a key because its time had come.
    pub fn expired(&mut self, op: Op, database: usize, key: Vec<u8>) {
        if let Some(request) = self.requests.get_mut(&op) {
            request.expired.push((database, key));
        }
    }

    /// Requests that have no place in the order yet.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }

    /// Those of them, in words.
    pub fn placeless(&self) -> Vec<String> {
        self.requests.keys().map(|op| self.name(*op)).collect()
    }

    /// A shard ran a part of a request that touches keys, in the shard's order of running.
    ///
    /// # Errors
    /// When a promise to the connection is broken ([`Serial::applied`]).
    pub fn ran<K: AsRef<[u8]>>(&mut self, part: Part, reads: &[K], writes: &[K]) -> Result<(), String> {
        self.note(part);
        let ran = self.serial.applied(part.op, part.shard, part.database, reads, writes);
        ran.map_err(|error| self.explain(part.op, &error))
    }

    /// A shard ran a part of a request that touches all keys of a database.
    ///
    /// # Errors
    /// As [`Replay::ran`].
    pub fn ran_on_all(&mut self, part: Part, access: Access) -> Result<(), String> {
        self.note(part);
        let ran = self.serial.applied_to_all(part.op, part.shard, part.database, access);
        ran.map_err(|error| self.explain(part.op, &error))
    }

    /// The client has heard the reply.
    ///
    /// # Errors
    /// When a reply, this one or one that had to wait for it, is not what the reference answers.
    pub fn heard(&mut self, op: Op, reply: Reply, moment: u64) -> Result<(), String> {
        if let Some(request) = self.requests.get_mut(&op) {
            request.heard = Some(reply);
        }
        self.serial.end(op, moment);
        self.advance()
    }

    /// Nobody will hear a reply, and no part of the request will run any more.
    ///
    /// # Errors
    /// As [`Replay::heard`].
    pub fn gone(&mut self, op: Op) -> Result<(), String> {
        self.serial.sealed(op);
        self.advance()
    }

    /// To be asked now and then, and after [`Replay::finish`]: is there no order?
    ///
    /// # Errors
    /// The shortest cycle, in words.
    pub fn has_an_order(&self) -> Result<(), String> {
        match self.serial.cycle() {
            None => Ok(()),
            Some(cycle) => Err(cycle.in_words(|op| self.name(op))),
        }
    }

    /// The world has ended.
    ///
    /// # Errors
    /// When there is no order, or a reply is not what the reference answers.
    pub fn finish(&mut self) -> Result<(), String> {
        self.serial.finish();
        self.advance()?;
        self.has_an_order()?;
        assert!(self.requests.is_empty(), "what lies on no cycle has its place at the end");
        Ok(())
    }

    /// What lies in the store once everything so far has run that has a place.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn note(&mut self, part: Part) {
        if let Some(request) = self.requests.get_mut(&part.op) {
            request.instants.insert(part.shard, part.unix_millis);
        }
    }

    fn advance(&mut self) -> Result<(), String> {
        while let Some(op) = self.serial.next_in_order() {
            let request = self.requests.remove(&op).expect("who has no place yet is known");
            self.run(op, request)?;
        }
        Ok(())
    }

    fn run(&mut self, op: Op, request: Request) -> Result<(), String> {
        if request.heard.is_none() && request.instants.is_empty() {
            // Its client went before anything of it ran.
            return Ok(());
        }
        let is_refused = request.heard.as_ref().is_some_and(says_no_log);
        if request.lacked_room || is_refused || request.heard.as_ref().is_some_and(says_no_room) {
            self.situations.push(match is_refused {
                true => "a change was refused as it could not be written down",
                false => "a request found no room",
            });
            return Ok(());
        }
        for (shard, unix_millis) in &request.instants {
            self.store.judge_by(usize::from(*shard), *unix_millis);
        }
        let mut database = request.database;
        let found_due = self.store.all.found_due;
        let answer = match &request.deed {
            Deed::Expired(keys) => {
                keys.iter().for_each(|(database, key)| self.store.all.expire(*database, key));
                return Ok(());
            }
            Deed::Cut(number) => {
                // The last database belongs to clients that are not followed.
                let followed = &self.store.all.databases;
                self.cuts.insert(*number, followed.clone());
                return Ok(());
            }
            Deed::Evicted(keys) => {
                for (database, key) in keys {
                    self.store.all.remove(*database, key);
                }
                return Ok(());
            }
            Deed::Command(words) => {
                let waits = waiting::of(words).is_some();
                let kind = waiting::kind(words);
                let is_mine = |key: &[u8]| !request.is_behind(&self.store, database, key, kind);
                let words = if waits { &waiting::only(words, is_mine) } else { words };
                let words = &self.settled(request.said, words);
                let answer = self.store.run_selected(&mut database, words);
                if let (Some(Answer::Exactly(reply)), true) = (&answer, waits) {
                    self.situations.extend(request.serves(words, request.heard.as_ref().unwrap_or(reply))?);
                }
                answer
            }
            Deed::Item(words) => {
                let words = &self.stamps.settled(words);
                let answer = self.store.run_item(words);
                self.situations.extend(compared(words, request.heard.as_ref()));
                Some(answer)
            }
            Deed::Look(words) if waiting::kind(words) == waiting::Kind::Stream => {
                let words = &self.settled(request.said, words);
                let ends = streams::ends(&mut self.store.all, database, words);
                let found = self.store.run_selected(&mut database, words);
                if found != Some(Answer::Exactly(Reply::Null)) {
                    return Err(format!(
                        "connection {} waits after {}, but in the order that explains everybody there is {found:?}",
                        request.said.connection,
                        spoken(words),
                    ));
                }
                self.ends.entry(asked(request.said)).or_default().extend(ends);
                request.expired.iter().for_each(|(database, key)| self.store.all.expire(*database, key));
                return Ok(());
            }
            Deed::Look(words) => {
                let keys = waiting::of(words).map(|wait| wait.keys).unwrap_or_default();
                let is_there = |place: &&usize| self.store.all.lives(database, &words[**place]);
                let kind = waiting::kind(words);
                let is_behind =
                    |place: &usize| request.is_behind(&self.store, database, &words[*place], kind);
                let (behind, keys): (Vec<usize>, Vec<usize>) = keys.into_iter().partition(is_behind);
                self.situations.extend((!behind.is_empty()).then_some("a newcomer stood behind who waited"));
                if let Some(place) = keys.iter().find(is_there) {
                    let key = String::from_utf8_lossy(&words[*place]).into_owned();
                    let Said { connection, number } = request.said;
                    return Err(format!(
                        "connection {connection} waits after {} (request {}), but in the order that explains everybody there is {key}",
                        spoken(words),
                        number >> TRIES_BITS
                    ));
                }
                request.expired.iter().for_each(|(database, key)| self.store.all.expire(*database, key));
                return Ok(());
            }
            Deed::Watch(keys) => {
                let watched = keys.iter().map(|key| self.store.watch(database, key));
                self.watched.insert(op, watched.collect());
                Some(Answer::Exactly(Reply::ok()))
            }
            Deed::Exec { commands, watches } => {
                let watched = watches.iter().filter_map(|watch| self.watched.remove(watch));
                let watched: Vec<Watched> = watched.flatten().collect();
                let mut changed = watched.iter().filter(|watched| self.store.has_changed(watched)).peekable();
                if changed.peek().is_none() {
                    self.situations.extend((!watched.is_empty()).then_some("a WATCH held"));
                } else if changed.all(|watched| self.store.has_only_expired(watched)) {
                    self.situations.push("expiry failed a WATCH");
                } else {
                    self.situations.push("a WATCH failed");
                }
                let answer = self.store.exec(&mut database, commands, &watched);
                if let Some(Answer::Each(answers)) = &answer {
                    let is_null = |answer: &Answer| *answer == Answer::Exactly(Reply::Null);
                    let mut both = commands.iter().zip(answers);
                    let did_not = both.any(|(words, answer)| is_null(answer) && waiting::of(words).is_some());
                    self.situations.extend(did_not.then_some("a command that may wait did not within EXEC"));
                }
                answer
            }
        };
        if self.store.all.found_due > found_due {
            self.situations.push("a key was found expired by a command");
        }
        request.expired.iter().for_each(|(database, key)| self.store.all.expire(*database, key));
        let answer = answer.ok_or_else(|| format!("no reference for {}", said(&request.deed)))?;
        let Some(reply) = request.heard else { return Ok(()) };
        self.compared += 1;
        let Said { connection, number } = request.said;
        if answer.fits(&reply) {
            let learned = match &answer {
                Answer::Stamped(expected) => self.stamps.learn(expected, &reply),
                _ => Ok(()),
            };
            return learned
                .map_err(|text| format!("connection {connection}, {}: {text}", said(&request.deed)));
        }
        Err(format!(
            "connection {connection} said {} (request {}) and hears {reply:?}, but in the order that explains \
             everybody must hear {answer:?}",
            said(&request.deed),
            number >> TRIES_BITS
        ))
    }

    /// The words of a request that may have waited, with the ids that it waits with.
    fn settled(&self, said: Said, words: &Words) -> Words {
        match self.ends.get(&asked(said)) {
            Some(ends) => streams::from_ends(words, ends),
            None => words.clone(),
        }
    }

    fn name(&self, op: Op) -> String {
        self.requests.get(&op).map_or_else(String::new, |request| {
            format!(
                "{} [connection {}, request {}]",
                said(&request.deed),
                request.said.connection,
                request.said.number >> TRIES_BITS
            )
        })
    }

    fn explain(&self, op: Op, error: &str) -> String {
        format!("{}: {error}", self.name(op))
    }
}

/// What all tries of one request have in common.
fn asked(said: Said) -> (u64, u64) {
    (said.connection, said.number >> TRIES_BITS)
}

impl Request {
    /// Something lies under a key for which others have waited longer: it is none of this one's business.
    fn is_behind(&self, store: &Store, database: usize, key: &[u8], kind: waiting::Kind) -> bool {
        let is_it = |entry: &Entry| match entry.value {
            Value::List(_) => kind == waiting::Kind::List,
            Value::SortedSet(_) => kind == waiting::Kind::SortedSet,
            Value::Bytes(_) | Value::Hash(_) | Value::Set(_) | Value::Stream(_) => false,
        };
        self.standing.get(key).is_some_and(|standing| standing.ahead.is_some())
            && store.all.lives(database, key)
            && store.all.databases[database].get(key).is_some_and(is_it)
    }

    /// A command that waits was served with this reply: what is worth noticing about it.
    fn serves(&self, words: &Words, reply: &Reply) -> Result<Vec<&'static str>, String> {
        if *reply == Reply::Null {
            return Err(format!(
                "{} of connection {} is served, but there is nothing",
                spoken(words),
                self.said.connection
            ));
        }
        if waiting::kind(words) == waiting::Kind::Stream && self.has_waited {
            let is_gone = matches!(reply, Reply::Error(_));
            return Ok(vec![match is_gone {
                true => "who waited in a group was told that it is gone",
                false => "somebody who waited for entries was served",
            }]);
        }
        let Some(key) = waiting::served_from(words, reply) else { return Ok(Vec::new()) };
        let standing = self.standing.get(key);
        if let Some(ahead) = standing.and_then(|standing| standing.ahead) {
            return Err(format!(
                "{} of connection {} is served from {}, for which {ahead:?} waits longer",
                spoken(words),
                self.said.connection,
                String::from_utf8_lossy(key)
            ));
        }
        if !self.has_waited {
            return Ok(vec!["who may wait found something at once"]);
        }
        let mut met = vec!["somebody who waited was served"];
        if reply != &Reply::Null && matches!(reply, Reply::Bulk(_)) && self.instants.len() > 1 {
            met.push("a move that waited went to another shard");
        }
        if let Some(standing) = standing {
            met.extend(standing.after_another.then_some("two who waited for one key were served in order"));
            met.extend(standing.cause.and_then(served_by));
        }
        Ok(met)
    }
}

/// What it is worth that this command has served who waited.
fn served_by(cause: &str) -> Option<&'static str> {
    Some(match cause {
        "exec" => "an EXEC served who waited",
        "rename" | "renamenx" => "a RENAME served who waited",
        "copy" => "a COPY served who waited",
        "move" => "a MOVE served who waited",
        "swapdb" => "a SWAPDB served who waited",
        "lmove" | "rpoplpush" => "an LMOVE served who waited",
        "blmove" | "brpoplpush" => "one BLMOVE served the next",
        _ => return None,
    })
}

/// True for the words for a command that needs more memory than there is.
fn says_no_room(reply: &Reply) -> bool {
    let words = ["OOM command not allowed", "SERVER_ERROR out of memory"];
    matches!(reply, Reply::Error(line) if words.iter().any(|words| line.starts_with(words)))
}

/// True for the words for a change that cannot be written down.
fn says_no_log(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(line) if line.contains("MISCONF Errors writing to the AOF file"))
}

/// What it is worth that a request that names a state has this reply.
fn compared(words: &Words, reply: Option<&Reply>) -> Option<&'static str> {
    let state = match &words[0][..] {
        b"cas" => words.get(4).map(|word| &word[..]),
        name if name.len() == 2 => words.iter().skip(2).find_map(|word| word.strip_prefix(b"C")),
        _ => None,
    }?;
    match reply? {
        Reply::Simple(line) if line == "STORED" => Some("a stamp named what was there"),
        Reply::Simple(line) if line == "EXISTS" && state != b"0" => Some("a stamp named what had been"),
        _ => None,
    }
}

/// For people.
fn said(deed: &Deed) -> String {
    match deed {
        Deed::Command(words) => spoken(words),
        Deed::Item(words) => format!("{} (memcached)", spoken(words)),
        Deed::Look(words) => format!("{}, in vain", spoken(words)),
        Deed::Cut(number) => format!("(the cut of snapshot {number})"),
        Deed::Watch(keys) => format!("WATCH {}", spoken(keys)),
        Deed::Exec { commands, .. } => {
            let commands: Vec<String> = commands.iter().map(|words| spoken(words)).collect();
            format!("EXEC of {}", commands.join("; "))
        }
        Deed::Evicted(keys) => {
            let keys: Vec<String> = keys.iter().map(|(_, key)| String::from_utf8_lossy(key).into()).collect();
            format!("(eviction of {})", keys.join(", "))
        }
        Deed::Expired(keys) => {
            let keys: Vec<String> = keys.iter().map(|(_, key)| String::from_utf8_lossy(key).into()).collect();
            format!("(expiry of {})", keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::words;

    /// A world of two shards: keys that begin with `a` lie on the first, all others on the second.
    struct World {
        replay: Replay,
        requests: u64,
    }

    impl World {
        fn new() -> World {
            let store = Store::new(2, 2, Box::new(|key| usize::from(key[0] != b'a')));
            World { replay: Replay::new(store), requests: 0 }
        }

        fn take(&mut self, deed: Deed) -> Op {
            self.requests += 1;
            let said = Said { connection: self.requests, number: 0 };
            self.replay.taken(said, 0, deed, self.requests)
        }

        fn command(&mut self, line: &str) -> Op {
            self.take(Deed::Command(words(line)))
        }

        fn ran(&mut self, op: Op, unix_millis: u64, reads: &[&str], writes: &[&str]) {
            let key = reads.iter().chain(writes).next().expect("it touches something");
            let part = Part { op, shard: u16::from(!key.starts_with('a')), database: 0, unix_millis };
            self.replay.ran(part, reads, writes).expect("promises are kept");
        }

        fn heard(&mut self, op: Op, reply: Reply) -> Result<(), String> {
            self.requests += 1;
            self.replay.heard(op, reply, self.requests)
        }
    }

    fn two(one: Reply, other: Reply) -> Reply {
        Reply::Array(vec![one, other])
    }

    #[test]
    fn what_is_heard_is_what_the_order_gives() {
        let one = || Reply::bulk(b"1");
        for (reply, is_right) in [
            (two(one(), one()), true),
            (two(one(), Reply::Null), false),
            (two(Reply::Null, Reply::Null), false),
        ] {
            let mut world = World::new();
            let set = world.command("MSET a 1 b 1");
            let get = world.command("MGET a b");
            world.ran(set, 1, &[], &["b"]);
            world.ran(set, 1, &[], &["a"]);
            world.ran(get, 1, &["a"], &[]);
            world.ran(get, 1, &["b"], &[]);
            // The later one is heard first and has to wait for its place.
            assert_eq!(world.heard(get, reply), Ok(()));
            let end = world.heard(set, Reply::ok()).and_then(|()| world.replay.finish());
            assert_eq!(end.is_ok(), is_right, "{end:?}");
            assert_eq!(world.replay.compared, 2);
        }
    }

    #[test]
    fn a_cycle_is_told_in_words() {
        let mut world = World::new();
        let (one, other) = (world.command("MSET a 1 b 1"), world.command("MSET a 2 b 2"));
        world.ran(one, 1, &[], &["a"]);
        world.ran(other, 1, &[], &["a"]);
        world.ran(other, 1, &[], &["b"]);
        world.ran(one, 1, &[], &["b"]);
        assert_eq!(world.heard(one, Reply::ok()), Ok(()));
        let told = world.replay.has_an_order().expect_err("there is none");
        assert!(told.contains("MSET a 1 b 1 [connection 1, request 0] before MSET a 2 b 2"), "{told}");
        assert_eq!(world.replay.finish(), Err(told));
    }

    #[test]
    fn exec_is_refused_exactly_when_what_it_watches_has_changed() {
        for (writes_between, refused) in [(true, true), (false, false), (true, false), (false, true)] {
            let mut world = World::new();
            let watch = world.take(Deed::Watch(words("a")));
            world.ran(watch, 1, &["a"], &[]);
            world.heard(watch, Reply::ok()).expect("it fits");
            let set = world.command("SET a 1");
            if writes_between {
                world.ran(set, 1, &[], &["a"]);
            }
            let exec = world.take(Deed::Exec { commands: vec![words("SET b 1")], watches: vec![watch] });
            world.ran(exec, 1, &["a"], &[]);
            if !refused {
                world.ran(exec, 1, &[], &["b"]);
            }
            let reply = if refused { Reply::Null } else { Reply::Array(vec![Reply::ok()]) };
            let heard = world.heard(exec, reply).and_then(|()| world.replay.gone(set));
            assert_eq!(heard.is_ok(), writes_between == refused, "{heard:?}");
        }
    }

    #[test]
    fn a_client_that_is_gone_may_have_done_something_or_nothing() {
        for ran in [true, false] {
            let mut world = World::new();
            let set = world.command("SET a 1");
            if ran {
                world.ran(set, 1, &[], &["a"]);
            }
            world.replay.gone(set).expect("nothing was heard");
            let get = world.command("GET a");
            world.ran(get, 1, &["a"], &[]);
            let reply = if ran { Reply::bulk(b"1") } else { Reply::Null };
            assert_eq!(world.heard(get, reply).and_then(|()| world.replay.finish()), Ok(()));
        }
    }

    #[test]
    fn each_shard_judges_by_the_instant_of_its_part() {
        let mut world = World::new();
        for key in ["a", "b"] {
            let set = world.command(&format!("SET {key} 1 PX 10"));
            world.ran(set, 1, &[], &[key]);
            world.heard(set, Reply::ok()).expect("it fits");
        }
        let get = world.command("MGET a b");
        world.ran(get, 5, &["a"], &[]);
        world.ran(get, 11, &["b"], &[]);
        assert_eq!(world.heard(get, two(Reply::bulk(b"1"), Reply::Null)), Ok(()));
    }
}
