//! What clients ask for, as bytes, and what of it touches which keys on which shard in which part.
//!
//! It knows commands as far as their keys go. It does not know engines.

use darter_core::hash::KeyHasher;

use crate::state::HASH_SEEDS;

/// A key, by its number: see [`Keys`].
pub type Key = u8;

/// On shard 0.
pub const X: Key = 0;
/// On shard 1.
pub const Y: Key = 1;
/// On shard 0.
pub const Z: Key = 2;
/// On shard 1.
pub const W: Key = 3;
/// On shard 2.
pub const V: Key = 4;
/// On shard 2.
pub const U: Key = 5;

/// On shard 1.
pub const Q: Key = 6;

/// How many keys there may be.
pub const KEYS: usize = 7;
/// How many requests there may be.
pub const OPS: usize = 16;

/// The shard of each key.
const SHARDS: [u16; KEYS] = [0, 1, 0, 1, 2, 2, 1];

/// The names of keys in a world of some cores.
#[derive(Clone, Debug)]
pub struct Keys {
    /// None where there is no such shard.
    names: Vec<Option<String>>,
}

impl Keys {
    /// Names that lie where they should.
    pub fn new(cores: u16) -> Keys {
        let hasher = KeyHasher::new(HASH_SEEDS);
        let mut names: Vec<Option<String>> = Vec::new();
        for shard in SHARDS {
            let fits = |name: &String| {
                let lies = hasher.hash(name.as_bytes()).shard(cores);
                lies == shard && !names.iter().flatten().any(|other| other == name)
            };
            names.push(
                (0..).map(|n| format!("k{n}")).take(if shard < cores { usize::MAX } else { 0 }).find(fits),
            );
        }
        Keys { names }
    }

    /// The name of a key.
    pub fn name(&self, key: Key) -> &str {
        self.names[usize::from(key)].as_deref().expect("the shard of a key that is used is there")
    }

    /// All keys.
    pub fn all(&self) -> impl Iterator<Item = Key> + '_ {
        (0..KEYS as Key).filter(|key| self.names[usize::from(*key)].is_some())
    }

    /// The shard of a key.
    pub fn shard(&self, key: Key) -> u16 {
        SHARDS[usize::from(key)]
    }
}

/// A request.
#[derive(Clone, Debug)]
pub enum Ask {
    /// GET, MGET.
    Read(Vec<Key>),
    /// SET, MSET.
    Write(Vec<Key>),
    /// MSETNX.
    WriteNew(Vec<Key>),
    /// RENAME.
    Rename(Key, Key),
    /// RENAMENX.
    RenameNew(Key, Key),
    /// COPY.
    Copy(Key, Key),
    /// DEL.
    Delete(Vec<Key>),
    /// SET that ends when the clock has moved on.
    WriteUntil(Key),
    /// SET that ends soon after the clock has moved on.
    WriteLonger(Key),
    /// MULTI, requests, EXEC.
    Exec(Vec<Ask>),
    /// WATCH.
    Watch(Vec<Key>),
    /// UNWATCH.
    Unwatch,
    /// FLUSHALL.
    Flush,
    /// DBSIZE.
    Count,
    /// RPUSH.
    Push(Key),
    /// LPOP.
    Pop(Key),
    /// BLPOP, for ever or until the clock moves on.
    Await(Vec<Key>, Patience),
    /// BLMOVE, for ever or until the clock moves on.
    AwaitMove(Key, Key, Patience),
    /// CLIENT UNBLOCK of a client by its number, with an error or as if its time were up.
    Unblock(u8, bool),
}

/// How long a client waits for an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// For ever.
    Endless,
    /// Until the clock has moved on.
    Short,
}

impl Patience {
    fn seconds(self) -> &'static str {
        match self {
            Patience::Endless => "0",
            Patience::Short => "0.5",
        }
    }
}

/// What is peculiar to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Plain,
    /// It waits until one of these keys has an element: bits by number.
    Await {
        /// Which.
        keys: u8,
        /// How long.
        patience: Patience,
    },
    /// It writes a key that ends.
    Until {
        /// Which.
        key: Key,
        /// When the clock has moved on; else never, as far as this world goes.
        comes: bool,
    },
    /// It ends a client's wait.
    Unblock {
        /// Whose.
        client: u8,
        /// With an error.
        with_error: bool,
    },
}

/// A request that is said when everything before it has been answered, or at once.
#[derive(Clone, Debug)]
pub struct Say {
    /// What.
    pub ask: Ask,
    /// Not before everything that the client has said was answered.
    pub waits: bool,
}

impl Say {
    /// Not before everything that the client has said was answered.
    #[must_use]
    pub fn waits(mut self) -> Say {
        self.waits = true;
        self
    }
}

impl From<Ask> for Say {
    fn from(ask: Ask) -> Say {
        Say { ask, waits: false }
    }
}

/// Reads these keys: GET, MGET.
pub fn read(keys: &[Key]) -> Say {
    Ask::Read(keys.to_vec()).into()
}

/// Writes these keys: SET, MSET.
pub fn write(keys: &[Key]) -> Say {
    Ask::Write(keys.to_vec()).into()
}

/// RENAME, in several steps if the keys lie apart.
pub fn rename(from: Key, to: Key) -> Say {
    Ask::Rename(from, to).into()
}

/// EXEC of writes to these keys.
pub fn exec(keys: &[Key]) -> Say {
    Ask::Exec(keys.iter().map(|key| Ask::Write(vec![*key])).collect()).into()
}

/// EXEC of reads of these keys.
pub fn exec_reads(keys: &[Key]) -> Say {
    Ask::Exec(keys.iter().map(|key| Ask::Read(vec![*key])).collect()).into()
}

/// WATCH.
pub fn watch(keys: &[Key]) -> Say {
    Ask::Watch(keys.to_vec()).into()
}

/// BLPOP, for ever.
pub fn await_one(keys: &[Key]) -> Say {
    Ask::Await(keys.to_vec(), Patience::Endless).into()
}

/// BLMOVE, for ever.
pub fn await_move(from: Key, to: Key) -> Say {
    Ask::AwaitMove(from, to, Patience::Endless).into()
}

/// RPUSH: of several keys, one after the other in EXEC.
pub fn push(keys: &[Key]) -> Say {
    match keys {
        [key] => Ask::Push(*key).into(),
        _ => Ask::Exec(keys.iter().map(|key| Ask::Push(*key)).collect()).into(),
    }
}

/// A client.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its core.
    pub core: u16,
    /// What it says.
    pub says: Vec<Say>,
    /// It may vanish at any time.
    pub may_vanish: bool,
}

impl Program {
    /// A client of a core.
    pub fn on(core: u16, says: Vec<Say>) -> Program {
        Program { core, says, may_vanish: false }
    }

    /// It may vanish at any time.
    #[must_use]
    pub fn may_vanish(mut self) -> Program {
        self.may_vanish = true;
        self
    }
}

/// Keys that are touched: bits by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Touched {
    /// Read.
    pub reads: u8,
    /// Written.
    pub writes: u8,
}

impl Touched {
    fn of(keys: impl IntoIterator<Item = Key>, is_write: bool) -> Touched {
        let bits = keys.into_iter().fold(0, |bits, key| bits | 1 << key);
        if is_write { Touched { reads: 0, writes: bits } } else { Touched { reads: bits, writes: 0 } }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Touched) -> Touched {
        Touched { reads: self.reads | other.reads, writes: self.writes | other.writes }
    }

    /// All keys.
    pub fn keys(self) -> u8 {
        self.reads | self.writes
    }

    /// True if both cannot be at once.
    pub fn conflicts(self, other: Touched) -> bool {
        self.writes & other.keys() != 0 || other.writes & self.keys() != 0
    }
}

/// A request as the model plays it.
#[derive(Clone, Debug)]
pub struct Op {
    /// Whose.
    pub client: usize,
    /// Its place among the client's.
    pub place: usize,
    /// What arrives.
    pub bytes: Vec<u8>,
    /// How many replies it gets.
    pub replies: usize,
    /// See [`Say::waits`].
    pub waits: bool,
    /// Of each shard that takes part: what is touched there in the first part, in the second and so on.
    pub parts: Vec<(u16, Vec<Touched>)>,
    /// EXEC, with what is watched.
    pub is_watched: bool,
    /// The connection on which it is said to a store of one piece: each round of WATCH has its own, since rounds of one client that touch
    /// different keys may take effect in either order.
    pub line: u8,
    /// The requests that have told what is watched: it builds on them whatever they touch.
    pub builds_on: u16,
    /// What is peculiar to it.
    pub kind: Kind,
    /// What is said to a store of one piece in its place, if it was served from these keys only: bits by number.
    pub bytes_on: Vec<(u8, Vec<u8>)>,
}

impl Op {
    /// Everything that is touched.
    pub fn touched(&self) -> Touched {
        self.parts.iter().flat_map(|(_, parts)| parts).fold(Touched::default(), |all, part| all.and(*part))
    }

    /// The parts on a shard.
    pub fn parts_on(&self, shard: u16) -> Option<&[Touched]> {
        self.parts.iter().find(|(other, _)| *other == shard).map(|(_, parts)| &parts[..])
    }

    /// The keys that it waits for: bits by number.
    pub fn awaits(&self) -> u8 {
        if let Kind::Await { keys, .. } = self.kind { keys } else { 0 }
    }

    /// True if it lies on several shards.
    pub fn is_spread(&self) -> bool {
        self.parts.len() > 1
    }
}

/// All requests of all clients, and of each client which.
pub fn compile(programs: &[Program], keys: &Keys, cores: u16) -> (Vec<Op>, Vec<Vec<usize>>) {
    let (mut ops, mut of, mut line) = (Vec::new(), Vec::new(), 0);
    for (client, program) in programs.iter().enumerate() {
        let (mut own, mut watched, mut builds_on) = (Vec::new(), Vec::new(), 0);
        for (place, say) in program.says.iter().enumerate() {
            own.push(ops.len());
            let ask = &say.ask;
            let compiler = Compiler { keys, cores, number: ops.len(), programs };
            let mut parts = compiler.parts(ask, &watched);
            parts.sort_by_key(|(shard, _)| *shard);
            let is_watched = matches!(ask, Ask::Exec(_)) && !watched.is_empty();
            let ends_round = matches!(ask, Ask::Exec(_) | Ask::Unwatch);
            let on = if is_watched { std::mem::take(&mut builds_on) } else { 0 };
            match ask {
                Ask::Watch(more) => {
                    watched.extend(more);
                    builds_on |= 1 << ops.len();
                }
                Ask::Exec(_) => watched.clear(),
                Ask::Unwatch => (watched, builds_on) = (Vec::new(), 0),
                _ => {}
            }
            let replies = if let Ask::Exec(calls) = ask { calls.len() + 2 } else { 1 };
            let bytes = compiler.bytes(ask);
            ops.push(Op {
                client,
                place,
                bytes,
                replies,
                waits: say.waits,
                parts,
                is_watched,
                line,
                builds_on: on,
                kind: compiler.kind(ask),
                bytes_on: compiler.bytes_on(ask),
            });
            line += u8::from(ends_round);
        }
        of.push(own);
        line += 1;
    }
    assert!(ops.len() <= OPS, "a world has no more requests");
    (ops, of)
}

struct Compiler<'a> {
    keys: &'a Keys,
    cores: u16,
    number: usize,
    programs: &'a [Program],
}

impl Compiler<'_> {
    fn kind(&self, ask: &Ask) -> Kind {
        let bits = |keys: &[Key]| keys.iter().fold(0, |bits, key| bits | 1 << key);
        match ask {
            Ask::Await(keys, patience) => Kind::Await { keys: bits(keys), patience: *patience },
            Ask::AwaitMove(from, _, patience) => Kind::Await { keys: bits(&[*from]), patience: *patience },
            Ask::Unblock(client, with_error) => Kind::Unblock { client: *client, with_error: *with_error },
            Ask::WriteUntil(key) => Kind::Until { key: *key, comes: true },
            Ask::WriteLonger(key) => Kind::Until { key: *key, comes: false },
            _ => Kind::Plain,
        }
    }

    /// Who waits for several keys is served from one of them, or from those of one shard.
    fn bytes_on(&self, ask: &Ask) -> Vec<(u8, Vec<u8>)> {
        let Ask::Await(keys, patience) = ask else { return Vec::new() };
        let on = |own: Vec<Key>| {
            let bits = own.iter().fold(0u8, |bits, key| bits | 1 << key);
            (bits, self.bytes(&Ask::Await(own, *patience)))
        };
        let of_shard = |shard| -> Vec<Key> {
            keys.iter().copied().filter(|key| self.keys.shard(*key) == shard).collect()
        };
        let shards = (0..self.cores).map(of_shard).filter(|own| !own.is_empty());
        keys.iter().map(|key| vec![*key]).chain(shards).map(on).collect()
    }

    /// The name that a client has at its core.
    fn client_id(&self, client: u8) -> usize {
        let core = self.programs[usize::from(client)].core;
        let before = self.programs[..usize::from(client)].iter().filter(|other| other.core == core).count();
        before * usize::from(self.cores) + usize::from(core) + 1
    }

    fn bytes(&self, ask: &Ask) -> Vec<u8> {
        let mut text = self.text(ask);
        text.push_str("\r\n");
        text.into_bytes()
    }

    fn text(&self, ask: &Ask) -> String {
        let name = |key: &Key| self.keys.name(*key);
        let words = |keys: &[Key]| keys.iter().map(|key| format!(" {}", name(key))).collect::<String>();
        // Each request writes values of its own.
        let pairs = |keys: &[Key]| {
            keys.iter().map(|key| format!(" {} {key}:{}", name(key), self.number)).collect::<String>()
        };
        match ask {
            Ask::Read(keys) if keys.len() == 1 => format!("GET{}", words(keys)),
            Ask::Read(keys) => format!("MGET{}", words(keys)),
            Ask::Write(keys) if keys.len() == 1 => format!("SET{}", pairs(keys)),
            Ask::Write(keys) => format!("MSET{}", pairs(keys)),
            Ask::WriteNew(keys) => format!("MSETNX{}", pairs(keys)),
            Ask::Rename(from, to) => format!("RENAME {} {}", name(from), name(to)),
            Ask::RenameNew(from, to) => format!("RENAMENX {} {}", name(from), name(to)),
            Ask::Copy(from, to) => format!("COPY {} {} REPLACE", name(from), name(to)),
            Ask::Delete(keys) => format!("DEL{}", words(keys)),
            Ask::WriteUntil(key) => format!("SET{} PX 500", pairs(&[*key])),
            Ask::WriteLonger(key) => format!("SET{} PX 1020", pairs(&[*key])),
            Ask::Exec(calls) => {
                let calls: String = calls.iter().map(|call| self.text(call) + "\r\n").collect();
                format!("MULTI\r\n{calls}EXEC")
            }
            Ask::Watch(keys) => format!("WATCH{}", words(keys)),
            Ask::Unwatch => "UNWATCH".into(),
            Ask::Flush => "FLUSHALL".into(),
            Ask::Count => "DBSIZE".into(),
            Ask::Push(key) => format!("RPUSH {} {key}:{}", name(key), self.number),
            Ask::Pop(key) => format!("LPOP {}", name(key)),
            Ask::Await(keys, patience) => format!("BLPOP{} {}", words(keys), patience.seconds()),
            Ask::AwaitMove(from, to, patience) => {
                format!("BLMOVE {} {} LEFT RIGHT {}", name(from), name(to), patience.seconds())
            }
            Ask::Unblock(client, with_error) => {
                let how = if *with_error { "ERROR" } else { "TIMEOUT" };
                format!("CLIENT UNBLOCK {} {how}", self.client_id(*client))
            }
        }
    }

    fn parts(&self, ask: &Ask, watched: &[Key]) -> Vec<(u16, Vec<Touched>)> {
        match ask {
            Ask::Read(keys) | Ask::Watch(keys) => self.one_step(keys, false),
            Ask::Write(keys) | Ask::Delete(keys) => self.one_step(keys, true),
            Ask::WriteUntil(key) | Ask::WriteLonger(key) | Ask::Push(key) | Ask::Pop(key) => {
                self.one_step(&[*key], true)
            }
            // Looking changes nothing: what counts is where it is served.
            Ask::Await(keys, _) => self.one_step(keys, true),
            Ask::AwaitMove(from, to, _) => self.one_step(&[*from, *to], true),
            Ask::WriteNew(keys) => self.steps(&self.one_step(keys, false), &self.one_step(keys, true)),
            Ask::Rename(from, to) | Ask::RenameNew(from, to) => {
                self.steps(&self.one_step(&[*from, *to], false), &self.one_step(&[*from, *to], true))
            }
            Ask::Copy(from, to) => {
                let mut second = self.one_step(&[*to], true);
                second.extend(self.one_step(&[*from], false));
                self.steps(&self.one_step(&[*from, *to], false), &second)
            }
            Ask::Unwatch | Ask::Unblock(..) => Vec::new(),
            Ask::Flush | Ask::Count => {
                let all: Vec<Key> = self.keys.all().collect();
                let mut parts = self.one_step(&all, matches!(ask, Ask::Flush));
                for shard in
                    (0..self.cores).filter(|shard| !all.iter().any(|k| self.keys.shard(*k) == *shard))
                {
                    parts.push((shard, vec![Touched::default()]));
                }
                parts
            }
            Ask::Exec(calls) => {
                let mut body: Vec<(u16, Vec<Touched>)> = Vec::new();
                for (shard, parts) in calls.iter().flat_map(|call| self.parts(call, &[])) {
                    assert_eq!(parts.len(), 1, "what has steps stands alone");
                    match body.iter_mut().find(|(other, _)| *other == shard) {
                        Some((_, before)) => before[0] = before[0].and(parts[0]),
                        None => body.push((shard, parts)),
                    }
                }
                self.steps(&self.one_step(watched, false), &body)
            }
        }
    }

    fn one_step(&self, keys: &[Key], is_write: bool) -> Vec<(u16, Vec<Touched>)> {
        let mut shards: Vec<u16> = keys.iter().map(|key| self.keys.shard(*key)).collect();
        shards.sort_unstable();
        shards.dedup();
        let own = |shard| keys.iter().copied().filter(move |key| self.keys.shard(*key) == shard);
        shards.into_iter().map(|shard| (shard, vec![Touched::of(own(shard), is_write)])).collect()
    }

    fn steps(&self, first: &[(u16, Vec<Touched>)], then: &[(u16, Vec<Touched>)]) -> Vec<(u16, Vec<Touched>)> {
        let mut all = first.to_vec();
        for (shard, parts) in then {
            match all.iter_mut().find(|(other, _)| other == shard) {
                Some((_, before)) => before.extend(parts),
                None => all.push((*shard, parts.clone())),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_where_they_should_and_parts_say_what_is_touched() {
        let keys = Keys::new(3);
        let hasher = KeyHasher::new(HASH_SEEDS);
        assert!(keys.all().all(|key| hasher.hash(keys.name(key).as_bytes()).shard(3) == keys.shard(key)));
        let says = vec![rename(X, Y), watch(&[X]), exec(&[X, Z]), write(&[X, Y]).waits()];
        let (ops, of) = compile(&[Program::on(0, says)], &keys, 3);
        assert_eq!(of, [[0, 1, 2, 3]]);
        let (look, change) = (Touched { reads: 1, writes: 0 }, Touched { reads: 0, writes: 1 });
        assert_eq!(ops[0].parts[0], (0, vec![look, change]));
        assert!(ops[0].is_spread() && !ops[2].is_spread() && ops[2].is_watched && ops[3].waits);
        assert_eq!(ops[2].touched(), Touched { reads: 1, writes: 1 | 4 });
        assert_eq!((ops[2].replies, ops[3].replies), (4, 1));
        assert!(ops[0].touched().conflicts(look) && !look.conflicts(look));
        let text = String::from_utf8_lossy(&ops[2].bytes).into_owned();
        assert!(text.starts_with("MULTI\r\nSET ") && text.ends_with("EXEC\r\n"));
    }
}
