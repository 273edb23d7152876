//! How many clients a core hears at once, and so for how many completions it may wait together.
//!
//! Who is woken for each of many requests pays for a sleep, a wake-up and a system call each time, and where requests go to another core and
//! back, for three of them. Where many clients wait for answers anyway, a core that sleeps a little longer finds several requests, messages and
//! answers at once, and serves them in one turn: what network cards do with their interrupts. Where few do, each waits for its answer before it
//! goes on, and nobody else is to be waited for.
//!
//! It knows who was heard. It does not know what was said.

use std::time::Duration;

use darter_core::time::Instant;

/// Clients that are heard within this are heard at once.
const WINDOW: Duration = Duration::from_millis(1);
/// Fewer than so many are no crowd: within [`GATHERING`] too little would come.
const CROWD: u32 = 9;
/// Completions that are waited for together, at the most.
const GATHERED_MAX: u32 = 32;
/// How long several completions are waited for, at the most. Measured (docs/PERFORMANCE.md): half of it saves half as much, twice as much no more.
pub const GATHERING: Duration = Duration::from_micros(200);

/// Whom a core has heard lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crowd {
    /// Counts windows; a client that was heard in this one has its number.
    window: u32,
    began: Instant,
    heard: u32,
    /// How many were heard in a window, the last time that one ended.
    size: u32,
}

impl Crowd {
    /// A turn begins.
    #[inline]
    pub fn turn(&mut self, now: Instant) {
        let (span, window) = (now.0.saturating_sub(self.began.0), WINDOW.as_nanos() as u64);
        if span >= window {
            self.size = (u64::from(self.heard) * window / span) as u32;
            (self.began, self.heard) = (now, 0);
            self.window = self.window.wrapping_add(1);
        }
    }

    /// A client is heard; `mark` is when it was the last time, and only this changes it.
    #[inline]
    pub fn heard(&mut self, mark: &mut u32) {
        if *mark != self.window {
            *mark = self.window;
            self.heard += 1;
        }
    }

    /// For how many completions to wait together; 1: each is served at once.
    #[inline]
    pub fn gathers(&self) -> u32 {
        if self.size < CROWD { 1 } else { self.size.min(GATHERED_MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many clients say something within each millisecond, each `times` times.
    fn after(clients: usize, times: usize, millis: u64) -> Crowd {
        let (mut crowd, mut marks) = (Crowd::default(), vec![0; clients]);
        for milli in 1..=millis {
            crowd.turn(Instant(milli * 1_000_000));
            (0..times).for_each(|_| marks.iter_mut().for_each(|mark| crowd.heard(mark)));
        }
        crowd.turn(Instant((millis + 1) * 1_000_000));
        crowd
    }

    #[test]
    fn many_who_speak_at_once_are_waited_for_together() {
        assert_eq!(after(25, 1, 3).gathers(), 25);
        assert_eq!(after(1_000, 1, 3).gathers(), GATHERED_MAX);
    }

    #[test]
    fn few_are_served_at_once_however_often_they_speak() {
        assert_eq!(after(CROWD as usize - 1, 100, 3).gathers(), 1);
        assert_eq!(Crowd::default().gathers(), 1);
    }

    #[test]
    fn a_crowd_that_falls_silent_is_forgotten() {
        let mut crowd = after(25, 1, 3);
        crowd.turn(Instant(1_000_000_000));
        assert_eq!(crowd.gathers(), 1);
    }
}
