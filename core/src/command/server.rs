//! The server as a whole: its clock, its end, its picture.

use super::parse::integer;
use super::row::{Command, Example, Flags, Group, Run};
use crate::args::Args;
use crate::event::{Effect, LogLevel};
use crate::node::{Deferred, Local};
use crate::protocol::reply::{Failure, Outcome, Reply};
use crate::session::Closing;
use crate::snapshot::status::ToKeeper;

const ANYTIME: Flags = Flags::LOADING.or(Flags::STALE);
const ROW: Command = Command { group: Group::Server, ..Command::DEFAULT };

/// This family's rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "time",
        arity: 1,
        flags: ANYTIME.or(Flags::FAST),
        since: "2.6.0",
        summary: "Returns the server time.",
        examples: &[Example { call: "TIME", reply: "*" }],
        run: Run::Local(time),
        ..ROW
    },
    Command {
        name: "shutdown",
        arity: -1,
        flags: ANYTIME.or(Flags::ADMIN).or(Flags::NOSCRIPT).or(Flags::NO_MULTI),
        summary: "Flushes the replies of all clients and stops the server.",
        syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
        run: Run::Local(shutdown),
        ..ROW
    },
    Command {
        name: "lolwut",
        arity: -1,
        flags: Flags::READONLY.or(Flags::FAST),
        since: "5.0.0",
        summary: "Displays computer art and the server's version.",
        syntax: "[VERSION version:integer] [columns:integer]",
        examples: &[Example { call: "LOLWUT", reply: "*" }],
        run: Run::Local(lolwut),
        ..ROW
    },
];

fn time(local: &mut Local<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let micros = local.now.unix_micros;
    reply.array(2);
    reply.text(&(micros / 1_000_000).to_string());
    reply.text(&(micros % 1_000_000).to_string());
    Ok(())
}

fn shutdown(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (mut save, mut no_save, mut abort, mut force) = (false, false, false, false);
    for n in 1..args.len() {
        match () {
            () if args.is(n, "save") && !no_save => save = true,
            () if args.is(n, "nosave") && !save => no_save = true,
            () if args.is(n, "now") => {}
            () if args.is(n, "force") => force = true,
            () if args.is(n, "abort") => abort = true,
            () => return Err(Failure::SYNTAX),
        }
    }
    if abort && args.len() > 2 {
        return Err(Failure::SYNTAX);
    }
    if abort {
        if !local.node.status.is_stopping {
            return Err(Failure::new("ERR No shutdown in progress."));
        }
        local.node.asks.ask(ToKeeper::Abort, None);
        reply.ok();
        return Ok(());
    }
    let text = "User requested shutdown...".to_string();
    local.out.push(Effect::Log { level: LogLevel::Warning, text });
    let saves = save || !no_save && !local.node.settings.save.is_empty();
    if saves && !local.node.status.is_loading {
        // There is a reply only if the server does not stop.
        local.deferred = Some(Deferred::Stopped { force });
        return Ok(());
    }
    local.out.push(Effect::Shutdown);
    local.session.close(Closing::AfterReplies);
    Ok(())
}

/// The darter's bars: a field of strokes, denser where two waves meet. Where they begin, chance decides.
fn lolwut(local: &mut Local<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    const WIDTH_MAX: i64 = 1_000;
    const ROWS: i64 = 12;
    let rest = if args.is(1, "version") { 3 } else { 1 };
    if args.is(1, "version") {
        integer(args.get(2).ok_or(Failure::SYNTAX)?)?;
    }
    let width = args.get(rest).map_or(Ok(66), integer)?.clamp(1, WIDTH_MAX);
    let (shift, slope) = (local.node.random.below(40) as i64, 2 + local.node.random.below(5) as i64);
    let wave = |x: i64| (x.rem_euclid(24) - 12).abs();
    let mut text = String::new();
    for y in 0..ROWS {
        for x in 0..width {
            let depth = wave(x + shift + y * slope / 2) + wave(2 * y - x);
            text.push([' ', '.', ':', '|', '#'][(depth * 5 / 25).clamp(0, 4) as usize]);
        }
        text.push('\n');
    }
    text.push_str(&format!("\nDarter ver. {}\n", crate::VERSION));
    reply.verbatim("txt", &text);
    Ok(())
}
