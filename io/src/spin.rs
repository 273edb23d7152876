//! Whether to look for messages for a moment before sleeping, or to sleep at once.
//!
//! Being woken costs a core and its waker about ten microseconds of CPU; looking costs what it takes until the message comes. So it pays
//! while messages come soon, and burns a CPU that others could use while they do not. What the last waits were like decides. This
//! file does not know what is waited for.

use std::time::Duration;

/// How long a core looks at the most: about what waking it would cost.
pub const SPIN: Duration = Duration::from_micros(10);
/// Going to sleep and being woken takes this long itself: a message that came within so much more would have been found.
const WAKING: Duration = Duration::from_micros(8);
/// Of 256: the share of waits that must have been short.
const PAYS: u32 = 140;
/// Of the memory, what one wait replaces: 1 / 2^3.
const WEIGHT: u32 = 3;

/// What the last waits were like.
#[derive(Clone, Copy, Debug)]
pub struct Spin {
    /// Of 256: how many of them ended soon, the latest weighing most.
    short: u32,
}

impl Default for Spin {
    fn default() -> Self {
        Spin { short: PAYS }
    }
}

impl Spin {
    /// True if looking pays.
    #[inline]
    pub fn pays(self) -> bool {
        self.short >= PAYS
    }

    /// A look has ended, with something found or not.
    #[inline]
    pub fn looked(&mut self, found: bool) {
        self.note(found);
    }

    /// A sleep without a look has ended because something came.
    #[inline]
    pub fn slept(&mut self, span: Duration) {
        self.note(span < SPIN + WAKING);
    }

    #[inline]
    fn note(&mut self, short: bool) {
        self.short -= self.short >> WEIGHT;
        self.short += (u32::from(short) * 256) >> WEIGHT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_goes_on_while_it_finds_and_comes_back_when_sleeps_are_short() {
        let mut spin = Spin::default();
        assert!(spin.pays());
        (0..20).for_each(|_| spin.looked(true));
        assert!(spin.pays());
        (0..5).for_each(|_| spin.looked(false));
        assert!(!spin.pays());
        (0..20).for_each(|_| spin.slept(Duration::from_micros(500)));
        assert!(!spin.pays());
        (0..10).for_each(|_| spin.slept(Duration::from_micros(9)));
        assert!(spin.pays());
    }
}
