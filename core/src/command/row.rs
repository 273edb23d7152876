//! What one row of the command table says. A row stands beside the function that it names; everything else, from arity errors to the
//! reference page, is derived from it.

use crate::args::{Args, OwnedArgs};
use crate::config::Settings;
use crate::errand::Errand;
use crate::node::{Asked, Local};
use crate::part::Part;
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::shard::Cx;
use crate::time::UnixMillis;
use crate::txn::intent::Mode;
use crate::txn::work::{Finding, Order};
use crate::value::record::Record;

/// A set of properties, as COMMAND INFO shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flags(pub u32);

impl Flags {
    /// None of them.
    pub const NONE: Flags = Flags(0);
    /// May change keys.
    pub const WRITE: Flags = Flags(1);
    /// Reads keys and changes none.
    pub const READONLY: Flags = Flags(1 << 1);
    /// May take more memory: refused above `maxmemory`.
    pub const DENYOOM: Flags = Flags(1 << 2);
    /// For administrators.
    pub const ADMIN: Flags = Flags(1 << 3);
    /// Not allowed in scripts.
    pub const NOSCRIPT: Flags = Flags(1 << 4);
    /// Allowed while data is loaded.
    pub const LOADING: Flags = Flags(1 << 5);
    /// Allowed on a replica whose data is stale.
    pub const STALE: Flags = Flags(1 << 6);
    /// Not shown by MONITOR.
    pub const SKIP_MONITOR: Flags = Flags(1 << 7);
    /// Not kept by SLOWLOG.
    pub const SKIP_SLOWLOG: Flags = Flags(1 << 8);
    /// Takes constant or logarithmic time.
    pub const FAST: Flags = Flags(1 << 9);
    /// Allowed before AUTH.
    pub const NO_AUTH: Flags = Flags(1 << 10);
    /// Not allowed within MULTI.
    pub const NO_MULTI: Flags = Flags(1 << 11);
    /// Off unless `enable-debug-command` allows it.
    pub const PROTECTED: Flags = Flags(1 << 12);
    /// Its keys are found by looking at its arguments.
    pub const MOVABLE_KEYS: Flags = Flags(1 << 13);
    /// May wait.
    pub const BLOCKING: Flags = Flags(1 << 15);
    /// Answered at once by a client that has said MULTI, not queued.
    pub const AT_ONCE: Flags = Flags(1 << 14);
    /// It waits until its client's earlier commands are answered.
    pub const AFTER_ALL: Flags = Flags(1 << 17);
    /// Of another protocol: no client can name it, and nothing lists it.
    pub const UNNAMED: Flags = Flags(1 << 16);
    /// Refused as changes are while nothing can be persisted: who only asks how the server is hears of it.
    pub const HEALTH: Flags = Flags(1 << 18);

    const NAMES: [(Flags, &'static str); 14] = [
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::BLOCKING, "blocking"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_MONITOR, "skip_monitor"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::MOVABLE_KEYS, "movablekeys"),
    ];

    /// Both sets.
    pub const fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// True if all of `other` are in here.
    #[inline]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Redis's words for them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Flags::NAMES.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        self.or(other)
    }
}

/// The family of a command, as COMMAND DOCS groups them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Strings.
    String,
    /// Lists.
    List,
    /// Sorted sets.
    SortedSet,
    /// Places on the earth.
    Geo,
    /// Streams.
    Stream,
    /// Hashes.
    Hash,
    /// Sets.
    Set,
    /// Keys of any type.
    Generic,
    /// The connection itself.
    Connection,
    /// The server.
    Server,
    /// MULTI, EXEC and what belongs to them.
    Transactions,
    /// Strings as bits.
    Bitmap,
    /// Strings that estimate how many different elements were added.
    Hyperloglog,
    /// Another protocol.
    Memcached,
}

impl Group {
    /// Redis's word.
    pub fn name(self) -> &'static str {
        match self {
            Group::String => "string",
            Group::List => "list",
            Group::SortedSet => "sorted-set",
            Group::Geo => "geo",
            Group::Stream => "stream",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::Generic => "generic",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Transactions => "transactions",
            Group::Bitmap => "bitmap",
            Group::Hyperloglog => "hyperloglog",
            Group::Memcached => "memcached",
        }
    }
}

/// Where the keys stand among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// There are none.
    None,
    /// From `first` to `last` (negative: counted from the end), every `step`-th.
    Range {
        /// Place of the first key.
        first: u16,
        /// Place of the last.
        last: i16,
        /// Distance.
        step: u16,
    },
    /// The argument at `count` says how many keys follow, `step` apart.
    Counted {
        /// Place of the count; the first key stands behind it.
        count: u16,
        /// Distance.
        step: u16,
    },
    /// The first argument, and behind it a count at `count` and as many keys.
    FirstAndCounted {
        /// Place of the count; the second key stands behind it.
        count: u16,
    },
    /// The first argument, and the one behind the last of these words that stands at `from` or later.
    FirstAndNamed {
        /// Where the words may begin.
        from: u16,
        /// In lower case.
        words: &'static [&'static str],
    },
    /// The first argument and, behind that, the one that follows this option; of several the last counts.
    WithOption {
        /// The option.
        word: &'static str,
        /// Other options and how many arguments belong to each, so that these are not taken for it.
        others: &'static [(&'static str, u16)],
    },
    /// The argument at `one`, or, if that is empty and the word is there, everything behind the word.
    OneOrBehind {
        /// Place of the key, if there is one.
        one: u16,
        /// Where options begin.
        from: u16,
        /// In lower case.
        word: &'static str,
        /// Other options and how many arguments belong to each, so that these are not taken for it.
        others: &'static [(&'static str, u16)],
    },
    /// Behind a word, which options may stand before, the first half of what follows.
    Halves {
        /// Each with how many words it takes.
        options: &'static [(&'static str, u16)],
        /// In lower case.
        word: &'static str,
    },
}

impl Keys {
    /// One key, the first argument.
    pub const ONE: Keys = Keys::Range { first: 1, last: 1, step: 1 };
    /// All arguments are keys.
    pub const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };
    /// The first two.
    pub const TWO: Keys = Keys::Range { first: 1, last: 2, step: 1 };

    /// The place of the one key, where there is never another.
    #[inline]
    pub fn only(self) -> Option<usize> {
        match self {
            Keys::Range { first, last, .. } if i32::from(first) == i32::from(last) => Some(first.into()),
            _ => None,
        }
    }

    /// The places of the keys; none where the arguments make no sense (the command then says why).
    #[inline]
    pub fn places(self, args: Args<'_>) -> KeyPlaces {
        let len = args.len();
        match self {
            Keys::None => KeyPlaces::NONE,
            Keys::Range { first, last, step } => {
                let last =
                    if last < 0 { len.saturating_sub(last.unsigned_abs() as usize) } else { last as usize };
                let last = last.min(len.saturating_sub(1));
                KeyPlaces { before: None, next: first as usize, last, step: step as usize }
            }
            Keys::Counted { count, step } => {
                let (count, step) = (count as usize, step as usize);
                let keys = args.get(count).and_then(crate::protocol::request::parse_integer).unwrap_or(0);
                let last =
                    usize::try_from(keys).ok().and_then(|keys| keys.checked_mul(step)?.checked_add(count));
                match last {
                    Some(last) if keys > 0 && last < len => {
                        KeyPlaces { before: None, next: count + 1, last, step }
                    }
                    _ => KeyPlaces::NONE,
                }
            }
            Keys::FirstAndCounted { count } => {
                let places = Keys::Counted { count, step: 1 }.places(args);
                let before = (places.next <= places.last).then_some(1);
                KeyPlaces { before, ..places }
            }
            Keys::FirstAndNamed { from, words } => {
                let is_named = |place: &usize| words.iter().any(|word| args.is(*place, word));
                let named = (from as usize..len.saturating_sub(1)).rev().find(is_named);
                let (next, last) = named.map_or((1, 0), |place| (place + 1, place + 1));
                KeyPlaces { before: Some(1), next, last, step: 1 }
            }
            Keys::WithOption { word, others } => match option(args, word, others) {
                Some(place) => KeyPlaces { before: None, next: 1, last: place, step: place - 1 },
                None => KeyPlaces { before: None, next: 1, last: 1, step: 1 },
            },
            Keys::OneOrBehind { one, from, word, others } => {
                let (one, mut at) = (usize::from(one), usize::from(from));
                while at < len && !args.is(at, word) {
                    let taken = others.iter().find(|(other, _)| args.is(at, other));
                    at += 1 + taken.map_or(0, |(_, taken)| usize::from(*taken));
                }
                let is_one = at >= len || args.get(one).is_some_and(|key| !key.is_empty());
                match is_one {
                    true => KeyPlaces { before: None, next: one, last: one.min(len - 1), step: 1 },
                    false => KeyPlaces { before: None, next: at + 1, last: len - 1, step: 1 },
                }
            }
            Keys::Halves { options, word } => {
                let mut at = 1;
                while let Some((_, words)) = options.iter().find(|(option, _)| args.is(at, option)) {
                    at += usize::from(*words);
                }
                let behind = len.saturating_sub(at + 1);
                match args.is(at, word) && behind.is_multiple_of(2) {
                    true => KeyPlaces { before: None, next: at + 1, last: at + behind / 2, step: 1 },
                    false => KeyPlaces::NONE,
                }
            }
        }
    }

    /// How many arguments stand before the first key, and how many each key takes with what belongs to it.
    pub fn groups(self) -> (usize, usize) {
        match self {
            Keys::None => (1, 1),
            Keys::WithOption { .. } => (1, 1),
            Keys::Range { first, step, .. } => (first.into(), step.into()),
            Keys::Counted { count, step } => (usize::from(count) + 1, step.into()),
            // Only plans have them, and they are never cut into shares.
            Keys::FirstAndCounted { .. }
            | Keys::FirstAndNamed { .. }
            | Keys::OneOrBehind { .. }
            | Keys::Halves { .. } => (1, 1),
        }
    }

    /// First, last and step as COMMAND INFO gives them.
    pub fn legacy(self) -> (i64, i64, i64) {
        match self {
            Keys::Range { first, last, step } => (first.into(), last.into(), step.into()),
            Keys::FirstAndCounted { .. } | Keys::FirstAndNamed { .. } => (1, 1, 1),
            Keys::WithOption { .. } => (1, 1, 1),
            Keys::OneOrBehind { one, .. } => (one.into(), one.into(), 1),
            Keys::None | Keys::Counted { .. } | Keys::Halves { .. } => (0, 0, 0),
        }
    }
}

/// The place of what follows an option that stands behind the first key.
fn option(args: Args<'_>, word: &str, others: &[(&str, u16)]) -> Option<usize> {
    let (mut found, mut n) = (None, 2);
    while n < args.len() {
        if args.is(n, word) && n + 1 < args.len() {
            found = Some(n + 1);
            n += 1;
        } else if let Some((_, taken)) = others.iter().find(|(other, _)| args.is(n, other)) {
            n += usize::from(*taken);
        }
        n += 1;
    }
    found
}

/// The places of a request's keys, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct KeyPlaces {
    /// One that stands apart from the others, before them.
    before: Option<usize>,
    next: usize,
    last: usize,
    step: usize,
}

impl KeyPlaces {
    const NONE: KeyPlaces = KeyPlaces { before: None, next: 1, last: 0, step: 1 };
}

impl Iterator for KeyPlaces {
    type Item = usize;
    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.before.is_some() {
            return self.before.take();
        }
        let place = self.next;
        (place <= self.last).then(|| {
            self.next += self.step;
            place
        })
    }
}

/// What a command does with its keys, in the words of COMMAND INFO's key specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Touch {
    /// Reads it.
    Read,
    /// Reads and changes it.
    Update,
    /// Puts another value in its place.
    Overwrite,
    /// Puts another value in its place; with the word GET it reads it before.
    Replace,
    /// Reads it; with one of the words SET and INCRBY it changes it as well.
    Fields,
    /// Removes it, or parts of it.
    Delete,
    /// Adds to it, and says nothing of what is there.
    Insert,
    /// Changes a part of it, and says nothing of what is there.
    Change,
    /// Removes parts of it and says what they were.
    Take,
    /// Takes from the first key and adds to the second.
    Move,
    /// Says how much it holds, not what.
    Measure,
}

/// A call and its reply, which the reference shows, and which the tests make: on an empty store, in this order. The reply is
/// as redis-cli prints it without a terminal; `*` stands for one that differs from run to run.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The line to type.
    pub call: &'static str,
    /// What comes back.
    pub reply: &'static str,
}

/// A step on the shard that owns the keys.
pub type Apply = fn(&mut Cx<'_>, Args<'_>, &mut Reply<'_>) -> Outcome;

/// How the replies of several shards become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Merge {
    /// Numbers are added.
    Sum,
    /// All say the same.
    Same,
    /// An array: each key's element in the order of the request.
    Elements,
    /// Each key's item in the order of the request and a line behind them, for memcached's clients.
    Items,
}

impl Merge {
    /// True if what each key gives is wanted one by one.
    pub fn is_of_elements(self) -> bool {
        matches!(self, Merge::Elements | Merge::Items)
    }
}

/// How a client is told that its request was not done.
pub type Tell = fn(Args<'_>, &Failure, &mut Reply<'_>);

/// A command whose keys may lie on several shards, and which reads before it knows what to write. Its shards act in steps under locks
/// that are held from the first to the last; on one shard the steps follow each other at once.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Refuses what makes no sense before anything is locked.
    pub check: fn(Args<'_>, &Settings) -> Outcome,
    /// True if the n-th key is only read.
    pub reads: fn(usize) -> bool,
    /// What one shard does in a step; it sees those of the command's keys that are its own.
    pub act: fn(&mut Cx<'_>, Args<'_>, Order) -> Finding,
    /// What follows from the findings of a step: of each order one, in their order; of an order to all, one of each shard.
    pub next: fn(Args<'_>, u8, Vec<Finding>, &mut Reply<'_>) -> Next,
}

/// What follows a step of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The reply is written.
    Done,
    /// The reply is this error.
    Failed(Failure),
    /// There is nothing to be had: whoever may wait does.
    Wait,
    /// Another step.
    Step(Vec<Order>),
    /// Another step, when another server has answered: it finds what that has acknowledged, and what has failed. Only of [`Run::Abroad`].
    Ask(Box<Errand>),
}

/// A command that waits if there is nothing to be had.
#[derive(Clone, Copy)]
pub struct Block {
    /// Looks for it and takes it.
    pub plan: Plan,
    /// How long to wait, milliseconds; 0: for ever.
    pub timeout: fn(Args<'_>) -> Result<u64, Failure>,
    /// True if it waits for the n-th key; the others are only changed.
    pub waits_for: fn(usize) -> bool,
    /// The shard of any key that it waits for can serve it by itself.
    pub is_served_alone: bool,
    /// True if a value is something to be had.
    pub is_ready: fn(&Record) -> bool,
    /// The reply if there was nothing.
    pub empty: fn(&mut Reply<'_>),
    /// True if this request waits at all.
    pub waits: fn(Args<'_>) -> bool,
    /// It takes nothing from who waits behind it: see [`Reader`]. Then `is_ready` is not asked.
    pub reader: Option<Reader>,
}

/// A command that waits to read: who waited first does not stand in the way of others.
#[derive(Clone, Copy)]
pub struct Reader {
    /// Whether at this instant there is something to be told under the key at this place, be it that there is none any more.
    pub sees: fn(Option<&Record>, Args<'_>, usize, UnixMillis) -> Sight,
    /// The request that is waited with, if what is there at the beginning decides what it waits for.
    pub settle: Option<fn(Args<'_>, &[Finding]) -> OwnedArgs>,
}

/// What somebody who waits to read sees under a key; the less there is to wait for, the less it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// Something.
    Something,
    /// Nothing, until the key changes or this moment has come: then it is to be looked at again.
    NothingBefore(UnixMillis),
    /// Nothing, until the key changes.
    Nothing,
}

impl Sight {
    /// Something, or nothing.
    pub fn of(is_something: bool) -> Sight {
        if is_something { Sight::Something } else { Sight::Nothing }
    }
}

/// How a command runs.
#[derive(Clone, Copy)]
pub enum Run {
    /// In the client's session, without keys.
    Local(fn(&mut Local<'_>, Args<'_>, &mut Reply<'_>) -> Outcome),
    /// One step on the shard that owns the keys.
    Hop(Apply),
    /// One step on each shard that owns some of the keys.
    Spread {
        /// Refuses what makes no sense before anything is locked.
        check: fn(Args<'_>) -> Outcome,
        /// The step, on a shard's own keys.
        apply: Apply,
        /// The reply.
        merge: Merge,
    },
    /// Steps on the shards that own the keys.
    Plan(&'static Plan),
    /// The same, and waits if there is nothing.
    Block(&'static Block),
    /// The same as `Plan`, as a transaction wherever the keys lie: it asks another server between its steps.
    Abroad(&'static Plan),
    /// Ends what MULTI has begun: all that is queued takes effect as one.
    Exec,
    /// Like `Spread`, and the shards remember that the client watches the keys.
    Watch(Apply),
    /// One step on the shard that the arguments name.
    Visit {
        /// Which shard, of how many.
        shard: fn(Args<'_>, u16) -> Result<u16, Failure>,
        /// The step.
        apply: fn(&mut Cx<'_>, Args<'_>, &mut Reply<'_>) -> Outcome,
    },
    /// Every core gives its part; then the client's session makes one reply of all.
    Gather {
        /// The parts belong to one moment: all shards are locked in this mode. `None`: without atomicity between them.
        whole: Option<Mode>,
        /// Refuses what makes no sense before anybody is asked.
        check: fn(&mut Local<'_>, Args<'_>) -> Outcome,
        /// One core's part.
        part: fn(&mut Asked<'_>, Args<'_>) -> Part,
        /// The reply; the parts stand in the order of cores.
        merge: fn(&mut Local<'_>, Args<'_>, Vec<Part>, &mut Reply<'_>) -> Outcome,
    },
    /// Only its subcommands run.
    Container,
}

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Command {
    /// In lower case; a subcommand's own word.
    pub name: &'static str,
    /// How many arguments, the name (and the container's) included; negative: at least.
    pub arity: i8,
    /// See [`Flags`].
    pub flags: Flags,
    /// Where the keys stand.
    pub keys: Keys,
    /// Another database in which the keys are touched too.
    pub other_database: fn(Args<'_>) -> Option<u16>,
    /// How all keys of all shards are locked, if it finds out only by looking which others it needs: only for a [`Plan`].
    pub whole: fn(Args<'_>) -> Option<Mode>,
    /// What becomes of them.
    pub touch: Touch,
    /// Its family.
    pub group: Group,
    /// One sentence.
    pub summary: &'static str,
    /// The release of Redis (or Valkey) that brought it.
    pub since: &'static str,
    /// In big-O notation.
    pub complexity: &'static str,
    /// Its arguments as [`crate::command::syntax`] reads them.
    pub syntax: &'static str,
    /// Calls that the reference shows and the tests make.
    pub examples: &'static [Example],
    /// What it does.
    pub run: Run,
    /// How its failures are told.
    pub tell: Tell,
    /// Rows of its subcommands.
    pub subcommands: &'static [Command],
}

impl Command {
    /// What rows leave out.
    pub const DEFAULT: Command = Command {
        name: "",
        arity: 1,
        flags: Flags::NONE,
        keys: Keys::None,
        other_database: |_| None,
        whole: |_| None,
        touch: Touch::Read,
        group: Group::Server,
        summary: "",
        since: "1.0.0",
        complexity: "O(1)",
        syntax: "",
        examples: &[],
        run: Run::Container,
        tell: |_, failure, reply| reply.error(failure),
        subcommands: &[],
    };

    /// True if it runs where its keys are.
    pub fn runs_on_a_shard(&self) -> bool {
        matches!(self.run, Run::Hop(_) | Run::Spread { .. } | Run::Plan(_) | Run::Block(_))
    }

    /// Its steps, if it has more than one.
    #[inline]
    pub fn plan(&self) -> Option<&'static Plan> {
        match self.run {
            Run::Plan(plan) | Run::Abroad(plan) => Some(plan),
            Run::Block(block) => Some(&block.plan),
            _ => None,
        }
    }

    /// How the n-th key is locked.
    #[inline]
    pub fn mode(&self, n: usize) -> Mode {
        let reads = match self.plan() {
            Some(plan) => (plan.reads)(n),
            None => !self.flags.has(Flags::WRITE),
        };
        if reads { Mode::Shared } else { Mode::Exclusive }
    }

    /// True if it locks some of its keys so that others may read them meanwhile. Keys of one kind stand together, so that the first two show it.
    pub fn shares_keys(&self) -> bool {
        [0, 1].into_iter().any(|n| self.mode(n) == Mode::Shared)
    }

    /// True if a request of this many arguments has as many as the row wants.
    #[inline]
    pub fn takes(&self, args: usize) -> bool {
        let arity = self.arity;
        if arity >= 0 { args == arity as usize } else { args >= arity.unsigned_abs() as usize }
    }

    /// ACL categories, derived from flags and group as Redis does.
    pub fn categories(&self) -> Vec<&'static str> {
        let mut categories = Vec::new();
        let flags = self.flags;
        if self.group == Group::Generic {
            categories.push("@keyspace");
        }
        if flags.has(Flags::READONLY) && !matches!(self.keys, Keys::None) || flags.has(Flags::READONLY) {
            categories.push("@read");
        }
        if flags.has(Flags::WRITE) {
            categories.push("@write");
        }
        if self.group == Group::String {
            categories.push("@string");
        }
        if self.group == Group::List {
            categories.push("@list");
        }
        if self.group == Group::SortedSet {
            categories.push("@sortedset");
        }
        if self.group == Group::Geo {
            categories.push("@geo");
        }
        if self.group == Group::Stream {
            categories.push("@stream");
        }
        if self.group == Group::Hash {
            categories.push("@hash");
        }
        if self.group == Group::Set {
            categories.push("@set");
        }
        if self.group == Group::Bitmap {
            categories.push("@bitmap");
        }
        if self.group == Group::Hyperloglog {
            categories.push("@hyperloglog");
        }
        if flags.has(Flags::ADMIN) {
            categories.push("@admin");
        }
        categories.push(if flags.has(Flags::FAST) { "@fast" } else { "@slow" });
        if flags.has(Flags::ADMIN) {
            categories.push("@dangerous");
        }
        if flags.has(Flags::BLOCKING) {
            categories.push("@blocking");
        }
        if self.group == Group::Connection {
            categories.push("@connection");
        }
        if self.group == Group::Transactions {
            categories.push("@transaction");
        }
        categories
    }
}
