//! Lists of CPUs, as taskset writes them, and staying on them. It does not know who is to stay where.

use std::fmt;
use std::io::{Error, Result};
use std::str::FromStr;

/// Some CPUs, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

impl Cpus {
    /// These.
    pub fn new(list: Vec<usize>) -> Cpus {
        Cpus(list)
    }

    /// Those that this thread may run on.
    pub fn allowed() -> Result<Cpus> {
        // SAFETY: a set of CPUs is plain bits, all of which may be zero.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` is as long as is said, and valid during the call.
        if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } != 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: the numbers lie below the size of the set.
        let list = (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) });
        Ok(Cpus(list.collect()))
    }

    /// Keeps this thread, and the processes it will start, on them.
    pub fn stay(&self) -> Result<()> {
        // SAFETY: as above.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        for cpu in self.0.iter().filter(|cpu| **cpu < libc::CPU_SETSIZE as usize) {
            // SAFETY: the number lies below the size of the set.
            unsafe { libc::CPU_SET(*cpu, &mut set) };
        }
        // SAFETY: `set` is as long as is said, and valid during the call.
        match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } {
            0 => Ok(()),
            _ => Err(Error::last_os_error()),
        }
    }

    /// The first so many of them, or all.
    pub fn first(&self, count: usize) -> Cpus {
        Cpus(self.0.iter().copied().take(count).collect())
    }

    /// Those that are not among others.
    pub fn without(&self, others: &Cpus) -> Cpus {
        Cpus(self.0.iter().copied().filter(|cpu| !others.0.contains(cpu)).collect())
    }

    /// Their numbers.
    pub fn list(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for Cpus {
    type Err = String;

    /// `0`, `0,2`, `0-3,8`.
    fn from_str(text: &str) -> std::result::Result<Cpus, String> {
        let wrong = || format!("{text:?} is no list of CPUs such as 0,2 or 0-3");
        let number = |text: &str| text.parse::<usize>().ok().filter(|cpu| *cpu < 1_024).ok_or_else(wrong);
        let mut list = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (number(from)?, number(to)?);
            if from > to {
                return Err(wrong());
            }
            list.extend(from..=to);
        }
        Ok(Cpus(list))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, text: &mut fmt::Formatter) -> fmt::Result {
        text.write_str(&self.0.iter().map(usize::to_string).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written() {
        assert_eq!("0-2,7".parse(), Ok(Cpus::new(vec![0, 1, 2, 7])));
        assert_eq!(Cpus::new(vec![3, 1]).to_string(), "3,1");
        for wrong in ["", "a", "2-1", "1,", "1024"] {
            assert!(wrong.parse::<Cpus>().is_err(), "{wrong}");
        }
        let all = Cpus::new(vec![0, 1, 2]);
        assert_eq!(all.without(&all.first(1)), Cpus::new(vec![1, 2]));
        assert_eq!(all.first(9), all);
    }

    #[test]
    fn a_thread_stays_where_it_is_told() {
        let one = Cpus::allowed().expect("it runs somewhere").first(1);
        let stays = std::thread::spawn(move || {
            one.stay().expect("it may");
            assert_eq!(Cpus::allowed().expect("it runs somewhere"), one);
            assert!(Cpus::new(Vec::new()).stay().is_err(), "it must run somewhere");
        });
        stays.join().expect("no panic");
    }
}
