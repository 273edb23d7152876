//! Ctrl-C and SIGTERM: noted, so that a run ends by itself, with its servers. A black-box
//! test asks a process for its end.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    // A second one ends the process as if nobody had listened; what it has started ends with it.
    if ASKED.swap(true, Ordering::Relaxed) {
        // SAFETY: `_exit` may be called from a signal handler.
        unsafe { libc::_exit(130) };
    }
}

/// From now on both signals are noted.
pub fn listen() {
    let handler = note as extern "C" fn(libc::c_int);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler touches an atomic only and is there as long as the process.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Whether the end was asked for.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
