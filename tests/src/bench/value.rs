//! Values that can be recognised: the bytes of a value follow from its key, so a reader can tell whether some SET of this very key may
//! have written them. It knows no protocol.

use super::draw::{Dice, mix};

/// At how many places of the pool a value may begin.
const SPREAD: u64 = 65_536;
/// Bytes at the beginning that no other key's value has.
const MARK: usize = 8;

/// How a value's size is drawn, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The smallest.
    pub min: usize,
    /// The largest.
    pub max: usize,
}

impl Sizes {
    /// One size only.
    pub const fn of(size: usize) -> Sizes {
        Sizes { min: size, max: size }
    }

    /// Draws one; all are as likely.
    pub fn draw(self, dice: &mut Dice) -> usize {
        self.min + dice.below((self.max - self.min + 1) as u64) as usize
    }
}

impl std::str::FromStr for Sizes {
    type Err = String;

    /// `64`, `4k`, `1m`, `16-1024`.
    fn from_str(text: &str) -> Result<Sizes, String> {
        let size = |text: &str| {
            let (digits, unit) = match text.as_bytes().last() {
                Some(b'k' | b'K') => (&text[..text.len() - 1], 1_024),
                Some(b'm' | b'M') => (&text[..text.len() - 1], 1_024 * 1_024),
                _ => (text, 1),
            };
            let number: usize =
                digits.parse().map_err(|_| "a size such as 64, 4k, 1m or 16-1024".to_string())?;
            Some(number).and_then(|number| number.checked_mul(unit)).ok_or_else(|| "too large".to_string())
        };
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        let sizes = Sizes { min: size(min)?, max: size(max)? };
        if sizes.min > sizes.max || sizes.max > 512 * 1_024 * 1_024 {
            return Err("sizes go from the smaller to the larger, up to 512m".into());
        }
        Ok(sizes)
    }
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, text: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.min == self.max {
            true => write!(text, "{}", self.min),
            false => write!(text, "{}-{}", self.min, self.max),
        }
    }
}

/// All values there can be. They are random bytes, and the same in every run, so that one run can check what another has written.
#[derive(Debug)]
pub struct Values {
    pool: Vec<u8>,
    len_max: usize,
}

impl Values {
    /// For values up to a size.
    pub fn new(len_max: usize) -> Values {
        let mut dice = Dice::new(0x5641_4c55_4553);
        let words = (SPREAD as usize + len_max).div_ceil(8);
        let pool = (0..words).flat_map(|_| dice.next().to_le_bytes()).collect();
        Values { pool, len_max }
    }

    /// The largest value.
    pub fn len_max(&self) -> usize {
        self.len_max
    }

    /// Appends the value of a key.
    pub fn append(&self, key: u64, len: usize, out: &mut Vec<u8>) {
        let mark = mix(key ^ 0xda7e);
        out.extend_from_slice(&mark.to_le_bytes()[..len.min(MARK)]);
        if len > MARK {
            let from = (mark % SPREAD) as usize;
            out.extend_from_slice(&self.pool[from + MARK..from + len]);
        }
    }

    /// Whether these bytes stand at this place of the key's value.
    pub fn matches(&self, key: u64, at: usize, bytes: &[u8]) -> bool {
        if at + bytes.len() > self.len_max {
            return false;
        }
        let mark = mix(key ^ 0xda7e);
        let from = (mark % SPREAD) as usize;
        let head = MARK.saturating_sub(at).min(bytes.len());
        let (head, body) = bytes.split_at(head);
        let begins = at.min(MARK);
        let body_at = from + at + head.len();
        head == &mark.to_le_bytes()[begins..begins + head.len()]
            && body == &self.pool[body_at..body_at + body.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_whole_and_in_parts() {
        let values = Values::new(300);
        for (key, len) in [(0, 0), (0, 1), (1, 7), (2, 8), (3, 9), (4, 64), (u64::MAX, 300)] {
            let mut value = Vec::new();
            values.append(key, len, &mut value);
            assert_eq!(value.len(), len);
            for from in 0..=len {
                for to in from..=len {
                    assert!(values.matches(key, from, &value[from..to]), "{key} {from}..{to} of {len}");
                }
            }
        }
    }

    #[test]
    fn other_bytes_are_not_a_keys_value() {
        let values = Values::new(64);
        let mut value = Vec::new();
        values.append(5, 64, &mut value);
        assert!(!values.matches(6, 0, &value));
        assert!(!values.matches(5, 1, &value[..63]));
        assert!(!values.matches(5, 0, &[&value[..], b"x"].concat()), "longer than any");
        for at in 0..64 {
            value[at] ^= 1;
            assert!(!values.matches(5, 0, &value), "byte {at}");
            value[at] ^= 1;
        }
        assert!(values.matches(5, 0, &value));
    }

    #[test]
    fn sizes_are_read_and_drawn() {
        for (text, min, max) in [("0", 0, 0), ("64", 64, 64), ("4k", 4_096, 4_096), ("1-1m", 1, 1_048_576)] {
            assert_eq!(text.parse(), Ok(Sizes { min, max }));
        }
        for wrong in ["", "k", "-", "2-1", "1-", "513m", "1e3", "99999999999999999m"] {
            assert!(wrong.parse::<Sizes>().is_err(), "{wrong}");
        }
        let mut dice = Dice::new(3);
        let drawn: std::collections::BTreeSet<usize> =
            (0..200).map(|_| Sizes { min: 3, max: 6 }.draw(&mut dice)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(Sizes { min: 1, max: 9 }.to_string(), "1-9");
    }
}
