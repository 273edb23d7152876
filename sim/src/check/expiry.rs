//! By which instant a shard judges: never an earlier one than before, unless the wall clock was set back far, and always one that a
//! core has really read. With the reference at the same instant every reply shows that no key is seen late and none goes early.

use darter_core::Engine;

use crate::reference::Shard;

/// Before the engine handles an event that it may judge by the instant `at`, Unix milliseconds. When a clock goes back, keys whose
/// time had come before and that are gone by now stay gone; those that nobody has removed live again.
/// These begin anew at this `moment`.
pub fn before(engine: &Engine, reference: &mut Shard, at: u64, moment: u64) {
    let clock = reference.clock;
    if reference.judged(at) >= clock {
        return;
    }
    let shard = &engine.node().shard;
    for (number, database) in reference.databases.iter_mut().enumerate() {
        let real = &shard.databases()[number];
        database.retain(|key, entry| {
            let was_due = entry.deadline.is_some_and(|deadline| deadline <= clock);
            let hash = shard.hasher().hash(key);
            if was_due {
                entry.born = moment;
            }
            !was_due || real.get(darter_core::database::Key { bytes: key, hash }).is_some()
        });
    }
}

/// After it has handled the event: it may have judged by `at` or not at all.
pub fn after(engine: &Engine, reference: &mut Shard, at: u64) -> Result<(), String> {
    let judged = engine.node().shard.judged().0;
    if judged == reference.clock {
        return Ok(());
    }
    if judged != reference.judged(at) {
        return Err(format!(
            "core {} judges by {judged}, the reference by {}; the event's instant is {at}",
            engine.node().core.0,
            reference.judged(at)
        ));
    }
    reference.clock = judged;
    Ok(())
}
