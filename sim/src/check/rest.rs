//! At rest nothing remains: no request under way, no client, no byte of a key.

use darter_core::Engine;

/// No request is under way.
pub fn is_quiet(engine: &Engine) -> Result<(), String> {
    match engine.unfinished() {
        None => Ok(()),
        Some(rest) => Err(format!("core {} at rest: {rest}", engine.node().core.0)),
    }
}

/// No request is under way but those that wait for ever, and what stands behind them.
pub fn is_quiet_beside_waits(engine: &Engine) -> Result<(), String> {
    match engine.unfinished_beside_waits() {
        None => Ok(()),
        Some(rest) => Err(format!("core {} at rest: {rest}", engine.node().core.0)),
    }
}

/// After FLUSHALL and enough background work: no key, and the memory of the beginning.
pub fn is_empty(engine: &Engine, bytes_at_start: usize) -> Result<(), String> {
    let (core, shard) = (engine.node().core.0, &engine.node().shard);
    if shard.keys() > 0 {
        return Err(format!("core {core} has {} keys after FLUSHALL", shard.keys()));
    }
    if shard.used_bytes() != bytes_at_start {
        return Err(format!(
            "core {core} accounts {} bytes without a key, {bytes_at_start} at the start",
            shard.used_bytes()
        ));
    }
    Ok(())
}

/// After all clients have left: no session, and nobody watches.
pub fn is_left(engine: &Engine) -> Result<(), String> {
    let watchers = engine.node().shard.watchers();
    if watchers > 0 {
        return Err(format!("core {} has {watchers} rounds of WATCH without a client", engine.node().core.0));
    }
    match engine.sessions().len() {
        0 => is_quiet(engine),
        left => Err(format!("core {} has {left} sessions without a client", engine.node().core.0)),
    }
}
