//! What the stamps of memcached's protocol name: one state of one key each, and each state has one.
//!
//! They are learned from replies, in the order that explains everybody: which number an engine makes is its own business, but a state
//! that was named once has that name for good, and no other state has it. It does not know what a state is.

use std::collections::BTreeMap;

use crate::decoder::Reply;

/// What was learned.
#[derive(Clone, Debug, Default)]
pub struct Stamps {
    states: BTreeMap<u64, u64>,
    stamps: BTreeMap<u64, u64>,
}

/// Names no state, as stamp 0 does: states begin with 1.
const NO_STATE: u64 = 0;

impl Stamps {
    /// A request with states in the places of stamps.
    pub fn settled(&self, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut words = words.to_vec();
        let state = |stamp: &[u8]| -> Option<Vec<u8>> {
            let stamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
            let state: &u64 = self.states.get(&stamp).unwrap_or(&NO_STATE);
            Some(state.to_string().into_bytes())
        };
        let is_meta = words[0].len() == 2;
        let end = words.len() - usize::from(words[0] == b"ms");
        match words.get(4) {
            Some(stamp) if words[0] == b"cas" => {
                if let Some(state) = state(stamp) {
                    words[4] = state;
                }
            }
            _ if is_meta => {
                for word in words[..end].iter_mut().skip(2) {
                    if let Some(state) = word.strip_prefix(b"C").and_then(state) {
                        *word = [b"C", &state[..]].concat();
                    }
                }
            }
            _ => {}
        }
        words
    }

    /// A reply that is as it must be but for its stamps.
    ///
    /// # Errors
    /// When one of them names another state, or the state has another.
    pub fn learn(&mut self, expected: &Reply, heard: &Reply) -> Result<(), String> {
        match (expected, heard) {
            (Reply::BigNumber(state), Reply::BigNumber(stamp)) => {
                let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no stamp"));
                let (state, stamp) = (number(state)?, number(stamp)?);
                if (state, stamp) == (NO_STATE, 0) {
                    return Ok(());
                }
                let (named, name) =
                    (*self.states.entry(stamp).or_insert(state), *self.stamps.entry(state).or_insert(stamp));
                if (named, name) != (state, stamp) || stamp == 0 {
                    return Err(format!(
                        "stamp {stamp} is given to state {state}, but names {named}, and that has {name}"
                    ));
                }
                Ok(())
            }
            (Reply::Array(expected), Reply::Array(heard)) | (Reply::Push(expected), Reply::Push(heard)) => {
                expected.iter().zip(heard).try_for_each(|(expected, heard)| self.learn(expected, heard))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_name_and_no_other_has_it() {
        let mut stamps = Stamps::default();
        let mut learn = |state: &str, stamp: &str| {
            let (expected, heard) = (Reply::BigNumber(state.into()), Reply::BigNumber(stamp.into()));
            stamps.learn(&Reply::Array(vec![expected]), &Reply::Array(vec![heard])).is_ok()
        };
        assert!(learn("1", "70") && learn("2", "71") && learn("1", "70"));
        assert!(!learn("3", "70"));
        assert!(!learn("2", "72"));
        assert!(!learn("4", "0"));
    }

    #[test]
    fn requests_are_told_the_states() {
        let mut stamps = Stamps::default();
        assert_eq!(stamps.learn(&Reply::BigNumber("5".into()), &Reply::BigNumber("70".into())), Ok(()));
        for (line, expected) in [
            ("cas k 0 0 70 70", "cas k 0 0 5 70"),
            ("cas k 0 0 71 v", "cas k 0 0 0 v"),
            ("ms k C70 C70", "ms k C5 C70"),
            ("md k C70", "md k C5"),
            ("set k 0 0 C70", "set k 0 0 C70"),
        ] {
            let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
            assert_eq!(stamps.settled(&words(line)), words(expected), "{line}");
        }
    }
}
