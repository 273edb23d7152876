//! One command on one shard, at one instant.
//!
//! It gives the command its view of the shard and turns what it says into reply bytes. It does not know who waits for them.

use crate::args::Args;
use crate::command::row::{Flags, Next, Plan, Run, Touch};
use crate::command::table::CommandId;
use crate::eviction::room::need_of;
use crate::hash::placement_part;
use crate::node::{Applied, Node};
use crate::protocol::chunks::Chunks;
use crate::protocol::reply::{Ends, Failure, Reply};
use crate::shard::{Cx, KeyRef};
use crate::slowlog::SlowCall;
use crate::time::UnixMillis;
use crate::txn::watch::Watcher;
use crate::txn::work::{Circumstances, Finding, Order};

/// Which command, where, for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) command: CommandId,
    pub(crate) database: u16,
    pub(crate) circumstances: &'a Circumstances,
    /// It belongs to a transaction that began elsewhere: memory was admitted there, and it may not fail here for want of it.
    pub(crate) is_admitted: bool,
    /// It is this shard's share of a command; the coordinator counts the whole.
    pub(crate) is_share: bool,
}

impl Node {
    /// The keys of a request that lie on this shard; all of them if it came here for its keys.
    pub(crate) fn find_keys(&self, hop: &Hop<'_>, args: Args<'_>, only_own: bool, keys: &mut Vec<KeyRef>) {
        keys.clear();
        for place in hop.command.row().keys.places(args) {
            let key = args.at(place);
            if only_own && self.owner_of(key) != self.core.0 {
                continue;
            }
            keys.push(KeyRef { place: place as u32, hash: self.shard.hasher().hash(key) });
        }
    }

    /// The shard of a key.
    pub(crate) fn owner_of(&self, key: &[u8]) -> u16 {
        self.shard.hasher().hash(placement_part(key)).shard(self.cores)
    }

    /// What a command sees.
    fn cx<'a>(&'a mut self, hop: &Hop<'_>, keys: &'a [KeyRef]) -> Cx<'a> {
        let Circumstances { client, no_touch, unix_micros, round, .. } = *hop.circumstances;
        let access = self.access_rule(no_touch, unix_micros);
        let unix = UnixMillis(unix_micros / 1_000);
        let now = self.shard.judge(unix);
        let clock = if self.shard.judges_nothing() { unix } else { now };
        let row = hop.command.row();
        // What somebody else may hold is left alone; who changes a key has it for itself, unlike those that it only reads.
        let removes_due = self.queue.is_empty()
            || row.flags.has(Flags::WRITE) && !matches!(row.touch, Touch::Read) && !row.shares_keys();
        Cx {
            shard: &mut self.shard,
            database: usize::from(hop.database),
            now,
            clock,
            settings: &self.settings,
            keys,
            access,
            watcher: Watcher { client, round },
            removes_due,
            next_shard: Some(self.core.0 + 1).filter(|&next| next < self.cores),
        }
    }
}

/// Runs one command on this core's shard and writes its reply, or why there is none, at the end of `chunks`. The call, if it was slow.
#[inline]
pub(crate) fn run_hop(
    node: &mut Node,
    keys: &[KeyRef],
    hop: &Hop<'_>,
    args: Args<'_>,
    chunks: &mut Chunks,
    ends: Option<&mut Ends>,
) -> Option<Box<SlowCall>> {
    let row = hop.command.row();
    let started = (node.instruments.stopwatch)();
    let start = chunks.len();
    let resp = hop.circumstances.resp;
    let refused = !hop.is_admitted && row.flags.has(Flags::DENYOOM) && node.lacks_room(need_of(args));
    let outcome = if refused {
        node.note_applied(Applied::NoRoom);
        Err(Failure::OUT_OF_MEMORY)
    } else if node.is_gated
        && !hop.is_admitted
        && row.flags.has(Flags::WRITE)
        && let Some(failure) = node.log_refusal()
    {
        node.note_applied(Applied::NoRoom);
        Err(failure)
    } else {
        if let [_, _, ..] = keys {
            node.shard.prefetch(hop.database, keys);
        }
        let mut cx = node.cx(hop, keys);
        let mut reply = match ends {
            Some(ends) => Reply::of_elements(chunks, resp, ends),
            None => Reply::new(chunks, resp),
        };
        let outcome = match row.run {
            Run::Hop(apply) | Run::Visit { apply, .. } | Run::Spread { apply, .. } | Run::Watch(apply) => {
                apply(&mut cx, args, &mut reply)
            }
            Run::Plan(plan) => all_steps(plan, &mut cx, args, &mut reply).map(drop),
            // Within a transaction nobody waits.
            Run::Block(block) => (block.plan.check)(args, cx.settings)
                .and_then(|()| (block.timeout)(args))
                .and_then(|_| all_steps(&block.plan, &mut cx, args, &mut reply))
                .map(|found| {
                    if !found {
                        (block.empty)(&mut reply);
                    }
                }),
            _ => unreachable!("only commands with keys run on a shard"),
        };
        cx.remove_due(args);
        node.write_down(hop, args, keys, outcome.is_ok());
        outcome
    };
    let failed = outcome.is_err();
    if let Err(failure) = outcome {
        chunks.truncate(start);
        (row.tell)(args, &failure, &mut Reply::new(chunks, resp));
        node.statistics.error(failure.code());
    }
    let nanos = (node.instruments.stopwatch)().saturating_sub(started);
    if hop.is_share {
        node.statistics.ran_share(hop.command, nanos);
        return None;
    }
    node.ran(hop.command, args, nanos, failed)
}

/// All steps of a plan whose keys lie on one shard; false if there is nothing to be had.
fn all_steps(plan: &Plan, cx: &mut Cx<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<bool, Failure> {
    (plan.check)(args, cx.settings)?;
    let mut orders = vec![Order { step: 0, key: None, given: Finding::Nothing }];
    let mut step = 0;
    loop {
        let findings = orders.into_iter().map(|order| (plan.act)(cx, args, order)).collect();
        match (plan.next)(args, step, findings, reply) {
            Next::Done => return Ok(true),
            Next::Failed(failure) => return Err(failure),
            Next::Wait => return Ok(false),
            Next::Step(next) => orders = next,
            Next::Ask(_) => unreachable!("who asks others is a transaction"),
        }
        step += 1;
        orders.iter_mut().for_each(|order| order.step = step);
    }
}

/// A command that may wait, on those of its keys that lie here; false, and nothing is written, if there is nothing to be had.
pub(crate) fn run_alone(
    node: &mut Node,
    keys: &[KeyRef],
    hop: &Hop<'_>,
    args: Args<'_>,
    chunks: &mut Chunks,
) -> bool {
    let Some(plan) = hop.command.row().plan() else {
        unreachable!("only commands with plans wait");
    };
    let started = (node.instruments.stopwatch)();
    let (start, resp) = (chunks.len(), hop.circumstances.resp);
    let mut cx = node.cx(hop, keys);
    let outcome = all_steps(plan, &mut cx, args, &mut Reply::new(chunks, resp));
    cx.remove_due(args);
    node.write_down(hop, args, keys, outcome.is_ok());
    if let Err(failure) = &outcome {
        chunks.truncate(start);
        Reply::new(chunks, resp).error(failure);
        node.statistics.error(failure.code());
    }
    let nanos = (node.instruments.stopwatch)().saturating_sub(started);
    match outcome {
        // It is looked at again when there is something.
        Ok(false) => node.statistics.ran_share(hop.command, nanos),
        _ => node.statistics.ran(hop.command, nanos, outcome.is_err(), node.settings.latency_tracking),
    }
    outcome.unwrap_or(true)
}

/// One step of a plan on this shard: of each order what was found.
pub(crate) fn act(
    node: &mut Node,
    keys: &[KeyRef],
    hop: &Hop<'_>,
    args: Args<'_>,
    orders: impl IntoIterator<Item = Order>,
) -> Vec<Finding> {
    let started = (node.instruments.stopwatch)();
    let Some(plan) = hop.command.row().plan() else {
        unreachable!("only plans have steps");
    };
    let mut cx = node.cx(hop, keys);
    let findings = orders.into_iter().map(|order| (plan.act)(&mut cx, args, order)).collect();
    cx.remove_due(args);
    node.write_down(hop, args, keys, false);
    let nanos = (node.instruments.stopwatch)().saturating_sub(started);
    node.statistics.ran_share(hop.command, nanos);
    findings
}
