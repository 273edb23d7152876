//! SIGTERM and SIGINT: the first asks the cores to stop, a second SIGINT ends the process at once.
//!
//! A thread waits for them, so that nothing runs inside a signal handler and a core that hangs is no obstacle.

use std::io;

use darter_io::Stop;

/// Keeps the signals for the thread that waits for them. To be called before any other thread starts.
pub fn block() {
    // SAFETY: the set lives on the stack; SIG_IGN is no function.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &set(), std::ptr::null_mut());
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
}

/// Begins to wait.
pub fn listen(stop: Stop) -> io::Result<()> {
    let wait = move || {
        let mut asked = false;
        loop {
            let signal = next();
            if asked && signal == libc::SIGINT {
                tracing::warn!("You insist... exiting now.");
                std::process::exit(1);
            }
            let name = if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" };
            tracing::warn!("Received {name} scheduling shutdown...");
            asked = true;
            stop.request();
        }
    };
    std::thread::Builder::new().name("signals".into()).stack_size(64 << 10).spawn(wait).map(drop)
}

fn next() -> libc::c_int {
    let mut signal = 0;
    // SAFETY: set and number live on the stack.
    while unsafe { libc::sigwait(&set(), &mut signal) } != 0 {}
    signal
}

fn set() -> libc::sigset_t {
    // SAFETY: the set is plain data that `sigemptyset` fills.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigaddset(&mut set, libc::SIGINT);
        set
    }
}
