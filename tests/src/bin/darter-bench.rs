//! `darter-bench`: loads and measures servers. See `docs/BENCHMARKING.md`, or `darter-bench run --help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use darter_tests::bench::compare::{CompareFlags, compare};
use darter_tests::bench::flags::RunFlags;
use darter_tests::bench::floor::Floor;
use darter_tests::bench::interrupt;
use darter_tests::bench::perform::{perform, write_files};
use darter_tests::bench::trace::play::{TraceFlags, play};

/// Loads and measures servers that speak RESP or Memcached's protocols, and checks that they answer what is right.
#[derive(Parser)]
#[command(name = "darter-bench", version)]
struct Line {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Load one server and measure it
    Run(Box<RunFlags>),
    /// Start servers and measure them beside each other
    Compare(Box<CompareFlags>),
    /// Play a trace to a cache and count what it has
    Trace(Box<TraceFlags>),
    /// Serve GET, SET and PING and nothing else: what no server of its kind gets below
    Floor {
        /// Port on 127.0.0.1, 0 for any
        #[arg(long, short, default_value_t = 6379)]
        port: u16,
    },
}

fn main() -> ExitCode {
    interrupt::listen();
    let done = match Line::parse().task {
        Task::Run(flags) => measure(&flags),
        Task::Compare(flags) => beside(&flags),
        Task::Trace(flags) => play(&flags).map(|text| {
            print!("{text}");
            ExitCode::SUCCESS
        }),
        Task::Floor { port } => floor(port),
    };
    match done {
        Ok(code) => code,
        // What was cut short is no failure.
        Err(_) if interrupt::asked() => ExitCode::from(130),
        Err(error) => {
            eprintln!("darter-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn measure(flags: &RunFlags) -> Result<ExitCode, String> {
    let report = perform(flags)?;
    print!("{}", report.text());
    let json = || serde_json::to_string_pretty(&report).expect("a report is plain data");
    write_files(
        flags.json.as_deref().map(|path| (path, json())),
        flags.html.as_deref().map(|path| (path, report.html())),
    )?;
    Ok(verdict(report.complaint.as_deref()))
}

fn beside(flags: &CompareFlags) -> Result<ExitCode, String> {
    let comparison = compare(flags)?;
    print!("{}", comparison.text());
    let json = || serde_json::to_string_pretty(&comparison).expect("a comparison is plain data");
    write_files(
        flags.json.as_deref().map(|path| (path, json())),
        flags.html.as_deref().map(|path| (path, comparison.html())),
    )?;
    Ok(verdict(comparison.complaint.as_deref()))
}

fn verdict(complaint: Option<&str>) -> ExitCode {
    match complaint {
        // As a shell says of whoever was ended by ctrl-C.
        None if interrupt::asked() => ExitCode::from(130),
        None => ExitCode::SUCCESS,
        Some(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}

fn floor(port: u16) -> Result<ExitCode, String> {
    let said = |error: std::io::Error| format!("port {port}: {error}");
    let mut floor = Floor::new(port).map_err(said)?;
    println!("Ready to accept connections on port {}", floor.port().map_err(said)?);
    floor.serve(interrupt::asked).map_err(said)?;
    Ok(ExitCode::SUCCESS)
}
