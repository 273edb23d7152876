//! The `darter` binary: flags, configuration file, entropy, allocator, log, signals, and the start of all cores.
//!
//! It knows nothing of tables, transactions and commands.

mod allocator;
mod daemon;
mod descriptors;
mod flags;
mod host;
mod log;
mod placement;
mod settings;
mod signals;
mod start;

use std::io::Write;
use std::process::ExitCode;

use flags::Invocation;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    let outcome = flags::parse(std::env::args().skip(1)).and_then(|invocation| match invocation {
        Invocation::Print(text) => {
            // A reader that has gone away wants no more text.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Ok(())
        }
        Invocation::Serve { file, directives } => start::serve(file.as_deref(), &directives),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("darter: {sentence}");
            ExitCode::FAILURE
        }
    }
}
