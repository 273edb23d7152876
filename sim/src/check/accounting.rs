//! What a shard has counted equals a recount.

use darter_core::Engine;

/// Recounts every database of a core. Panics if a table is not well formed, which the world turns into a failure.
pub fn check(engine: &Engine) -> Result<(), String> {
    let core = engine.node().core.0;
    for (number, database) in engine.node().shard.databases().iter().enumerate() {
        database.recount().map_err(|text| format!("core {core} database {number}: {text}"))?;
        database.check();
    }
    engine.node().shard.trash().recount().map_err(|text| format!("core {core}: {text}"))
}
