//! One shard: its databases, and what a command sees of them.
//!
//! Every change of a key passes one place here, which knows the key and the bytes gained or lost. It does not know clients,
//! messages or other shards.

use crate::ahead::AHEAD_MAX;
use crate::aof::changes::{Aside, Changes};
use crate::args::Args;
use crate::config::Settings;
use crate::database::{Database, Key, Live};
use crate::directs::Head;
use crate::eviction::victims::Victims;
use crate::expire::ExpiryClock;
use crate::hash::{KeyHash, KeyHasher};
use crate::memcached::counters::Ledger;
use crate::mutant::planted;
use crate::random::Random;
use crate::snapshot::saving::Saving;
use crate::time::UnixMillis;
use crate::trash::Trash;
use crate::txn::waiters::Waiters;
use crate::txn::watch::{Watcher, Watches};
use crate::value::access::AccessRule;
use crate::value::container::Container;
use crate::value::detached::Detached;
use crate::value::note::Note;
use crate::value::record::{Record, Value};

/// Counters of one shard, as INFO shows their sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShardCounters {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their time had come.
    pub expired: u64,
    /// Keys removed because memory was short.
    pub evicted: u64,
    /// Changes since the start.
    pub dirty: u64,
}

/// The data of one core.
#[derive(Clone)]
pub struct Shard {
    pub(crate) hasher: KeyHasher,
    pub(crate) databases: Vec<Database>,
    /// What they are to be again if the log cannot be read back, while it is.
    pub(crate) former: Option<Vec<Database>>,
    /// What was removed and is freed in steps.
    pub(crate) trash: Trash,
    pub(crate) counters: ShardCounters,
    /// The latest instant that this shard has judged an expiry by: it never judges by an earlier one.
    clock: ExpiryClock,
    pub(crate) random: Random,
    /// A read of the running command has found a key whose time has come.
    found_due: bool,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub(crate) active_expire: bool,
    /// Who watches which keys.
    pub(crate) watches: Watches,
    /// Who waits for which keys.
    pub(crate) waiters: Waiters,
    /// Its share of the snapshot that is under way.
    pub(crate) saving: Option<Box<Saving>>,
    /// How many keys there were at its cut.
    pub(crate) keys_at_cut: u64,
    /// What `dirty` was at the cut of the last snapshot.
    pub(crate) dirty_at_cut: u64,
    /// The same of the last one that is in the file.
    pub(crate) dirty_at_save: u64,
    /// How many databases, from the first on, have ever had keys.
    reach: usize,
    /// A database whose table may soon grow where a key of this hash belongs, though something there is due: see [`crate::eviction::crowd`].
    pub(crate) crowd: Option<(u16, KeyHash)>,
    /// Which keys go when memory is short.
    pub(crate) victims: Victims,
    /// What the memcached protocol counts.
    pub(crate) ledger: Ledger,
    /// What has changed and is to be written down.
    pub(crate) changes: Changes,
}

/// A key of the running command: the place among its arguments and its hash, made once.
#[derive(Clone, Copy, Debug)]
pub struct KeyRef {
    /// Which argument.
    pub place: u32,
    /// Of the whole key.
    pub hash: KeyHash,
}

impl Shard {
    /// A shard without keys.
    pub fn new(hasher: KeyHasher, databases: u16, random: Random) -> Shard {
        Shard {
            databases: (0..databases).map(|_| Database::new(hasher.clone())).collect(),
            former: None,
            hasher,
            trash: Trash::default(),
            counters: ShardCounters::default(),
            clock: ExpiryClock::default(),
            random,
            found_due: false,
            active_expire: true,
            watches: Watches::default(),
            waiters: Waiters::default(),
            saving: None,
            keys_at_cut: 0,
            dirty_at_cut: 0,
            dirty_at_save: 0,
            reach: 0,
            crowd: None,
            victims: Victims::default(),
            ledger: Ledger::default(),
            changes: Changes::default(),
        }
    }

    /// The hash that places keys.
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Brings the records of several keys towards the cache.
    pub(crate) fn prefetch(&self, database: u16, keys: &[KeyRef]) {
        let database = &self.databases[usize::from(database)];
        keys.iter().for_each(|key| database.prefetch(key.hash));
        keys.iter().for_each(|key| database.prefetch_record(key.hash));
    }

    /// The same for commands of another core, from the n-th on.
    pub(crate) fn foresee(&self, heads: &[Head], n: usize) {
        let next = || heads[n..].iter().take(AHEAD_MAX);
        let database = |head: &Head| &self.databases[usize::from(head.database)];
        next().for_each(|head| database(head).prefetch(head.first_hash));
        next().for_each(|head| database(head).prefetch_record(head.first_hash));
    }

    /// The databases that have ever had keys, and those before them.
    #[inline]
    pub(crate) fn in_use(&self) -> &[Database] {
        &self.databases[..self.reach]
    }

    /// Bytes of all tables, keys and values, those included that wait to be freed.
    #[inline]
    pub fn used_bytes(&self) -> usize {
        let used = self.in_use().iter().map(Database::used_bytes).sum::<usize>();
        used + self.former_bytes() + self.trash.used_bytes()
    }

    /// Keys of all databases.
    pub fn keys(&self) -> usize {
        self.databases.iter().map(Database::len).sum()
    }

    /// A database is about to have keys.
    #[inline]
    pub(crate) fn reaches(&mut self, database: usize) {
        self.reach = self.reach.max(database + 1);
    }

    /// Two databases change their numbers. Whoever watches a key that is in one of them sees it change; whoever waits may find
    /// something.
    pub fn swap(&mut self, one: usize, other: usize) {
        if one == other {
            return;
        }
        let watched = [one, other].map(|database| self.watches.keys_of(database as u16));
        // A key whose time has come is as good as none, and must not be taken for one that has ended where it comes to.
        for key in watched.iter().flatten() {
            [one, other].into_iter().for_each(|database| self.remove_if_due(database, key));
        }
        for (database, keys) in [one, other].into_iter().zip(&watched) {
            for key in keys {
                let place = Key { bytes: key, hash: self.hasher.hash(key) };
                if [one, other].iter().any(|database| self.databases[*database].get(place).is_some()) {
                    self.watches.changed(database as u16, key);
                }
            }
            self.waiters.all_changed(database as u16);
        }
        self.databases.swap(one, other);
        self.reach = self.reach.max(one + 1).max(other + 1);
        self.counters.dirty += 1;
        self.changes.aside(|| Aside::Swapped(one as u16, other as u16));
    }

    fn remove_if_due(&mut self, database: usize, key: &[u8]) {
        let (db, place) = (&mut self.databases[database], Key { bytes: key, hash: self.hasher.hash(key) });
        if db.get(place).is_some_and(|record| record.is_due(self.clock.latest()))
            && let Some(record) = db.remove(place)
        {
            self.trash.add_record(record);
            self.counters.expired += 1;
            self.changes.aside(|| Aside::Gone(database as u16, key.to_vec()));
            self.watches.expired(database as u16, key);
        }
    }

    /// Puts an empty database in the place of this one; the old one is freed by [`Shard::free_some`].
    pub fn flush(&mut self, database: usize) {
        self.empty(database);
        self.changes.aside(|| Aside::Flushed(Some(database as u16)));
    }

    /// The same with all databases.
    pub fn flush_all(&mut self) {
        (0..self.databases.len()).for_each(|database| self.empty(database));
        self.changes.aside(|| Aside::Flushed(None));
    }

    fn empty(&mut self, database: usize) {
        for key in self.watches.keys_of(database as u16) {
            let hash = self.hasher.hash(&key);
            let Some(record) = self.databases[database].get(Key { bytes: &key, hash }) else { continue };
            // For who has found it so before, a key whose time has come is not there any more.
            match record.is_due(self.clock.latest()) {
                true => self.watches.expired(database as u16, &key),
                false => self.watches.changed(database as u16, &key),
            }
        }
        let next = Database::new(self.hasher.clone());
        let old = std::mem::replace(&mut self.databases[database], next);
        self.counters.dirty += old.len() as u64;
        self.discard(old);
        // Who waits for a stream as one of a group is told that it is gone.
        self.waiters.all_changed(database as u16);
    }

    /// Frees about `steps` keys of flushed databases or blocks of removed containers; how many steps are left.
    pub fn free_some(&mut self, steps: usize) -> usize {
        self.trash.free_some(steps)
    }

    /// What was removed and is not freed yet, for drivers that check what they drive.
    pub fn trash(&self) -> &Trash {
        &self.trash
    }

    /// Who waits for keys of this shard.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Who watches keys of this shard.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// The instant to judge expiry by, given a coordinator's.
    pub(crate) fn judge(&mut self, unix: UnixMillis) -> UnixMillis {
        self.clock.advance(unix)
    }

    /// Its core has read its wall clock.
    #[inline]
    pub(crate) fn read_clock(&mut self, unix: UnixMillis) {
        self.clock.read(unix);
    }

    /// Until this is taken back nothing's time has come, but by an instant that is pinned.
    pub(crate) fn judge_nothing(&mut self, is_so: bool) {
        self.clock.stand(is_so);
    }

    /// See [`Shard::judge_nothing`].
    #[inline]
    pub(crate) fn judges_nothing(&self) -> bool {
        self.clock.is_standing()
    }

    /// Until this is said again expiry is judged by this instant.
    pub(crate) fn pin(&mut self, instant: Option<UnixMillis>) {
        self.clock.pin(instant);
    }

    /// The latest instant that this shard has judged expiry by.
    pub fn judged(&self) -> UnixMillis {
        self.clock.latest()
    }

    /// Rounds of WATCH that are not over.
    pub fn watchers(&self) -> usize {
        self.watches.len()
    }

    /// What it has counted.
    pub fn counters(&self) -> ShardCounters {
        self.counters
    }

    /// Its databases as clients may be shown them: while the log is read back, those that were.
    #[inline]
    pub fn databases(&self) -> &[Database] {
        self.former.as_deref().unwrap_or(&self.databases)
    }

    /// True if the time of a key has come that this watcher watches, though nobody has removed it yet.
    pub(crate) fn is_watched_key_due(&mut self, watcher: Watcher, unix: UnixMillis) -> bool {
        let now = self.judge(unix);
        self.watches.keys_watched_by(watcher).iter().any(|(database, key, was_due)| {
            let key = Key { bytes: key, hash: self.hasher.hash(key) };
            let record = self.databases[usize::from(*database)].get(key);
            !was_due && record.is_some_and(|record| record.is_due(now))
        })
    }

    /// Removes keys whose time has come, and fields of others, in about `steps` steps, but those that are `spared`; true if more may be due now.
    pub fn expire_some(
        &mut self,
        unix: UnixMillis,
        steps: usize,
        spared: &dyn Fn(u16, &[u8]) -> bool,
    ) -> bool {
        let mut now = self.judge(unix);
        if planted("the sweep removes what is due soon") {
            now.0 += 40;
        }
        let mut left = steps;
        for number in 0..self.databases.len() as u16 {
            if left == 0 {
                break;
            }
            left -= self.expire_in((number, None), now, left, spared).min(left);
        }
        left == 0
    }

    /// The same in one database, or only where a key of this hash belongs; steps used.
    pub(crate) fn expire_in(
        &mut self,
        (number, near): (u16, Option<KeyHash>),
        now: UnixMillis,
        steps: usize,
        spared: &dyn Fn(u16, &[u8]) -> bool,
    ) -> usize {
        let (watches, waiters, trash) = (&mut self.watches, &mut self.waiters, &mut self.trash);
        let changes = &mut self.changes;
        let spared = |key: &[u8]| spared(number, key);
        let mut bury = |record: Record| {
            watches.expired(number, record.key());
            waiters.changed(number, record.key());
            changes.aside(|| Aside::Gone(number, record.key().to_vec()));
            trash.add_record(record);
        };
        let database = &mut self.databases[usize::from(number)];
        let (used, expired) = match near {
            None => database.expire_some(now, steps, &spared, &mut bury),
            Some(hash) => database.expire_near(hash, now, steps, &spared, &mut bury),
        };
        self.counters.expired += expired as u64;
        self.counters.dirty += expired as u64;
        used
    }

    /// When a sweep of some database is worth while.
    pub fn next_sweep(&self) -> Option<UnixMillis> {
        self.databases.iter().filter_map(Database::next_sweep).min()
    }
}

/// What a command sees: the keys of one shard, at one instant, in one database.
pub struct Cx<'a> {
    pub(crate) shard: &'a mut Shard,
    /// The client's selected database.
    pub database: usize,
    /// The instant by which expiry is judged.
    pub now: UnixMillis,
    /// The instant of the command, from which relative deadlines count and which is noted down: the same, but while Redis's log is read.
    pub clock: UnixMillis,
    /// What is configured.
    pub settings: &'a Settings,
    /// The command's keys.
    pub keys: &'a [KeyRef],
    /// How a use of a key is written into it.
    pub access: AccessRule,
    pub(crate) next_shard: Option<u16>,
    /// Who calls, in which round of WATCH.
    pub(crate) watcher: Watcher,
    /// Keys whose time has come may be removed; else they are only taken for absent, since a transaction may hold them.
    pub(crate) removes_due: bool,
}

/// Which deadline a stored value gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// None.
    Clear,
    /// The one that the key has.
    Keep,
    /// This.
    At(UnixMillis),
}

impl<'a> Cx<'a> {
    /// The command's `n`-th key.
    #[inline]
    pub fn key(&self, args: Args<'a>, n: usize) -> Key<'a> {
        let key = self.keys[n];
        Key { bytes: args.at(key.place as usize), hash: key.hash }
    }

    /// Any other bytes as a key.
    pub fn key_of<'b>(&self, bytes: &'b [u8]) -> Key<'b> {
        Key { bytes, hash: self.shard.hasher.hash(bytes) }
    }

    pub(crate) fn db(&mut self) -> &mut Database {
        &mut self.shard.databases[self.database]
    }

    /// The record of a key that lives, without counting as a use.
    #[inline]
    pub fn peek(&mut self, key: Key<'_>) -> Option<&Record> {
        self.peek_in(self.database, key)
    }

    /// The same in another database.
    #[inline]
    pub fn peek_in(&mut self, database: usize, key: Key<'_>) -> Option<&Record> {
        if self.expire_if_due(database, key) {
            return None;
        }
        self.shard.databases[database].get(key)
    }

    /// The record of a key that lives; counts as a use, and as hit or miss.
    #[inline]
    pub fn read(&mut self, key: Key<'_>) -> Option<&Record> {
        self.read_by(key, self.access).map(|record| &*record)
    }

    /// The same, to note what takes no other room: the accounts do not follow.
    #[inline]
    pub(crate) fn read_mut(&mut self, key: Key<'_>) -> Option<&mut Record> {
        self.read_by(key, self.access)
    }

    /// The same, but does not count as a use: EXISTS, for one, leaves OBJECT IDLETIME alone.
    pub fn look(&mut self, key: Key<'_>) -> Option<&Record> {
        self.read_by(key, AccessRule::Untouched).map(|record| &*record)
    }

    #[inline]
    fn read_by(&mut self, key: Key<'_>, access: AccessRule) -> Option<&mut Record> {
        let (now, database) = (self.now, self.database);
        let Shard { databases, counters, found_due, .. } = &mut *self.shard;
        match databases[database].get_live(key, now) {
            Live::Found(record) => {
                counters.hits += 1;
                let before = record.access();
                let after = access.used(before);
                if after != before {
                    record.set_access(after);
                }
                Some(record)
            }
            Live::Absent => {
                counters.misses += 1;
                None
            }
            Live::Due => {
                // It is removed when the command has run: see `remove_due`.
                counters.misses += 1;
                *found_due = true;
                None
            }
        }
    }

    /// Removes the command's keys that a read has found due.
    #[inline]
    pub(crate) fn remove_due(&mut self, args: Args<'a>) {
        if std::mem::take(&mut self.shard.found_due) && self.removes_due {
            for n in 0..self.keys.len() {
                self.expire_if_due(self.database, self.key(args, n));
            }
        }
    }

    /// The door: every change of a key by a command, whatever the change, passes here after it was made; so does the removal of a
    /// key that a command has found due. What the background removes does not pass: the sweep of deadlines, a flush of all keys.
    #[inline]
    pub(crate) fn changed(&mut self, database: usize, key: Key<'_>) {
        self.shard.counters.dirty += 1;
        self.shard.watches.changed(database as u16, key.bytes);
        self.shard.waiters.changed(database as u16, key.bytes);
        self.shard.changes.note(database as u16, key.bytes);
    }

    /// Stores a value, whatever lay there.
    #[inline]
    pub fn store(&mut self, key: Key<'_>, value: Value<'_>, deadline: Deadline) {
        self.store_in(self.database, key, value, deadline);
    }

    /// The same in another database.
    pub fn store_in(&mut self, database: usize, key: Key<'_>, value: Value<'_>, deadline: Deadline) {
        if deadline == Deadline::Keep {
            self.expire_if_due(database, key);
        }
        // What keeps its deadline is the same item, and keeps its flags.
        let note = (deadline != Deadline::Keep).then(Note::default);
        self.store_noted(database, key, value, deadline, note);
    }

    /// The same, and what is to be kept with the value: without a note, what is there.
    pub(crate) fn store_noted(
        &mut self,
        database: usize,
        key: Key<'_>,
        value: Value<'_>,
        deadline: Deadline,
        note: Option<Note>,
    ) {
        let access = self.access;
        self.shard.reaches(database);
        if let Some(old) = self.shard.databases[database].store(key, value, deadline, note, access) {
            self.shard.trash.add_container(old);
        }
        if self.shard.databases[database].is_crowded(key.hash, self.now) {
            self.shard.crowd = Some((database as u16, key.hash));
        }
        self.changed(database, key);
    }

    /// Frees what a command has taken out of a value, in steps if it is much.
    pub fn discard(&mut self, container: Container) {
        self.shard.trash.add_container(Box::new(container));
    }

    /// Stores a value that came from another key; a container is not copied.
    pub fn put(&mut self, database: usize, key: Key<'_>, value: Detached, deadline: Deadline) {
        value.store(|value| self.store_in(database, key, value, deadline));
    }

    /// Lets `change` work on a living record, its key and its place kept; the accounts follow. A container that is left empty goes with
    /// its key. `None` if there is no such record.
    pub fn change<R>(&mut self, key: Key<'_>, change: impl FnOnce(&mut Record) -> R) -> Option<R> {
        self.change_if(key, |record| Some(change(record)))
    }

    /// The same for a change that may find nothing to do, which it says by `None`: the key then counts as used, but not as changed.
    pub fn change_if<R>(&mut self, key: Key<'_>, change: impl FnOnce(&mut Record) -> Option<R>) -> Option<R> {
        if self.expire_if_due(self.database, key) {
            return None;
        }
        let access = self.access;
        let now = self.now;
        let (changed, is_empty) = self.db().change(key, |record| {
            record.set_access(access.used(record.access()));
            let changed = change(record);
            if changed.is_some() {
                record.forget_stamp();
            }
            (changed, record.container().is_some_and(|container| container.is_over(now)))
        })?;
        if is_empty && let Some(record) = self.db().remove(key) {
            self.shard.trash.add_record(record);
        }
        if changed.is_some() {
            self.changed(self.database, key);
        }
        changed
    }

    /// Removes a key; true if it lived.
    pub fn remove(&mut self, key: Key<'_>) -> bool {
        match self.take(key) {
            Some(record) => {
                self.shard.trash.add_record(record);
                true
            }
            None => false,
        }
    }

    /// Removes a key and gives what lay under it.
    pub fn take(&mut self, key: Key<'_>) -> Option<Record> {
        if self.expire_if_due(self.database, key) {
            return None;
        }
        let taken = self.db().remove(key)?;
        self.changed(self.database, key);
        Some(taken)
    }

    /// From now on the client watches a key.
    pub fn watch(&mut self, key: Key<'_>) {
        let is_due =
            self.expire_if_due(self.database, key) && self.shard.databases[self.database].get(key).is_some();
        self.shard.watches.watch(self.watcher, self.database as u16, key.bytes, is_due);
    }

    /// Removes the key if its time has come; true if it did so, or if it may not be removed now.
    #[inline]
    fn expire_if_due(&mut self, database: usize, key: Key<'_>) -> bool {
        let db = &mut self.shard.databases[database];
        let due = db.has_deadlines() && db.get(key).is_some_and(|record| record.is_due(self.now));
        if due
            && self.removes_due
            && let Some(record) = db.remove(key)
        {
            self.shard.trash.add_record(record);
            self.shard.counters.expired += 1;
            self.shard.counters.dirty += 1;
            self.shard.watches.expired(database as u16, key.bytes);
            self.shard.waiters.changed(database as u16, key.bytes);
            self.shard.changes.aside(|| Aside::Gone(database as u16, key.bytes.to_vec()));
        }
        due
    }

    /// The shard whose keys come after this one's in a scan.
    pub fn next_shard(&self) -> Option<u16> {
        self.next_shard
    }

    /// True if a deadline given by a client has passed already: the key is then removed instead.
    pub fn is_past(&self, deadline: UnixMillis) -> bool {
        deadline <= self.now
    }
}
