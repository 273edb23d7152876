//! The append-only log: BGREWRITEAOF, WAITAOF.

use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Run};
use crate::args::Args;
use crate::node::{Deferred, Local};
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::snapshot::status::ToKeeper;
use crate::time::Instant;

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bgrewriteaof",
        group: Group::Server,
        arity: 1,
        flags: Flags(Flags::ADMIN.0 | Flags::NOSCRIPT.0),
        since: "1.0.0",
        summary: "Writes the append-only log anew in the background: a snapshot, and what changes after it.",
        complexity: "O(1)",
        run: Run::Local(rewrite),
        ..Command::DEFAULT
    },
    Command {
        name: "waitaof",
        group: Group::Generic,
        arity: 4,
        flags: Flags(Flags::NOSCRIPT.0 | Flags::AFTER_ALL.0),
        since: "7.2.0",
        summary: "Blocks until all of the preceding write commands sent by the connection are written to the append-only log and \
                  durable, or the time is up.",
        complexity: "O(1)",
        syntax: "numlocal:integer numreplicas:integer timeout:integer",
        examples: &[Example { call: "WAITAOF 0 0 100", reply: "0\n0" }],
        run: Run::Local(wait),
        ..Command::DEFAULT
    },
];

fn rewrite(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let status = &mut local.node.status;
    if status.is_rewriting {
        return Err(Failure::new("ERR Background append only file rewriting already in progress"));
    }
    if !local.node.settings.appendonly {
        return Err(Failure::new("ERR There is no append only file to be rewritten: appendonly is disabled"));
    }
    let waits = status.is_saving;
    // Until the keeper says otherwise: a second one at once is told so.
    match waits {
        true => status.is_rewrite_scheduled = true,
        false => status.is_rewriting = true,
    }
    local.node.asks.ask(ToKeeper::Rewrite, None);
    reply.simple(match waits {
        true => "Background append only file rewriting scheduled",
        false => "Background append only file rewriting started",
    });
    Ok(())
}

fn wait(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let number = |n: usize| integer(args.at(n));
    let (here, replicas) = (number(1)?, number(2)?);
    if !(0..=1).contains(&here) {
        return Err(Failure::new("ERR value is out of range, value must between 0 and 1"));
    }
    if replicas < 0 {
        return Err(Failure::new("ERR value is out of range, must be positive"));
    }
    let timeout =
        integer(args.at(3)).map_err(|_| Failure::new("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 {
        return Err(Failure::new("ERR timeout is negative"));
    }
    if here == 1 && !local.node.settings.appendonly {
        return Err(Failure::new(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    // There are no replicas: who asks for them waits for as long as it says, and in a transaction not at all.
    let is_at_once = here == 0 && replicas == 0 || local.session.queued.is_some();
    if is_at_once {
        reply.array(2);
        reply.integer(0);
        reply.integer(0);
        return Ok(());
    }
    let until = match timeout {
        0 => Instant::NEVER,
        millis => local.now.mono.after_millis(millis as u64),
    };
    reply.array(2);
    reply.integer(0);
    reply.integer(0);
    local.deferred = Some(match here {
        1 if replicas == 0 => Deferred::Marked { until },
        _ => Deferred::Until(until),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn without_a_log_there_is_nothing_to_rewrite_or_to_wait_for() {
        let mut world = World::new(2);
        let client = world.connect(0);
        for (call, reply) in [
            ("BGREWRITEAOF", "ERR There is no append only file to be rewritten: appendonly is disabled"),
            ("WAITAOF 1 0 0", "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
            ("WAITAOF 2 0 0", "ERR value is out of range, value must between 0 and 1"),
            ("WAITAOF 0 -1 0", "ERR value is out of range, must be positive"),
            ("WAITAOF 0 0 -1", "ERR timeout is negative"),
            ("WAITAOF 0 0 x", "ERR timeout is not an integer or out of range"),
            ("WAITAOF x 0 0", "ERR value is not an integer or out of range"),
            ("WAITAOF 0 0 0", "0\n0"),
        ] {
            assert_eq!(world.say(client, call), reply, "{call}");
        }
        assert_eq!(world.call(client, "WAITAOF 0 1 50"), "");
        world.pass(50);
        assert_eq!(world.receive(client), "*2\r\n:0\r\n:0\r\n");
    }
}
