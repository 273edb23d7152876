//! `darter-bench run`, step by step: idle connections, the fill, the measurement or the sweep of rates, and what is written of it.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use super::address::{Stream, raise_descriptors};
use super::flags::{Asked, RunFlags, Sweep};
use super::interrupt;
use super::machine::Machine;
use super::observe::{listener, resident_bytes};
use super::plan::{Load, Plan};
use super::report::{Fill, Idle, Outline, Report};
use super::run::{Figures, Progress, run};
use super::tally::Tally;

/// Descriptors that are not idle connections.
const OTHERS: u64 = 100;

/// Does what is asked; the report has a complaint if replies were not as they must be. The error is what could not be done at all.
pub fn perform(flags: &RunFlags) -> Result<Report, String> {
    let Asked { plan, fill, sweep } = flags.asked()?;
    let said = |what: &str| {
        let address = plan.address.to_string();
        let what = what.to_string();
        move |error: std::io::Error| format!("{address}: {what}: {error}")
    };
    let (first, line) = plan.address.greet(plan.rules.protocol.greeting()).map_err(said("no answer"))?;
    drop(first);
    if plan.rules.protocol.is_error(line.as_bytes()) {
        return Err(format!("{}: {line}", plan.address));
    }
    let server = flags.server_pid.or_else(|| listener(&plan.address));
    let mut report = Report {
        tool: "darter-bench",
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::this(),
        plan: Outline::of(&plan),
        server_pid: server,
        fill: None,
        idle: None,
        figures: None,
        sweep: Vec::new(),
        complaint: None,
    };
    let mut tally = Tally::default();
    let mut show = |progress: Progress| show_progress(&progress);
    if let Some(command) = fill {
        let filling = plan.filling(command)?;
        let (filled, figures) = filled(&filling, server, &mut show).map_err(said("fill"))?;
        report.fill = Some(filled);
        tally.add(&figures.tally);
    }
    let idle = open_idle(&plan, flags.idle_connections, server)?;
    report.idle = idle.1;
    match sweep {
        None => {
            let figures = run(&plan, server, &mut show).map_err(said("run"))?;
            tally.add(&figures.tally);
            report.figures = Some(figures);
        }
        Some(sweep) => {
            for figures in sweep_rates(&plan, sweep, flags, server, &mut show).map_err(said("sweep"))? {
                tally.add(&figures.tally);
                report.sweep.push(figures);
            }
        }
    }
    clear_progress();
    report.complaint = tally.complaint(flags.allow_errors);
    Ok(report)
}

/// Runs a plan that fills, between two looks at the server's memory.
pub fn filled(
    filling: &Plan,
    server: Option<u32>,
    show: &mut dyn FnMut(Progress),
) -> std::io::Result<(Fill, Figures)> {
    let memory = || server.and_then(|pid| resident_bytes(pid).ok());
    let before = memory();
    let figures = run(filling, server, show)?;
    let resident_bytes = before.zip(memory());
    let fill = Fill {
        keys: filling.keys,
        seconds: figures.seconds,
        resident_bytes,
        bytes_per_key: resident_bytes.map(|both| each(both, filling.keys)),
    };
    Ok((fill, figures))
}

fn each((before, after): (u64, u64), count: u64) -> f64 {
    (after as f64 - before as f64) / count.max(1) as f64
}

/// Opens connections that the server has answered once, and looks at its memory before and after.
pub fn open_idle(
    plan: &Plan,
    count: usize,
    server: Option<u32>,
) -> Result<(Vec<Stream>, Option<Idle>), String> {
    if count == 0 {
        return Ok((Vec::new(), None));
    }
    let may = raise_descriptors().map_err(|error| error.to_string())?;
    if count as u64 + plan.connections as u64 + OTHERS > may {
        return Err(format!(
            "{count} idle connections need more descriptors than the {may} there are: ulimit -n"
        ));
    }
    let memory = || server.and_then(|pid| resident_bytes(pid).ok());
    let before = memory();
    let mut streams = Vec::with_capacity(count);
    for at in 0..count {
        let greeted = plan.address.greet(plan.rules.protocol.greeting());
        let (stream, line) = greeted.map_err(|error| format!("idle connection {at}: {error}"))?;
        if plan.rules.protocol.is_error(line.as_bytes()) {
            return Err(format!("idle connection {at}: {line}"));
        }
        streams.push(stream);
        if interrupt::asked() {
            break;
        }
    }
    let resident_bytes = before.zip(memory());
    let idle = Idle {
        connections: streams.len(),
        resident_bytes,
        bytes_per_connection: resident_bytes.map(|both| each(both, streams.len() as u64)),
    };
    Ok((streams, Some(idle)))
}

fn sweep_rates(
    plan: &Plan,
    sweep: Sweep,
    flags: &RunFlags,
    server: Option<u32>,
    show: &mut dyn FnMut(Progress),
) -> std::io::Result<Vec<Figures>> {
    let mut found = Vec::new();
    let rates = match sweep {
        Sweep::Rates(rates) => rates,
        Sweep::Shares(shares) => {
            let closed = run(&Plan { load: Load::Closed, ..plan.clone() }, server, show)?;
            let peak = closed.per_second.max(100.0);
            found.push(closed);
            shares.into_iter().map(|share| share * peak).collect()
        }
    };
    for rate in rates {
        if interrupt::asked() {
            break;
        }
        let open = Plan { load: Load::Open { rate, arrivals: flags.arrivals }, ..plan.clone() };
        found.push(run(&open, server, show)?);
    }
    Ok(found)
}

/// Writes JSON and the page where they were asked for.
pub fn write_files(json: Option<(&Path, String)>, html: Option<(&Path, String)>) -> Result<(), String> {
    for (path, text) in [json, html].into_iter().flatten() {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// On a terminal only: one line, over itself.
pub fn show_progress(progress: &Progress) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let elapsed = Duration::from_millis(progress.elapsed.as_millis() as u64);
        let (each, replies) = (progress.per_second, progress.replies);
        let _ = write!(terminal, "\r\x1b[K{elapsed:>8.1?}  {each:>10.0}/s  {replies} replies ");
    }
}

/// Takes it away again.
pub fn clear_progress() {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        let _ = write!(terminal, "\r\x1b[K");
    }
}
