//! When a snapshot is due by the clock on the wall: `snapshot-cron`.
//!
//! The keeper looks at each of its minutes. It knows the next one. What it missed while the process slept or the clock leapt is made up for once.

use crate::config::cron::Cron;
use crate::engine::Engine;
use crate::event::{Effect, Effects, LogLevel};
use crate::snapshot::keeper::KEEPER;
use crate::time::{Instant, Now};

/// A clock that was set back by more than this, seconds, is believed.
const STEP_BACK: u64 = 60;

/// The next minute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Timetable {
    /// By which expression.
    cron: Cron,
    /// Unix seconds.
    due: Option<u64>,
    /// The last look, Unix seconds.
    looked: u64,
}

impl Timetable {
    /// Looks at the clock; true if a minute has come.
    fn look(&mut self, cron: &Cron, unix: u64) -> bool {
        let is_new = self.cron != *cron || unix.saturating_add(STEP_BACK) < self.looked;
        if is_new {
            self.cron.clone_from(cron);
        }
        let is_due = !is_new && self.due.is_some_and(|due| due <= unix);
        if is_new || is_due {
            self.due = self.cron.next(unix);
        }
        self.looked = unix;
        is_due
    }
}

impl Engine {
    /// When to look at the timetable.
    pub(crate) fn next_of_timetable(&self) -> Instant {
        let node = &self.node;
        let (cron, timetable) = (&node.settings.snapshot_cron, &self.keeper.timetable);
        if node.core != KEEPER || node.status.is_loading || self.stopping.is_some() {
            return Instant::NEVER;
        }
        match timetable.due {
            _ if timetable.cron != *cron => node.now.mono,
            Some(due) => {
                let wait = (due * 1_000).saturating_sub(node.now.unix().0);
                node.now.mono.after_millis(wait)
            }
            None => Instant::NEVER,
        }
    }

    /// Asks for a snapshot if its minute has come.
    pub(crate) fn look_at_timetable(&mut self, now: Now, out: &mut Effects) {
        if self.next_of_timetable() > now.mono {
            return;
        }
        let (node, keeper) = (&self.node, &mut self.keeper);
        if keeper.timetable.look(&node.settings.snapshot_cron, now.unix_seconds()) {
            let text = format!("A snapshot is due by '{}'. Saving...", node.settings.snapshot_cron.text());
            out.push(Effect::Log { level: LogLevel::Notice, text });
            let begun = node.status.begun;
            keeper.want(begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DiskOutcome, DiskRequest};
    use crate::testing::World;

    #[test]
    fn each_minute_comes_once_whatever_the_clock_does() {
        let hourly = Cron::parse(&["0 * * * *"]).unwrap();
        let mut timetable = Timetable::default();
        let mut due = |cron: &Cron, unix: u64| timetable.look(cron, unix);
        assert!(!due(&hourly, 3_600), "this one has begun already");
        let looks = [7_199, 7_200, 7_201, 7_200, 7_190, 10_800].map(|unix| due(&hourly, unix));
        assert_eq!(looks, [false, true, false, false, false, true]);
        assert!(due(&hourly, 40_000), "what was missed is made up for once");
        assert!(!due(&hourly, 43_199) && due(&hourly, 43_200));
        assert!(!due(&hourly, 3_000), "the clock was set back");
        assert!(due(&hourly, 3_600));
        assert!(!due(&Cron::default(), 99_999) && !due(&Cron::default(), 999_999));
    }

    /// Lets snapshots end well while time passes; how many began.
    fn saved(world: &mut World, minutes: u64) -> usize {
        let mut begun = 0;
        for _ in 0..minutes * 6 {
            world.pass(10_000);
            for _ in 0..20 {
                world.work(8);
                for (core, operation, request) in world.disk_requests() {
                    begun += usize::from(matches!(request, DiskRequest::Create { .. }));
                    world.end_disk(core, operation, DiskOutcome::Done);
                }
            }
        }
        begun
    }

    #[test]
    fn a_snapshot_is_taken_at_its_minutes_while_the_setting_says_so() {
        let mut world = World::new(2);
        let client = world.connect(1);
        world.say(client, "MSET a 1 b 2 c 3");
        assert_eq!(world.say(client, "CONFIG GET snapshot-cron"), "snapshot-cron\n");
        assert_eq!(saved(&mut world, 5), 0);
        let refused = world.say(client, "CONFIG SET snapshot-cron \"* * * *\"");
        assert!(refused.ends_with("five fields (minute hour day month weekday), not 4"), "{refused}");
        assert_eq!(world.say(client, "CONFIG SET snapshot-cron \"*/2 * * * *\""), "OK");
        assert_eq!(world.say(client, "CONFIG GET snapshot-cron"), "snapshot-cron\n*/2 * * * *");
        let before = saved(&mut world, 10);
        assert_eq!(before, 5);
        assert_eq!(world.say(client, "CONFIG SET snapshot-cron \"\""), "OK");
        assert_eq!(saved(&mut world, 10), 0);
        assert_eq!(world.unfinished(), [""; 0]);
    }
}
