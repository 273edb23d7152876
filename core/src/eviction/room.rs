//! Room: made before a command that grows runs, and in the background while more is in use than may be.
//!
//! It knows the core's accounts and its share of the budget. Which key goes is decided in [`super::victims`].

use super::budget::{Allowance, Report};
use super::policy::Judge;
use crate::args::Args;
use crate::event::CoreId;
use crate::node::{Applied, FIXED_BYTES, Node, spared};
use crate::time::Instant;

/// Keys that go at the most before a command runs, besides those that its own length asks for.
const KEYS_PER_COMMAND: usize = 128;
/// A command's own length asks for one more key for each of so many bytes, up to [`KEYS_MAX`].
const BYTES_PER_KEY: usize = 32;
/// However long a command is.
const KEYS_MAX: usize = 8_192;
/// Buckets that are looked at for expired keys before any other key goes.
const EXPIRY_STEPS: usize = 8;
/// Once keys go, so many more go along with them at the most, so that the next commands find room and what comes before and after an eviction
/// is done once for all,
const KEYS_AHEAD: usize = 16;
/// until so many bytes are free,
const BYTES_AHEAD: usize = 8 << 10;
/// but not more than this part of what may be used.
const PART_AHEAD: usize = 256;
/// Steps in which what was removed is freed, before more is removed.
const FREE_STEPS: usize = 64;

/// The core that has the bank.
pub(crate) const BANK: CoreId = CoreId(0);

/// A part of a table that may come into being with any key, bytes.
pub(crate) const GROWTH: usize = 16 << 10;

/// What a core remembers of the shortness of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shortness {
    /// When so much was in use no key was found that may go.
    pub(crate) in_vain_at: usize,
    /// Since when more is in use than may be.
    since: Option<Instant>,
    /// How long it was so before, nanoseconds.
    before: u64,
    /// Keys that are to go whatever the budget says.
    storm: usize,
}

impl Shortness {
    /// How long more is in use than may be, now and in all, milliseconds.
    pub fn exceeded_millis(&self, now: Instant) -> (u64, u64) {
        let current = self.since.map_or(0, |since| now.0.saturating_sub(since.0));
        (current / 1_000_000, (self.before + current) / 1_000_000)
    }
}

/// Bytes by which a command may make its shard grow, as far as its words tell.
#[inline]
pub(crate) fn need_of(args: Args<'_>) -> usize {
    args.extent() + GROWTH
}

impl Node {
    /// Lets keys go, if need be and if the policy lets it, until there is room for so many more bytes; true if there is none.
    #[inline]
    pub(crate) fn lacks_room(&mut self, need: usize) -> bool {
        // What is loaded was there before: as in Redis it is there again, whatever `maxmemory` says now.
        if self.is_loading() {
            return false;
        }
        if self.shard.crowd.is_some() {
            self.thin_crowd();
        }
        let soft = self.budget.soft();
        soft < usize::MAX && self.used_bytes() + need > soft && self.make_room(need)
    }

    #[cold]
    fn make_room(&mut self, need: usize) -> bool {
        self.budget.want();
        let ceiling = self.ceiling();
        if self.used_bytes() + need <= ceiling {
            return false;
        }
        let room = |node: &Node| node.used_bytes() + need <= ceiling;
        if self.may_change_by_itself() {
            let unix = self.now.unix();
            if self.shard.active_expire && self.shard.next_sweep().is_some_and(|due| due <= unix) {
                self.expire_some(unix, EXPIRY_STEPS);
            }
            // What would not fit into an empty store drives nothing out.
            if need <= ceiling.saturating_sub(FIXED_BYTES) || !self.settings.maxmemory_policy.evicts() {
                let keys = (KEYS_PER_COMMAND + need / BYTES_PER_KEY).min(KEYS_MAX);
                let before = self.shard.counters.evicted;
                if self.let_go_until(&room, keys) == 0 {
                    // The rest goes in the background.
                    self.note_shortness();
                    return false;
                }
                if self.shard.counters.evicted > before {
                    let ahead = BYTES_AHEAD.min(ceiling / PART_AHEAD);
                    self.let_go_until(&|node| node.used_bytes() + need + ahead <= ceiling, KEYS_AHEAD - 1);
                }
            }
        }
        self.note_shortness();
        !room(self)
    }

    /// While clients are paused nothing changes by itself, as in Redis.
    pub(super) fn may_change_by_itself(&self) -> bool {
        self.pause.is_none_or(|pause| pause.until <= self.now.mono) && !self.is_loading()
    }

    /// Lets keys go until `enough`, up to so many; how many more might have gone.
    fn let_go_until(&mut self, enough: &dyn Fn(&Node) -> bool, keys: usize) -> usize {
        let policy = self.settings.maxmemory_policy;
        let judge =
            Judge::new(policy, self.settings.maxmemory_samples, self.settings.lfu_decay_time, self.now);
        let before = self.shard.counters.evicted;
        let left = self.let_go_some(enough, keys, &judge);
        let evicted = self.shard.counters.evicted - before;
        if evicted > 0 {
            self.note_applied(Applied::Evicted { keys: evicted as u32 });
        }
        left
    }

    fn let_go_some(&mut self, enough: &dyn Fn(&Node) -> bool, keys: usize, judge: &Judge) -> usize {
        let mut left = keys;
        while left > 0 && !enough(self) {
            if !self.shard.trash.is_empty() {
                let unused = self.shard.free_some(FREE_STEPS);
                left = left.saturating_sub((FREE_STEPS - unused).div_ceil(4));
                continue;
            }
            let hasher = self.shard.hasher.clone();
            let spared = spared(&self.queue, &hasher);
            if !self.shard.evict_one(judge, &spared) {
                self.shortness.in_vain_at = self.used_bytes();
                break;
            }
            left -= 1;
        }
        left
    }

    /// Keeps the count of time.
    fn note_shortness(&mut self) {
        let now = self.now.mono;
        if self.used_bytes() > self.ceiling() {
            self.shortness.since.get_or_insert(now);
        } else if let Some(since) = self.shortness.since.take() {
            self.shortness.before += now.0.saturating_sub(since.0);
        }
    }

    /// Tells the bank, if it is time, how this core stands; what is to be sent to it.
    pub(crate) fn tend_budget(&mut self) -> Option<Report> {
        let (now, used) = (self.now.mono, self.used_bytes());
        let evicts = self.settings.maxmemory_policy.evicts();
        if let Some(bank) = &mut self.bank {
            let report = self.budget.report(used, evicts, now);
            let allowance = bank.hear(self.core.index(), report);
            // The first to know what all use looks at what is resident.
            if bank.is_to_look(now) {
                bank.look((self.instruments.usage)().resident, self.settings.maxmemory, evicts);
            }
            self.allow(allowance);
            return None;
        }
        if !self.links.take_spare(BANK) {
            self.budget.put_off(now);
            return None;
        }
        Some(self.budget.report(used, evicts, now))
    }

    /// The bank has heard another core; what it answers.
    pub(crate) fn hear_report(&mut self, from: CoreId, report: Report) -> Allowance {
        let (now, evicts) = (self.now.mono, self.settings.maxmemory_policy.evicts());
        let Some(bank) = &mut self.bank else { unreachable!("only the core that has the bank is told") };
        if bank.is_to_look(now) {
            bank.look((self.instruments.usage)().resident, self.settings.maxmemory, evicts);
        }
        bank.hear(from.index(), report)
    }

    /// The bank has answered: there may be more room, or less.
    pub(crate) fn allow(&mut self, allowance: Allowance) {
        self.budget.allow(allowance, self.now.mono);
        self.note_shortness();
    }

    /// True if keys are to go in the background.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        (self.shortness.storm > 0 || self.is_over()) && self.may_change_by_itself()
    }

    /// More is in use than may be, and it is not known that no key may go.
    #[inline]
    fn is_over(&self) -> bool {
        let ceiling = self.ceiling();
        ceiling < usize::MAX && self.settings.maxmemory_policy.evicts() && {
            let used = self.used_bytes();
            used > ceiling && used != self.shortness.in_vain_at
        }
    }

    /// So many keys are to go in the background whatever the budget says: for drivers that check what an eviction does.
    pub fn storm(&mut self, keys: usize) {
        self.shortness.storm = keys;
    }

    /// Lets up to so many keys go in the background.
    pub(crate) fn let_some_go(&mut self, steps: usize) {
        if !self.is_behind() {
            return;
        }
        if self.shortness.storm > 0 {
            let keys = std::mem::take(&mut self.shortness.storm);
            self.let_go_until(&|_| false, keys);
        }
        let ceiling = self.ceiling();
        self.let_go_until(&|node| node.used_bytes() <= ceiling, steps);
        self.note_shortness();
    }
}

#[cfg(test)]
mod tests {
    use crate::session::ClientId;
    use crate::testing::{Client, World};
    use crate::txn::intent::{Intents, Mode};

    /// A world of so many cores with a few megabytes, under a policy.
    fn world(cores: u16, policy: &str) -> (World, Client) {
        let mut world = World::new(cores);
        let client = world.connect(0);
        let megabytes = 2 * cores;
        assert_eq!(
            world.say(client, &format!("CONFIG SET maxmemory {megabytes}mb maxmemory-policy {policy}")),
            "OK"
        );
        (world, client)
    }

    fn check_bounds(world: &World) {
        for engine in &world.engines {
            let node = engine.node();
            assert!(node.used_bytes() <= node.ceiling(), "{} of {}", node.used_bytes(), node.ceiling());
            node.shard
                .databases()
                .iter()
                .for_each(|database| database.recount().expect("the accounts are right"));
        }
    }

    fn evicted(world: &World) -> u64 {
        world.engines.iter().map(|engine| engine.node().shard.counters().evicted).sum()
    }

    #[test]
    fn every_policy_keeps_the_budget() {
        for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-sieve"] {
            for cores in [1, 3] {
                let (mut world, client) = world(cores, policy);
                for n in 0..30_000 {
                    let value = "x".repeat([10, 100, 1_000][n % 3]);
                    assert_eq!(world.say(client, &format!("SET key:{n} {value}")), "OK", "{policy}");
                    if n % 1_000 == 0 {
                        check_bounds(&world);
                    }
                }
                check_bounds(&world);
                assert!(evicted(&world) > 10_000, "{policy}: {}", evicted(&world));
                let info = world.say(client, "INFO stats");
                assert!(info.contains(&format!("evicted_keys:{}", evicted(&world))), "{info}");
            }
        }
    }

    #[test]
    fn what_was_spared_for_a_transaction_goes_when_it_is_over() {
        let (mut world, client) = world(1, "allkeys-lru");
        for n in 0..1_000 {
            world.call(client, &format!("SET key:{n} {}", "x".repeat(500)));
        }
        let all = Intents::whole(Mode::Shared);
        let held = world.engines[0].node_mut().queue.hold(ClientId(0), all);
        assert_eq!(world.say(client, "CONFIG SET maxmemory 600kb"), "OK");
        world.work(10);
        assert!(!world.engines[0].has_background(), "it has found nobody who may go");
        assert_eq!(evicted(&world), 0);
        world.engines[0].release_entry(held);
        world.work(10_000);
        assert!(evicted(&world) > 100);
        check_bounds(&world);
    }

    #[test]
    fn volatile_policies_take_what_has_a_deadline_and_nothing_else() {
        for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
            let (mut world, client) = world(1, policy);
            let value = "x".repeat(590);
            for n in 0..1_000 {
                world.call(client, &format!("SET stays:{n} {value}"));
            }
            for n in 0..3_000 {
                assert_eq!(world.say(client, &format!("SET goes:{n} {value} EX {}", 1_000 + n)), "OK");
            }
            check_bounds(&world);
            assert!(evicted(&world) > 500, "{policy}: {}", evicted(&world));
            for n in 0..1_000 {
                assert_eq!(world.say(client, &format!("EXISTS stays:{n}")), "1", "{policy}");
            }
            if policy == "volatile-ttl" {
                let there = |world: &mut World, n| world.say(client, &format!("EXISTS goes:{n}")) == "1";
                let soon = (0..1_000).filter(|n| there(&mut world, *n)).count();
                let late = (2_000..3_000).filter(|n| there(&mut world, *n)).count();
                assert!(
                    soon < 300 && late > 900,
                    "{soon} of those that end first are there, {late} of the last"
                );
            }
            // When all of them are gone nothing else goes.
            let mut refused = 0;
            for n in 0..4_000 {
                let reply = world.say(client, &format!("SET stays:{} {value}", 1_000 + n));
                refused += usize::from(reply.starts_with("OOM command not allowed"));
            }
            assert!(refused > 500, "{policy}: {refused}");
            check_bounds(&world);
            assert_eq!(world.say(client, "GET stays:7"), value);
        }
    }

    #[test]
    fn a_few_keys_with_deadlines_are_found_among_many_without() {
        let (mut world, client) = world(1, "volatile-lru");
        for n in 0..3_000 {
            let deadline = if n % 500 == 7 { "EX 100" } else { "" };
            world.call(client, &format!("SET key:{n} {} {deadline}", "x".repeat(400)));
        }
        assert_eq!(world.say(client, "CONFIG SET maxmemory 1000kb"), "OK");
        for _ in 0..20 {
            world.call(client, "SET more x");
        }
        assert_eq!(evicted(&world), 6);
    }

    #[test]
    fn what_is_used_stays() {
        for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-sieve"] {
            let (mut world, client) = world(1, policy);
            for round in 0..40 {
                for n in 0..100 {
                    world.call(client, &format!("GET hot:{n}"));
                    if round == 0 {
                        world.call(client, &format!("SET hot:{n} {}", "x".repeat(300)));
                    }
                }
                for n in 0..200 {
                    world.call(client, &format!("SET cold:{round}:{n} {}", "x".repeat(300)));
                }
                world.pass(1_000);
            }
            let there = (0..100).filter(|n| world.say(client, &format!("EXISTS hot:{n}")) == "1").count();
            assert!(there >= 97, "{policy}: {there} of what is used in each round is there");
            assert!(evicted(&world) > 2_000, "{policy}");
        }
    }

    #[test]
    fn what_is_due_goes_before_what_lives() {
        let (mut world, client) = world(1, "allkeys-lru");
        world.call(client, "DEBUG SET-ACTIVE-EXPIRE 0");
        for n in 0..1_500 {
            world.call(client, &format!("SET due:{n} {} PX 500", "x".repeat(400)));
        }
        world.pass(2_000);
        for n in 0..1_500 {
            world.call(client, &format!("SET lives:{n} {}", "x".repeat(400)));
        }
        assert_eq!(evicted(&world), 0);
        check_bounds(&world);
    }

    #[test]
    fn watches_see_an_eviction_and_containers_go_in_steps() {
        let (mut world, client) = world(1, "allkeys-random");
        let other = world.connect(0);
        world.call(client, "RPUSH list a");
        world.call(client, "WATCH list");
        for n in 0..200 {
            world.call(other, &format!("RPUSH list:{n} {}", format!("{} ", "x".repeat(200)).repeat(100)));
        }
        while world.say(other, "EXISTS list") == "1" {
            world.call(other, &format!("RPUSH list:0 {}", "x".repeat(100_000)));
            world.call(other, "DEL list:0");
        }
        world.call(client, "MULTI");
        world.call(client, "PING");
        assert_eq!(world.call(client, "EXEC"), "*-1\r\n");
        check_bounds(&world);
    }

    #[test]
    fn what_cannot_fit_is_refused_and_drives_nothing_out() {
        let (mut world, client) = world(1, "allkeys-lru");
        world.call(client, "SET key value");
        let reply = world.say(client, &format!("SET big {}", "x".repeat(3_000_000)));
        assert_eq!(reply, "OOM command not allowed when used memory > 'maxmemory'.");
        assert_eq!((world.say(client, "GET key").as_str(), evicted(&world)), ("value", 0));
    }

    #[test]
    fn a_lower_limit_takes_effect_though_nobody_writes() {
        let (mut world, client) = world(2, "allkeys-lfu");
        for n in 0..3_000 {
            world.call(client, &format!("SET key:{n} {}", "x".repeat(300)));
        }
        assert_eq!(world.say(client, "CONFIG SET maxmemory 1200kb"), "OK");
        for _ in 0..50 {
            world.pass(100);
            world.work(100);
        }
        check_bounds(&world);
        assert!(evicted(&world) > 300);
        world.call(client, "CLIENT PAUSE 10000 WRITE");
        assert_eq!(world.say(client, "CONFIG SET maxmemory 800kb"), "OK");
        let before = evicted(&world);
        world.work(1_000);
        assert_eq!(evicted(&world), before, "while clients are paused nothing goes");
    }
}
