//! HyperLogLogs, naively: a list of runs or of registers, which is read from the string and written again for each change.
//!
//! What Redis's documentation says of the format counts down to the byte, since GET shows it.

use super::{Line, Shard, Words};
use crate::decoder::Reply;

const NOT_ONE: Line = "WRONGTYPE Key is not a valid HyperLogLog string value.";
const CORRUPTED: Line = "INVALIDOBJ Corrupted HLL object detected";
const COUNT: usize = 16_384;
/// `hll-sparse-max-bytes`.
const SPARSE_MAX: usize = 3_000;

/// What the string says.
#[derive(Clone, Debug)]
enum Registers {
    /// Values and how many have each.
    Sparse(Vec<(u8, usize)>),
    Dense(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Sketch {
    /// The first sixteen bytes.
    head: Vec<u8>,
    registers: Registers,
    /// Somebody has appended bytes, and the last run lacks its second.
    is_torn: bool,
}

impl Sketch {
    fn new() -> Sketch {
        let head = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        Sketch { head, registers: Registers::Sparse(vec![(0, COUNT)]), is_torn: false }
    }

    fn read(bytes: &[u8]) -> Result<Sketch, Line> {
        if bytes.len() < 16 || !bytes.starts_with(b"HYLL") || bytes[4] > 1 {
            return Err(NOT_ONE);
        }
        let (head, body) = (bytes[..16].to_vec(), &bytes[16..]);
        if head[4] == 0 {
            if body.len() != COUNT * 6 / 8 {
                return Err(NOT_ONE);
            }
            let bit = |n: usize| body[n / 8] >> (n % 8) & 1;
            let value = |n: usize| (0..6).map(|b| bit(n * 6 + b) << b).sum();
            let registers = Registers::Dense((0..COUNT).map(value).collect());
            return Ok(Sketch { head, registers, is_torn: false });
        }
        let mut is_torn = false;
        let (mut runs, mut rest) = (Vec::new(), body.iter().map(|byte| usize::from(*byte)));
        while let Some(byte) = rest.next() {
            runs.push(match byte {
                0..64 => (0, byte + 1),
                64..128 => {
                    let second = rest.next();
                    is_torn = second.is_none();
                    (0, (byte - 64) * 256 + second.unwrap_or(0) + 1)
                }
                _ => ((byte / 4 % 32 + 1) as u8, byte % 4 + 1),
            });
        }
        Ok(Sketch { head, registers: Registers::Sparse(runs), is_torn })
    }

    fn written(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        match &self.registers {
            Registers::Sparse(runs) => {
                runs.iter().for_each(|run| bytes.extend(coded(*run)));
                bytes.truncate(bytes.len() - usize::from(self.is_torn));
            }
            Registers::Dense(values) => {
                let bit = |n: usize| values[n / 6] >> (n % 6) & 1;
                bytes.extend((0..COUNT * 6 / 8).map(|n| (0..8).map(|b| bit(n * 8 + b) << b).sum::<u8>()));
            }
        }
        bytes
    }

    /// All registers, if that is what the runs say.
    fn values(&self) -> Result<Vec<u8>, Line> {
        let values: Vec<u8> = match &self.registers {
            Registers::Dense(values) => values.clone(),
            Registers::Sparse(runs) => {
                if runs.iter().map(|run| run.1).sum::<usize>() != COUNT {
                    return Err(CORRUPTED);
                }
                runs.iter().flat_map(|(value, len)| std::iter::repeat_n(*value, *len)).collect()
            }
        };
        Ok(values)
    }

    fn become_dense(&mut self) -> Result<(), Line> {
        self.registers = Registers::Dense(self.values()?);
        self.head[4] = 0;
        Ok(())
    }

    fn raise(&mut self, index: usize, value: u8) -> Result<bool, Line> {
        let runs = match &mut self.registers {
            Registers::Dense(values) => {
                let raises = values[index] < value;
                values[index] = values[index].max(value);
                return Ok(raises);
            }
            Registers::Sparse(_) if value > 32 => {
                self.become_dense()?;
                return self.raise(index, value);
            }
            Registers::Sparse(runs) => runs,
        };
        let mut first = 0;
        let ends = |run: &(u8, usize)| {
            first += run.1;
            first > index
        };
        let n = runs.iter().position(ends).ok_or(CORRUPTED)?;
        let (old, len) = runs[n];
        if old >= value {
            return Ok(false);
        }
        let before = index - (first - len);
        let parts = [(old, before), (value, 1), (old, len - before - 1)];
        let parts: Vec<(u8, usize)> = parts.into_iter().filter(|part| part.1 > 0).collect();
        let grown: usize = parts.iter().map(|part| coded(*part).len()).sum();
        let whole: usize = 16 + runs.iter().map(|run| coded(*run).len()).sum::<usize>();
        let was = coded((old, len)).len();
        if grown > was && whole + grown - was > SPARSE_MAX {
            self.become_dense()?;
            return self.raise(index, value);
        }
        runs.splice(n..=n, parts);
        // Neighbours are joined within five looks, from the run before on.
        let mut at = n.saturating_sub(1);
        for _ in 0..5 {
            let Some([(one, a), (other, b)]) = runs.get(at..at + 2) else { break };
            if one == other && *one > 0 && a + b <= 4 {
                let joined = (*one, a + b);
                runs.splice(at..at + 2, [joined]);
            } else {
                at += 1;
            }
        }
        Ok(true)
    }
}

/// A run in bytes.
fn coded((value, len): (u8, usize)) -> Vec<u8> {
    match (value, len - 1) {
        (0, rest @ 0..64) => vec![rest as u8],
        (0, rest) => vec![64 + (rest / 256) as u8, (rest % 256) as u8],
        (value, rest) => vec![128 + (value - 1) * 4 + rest as u8],
    }
}

/// The register of an element and its value there: MurmurHash64A.
fn hashed(element: &[u8]) -> (usize, u8) {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut hash = 0xadc8_3b19 ^ (element.len() as u64).wrapping_mul(M);
    for chunk in element.chunks(8) {
        let mut word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        if chunk.len() == 8 {
            word = word.wrapping_mul(M);
            word = (word ^ word >> 47).wrapping_mul(M);
        }
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(M);
    hash ^= hash >> 47;
    let rest = hash / COUNT as u64;
    let rank = (0..50).find(|n| rest >> n & 1 == 1).unwrap_or(50) + 1;
    (hash as usize % COUNT, rank)
}

/// Ertl's improved raw estimator.
fn estimated(values: &[u8]) -> i64 {
    let m = COUNT as f64;
    let with = |value: u8| values.iter().filter(|other| **other == value).count() as f64;
    let mut z = m * tau(1.0 - with(51) / m);
    for value in (1..=50).rev() {
        z = (z + with(value)) / 2.0;
    }
    z += m * sigma(with(0) / m);
    (m * m / (2.0 * std::f64::consts::LN_2) / z).round() as i64
}

fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut factor, mut sum) = (x, 1.0, x);
    for _ in 0..2_000 {
        power *= power;
        sum += power * factor;
        factor *= 2.0;
        if power == 0.0 {
            break;
        }
    }
    sum
}

fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut factor, mut sum) = (x, 1.0, 1.0 - x);
    for _ in 0..2_000 {
        root = root.sqrt();
        factor /= 2.0;
        sum -= (1.0 - root).powi(2) * factor;
    }
    sum / 3.0
}

fn read(shard: &mut Shard, db: usize, key: &[u8]) -> Result<Option<Sketch>, Line> {
    shard.text(db, key)?.map(|bytes| Sketch::read(&bytes)).transpose()
}

fn put(shard: &mut Shard, db: usize, key: &[u8], sketch: &Sketch) {
    shard.keep(db, key, sketch.written());
}

/// The highest of each register, and whether one of them is dense.
fn union(shard: &mut Shard, db: usize, keys: &Words) -> Result<(Vec<u8>, bool), Line> {
    let (mut all, mut is_dense) = (vec![0; COUNT], false);
    for key in keys {
        let Some(sketch) = read(shard, db, key)? else { continue };
        is_dense |= matches!(sketch.registers, Registers::Dense(_));
        all.iter_mut().zip(sketch.values()?).for_each(|(ours, theirs)| *ours = theirs.max(*ours));
    }
    Ok((all, is_dense))
}

pub(super) fn run(shard: &mut Shard, db: usize, name: &[u8], words: &Words) -> Result<Reply, Line> {
    let key = &words[1][..];
    match name {
        b"pfadd" => {
            let found = read(shard, db, key)?;
            let mut changed = found.is_none();
            let mut sketch = found.unwrap_or_else(Sketch::new);
            for element in &words[2..] {
                let (index, value) = hashed(element);
                changed |= sketch.raise(index, value)?;
            }
            if changed {
                sketch.head[15] |= 128;
                put(shard, db, key, &sketch);
            }
            Ok(Reply::Integer(i64::from(changed)))
        }
        b"pfcount" if words.len() == 2 => {
            let Some(mut sketch) = read(shard, db, key)? else { return Ok(Reply::Integer(0)) };
            if sketch.head[15] < 128 {
                let kept = sketch.head[8..16].iter().rev().fold(0, |n, byte| n << 8 | i64::from(*byte));
                return Ok(Reply::Integer(kept));
            }
            let count = estimated(&sketch.values()?);
            sketch.head[8..16].copy_from_slice(&count.to_le_bytes());
            put(shard, db, key, &sketch);
            Ok(Reply::Integer(count))
        }
        b"pfcount" => Ok(Reply::Integer(estimated(&union(shard, db, &words[1..])?.0))),
        b"pfmerge" => {
            let (all, is_dense) = union(shard, db, &words[1..])?;
            let mut sketch = read(shard, db, key)?.unwrap_or_else(Sketch::new);
            if is_dense {
                sketch.become_dense()?;
            }
            for (index, value) in all.into_iter().enumerate().filter(|(_, value)| *value > 0) {
                sketch.raise(index, value)?;
            }
            sketch.head[15] |= 128;
            put(shard, db, key, &sketch);
            Ok(Reply::ok())
        }
        _ => unreachable!("the caller knows the names"),
    }
}
