//! How many files the process may hold open, and how many clients that leaves room for.

/// Descriptors for everything but clients, as in Redis.
const OWN: u64 = 32;
/// What each core holds open: its rings, glommio's, and their eventfds.
const PER_CORE: u64 = 16;

/// Raises the limit for `maxclients` clients. If that is refused, returns how many clients fit, with the
/// words for the log.
pub fn reserve(maxclients: u32, cores: u16) -> (u32, Vec<String>) {
    let own = OWN + PER_CORE * u64::from(cores);
    let wanted = u64::from(maxclients) + own;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure lives on the stack.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 || limit.rlim_cur >= wanted {
        return (maxclients, Vec::new());
    }
    // A privileged process may raise the hard limit too; others get as far as it.
    let mut refusal = String::new();
    for hard in [limit.rlim_max.max(wanted), limit.rlim_max] {
        let raised = libc::rlimit { rlim_cur: wanted.min(hard), rlim_max: hard };
        // SAFETY: the structure lives on the stack.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
            limit = raised;
            break;
        }
        refusal = std::io::Error::last_os_error().to_string();
    }
    if limit.rlim_cur >= wanted {
        return (maxclients, Vec::new());
    }
    let fits = fitting(limit.rlim_cur, own);
    let words = vec![
        format!("You requested maxclients of {maxclients} requiring at least {wanted} max file descriptors."),
        format!("Server can't set maximum open files to {wanted} because of OS error: {refusal}."),
        format!(
            "Current maximum open files is {}. maxclients has been reduced to {fits} to compensate for low \
             ulimit. If you need higher maxclients increase 'ulimit -n'.",
            limit.rlim_cur
        ),
    ];
    (fits, words)
}

fn fitting(limit: u64, own: u64) -> u32 {
    u32::try_from(limit.saturating_sub(own).max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_left_after_our_own() {
        assert_eq!(fitting(1024, 64), 960);
        assert_eq!(fitting(10, 64), 1);
        assert_eq!(reserve(1, 1), (1, Vec::new()));
    }
}
