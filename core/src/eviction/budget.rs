//! The budget: which part of `maxmemory` each core may use, and what the process needs besides what is counted.
//!
//! The budget is cut into pieces, of which each core holds some and the bank, on core 0, the rest. A core that needs more asks the bank, and
//! brings back what it does not need; if there is nothing left the bank asks those for some that hold more than an even part. Pieces are
//! counted where they are and in the words that carry them, so that their sum is always the same, and nobody takes a lock.
//!
//! The bank also compares what all cores count with what the system says is resident, and tells everybody by how much the counted
//! bytes must stay below the limit. It knows numbers. It does not know keys, and it reads nothing itself.

use crate::time::Instant;

/// Pieces that each core holds when all is shared evenly.
pub const PIECES_EACH: u32 = 64;
/// Pieces that each core holds at the start.
const PIECES_FIRST: u32 = 48;
/// Between two reports of a core that is at work, milliseconds.
const REPORT_MILLIS: u64 = 50;
/// Between two requests of a core that was given nothing, milliseconds.
const AGAIN_MILLIS: u64 = 10;
/// Pieces that a core keeps though it does not need them, and as many as a quarter of those that it needs.
const KEPT_SPARE: u32 = 4;
/// Pieces that a core keeps in any case while the bank has enough, so that what comes in a burst finds room.
const KEPT_IN_PEACE: u32 = PIECES_EACH / 2;
/// The bank is short when it has fewer than this part of all pieces.
const SHORT_BELOW: u32 = 16;
/// Between two reports of a core that has nothing new to say and holds more than it needs, milliseconds.
const IDLE_MILLIS: u64 = 1_000;
/// What is in use must have changed by so many bytes to be worth a report.
const NEWS_BYTES: usize = 64 << 10;
/// The counted bytes are never pressed below this part of the limit, whatever is resident. Values from 10 bytes to 100 KB in 100 MB leave the
/// allocator's slack half of it.
const PRESSED_TO: u64 = 3;
/// The part of what is resident above the aim by which the counted bytes are pressed down at each look.
const PRESSED_BY: u64 = 4;
/// The part of what is resident above the limit by which they are pressed down besides.
const PRESSED_ABOVE_BY: u64 = 2;
/// Looks at what is above the limit and does not grow before it is pressed again.
const PATIENCE: u32 = 20;
/// The aim is below the limit by this part of it, since what moves overshoots.
const AIM_BELOW: u64 = 32;
/// Within this part of the limit below the aim the counted bytes grow slowly,
const SLOW_BELOW: u64 = 4;
/// by this part of what is left at each look.
const SLOWLY: u64 = 64;

/// Below this limit only what is counted counts: the program itself would leave too little of it.
const RESIDENT_FROM: u64 = 48 << 20;

/// What a core tells the bank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Report {
    /// Bytes in use on it.
    pub used: u64,
    /// Pieces that it gives back.
    pub returned: u32,
    /// Pieces that it would like.
    pub wanted: u32,
}

/// What the bank answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// Pieces that it gives.
    pub granted: u32,
    /// Pieces that others need more.
    pub recalled: u32,
    /// Bytes of the limit that are not to be used, of all cores together.
    pub slack: u64,
    /// There is little left for others: what is not needed is to be brought back.
    pub is_short: bool,
}

/// What one core may use.
#[derive(Clone, Debug)]
pub struct Budget {
    /// `maxmemory`; 0: no limit.
    limit: u64,
    slack: u64,
    /// Of all cores and the bank.
    total: u32,
    pieces: u32,
    /// Pieces that others need more, to be given back as soon as may be.
    recalled: u32,
    /// The bank has little left.
    is_short: bool,
    /// A report is under way.
    is_asking: bool,
    wants: bool,
    /// In use at the last report.
    reported: usize,
    next_report: Instant,
    /// When to ask for more at the earliest.
    next_ask: Instant,
    /// Bytes that may be used; [`usize::MAX`] without a limit.
    ceiling: usize,
    /// From here on more is asked for.
    soft: usize,
}

impl Budget {
    /// Of one core of so many, without a limit.
    pub fn new(cores: u16) -> Budget {
        let total = PIECES_EACH * u32::from(cores);
        Budget {
            limit: 0,
            slack: 0,
            total,
            pieces: if cores == 1 { total } else { PIECES_FIRST },
            recalled: 0,
            is_short: false,
            is_asking: false,
            wants: false,
            reported: 0,
            next_report: Instant(0),
            next_ask: Instant(0),
            ceiling: usize::MAX,
            soft: usize::MAX,
        }
    }

    /// Bytes that may be used; [`usize::MAX`] without a limit.
    #[inline]
    pub fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// Bytes from which on more is asked for.
    #[inline]
    pub(crate) fn soft(&self) -> usize {
        self.soft
    }

    /// Pieces that this core holds.
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// The limit is another one; 0: none.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
        self.judge();
    }

    fn judge(&mut self) {
        if self.limit == 0 {
            (self.ceiling, self.soft) = (usize::MAX, usize::MAX);
            return;
        }
        self.ceiling = (u128::from(self.limit.saturating_sub(self.slack)) * u128::from(self.pieces)
            / u128::from(self.total)) as usize;
        // Alone there is nobody to ask.
        let is_all = self.pieces == self.total;
        self.soft = if is_all {
            self.ceiling
        } else {
            self.ceiling.saturating_sub(self.margin() as usize * self.piece())
        };
    }

    /// Pieces that are to be free before more are needed: what comes next may be large.
    fn margin(&self) -> u32 {
        2 + self.pieces / 8
    }

    /// Bytes of one piece.
    fn piece(&self) -> usize {
        (self.limit.saturating_sub(self.slack) / u64::from(self.total)) as usize
    }

    /// More is needed than there is, or nearly so.
    #[inline]
    pub(crate) fn want(&mut self) {
        self.wants = true;
    }

    /// True if the bank is to hear from this core.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.limit > 0 && !self.is_asking && (now >= self.next_report || self.wants && now >= self.next_ask)
    }

    /// When a core that is not told anything has to wake to speak, given what is in use.
    pub(crate) fn deadline(&self, used: usize) -> Instant {
        if self.limit == 0 || self.is_asking {
            return Instant::NEVER;
        }
        match used.abs_diff(self.reported) >= NEWS_BYTES || self.recalled > 0 {
            true => self.next_report,
            // Others may need by now what is kept for a burst.
            false if self.could_return(used) => self.next_report.after_millis(IDLE_MILLIS),
            false => Instant::NEVER,
        }
    }

    /// Pieces that what is in use needs.
    fn needed(&self, used: usize) -> u32 {
        let needed = (used as u64).checked_div(self.piece() as u64).unwrap_or(u64::from(self.total));
        needed.min(u64::from(self.total)) as u32 + 1
    }

    /// True if the bank would be given something if it were short.
    fn could_return(&self, used: usize) -> bool {
        let needed = self.needed(used);
        self.total != PIECES_EACH && self.pieces > needed + KEPT_SPARE + needed / 4
    }

    /// What the bank hears, pieces taken out of this core's; `can_shrink`: keys may go, so that recalled pieces can be given back.
    pub(crate) fn report(&mut self, used: usize, can_shrink: bool, now: Instant) -> Report {
        let needed = self.needed(used);
        let spare = self.pieces.saturating_sub(needed);
        let least = KEPT_SPARE + needed / 4;
        let kept = if self.is_short { least } else { least.max(KEPT_IN_PEACE.saturating_sub(needed)) };
        let recalled = match can_shrink {
            true => self.recalled.min(self.pieces.saturating_sub(PIECES_EACH)),
            false => self.recalled.min(spare),
        };
        // Alone there is nobody to give to.
        let returned = match self.total {
            PIECES_EACH => 0,
            _ => recalled.max(spare.saturating_sub(kept)).min(self.pieces - 1),
        };
        let wanted = if returned == 0 && spare < self.margin() { self.margin() } else { 0 };
        self.pieces -= returned;
        (self.recalled, self.wants, self.is_asking) = (0, false, true);
        self.reported = used;
        self.next_report = now.after_millis(REPORT_MILLIS);
        self.next_ask = if wanted > 0 { now.after_millis(AGAIN_MILLIS) } else { now };
        self.judge();
        Report { used: used as u64, returned, wanted }
    }

    /// There was no credit to report with.
    pub(crate) fn put_off(&mut self, now: Instant) {
        self.next_report = now.after_millis(AGAIN_MILLIS);
        self.next_ask = self.next_report;
    }

    /// The bank's answer.
    pub(crate) fn allow(&mut self, allowance: Allowance, now: Instant) {
        self.is_asking = false;
        self.pieces += allowance.granted;
        self.slack = allowance.slack;
        self.is_short = allowance.is_short;
        self.recalled += allowance.recalled;
        if allowance.granted > 0 {
            self.next_ask = now;
        }
        self.judge();
    }
}

/// Where the pieces lie that nobody holds, and what is known of all cores.
#[derive(Clone, Debug)]
pub struct Bank {
    free: u32,
    /// Of each core, as it has told.
    used: Vec<u64>,
    held: Vec<u32>,
    recalls: Vec<u32>,
    /// Bytes that all cores together may count, by the latest look.
    allowed: u64,
    slack: u64,
    /// What was resident when the counted bytes were pressed last, and looks until they are pressed again though it has not grown.
    pressed_at: u64,
    patience: u32,
    next_look: Instant,
}

impl Bank {
    /// For so many cores.
    pub fn new(cores: u16) -> Bank {
        let each = if cores == 1 { PIECES_EACH } else { PIECES_FIRST };
        let count = usize::from(cores);
        Bank {
            free: (PIECES_EACH - each) * u32::from(cores),
            used: vec![0; count],
            held: vec![each; count],
            recalls: vec![0; count],
            allowed: 0,
            slack: 0,
            pressed_at: 0,
            patience: 0,
            next_look: Instant(0),
        }
    }

    /// Pieces that nobody holds.
    pub fn free(&self) -> u32 {
        self.free
    }

    /// A core's report, and what it is answered.
    pub(crate) fn hear(&mut self, core: usize, report: Report) -> Allowance {
        self.used[core] = report.used;
        self.held[core] -= report.returned;
        self.free += report.returned;
        let granted = report.wanted.min(self.free);
        self.free -= granted;
        self.held[core] += granted;
        let total: u32 = self.free + self.held.iter().sum::<u32>();
        assert_eq!(total, PIECES_EACH * self.held.len() as u32, "no piece is lost");
        if granted == 0 && report.wanted > 0 && self.held[core] < PIECES_EACH {
            self.recall();
        }
        let recalled = std::mem::take(&mut self.recalls[core]);
        let is_short = self.free < total / SHORT_BELOW;
        Allowance { granted, recalled, slack: self.slack, is_short }
    }

    /// Somebody with less than an even part needs more: whoever holds most is asked for a piece, if it holds more than that.
    fn recall(&mut self) {
        let richest = (0..self.held.len()).max_by_key(|core| self.held[*core]);
        if let Some(core) = richest.filter(|core| self.held[*core] > PIECES_EACH + self.recalls[*core]) {
            self.recalls[core] += 1;
        }
    }

    /// True if what is resident is to be looked at.
    pub(crate) fn is_to_look(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next_look;
        if is_due {
            self.next_look = now.after_millis(REPORT_MILLIS);
        }
        is_due
    }

    /// So much is resident; 0: nobody knows. `evicts`: keys may go.
    pub(crate) fn look(&mut self, resident: u64, limit: u64, evicts: bool) {
        if resident == 0 || limit < RESIDENT_FROM {
            self.allowed = limit;
            self.slack = 0;
            return;
        }
        let used: u64 = self.used.iter().sum();
        let aim = limit - limit / AIM_BELOW;
        let least = limit / PRESSED_TO;
        let before = self.allowed.clamp(least, limit);
        self.allowed = match aim.checked_sub(resident) {
            // Between the aim and the limit it is well as it is.
            None if resident <= limit => before,
            // What was freed does not come back at once: only what grows still, or does not come back for long, is pressed again.
            None if resident <= self.pressed_at && self.patience > 0 => {
                self.patience -= 1;
                before
            }
            None => {
                (self.pressed_at, self.patience) = (resident, PATIENCE);
                let above = resident.saturating_sub(limit) / PRESSED_ABOVE_BY;
                before.min(used).saturating_sub((resident - aim).div_ceil(PRESSED_BY) + above)
            }
            // Nothing goes, so nothing moves: what is left may be filled.
            Some(_) if !evicts => before.max(used + limit - resident),
            // Far from the aim most of the way is gone in one step. Near it keys begin to go, and then the allocator's slack grows: so slowly.
            Some(gap) => {
                let far = gap.saturating_sub(limit / SLOW_BELOW);
                before.max(used + far / 4 * 3 + gap / SLOWLY)
            }
        };
        self.allowed = self.allowed.clamp(least, limit);
        self.slack = limit - self.allowed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = 100 << 20;

    #[test]
    fn a_busy_core_gets_what_a_quiet_one_does_not_need_and_gives_it_back() {
        let (mut bank, mut now) = (Bank::new(2), Instant(0));
        let mut budgets = [Budget::new(2), Budget::new(2)];
        budgets.iter_mut().for_each(|budget| budget.set_limit(LIMIT));
        let mut used = [1 << 20, 1 << 20];
        let mut rounds = |budgets: &mut [Budget; 2], used: [usize; 2], count: usize| {
            for _ in 0..count {
                now = now.after_millis(REPORT_MILLIS);
                for core in 0..2 {
                    let report = budgets[core].report(used[core], true, now);
                    let allowance = bank.hear(core, report);
                    budgets[core].allow(allowance, now);
                }
            }
            let sum: usize = budgets.iter().map(Budget::ceiling).sum();
            assert!(sum as u64 <= LIMIT);
        };
        for _ in 0..40 {
            used[1] = used[1].max(budgets[1].ceiling());
            rounds(&mut budgets, used, 1);
        }
        assert!(budgets[1].ceiling() > 90 << 20, "{}", budgets[1].ceiling());
        // The quiet one wakes up: in the end both have the same.
        for _ in 0..400 {
            used = [budgets[0].ceiling(), budgets[1].ceiling()];
            rounds(&mut budgets, used, 1);
        }
        let [one, other] = [budgets[0].ceiling() >> 20, budgets[1].ceiling() >> 20];
        assert!(one.abs_diff(other) < 6, "{one} and {other}");
    }

    #[test]
    fn what_comes_in_a_burst_finds_room_in_a_quiet_store() {
        let (mut bank, mut now) = (Bank::new(2), Instant(0));
        let mut budgets = [Budget::new(2), Budget::new(2)];
        budgets.iter_mut().for_each(|budget| budget.set_limit(LIMIT));
        let mut round = |budgets: &mut [Budget; 2], used: [usize; 2]| {
            now = now.after_millis(REPORT_MILLIS);
            for core in 0..2 {
                let report = budgets[core].report(used[core], true, now);
                let allowance = bank.hear(core, report);
                budgets[core].allow(allowance, now);
            }
        };
        (0..50).for_each(|_| round(&mut budgets, [1 << 20, 1 << 20]));
        assert!(budgets.iter().all(|budget| budget.ceiling() >= 24 << 20), "{}", budgets[0].ceiling());
        assert!(budgets[1].deadline(1 << 20) < Instant::NEVER, "it looks again whether others need it");
        // One grows, and gets what the other does not need.
        for _ in 0..100 {
            let used = budgets[0].ceiling();
            round(&mut budgets, [used, 1 << 20]);
        }
        assert!(budgets[0].ceiling() > 90 << 20, "{}", budgets[0].ceiling());
        assert_eq!(budgets[1].deadline(1 << 20), Instant::NEVER, "it has nothing more to give");
    }

    #[test]
    fn what_is_resident_presses_slowly_and_not_without_end() {
        const PERCENT: u64 = LIMIT / 100;
        let mut bank = Bank::new(1);
        let mut look = |used: u64, resident: u64| {
            bank.used[0] = used * PERCENT;
            bank.look(resident * PERCENT, LIMIT, true);
            (LIMIT - bank.slack) / PERCENT
        };
        assert_eq!(look(40, 50), 57, "far from the aim most of the way is open");
        assert_eq!(look(57, 75), 57, "near it there is little");
        assert_eq!(look(40, 90), 57, "what was freed and is still resident may be filled again");
        assert!((53..57).contains(&look(57, 104)), "above it a little less");
        let mut last = 0;
        (0..1_000).for_each(|_| last = look(60, 104));
        assert_eq!(last, 33);
        (0..200).for_each(|_| last = look(33, 98));
        assert_eq!(last, 33);
        assert_eq!(look(33, 98), 33, "between the aim and the limit all is well");
        assert_eq!(look(50, 0), 100, "nobody knows what is resident");
        bank.look(200 * PERCENT, RESIDENT_FROM - 1, true);
        assert_eq!(bank.slack, 0, "a limit as small as the program counts what is counted");
    }

    proptest! {
        #[test]
        fn shares_never_exceed_the_limit(
            cores in 1..5u16,
            steps in prop::collection::vec((0..5usize, 0..200usize << 20, any::<bool>(), 0..3u64), 1..120),
        ) {
            let mut bank = Bank::new(cores);
            let mut budgets = vec![Budget::new(cores); usize::from(cores)];
            budgets.iter_mut().for_each(|budget| budget.set_limit(LIMIT));
            let mut words: Vec<(usize, Report)> = Vec::new();
            let mut now = Instant(0);
            for (core, used, can_shrink, what) in steps {
                let core = core % usize::from(cores);
                now = now.after_millis(7);
                match what {
                    0 if !words.is_empty() => {
                        let (core, report) = words.remove(used % words.len());
                        let allowance = bank.hear(core, report);
                        budgets[core].allow(allowance, now);
                    }
                    1 => bank.look(used as u64, LIMIT, can_shrink),
                    _ if budgets[core].is_due(now) => words.push((core, budgets[core].report(used, can_shrink, now))),
                    _ => {}
                }
                let under_way: u32 = words.iter().map(|(_, report)| report.returned).sum();
                let held: u32 = budgets.iter().map(Budget::pieces).sum();
                prop_assert_eq!(held + under_way + bank.free(), PIECES_EACH * u32::from(cores));
                let sum: u64 = budgets.iter().map(|budget| budget.ceiling() as u64).sum();
                prop_assert!(sum <= LIMIT);
                prop_assert!(budgets.iter().all(|budget| budget.pieces() > 0));
            }
        }
    }
}
