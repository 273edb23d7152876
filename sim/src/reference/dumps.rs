//! DUMP and RESTORE, naively: a writer and a reader of payloads that share no line with the engine's, but for the unpacking of LZF.
//!
//! It writes each value in its plain form, and reads what the engine writes, which is the same.

use std::collections::BTreeMap;

use darter_core::rdb::lzf::decompress;

use super::answer::Answer;
use super::sorted_sets::Score;
use super::{Line, SYNTAX, Shard, Value, Words, integer, is};
use crate::decoder::Reply;

/// What stands behind the value: the version of Redis 7.0, and a checksum of zero, which means none.
const FOOT: [u8; 10] = [10, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Answer, Line> {
    let key = &words[1][..];
    let clock = shard.clock_of(key);
    if name == b"dump" {
        return Ok(match shard.live(db, key) {
            None => Answer::Exactly(Reply::Null),
            Some(entry) => Answer::Dumped(without_due(entry.value.clone(), clock), clock),
        });
    }
    let has = |name| words[4..].iter().any(|word| is(word, name));
    if words[4..].iter().any(|word| !is(word, "replace") && !is(word, "absttl")) {
        return Err(SYNTAX);
    }
    if !has("replace") && shard.live(db, key).is_some() {
        return Err("BUSYKEY Target key name already exists.");
    }
    let ttl = integer(&words[2])?;
    let ttl = u64::try_from(ttl).map_err(|_| "ERR Invalid TTL value, must be >= 0")?;
    let value = read(&words[3]).ok_or("ERR DUMP payload version or checksum are wrong")?;
    let at = if has("absttl") { ttl } else { clock + ttl };
    if ttl > 0 && at <= clock {
        shard.remove(db, key);
    } else {
        shard.store(db, key, value, (ttl > 0).then_some(at));
    }
    Ok(Answer::Exactly(Reply::ok()))
}

/// Whether these bytes are this value, fields left out whose time has come.
pub(super) fn is_dump_of(payload: &[u8], value: &Value, clock: u64) -> bool {
    if let Value::Stream(_) = value {
        // That the kind is right is all that is looked at: the reader here knows no listpacks.
        return payload.first() == Some(&19);
    }
    read(payload).is_some_and(|read| without_due(read, clock) == *value)
}

fn without_due(mut value: Value, clock: u64) -> Value {
    if let Value::Hash(fields) = &mut value {
        fields.retain(|_, (_, ends)| ends.is_none_or(|at| at > clock));
    }
    value
}

/// A value as a payload. Texts are short, and no field ends.
pub fn payload(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let text = |out: &mut Vec<u8>, text: &[u8]| {
        out.push(u8::try_from(text.len()).ok().filter(|len| *len < 64).expect("a text is short"));
        out.extend_from_slice(text);
    };
    match value {
        Value::Bytes(bytes) => {
            out.push(0);
            text(&mut out, bytes);
        }
        Value::List(list) => {
            out.extend([1, list.len() as u8]);
            list.iter().for_each(|element| text(&mut out, element));
        }
        Value::Set(set) => {
            out.extend([2, set.len() as u8]);
            set.iter().for_each(|member| text(&mut out, member));
        }
        Value::Hash(fields) => {
            out.extend([4, fields.len() as u8]);
            for (name, (value, _)) in fields {
                text(&mut out, name);
                text(&mut out, value);
            }
        }
        Value::Stream(_) => panic!("streams are not written here"),
        Value::SortedSet(set) => {
            out.extend([5, set.len() as u8]);
            for (member, score) in set {
                text(&mut out, member);
                out.extend(score.0.to_le_bytes());
            }
        }
    }
    out.extend(FOOT);
    out
}

/// Takes bytes from the front.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken.to_vec())
    }

    fn number(&mut self, width: usize, is_big: bool) -> Option<u64> {
        let mut bytes = self.take(width)?;
        if is_big {
            bytes.reverse();
        }
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn length(&mut self) -> Option<usize> {
        let first = self.number(1, true)?;
        Some(match first {
            0..=63 => first,
            64..=127 => (first & 63) << 8 | self.number(1, true)?,
            0x80 => self.number(4, true)?,
            0x81 => self.number(8, true)?,
            _ => return None,
        } as usize)
    }

    fn text(&mut self) -> Option<Vec<u8>> {
        let number = match self.0.first()? {
            0xc0 => i64::from(self.take(2)?[1] as i8),
            0xc1 => {
                self.take(1);
                i64::from(self.number(2, false)? as i16)
            }
            0xc2 => {
                self.take(1);
                i64::from(self.number(4, false)? as i32)
            }
            0xc3 => {
                self.take(1);
                let (packed, len) = (self.length()?, self.length()?);
                return decompress(&self.take(packed)?, len);
            }
            _ => {
                let len = self.length()?;
                return self.take(len);
            }
        };
        Some(number.to_string().into_bytes())
    }
}

/// The value of a payload; its checksum is not looked at.
fn read(payload: &[u8]) -> Option<Value> {
    let (body, _) = payload.split_at_checked(payload.len().checked_sub(FOOT.len())?)?;
    let mut rest = Rest(body);
    let kind = rest.number(1, true)?;
    let value = match kind {
        0 => Value::Bytes(rest.text()?),
        1 => Value::List((0..rest.length()?).map(|_| rest.text()).collect::<Option<_>>()?),
        2 => Value::Set((0..rest.length()?).map(|_| rest.text()).collect::<Option<_>>()?),
        5 => {
            let count = rest.length()?;
            let pair = |_| Some((rest.text()?, Score(f64::from_bits(rest.number(8, false)?))));
            Value::SortedSet((0..count).map(pair).collect::<Option<_>>()?)
        }
        4 | 24 => {
            let soonest = if kind == 24 { rest.number(8, false)? } else { 0 };
            let mut fields = BTreeMap::new();
            for _ in 0..rest.length()? {
                let after = if kind == 24 { rest.length()? as u64 } else { 0 };
                let ends = (after > 0).then(|| soonest + after - 1);
                let name = rest.text()?;
                fields.insert(name, (rest.text()?, ends));
            }
            Value::Hash(fields)
        }
        _ => return None,
    };
    rest.0.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let texts = || ["a", "12", "-300"].map(|text| text.as_bytes().to_vec()).into_iter();
        for value in [
            Value::Bytes(b"text".to_vec()),
            Value::List(texts().collect()),
            Value::Set(texts().collect()),
            Value::Hash(texts().map(|name| (name.clone(), (name, None))).collect()),
            Value::SortedSet(texts().map(|member| (member, Score(1.5))).collect()),
        ] {
            let payload = payload(&value);
            assert_eq!(read(&payload).as_ref(), Some(&value));
            assert!(is_dump_of(&payload, &value, 0));
            assert!(!is_dump_of(&payload[1..], &value, 0));
        }
        assert_eq!(read(b"\0\xc1\xd4\xfe----------"), Some(Value::Bytes(b"-300".to_vec())));
    }
}
