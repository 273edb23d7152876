//! From settings to a running process, and its end.
//!
//! Whatever can be wrong is found here, before a core starts, and said in one sentence.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use darter_core::config::Settings;
use darter_io::{Start, Stop};

use crate::settings::Resolved;
use crate::{daemon, descriptors, flags, host, log, placement, settings, signals};

/// Serves until told to stop.
pub fn serve(file: Option<&str>, flags: &[flags::Directive]) -> Result<(), String> {
    let environment = flags::from_environment(std::env::vars());
    let Resolved { mut settings, without_effect } =
        settings::resolve(file, &environment, flags, host::memory())?;
    let config_file = match file {
        None | Some("-") => String::new(),
        Some(path) => fs::canonicalize(path).unwrap_or_default().display().to_string(),
    };
    settings.dir = enter(&settings.dir)?;
    let (shards, placing) = placement::place(settings.shards, placement::allowed_cpus(), placement::quota());
    settings.shards = shards;
    let (maxclients, warnings) = descriptors::reserve(settings.maxclients, shards);
    settings.maxclients = maxclients;
    darter_io::probe().map_err(|error| error.to_string())?;
    let listeners = darter_io::bind_all(&settings).map_err(|error| error.to_string())?;
    if settings.daemonize {
        daemon::detach()?;
    }
    log::start(&settings.logfile, settings.loglevel)?;
    signals::block();
    let stop = Stop::new().map_err(|error| error.to_string())?;
    let stopper = stop.try_clone().map_err(|error| error.to_string())?;
    signals::listen(stopper).map_err(|error| error.to_string())?;
    let pidfile = daemon::Pidfile::write(&settings.pidfile, settings.daemonize);
    announce(&settings);
    warnings.iter().for_each(|words| tracing::warn!("{words}"));
    if !without_effect.is_empty() {
        tracing::warn!("These settings are accepted but have no effect yet: {}", without_effect.join(", "));
    }
    let seeds: [[u8; 8]; 4] = std::array::from_fn(|_| host::entropy());
    let unixsockets = [settings.unixsocket.clone(), settings.memcached_unixsocket.clone()];
    let dump = Path::new(&settings.dir).join(&settings.dbfilename);
    let load = match settings.appendonly {
        // How much there is shows when it is read.
        true => Some(0),
        false => fs::metadata(dump).ok().map(|dump| dump.len()),
    };
    let outcome = darter_io::run(Start {
        cores: shards,
        placing,
        settings,
        hash_seeds: seeds.map(u64::from_ne_bytes),
        random_seeds: (0..shards).map(|_| host::entropy()).collect(),
        process: Arc::new(host::process(config_file)),
        instruments: host::instruments(),
        listeners,
        stop,
        log_threshold: Arc::new(log::set_threshold),
        load,
        // With a dump, the engine says so when it is loaded.
        ready: Box::new(move || {
            if load.is_none() {
                tracing::info!("Ready to accept connections");
            }
        }),
    });
    pidfile.remove();
    for path in unixsockets.into_iter().flatten() {
        tracing::info!("Removing the unix socket file.");
        let _ = fs::remove_file(path);
    }
    outcome.map_err(|error| error.to_string())?;
    tracing::warn!("Darter is now ready to exit, bye bye...");
    Ok(())
}

/// Makes `dir` the working directory, where files are written; its absolute path.
fn enter(dir: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot use the working directory '{dir}': {error}");
    std::env::set_current_dir(Path::new(dir)).map_err(failed)?;
    // SAFETY: the path is a constant.
    if unsafe { libc::access(c".".as_ptr(), libc::W_OK) } != 0 {
        return Err(failed(std::io::Error::last_os_error()));
    }
    std::env::current_dir().map(|path| path.display().to_string()).map_err(failed)
}

/// Says what has been started.
fn announce(settings: &Settings) {
    let version = env!("CARGO_PKG_VERSION");
    let (pid, shards, port) = (std::process::id(), settings.shards, settings.port);
    let plural = if shards == 1 { "shard" } else { "shards" };
    tracing::info!("Darter {version} starting, PID: {pid}, {shards} {plural}, port {port}");
    if let Some(path) = &settings.unixsocket {
        tracing::info!("Listening on the unix socket {path}");
    }
    if settings.memcached_port != 0 {
        tracing::info!("Speaking memcached's protocol on port {}", settings.memcached_port);
    }
    if let Some(path) = &settings.memcached_unixsocket {
        tracing::info!("Speaking memcached's protocol on the unix socket {path}");
    }
}
