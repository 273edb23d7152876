//! Strings as bits, naively: one bit after the other.

use super::{Line, SYNTAX, Shard, Words, integer, is};
use crate::decoder::Reply;

const OFFSET: Line = "ERR bit offset is not an integer or out of range";
const BIT: Line = "ERR bit is not an integer or out of range";
const WIDTH: Line =
    "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
/// `proto-max-bulk-len` of Redis, in bits.
const BITS_MAX: i64 = (512 << 20) * 8;

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    match name {
        b"setbit" => {
            let at = offset(&words[2], 1)?;
            let on = integer(&words[3]).map_err(|_| BIT)?;
            if on != 0 && on != 1 {
                return Err(BIT);
            }
            let mut bytes = shard.text(db, key)?;
            let before = bit(bytes.as_deref().unwrap_or_default(), at);
            write(&mut bytes, &[(at, on == 1)]);
            put(shard, db, key, bytes);
            Ok(Reply::Integer(i64::from(before)))
        }
        b"getbit" => {
            let at = offset(&words[2], 1)?;
            Ok(Reply::Integer(i64::from(bit(&shard.text(db, key)?.unwrap_or_default(), at))))
        }
        b"bitcount" => bitcount(shard, db, words),
        b"bitpos" => bitpos(shard, db, words),
        b"bitop" => bitop(shard, db, words),
        b"bitfield" | b"bitfield_ro" => bitfield(shard, db, words, name == b"bitfield_ro"),
        _ => unreachable!("the caller knows the names"),
    }
}

fn bit(bytes: &[u8], n: usize) -> bool {
    bytes.get(n / 8).is_some_and(|byte| byte & 0x80 >> (n % 8) != 0)
}

/// Sets or clears bits; there are bytes for all of them afterwards.
fn write(bytes: &mut Option<Vec<u8>>, bits: &[(usize, bool)]) {
    let bytes = bytes.get_or_insert_default();
    for (n, on) in bits {
        if bytes.len() <= n / 8 {
            bytes.resize(n / 8 + 1, 0);
        }
        let mask = 0x80 >> (n % 8);
        if *on {
            bytes[n / 8] |= mask;
        } else {
            bytes[n / 8] &= !mask;
        }
    }
}

/// Stores what has become of a string. What is as before was not changed.
fn put(shard: &mut Shard, db: usize, key: &[u8], bytes: Option<Vec<u8>>) {
    let before = shard.text(db, key).expect("it was a string before");
    if let Some(bytes) = bytes.filter(|bytes| before.as_ref() != Some(bytes)) {
        shard.keep(db, key, bytes);
    }
}

fn offset(word: &[u8], bits: i64) -> Result<usize, Line> {
    let (word, unit) = match word {
        [b'#', rest @ ..] if bits > 1 => (rest, bits),
        _ => (word, 1),
    };
    let at = integer(word).ok().and_then(|n| n.checked_mul(unit)).ok_or(OFFSET)?;
    if (0..BITS_MAX).contains(&at) { Ok(at as usize) } else { Err(OFFSET) }
}

/// Whether each bit of a range is set, and where the range begins.
fn bits_of(bytes: &[u8], start: i64, end: i64, in_bits: bool) -> (Vec<bool>, usize) {
    let unit = if in_bits { 1 } else { 8 };
    let len = bytes.len() as i64 * 8 / unit;
    let place = |n: i64| if n < 0 { (n + len).max(0) } else { n };
    let (start, end) = (place(start), place(end).min(len - 1));
    if start > end {
        return (Vec::new(), 0);
    }
    let (start, end) = ((start * unit) as usize, ((end + 1) * unit) as usize);
    ((start..end).map(|n| bit(bytes, n)).collect(), start)
}

fn unit(word: Option<&Vec<u8>>) -> Result<bool, Line> {
    match word {
        Some(word) if is(word, "bit") => Ok(true),
        Some(word) if !is(word, "byte") => Err(SYNTAX),
        _ => Ok(false),
    }
}

fn bitcount(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    if !matches!(words.len(), 2 | 4 | 5) {
        return Err(SYNTAX);
    }
    let (start, end) = match words.len() {
        2 => (0, -1),
        _ => (integer(&words[2])?, integer(&words[3])?),
    };
    let in_bits = unit(words.get(4))?;
    let text = shard.text(db, &words[1])?.unwrap_or_default();
    if start < 0 && end < 0 && start > end {
        return Ok(Reply::Integer(0));
    }
    let count = bits_of(&text, start, end, in_bits).0.iter().filter(|bit| **bit).count();
    Ok(Reply::Integer(count as i64))
}

fn bitpos(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let sought = match integer(&words[2])? {
        0 => false,
        1 => true,
        _ => return Err("ERR The bit argument must be 1 or 0."),
    };
    let start = words.get(3).map_or(Ok(0), |word| integer(word))?;
    if words.len() > 6 {
        return Err(SYNTAX);
    }
    let in_bits = unit(words.get(5))?;
    let end = words.get(4).map(|word| integer(word)).transpose()?;
    let Some(text) = shard.text(db, &words[1])? else {
        return Ok(Reply::Integer(if sought { -1 } else { 0 }));
    };
    let (bits, first) = bits_of(&text, start, end.unwrap_or(-1), in_bits);
    let found = match bits.iter().position(|bit| *bit == sought) {
        Some(n) => (first + n) as i64,
        None if !sought && end.is_none() && !bits.is_empty() => text.len() as i64 * 8,
        None => -1,
    };
    Ok(Reply::Integer(found))
}

fn bitop(shard: &mut Shard, db: usize, words: &Words) -> Result<Reply, Line> {
    let name = words[1].to_ascii_lowercase();
    let sources = &words[3..];
    let few = match &name[..] {
        b"and" | b"or" | b"xor" | b"one" => None,
        b"not" if sources.len() > 1 => Some("ERR BITOP NOT must be called with a single source key."),
        b"not" => None,
        b"diff" => Some("ERR BITOP DIFF must be called with at least two source keys."),
        b"diff1" => Some("ERR BITOP DIFF1 must be called with at least two source keys."),
        b"andor" => Some("ERR BITOP ANDOR must be called with at least two source keys."),
        _ => return Err(SYNTAX),
    };
    if let Some(line) = few.filter(|_| sources.len() < 2 || name == b"not") {
        return Err(line);
    }
    let texts: Result<Vec<Vec<u8>>, Line> =
        sources.iter().map(|key| Ok(shard.text(db, key)?.unwrap_or_default())).collect();
    let texts = texts?;
    let len = texts.iter().map(Vec::len).max().unwrap_or(0);
    let mut result = Some(vec![0; len]);
    for n in 0..len * 8 {
        let set = texts.iter().filter(|text| bit(text, n)).count();
        let first = bit(&texts[0], n);
        let others = set > usize::from(first);
        let on = match &name[..] {
            b"and" => set == texts.len(),
            b"or" => set > 0,
            b"xor" => set % 2 == 1,
            b"not" => set == 0,
            b"diff" => first && !others,
            b"diff1" => !first && others,
            b"andor" => first && others,
            _ => set == 1,
        };
        write(&mut result, &[(n, on)]);
    }
    if len == 0 {
        shard.remove(db, &words[2]);
    } else {
        shard.store(db, &words[2], result.unwrap_or_default(), None);
    }
    Ok(Reply::Integer(len as i64))
}

/// One operation: `None` of a number reads.
struct Operation {
    at: usize,
    bits: usize,
    signed: bool,
    adds: bool,
    number: Option<i64>,
    overflow: u8,
}

fn operations(words: &Words) -> Result<Vec<Operation>, Line> {
    let (mut found, mut overflow, mut n) = (Vec::new(), b'w', 2);
    while n < words.len() {
        let rest = words.len() - n - 1;
        let (reads, sets, adds) = (is(&words[n], "get"), is(&words[n], "set"), is(&words[n], "incrby"));
        if is(&words[n], "overflow") && rest > 0 {
            let word = words[n + 1].to_ascii_lowercase();
            if ![&b"wrap"[..], b"sat", b"fail"].contains(&&word[..]) {
                return Err("ERR Invalid OVERFLOW type specified");
            }
            overflow = word[0];
            n += 2;
            continue;
        }
        if !(reads && rest >= 2 || (sets || adds) && rest >= 3) {
            return Err(SYNTAX);
        }
        let (signed, max) = match words[n + 1].first() {
            Some(b'i') => (true, 64),
            Some(b'u') => (false, 63),
            _ => return Err(WIDTH),
        };
        let bits = integer(&words[n + 1][1..]).ok().filter(|bits| (1..=max).contains(bits)).ok_or(WIDTH)?;
        // A field of one bit may be counted by `#` too.
        let at = match words[n + 2].strip_prefix(b"#") {
            Some(rest) if bits == 1 => offset(rest, 1)?,
            _ => offset(&words[n + 2], bits)?,
        };
        let number = if reads { None } else { Some(integer(&words[n + 3])?) };
        found.push(Operation { at, bits: bits as usize, signed, adds, number, overflow });
        n += if reads { 3 } else { 4 };
    }
    Ok(found)
}

fn bitfield(shard: &mut Shard, db: usize, words: &Words, only_reads: bool) -> Result<Reply, Line> {
    let operations = operations(words)?;
    let writes = operations.iter().filter(|one| one.number.is_some());
    let last = writes.map(|one| one.at + one.bits - 1).max();
    let mut bytes = shard.text(db, &words[1])?;
    if let Some(last) = last {
        if only_reads {
            return Err("ERR BITFIELD_RO only supports the GET subcommand");
        }
        let kept = bit(bytes.as_deref().unwrap_or_default(), last);
        write(&mut bytes, &[(last, kept)]);
    }
    let mut replies = Vec::new();
    for one in operations {
        let text = bytes.as_deref().unwrap_or_default();
        let modulus = 1i128 << one.bits;
        let bits = (one.at..one.at + one.bits).fold(0i128, |n, at| n * 2 + i128::from(bit(text, at)));
        let (least, most) = if one.signed { (-modulus / 2, modulus / 2 - 1) } else { (0, modulus - 1) };
        let before = if bits > most { bits - modulus } else { bits };
        let Some(number) = one.number else {
            replies.push(Reply::Integer(before as i64));
            continue;
        };
        let exact = match one.adds {
            true => before + i128::from(number),
            // Unsigned, a negative number is a large one.
            false if !one.signed && number < 0 => i128::from(number) + (1 << 64),
            false => i128::from(number),
        };
        let is_in = (least..=most).contains(&exact);
        let after = match one.overflow {
            _ if is_in => exact,
            b'f' => {
                replies.push(Reply::Null);
                continue;
            }
            b's' => exact.clamp(least, most),
            _ => (exact - least).rem_euclid(modulus) + least,
        };
        let pattern = after.rem_euclid(modulus);
        let written: Vec<(usize, bool)> =
            (0..one.bits).map(|n| (one.at + n, pattern >> (one.bits - 1 - n) & 1 == 1)).collect();
        write(&mut bytes, &written);
        replies.push(Reply::Integer(if one.adds { after } else { before } as i64));
    }
    put(shard, db, &words[1], bytes);
    Ok(Reply::Array(replies))
}
