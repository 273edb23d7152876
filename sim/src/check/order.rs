//! The order in which the shards applied requests is the witness: the reference runs them in that order, and its answers are what the
//! clients must hear. Beside that, each request runs exactly once, those of one connection on one shard in their order, none before it
//! was said and none after it was answered (a reply without a run is refused where it arrives).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use darter_core::event::Effect;
use darter_core::hash::{KeyHasher, placement_part};
use darter_core::message::{Message, Request as CoreRequest, Token};

use crate::decoder::Reply;
use crate::dialogue::{Dialogue, Expect, Kind, spoken};
use crate::reference::Shard;
use crate::sometimes::Sometimes;

/// A request that is on its way to other cores.
#[derive(Clone, Copy, Debug)]
struct OnItsWay {
    dialogue: usize,
    request: usize,
    /// Its instant.
    unix_micros: u64,
    /// Answers that are still to come.
    answers_due: usize,
    /// A shard has run it.
    ran: bool,
}

/// All connections and what lies on all shards.
#[derive(Debug)]
pub struct Witness {
    /// As it should be.
    pub shards: Vec<Shard>,
    /// Every connection there ever was.
    pub dialogues: Vec<Dialogue>,
    hasher: KeyHasher,
    wild_database: usize,
    on_their_way: BTreeMap<(u16, Token), OnItsWay>,
    /// The last request of a connection that ran on a shard.
    last_run: BTreeMap<(usize, usize), usize>,
    moment: u64,
    /// Requests that ran.
    pub runs: u64,
}

/// What a request needs.
enum Class {
    /// Nothing but its connection.
    Local,
    /// This shard.
    Shard(usize),
    /// All shards.
    All,
    /// The checker does not know.
    Wild,
}

/// One event's circumstances.
pub struct Turn<'a> {
    /// The core.
    pub core: usize,
    /// The core's clock.
    pub unix_micros: u64,
    /// What the engine did.
    pub effects: &'a [Effect],
    /// Situations.
    pub sometimes: &'a mut Sometimes,
}

impl Witness {
    /// Before anything has happened.
    pub fn new(cores: u16, databases: u16, hasher: KeyHasher) -> Witness {
        Witness {
            shards: (0..cores).map(|_| Shard::new(usize::from(databases))).collect(),
            dialogues: Vec::new(),
            hasher,
            wild_database: usize::from(databases) - 1,
            on_their_way: BTreeMap::new(),
            last_run: BTreeMap::new(),
            moment: 0,
            runs: 0,
        }
    }

    /// The reference's moment.
    pub fn moment(&self) -> u64 {
        self.moment
    }

    /// The engine was given bytes of a connection and has consumed so many. `commands`: how many commands of this connection have
    /// run so far, if it was closed over its output limit in the middle, where what is consumed has not all run.
    pub fn bytes(
        &mut self,
        turn: &mut Turn<'_>,
        dialogue: usize,
        consumed: usize,
        commands: Option<u64>,
    ) -> Result<(), String> {
        let mut sent: VecDeque<(u16, Token, &CoreRequest)> = turn
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Send {
                    to,
                    message: Message::Direct { token, request } | Message::Ask { token, request },
                } => Some((to.0, *token, request)),
                _ => None,
            })
            .collect();
        self.dialogues[dialogue].consumed += consumed as u64;
        loop {
            let here = &self.dialogues[dialogue];
            let Some(request) = here.requests.get(here.taken) else { break };
            let whole = match request.kind {
                // What is no request may be found out before its end.
                Kind::Malformed => here.consumed > request.start,
                Kind::Words | Kind::Nothing => here.consumed >= request.end,
            };
            if !whole || here.ended_by.is_some() || here.shut {
                break;
            }
            let is_command = request.kind == Kind::Words && is_admitted(&request.words);
            if is_command && !here.wild && commands.is_some_and(|commands| here.commands >= commands) {
                break;
            }
            let number = here.taken;
            self.dialogues[dialogue].commands += u64::from(is_command);
            self.take(turn, dialogue, number, &mut sent)?;
            self.dialogues[dialogue].taken = number + 1;
        }
        match sent.front() {
            Some((to, _, request)) => {
                Err(format!("core {to} is asked {:?}, which nobody said", request.args))
            }
            None => Ok(()),
        }
    }

    /// The engine has taken a request: it ran here, or was sent away.
    fn take(
        &mut self,
        turn: &mut Turn<'_>,
        dialogue: usize,
        number: usize,
        sent: &mut VecDeque<(u16, Token, &CoreRequest)>,
    ) -> Result<(), String> {
        self.runs += 1;
        let here = &self.dialogues[dialogue];
        let (words, kind) = (here.requests[number].words.clone(), here.requests[number].kind);
        match kind {
            Kind::Nothing => return Ok(()),
            Kind::Malformed => {
                let here = &mut self.dialogues[dialogue];
                here.ended_by = Some(number);
                here.requests[number].expect = Expect::AnyError;
                here.requests[number].resp3 = here.resp3;
                turn.sometimes.met("a client said nonsense");
                return Ok(());
            }
            Kind::Words => {}
        }
        if !here.remote.is_empty() {
            turn.sometimes.met("a reply waited for a remote one");
        }
        let database = here.database;
        let mut messages = Vec::new();
        while let Some((to, token, request)) = sent.front() {
            let same_as_before = messages.last().is_none_or(|(_, last): &(u16, Token)| last == token);
            if !same_as_before || !is_same(request, &words) {
                break;
            }
            messages.push((*to, *token));
            sent.pop_front();
        }
        if let Some((_, token)) = messages.first() {
            let answers_due = messages.len();
            let way = OnItsWay {
                dialogue,
                request: number,
                unix_micros: turn.unix_micros,
                answers_due,
                ran: false,
            };
            self.on_their_way.insert((turn.core as u16, *token), way);
            self.dialogues[dialogue].remote.insert(number);
        }
        let class = self.class(dialogue, &words);
        let wrong = |text: &str| Err(format!("{} {text}, sent to {messages:?}", spoken(&words)));
        let expect = match class {
            Class::Local if !messages.is_empty() => return wrong("needs no other core"),
            Class::Local => self.local(turn, dialogue, number, &words),
            Class::Wild => Expect::Any,
            Class::Shard(shard) if shard == turn.core => {
                if !messages.is_empty() {
                    return wrong("runs on the client's own core");
                }
                self.run(turn, shard, dialogue, number, &words, database, turn.unix_micros)?
            }
            Class::Shard(shard) => {
                if messages.len() != 1 || usize::from(messages[0].0) != shard {
                    return wrong(&format!("runs on core {shard} alone"));
                }
                Expect::Unknown
            }
            Class::All => {
                let asked: BTreeSet<u16> = messages.iter().map(|(to, _)| *to).collect();
                if asked.len() != self.shards.len() - 1 || messages.len() != asked.len() {
                    return wrong("asks every other core once");
                }
                let left = self.shards.len();
                let sum = Box::new(empty_sum(&words));
                self.dialogues[dialogue].requests[number].expect = Expect::Gathering { left, sum };
                self.part(turn, turn.core, dialogue, number, &words, database);
                self.dialogues[dialogue].requests[number].expect.clone()
            }
        };
        let here = &mut self.dialogues[dialogue];
        here.requests[number].expect = expect;
        here.requests[number].resp3 = here.resp3;
        if here.resp3 {
            turn.sometimes.met("RESP3 was spoken");
        }
        if database == 1 {
            turn.sometimes.met("a second database was used");
        }
        Ok(())
    }

    /// A request has come to the shard that owns its keys and has run there.
    pub fn direct(
        &mut self,
        turn: &mut Turn<'_>,
        from: u16,
        token: Token,
        request: &CoreRequest,
    ) -> Result<(), String> {
        let Some(way) = self.on_their_way.get_mut(&(from, token)) else {
            return Err(format!("core {} runs {:?}, which is not on its way", turn.core, request.args));
        };
        if std::mem::replace(&mut way.ran, true) {
            return Err(format!("core {} runs {:?} a second time", turn.core, request.args));
        }
        let way = *way;
        if way.unix_micros != request.unix_micros {
            return Err(format!("{:?} travels with another instant than its own", request.args));
        }
        let here = &self.dialogues[way.dialogue];
        let words = here.requests[way.request].words.clone();
        if here.wild {
            return Ok(());
        }
        let database = usize::from(request.database);
        let expect =
            self.run(turn, turn.core, way.dialogue, way.request, &words, database, request.unix_micros)?;
        self.dialogues[way.dialogue].requests[way.request].expect = expect;
        Ok(())
    }

    /// A core has given its part of an answer.
    pub fn ask(
        &mut self,
        turn: &mut Turn<'_>,
        from: u16,
        token: Token,
        request: &CoreRequest,
    ) -> Result<(), String> {
        let Some(way) = self.on_their_way.get(&(from, token)).copied() else {
            return Err(format!("core {} is asked {:?} by nobody", turn.core, request.args));
        };
        if !self.dialogues[way.dialogue].wild {
            let words = self.dialogues[way.dialogue].requests[way.request].words.clone();
            self.part(turn, turn.core, way.dialogue, way.request, &words, usize::from(request.database));
        }
        Ok(())
    }

    /// An answer has come back to the core that asked; `is_current`: the connection is still there.
    pub fn answered(&mut self, turn: &mut Turn<'_>, token: Token, is_part: bool, is_current: bool) {
        if !is_current {
            turn.sometimes.met(match is_part {
                true => "a part came after the client had gone",
                false => "a message came for a connection that was gone",
            });
        }
        let key = (turn.core as u16, token);
        if let Some(way) = self.on_their_way.get_mut(&key) {
            way.answers_due -= 1;
            if way.answers_due == 0 {
                let way = *way;
                self.on_their_way.remove(&key);
                self.dialogues[way.dialogue].remote.remove(&way.request);
            }
        }
    }

    fn class(&self, dialogue: usize, words: &[Vec<u8>]) -> Class {
        if self.dialogues[dialogue].wild {
            return Class::Wild;
        }
        let name = words[0].to_ascii_lowercase();
        let words_are_too_few = words.len() < 2;
        match &name[..] {
            b"ping" | b"echo" | b"select" | b"hello" | b"quit" | b"nosuch" => Class::Local,
            b"keys" | b"dbsize" | b"randomkey" | b"flushdb" | b"flushall" => Class::All,
            b"get" if !is_admitted(words) => Class::Local,
            b"scan" => Class::Shard(shard_of_cursor(&words[1], self.shards.len())),
            _ if words_are_too_few => Class::Local,
            _ => Class::Shard(self.shard_of(&words[1])),
        }
    }

    fn shard_of(&self, key: &[u8]) -> usize {
        usize::from(self.hasher.hash(placement_part(key)).shard(self.shards.len() as u16))
    }

    fn local(&mut self, turn: &mut Turn<'_>, dialogue: usize, number: usize, words: &[Vec<u8>]) -> Expect {
        let databases = self.shards[0].databases.len();
        let here = &mut self.dialogues[dialogue];
        let name = words[0].to_ascii_lowercase();
        Expect::Exactly(match (&name[..], words.len()) {
            (b"ping", 1) => Reply::Simple("PONG".into()),
            (b"ping" | b"echo", 2) => Reply::bulk(&words[1]),
            (b"select", 2) => {
                let number = std::str::from_utf8(&words[1]).ok().and_then(|text| text.parse::<usize>().ok());
                match number {
                    None => Reply::error("ERR value is not an integer or out of range"),
                    Some(number) if number >= databases => Reply::error("ERR DB index is out of range"),
                    Some(number) => {
                        here.database = number;
                        Reply::ok()
                    }
                }
            }
            (b"hello", 2) => {
                here.resp3 = words[1] == b"3";
                return Expect::Any;
            }
            (b"quit", _) => {
                here.ended_by = Some(number);
                turn.sometimes.met("a client quit");
                Reply::ok()
            }
            (b"nosuch", _) => {
                let rest: Vec<String> =
                    words[1..].iter().map(|word| format!("'{}' ", String::from_utf8_lossy(word))).collect();
                Reply::Error(format!(
                    "ERR unknown command '{}', with args beginning with: {}",
                    String::from_utf8_lossy(&words[0]),
                    rest.concat()
                ))
            }
            _ => Reply::Error(format!(
                "ERR wrong number of arguments for '{}' command",
                String::from_utf8_lossy(&name)
            )),
        })
    }

    /// Runs a request on the reference of a shard.
    #[expect(clippy::too_many_arguments, reason = "a run has this many circumstances")]
    fn run(
        &mut self,
        turn: &mut Turn<'_>,
        shard: usize,
        dialogue: usize,
        number: usize,
        words: &[Vec<u8>],
        database: usize,
        unix_micros: u64,
    ) -> Result<Expect, String> {
        if let Some(last) = self.last_run.insert((dialogue, shard), number)
            && last >= number
        {
            return Err(format!(
                "{} runs on core {shard} after a later request of its connection",
                spoken(words)
            ));
        }
        self.moment += 1;
        let reference = &mut self.shards[shard];
        reference.moment = self.moment;
        let at = unix_micros / 1_000;
        reference.clock = reference.judged(at);
        if reference.clock > at {
            turn.sometimes.met("a shard judged by a later instant than the request's");
        }
        if words[0].eq_ignore_ascii_case(b"scan") {
            return Ok(Expect::ScanOf(reference.living(database).map(|(key, _)| key.clone()).collect()));
        }
        let due = reference.found_due;
        let reply =
            reference.run(database, words).ok_or_else(|| format!("no reference for {}", spoken(words)))?;
        if reference.found_due > due {
            turn.sometimes.met("a key was found expired by a command");
        }
        if matches!(&reply, Reply::Bulk(bytes) if bytes.len() >= 16 << 10) {
            turn.sometimes.met("a value above 16 KiB was shared");
        }
        Ok(Expect::Exactly(reply))
    }

    /// A shard's part of an answer that all give.
    fn part(
        &mut self,
        turn: &mut Turn<'_>,
        shard: usize,
        dialogue: usize,
        number: usize,
        words: &[Vec<u8>],
        database: usize,
    ) {
        self.moment += 1;
        let name = words[0].to_ascii_lowercase();
        let wild_database = self.wild_database;
        let reference = &mut self.shards[shard];
        let Expect::Gathering { left, sum } = &mut self.dialogues[dialogue].requests[number].expect else {
            return;
        };
        *left -= 1;
        // Looking at all keys is judging them.
        if matches!(&name[..], b"keys" | b"randomkey") {
            reference.clock = reference.judged(turn.unix_micros / 1_000);
        }
        match (&name[..], &mut **sum) {
            (b"keys", Expect::Keys(keys)) => {
                let living = reference.living(database).map(|(key, _)| key.clone());
                keys.extend(living.filter(|key| matches_simply(&words[1], key)));
            }
            (b"dbsize", Expect::Between(low, high)) => {
                *low += reference.living(database).count() as i64;
                // Keys whose time has come count until somebody removes them, as in Redis.
                *high += reference.databases[database].len() as i64;
            }
            (b"randomkey", Expect::OneOf(choices)) => {
                choices.extend(reference.living(database).map(|(key, _)| Reply::bulk(key)));
            }
            (b"flushdb", _) => reference.databases[database].clear(),
            (b"flushall", _) => reference.databases.iter_mut().for_each(BTreeMap::clear),
            _ => {}
        }
        debug_assert!(database != wild_database, "wild clients are not followed");
        if *left == 0 {
            let sum = (**sum).clone();
            self.dialogues[dialogue].requests[number].expect = sum;
            if self.shards.len() > 1 {
                turn.sometimes.met("all cores gave a part");
            }
        }
    }

    /// The connection is gone from the engine.
    pub fn closed(&mut self, dialogue: usize, sometimes: &mut Sometimes) {
        if !self.dialogues[dialogue].remote.is_empty() {
            sometimes.met("a connection closed with replies in flight");
        }
    }

    /// What is on its way to other cores, for a report.
    pub fn under_way(&self) -> Vec<String> {
        let text = |way: &OnItsWay| spoken(&self.dialogues[way.dialogue].requests[way.request].words);
        self.on_their_way.values().map(text).collect()
    }
}

/// False for what is refused before it runs.
fn is_admitted(words: &[Vec<u8>]) -> bool {
    match &words[0].to_ascii_lowercase()[..] {
        b"nosuch" => false,
        b"get" => words.len() == 2,
        _ => true,
    }
}

fn empty_sum(words: &[Vec<u8>]) -> Expect {
    match &words[0].to_ascii_lowercase()[..] {
        b"keys" => Expect::Keys(Vec::new()),
        b"dbsize" => Expect::Between(0, 0),
        // A core whose tries all meet keys whose time has come gives none.
        b"randomkey" => Expect::OneOf(vec![Reply::Null]),
        _ => Expect::Exactly(Reply::ok()),
    }
}

/// The patterns of the workload: `*`, a beginning, or a part.
fn matches_simply(pattern: &[u8], key: &[u8]) -> bool {
    let text = String::from_utf8_lossy(pattern).into_owned();
    let key = String::from_utf8_lossy(key);
    match (text.strip_prefix('*'), text.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(rest), Some(_)) => key.contains(rest.trim_end_matches('*')),
        (None, Some(beginning)) => key.starts_with(beginning),
        _ => key == text,
    }
}

/// A cursor carries its shard above bit 42.
fn shard_of_cursor(cursor: &[u8], shards: usize) -> usize {
    let cursor: u64 = std::str::from_utf8(cursor).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    ((cursor >> 42) as usize).min(shards - 1)
}

fn is_same(request: &CoreRequest, words: &[Vec<u8>]) -> bool {
    let mut spans = Vec::new();
    let args = request.args.unpack(&mut spans);
    args.len() == words.len() && args.iter().zip(words).all(|(arg, word)| arg == word)
}
