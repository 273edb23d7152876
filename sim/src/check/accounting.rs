//! What a shard has counted equals a recount.

use darter_core::Engine;
use darter_core::eviction::budget::PIECES_EACH;

/// At rest: the parts of the budget are as many as there are, and no core of which keys may go uses more than its part.
pub fn check_budget<'a>(engines: impl Iterator<Item = &'a Engine>) -> Result<(), String> {
    let (mut pieces, mut cores) = (0, 0);
    for engine in engines {
        let node = engine.node();
        cores += 1;
        pieces += node.budget.pieces() + node.bank.as_ref().map_or(0, |bank| bank.free());
        let (used, ceiling) = (node.used_bytes(), node.ceiling());
        let may_go = node.settings.maxmemory_policy.is_for_all_keys() && node.shard.keys() > 0;
        if used > ceiling && may_go && !engine.has_background() && node.pause.is_none() {
            return Err(format!("core {} uses {used} bytes at rest, of {ceiling}", node.core.0));
        }
    }
    match pieces {
        all if all == cores * PIECES_EACH => Ok(()),
        all => Err(format!("there are {all} pieces of the budget on {cores} cores")),
    }
}

/// Recounts every database of a core. Panics if a table is not well formed, which the world turns into a failure.
pub fn check(engine: &Engine) -> Result<(), String> {
    let core = engine.node().core.0;
    for (number, database) in engine.node().shard.databases().iter().enumerate() {
        database.recount().map_err(|text| format!("core {core} database {number}: {text}"))?;
        database.check();
    }
    let node = engine.node();
    let clients: usize = engine.sessions().iter().map(|session| session.counted_bytes()).sum();
    if clients != node.client_bytes {
        return Err(format!(
            "core {core} counts {} bytes of clients, they have {clients}",
            node.client_bytes
        ));
    }
    engine.node().shard.trash().recount().map_err(|text| format!("core {core}: {text}"))
}
