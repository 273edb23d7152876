//! HyperLogLogs as they lie in a string, byte for byte as in Redis, so that such a string may be copied from one to the other.
//!
//! ```text
//! "HYLL" | encoding 1 | unused 3 | cached estimate 8, little endian, its highest bit set when it is out of date | registers
//! dense:  16,384 registers of six bits, lowest bits first
//! sparse: runs: 00nnnnnn: n + 1 zeroes · 01nnnnnn nnnnnnnn: n + 1 zeroes · 1vvvvvnn: n + 1 registers of the value v + 1
//! ```
//!
//! After Flajolet et al., *HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm*, 2007, and for the estimate
//! Otmar Ertl, *New cardinality estimation algorithms for HyperLogLog sketches*, arXiv:1702.01284. Anybody may write such strings with SET: a
//! string that makes no sense is [`Corrupted`], never a fault. It knows bytes; it does not know keys.

/// The string does not describe all registers, or more than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// Bits of an element's hash that name its register.
const INDEX_BITS: u32 = 14;
/// How many registers there are.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of the hash that remain.
const RANK_BITS: usize = 64 - INDEX_BITS as usize;
const REGISTER_BITS: usize = 6;
const REGISTER_MAX: u8 = 63;
const HEAD: usize = 16;
/// Bytes of a dense one.
pub const DENSE_LEN: usize = HEAD + REGISTERS * REGISTER_BITS / 8;
const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;

/// Limits of the runs of the sparse form.
const RUN_VALUE_MAX: u8 = 32;
const RUN_LEN_MAX: usize = 4;
const SHORT_ZEROES_MAX: usize = 64;

/// True if a string begins as one does and, if it is dense, is as long.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.len() >= HEAD
        && bytes.starts_with(MAGIC)
        && match bytes[ENCODING_AT] {
            DENSE => bytes.len() == DENSE_LEN,
            encoding => encoding == SPARSE,
        }
}

/// One to which nothing was added.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEAD];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = SPARSE;
    push_zeroes(&mut bytes, REGISTERS);
    bytes
}

/// True if registers lie one behind the other.
pub fn is_dense(bytes: &[u8]) -> bool {
    bytes[ENCODING_AT] == DENSE
}

/// The estimate that was made last, if nothing was added since.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[CACHE_AT..HEAD]);
    (word[7] & 0x80 == 0).then(|| u64::from_le_bytes(word))
}

/// Keeps an estimate.
pub fn keep_estimate(bytes: &mut [u8], estimate: u64) {
    bytes[CACHE_AT..HEAD].copy_from_slice(&estimate.to_le_bytes());
}

/// What was estimated is out of date.
pub fn forget_estimate(bytes: &mut [u8]) {
    bytes[HEAD - 1] |= 0x80;
}

/// The register of an element, and what it says.
pub fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element);
    let index = hash as usize & (REGISTERS - 1);
    // A bit behind the last, so that there is one.
    let rank = (hash >> INDEX_BITS | 1 << RANK_BITS).trailing_zeros() + 1;
    (index, rank as u8)
}

/// MurmurHash64A with the seed of Redis; little endian on every machine.
fn murmur64a(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mix = |word: u64| {
        let word = word.wrapping_mul(M);
        (word ^ word >> 47).wrapping_mul(M)
    };
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ mix(u64::from_le_bytes(*word))).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(M);
    hash ^ hash >> 47
}

/// Registers of one value that follow each other in the sparse form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where it stands in the string.
    at: usize,
    /// Bytes that it takes there.
    width: usize,
    /// Of each register.
    pub value: u8,
    /// How many.
    pub len: usize,
    /// Zeroes that take two bytes.
    pub is_wide: bool,
}

/// The run at a place. A second byte that is missing counts as 0, as in Redis, which has one behind every string.
fn run_at(bytes: &[u8], at: usize) -> Option<Run> {
    let first = *bytes.get(at)?;
    let low = usize::from(first & 0x3f);
    Some(match first >> 6 {
        0 => Run { at, width: 1, value: 0, len: low + 1, is_wide: false },
        1 => {
            let second = bytes.get(at + 1).copied().unwrap_or(0);
            Run { at, width: 2, value: 0, len: (low << 8 | usize::from(second)) + 1, is_wide: true }
        }
        _ => Run {
            at,
            width: 1,
            value: (first >> 2 & 0x1f) + 1,
            len: usize::from(first & 3) + 1,
            is_wide: false,
        },
    })
}

/// All runs of a sparse one.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = HEAD;
    std::iter::from_fn(move || {
        let run = run_at(bytes, at)?;
        at += run.width;
        Some(run)
    })
}

fn push_zeroes(bytes: &mut Vec<u8>, len: usize) {
    match len {
        0 => {}
        1..=SHORT_ZEROES_MAX => bytes.push(len as u8 - 1),
        _ => {
            let len = len - 1;
            bytes.extend([0x40 | (len >> 8) as u8, len as u8]);
        }
    }
}

fn value_run(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len as u8 - 1)
}

fn dense_register(registers: &[u8], index: usize) -> u8 {
    let (at, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let next = registers.get(at + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([registers[at], next]) >> shift) as u8 & REGISTER_MAX
}

fn set_dense_register(registers: &mut [u8], index: usize, value: u8) {
    let (at, shift) = (index * REGISTER_BITS / 8, index * REGISTER_BITS % 8);
    let mask = u16::from(REGISTER_MAX) << shift;
    let [low, high] = (u16::from(value) << shift).to_le_bytes();
    let [low_mask, high_mask] = mask.to_le_bytes();
    registers[at] = registers[at] & !low_mask | low;
    if let Some(byte) = registers.get_mut(at + 1).filter(|_| high_mask != 0) {
        *byte = *byte & !high_mask | high;
    }
}

/// The value of a register.
pub fn register(bytes: &[u8], index: usize) -> Result<u8, Corrupted> {
    if is_dense(bytes) {
        return Ok(dense_register(&bytes[HEAD..], index));
    }
    let mut first = 0;
    for run in runs(bytes) {
        if index < first + run.len {
            return Ok(run.value);
        }
        first += run.len;
    }
    Err(Corrupted)
}

/// Raises a register to a value; true if it was lower. A sparse one that would be longer than `sparse_max` bytes becomes dense, and so
/// does one that cannot say the value. The estimate is out of date then.
pub fn raise(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_max: usize) -> Result<bool, Corrupted> {
    let raised = match is_dense(bytes) {
        true => raise_dense(&mut bytes[HEAD..], index, value),
        false => raise_sparse(bytes, index, value, sparse_max)?,
    };
    if raised {
        forget_estimate(bytes);
    }
    Ok(raised)
}

fn raise_dense(registers: &mut [u8], index: usize, value: u8) -> bool {
    let raises = dense_register(registers, index) < value;
    if raises {
        set_dense_register(registers, index, value);
    }
    raises
}

fn promote(bytes: &mut Vec<u8>, index: usize, value: u8) -> Result<bool, Corrupted> {
    make_dense(bytes)?;
    Ok(raise_dense(&mut bytes[HEAD..], index, value))
}

fn raise_sparse(bytes: &mut Vec<u8>, index: usize, value: u8, sparse_max: usize) -> Result<bool, Corrupted> {
    if value > RUN_VALUE_MAX {
        return promote(bytes, index, value);
    }
    let (mut first, mut previous, mut found) = (0, None, None);
    for run in runs(bytes) {
        if index < first + run.len {
            found = Some(run);
            break;
        }
        previous = Some(run.at);
        first += run.len;
    }
    let run = found.ok_or(Corrupted)?;
    if run.value >= value {
        return Ok(false);
    }
    // What stands in the place of the run: what is before the register, it, what is behind it.
    let mut next: Vec<u8> = Vec::with_capacity(5);
    let (before, behind) = (index - first, first + run.len - 1 - index);
    let rest = |next: &mut Vec<u8>, len: usize| match run.value {
        0 => push_zeroes(next, len),
        kept if len > 0 => next.push(value_run(kept, len)),
        _ => {}
    };
    rest(&mut next, before);
    next.push(value_run(value, 1));
    rest(&mut next, behind);
    if next.len() > run.width && bytes.len() + next.len() - run.width > sparse_max {
        return promote(bytes, index, value);
    }
    let end = (run.at + run.width).min(bytes.len());
    bytes.splice(run.at..end, next);
    join(bytes, previous.unwrap_or(HEAD));
    Ok(true)
}

/// Joins neighbours of one value from a place on, as far as a change there may have made some.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..5 {
        let Some(run) = run_at(bytes, at) else { return };
        if run.value > 0
            && let Some(next) = run_at(bytes, at + 1)
            && next.value == run.value
            && run.len + next.len <= RUN_LEN_MAX
        {
            bytes[at + 1] = value_run(run.value, run.len + next.len);
            bytes.remove(at);
            continue;
        }
        at += run.width;
    }
}

/// Makes it dense; false if it was so already.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupted> {
    if is_dense(bytes) {
        return Ok(false);
    }
    let mut dense = vec![0; DENSE_LEN];
    dense[..HEAD].copy_from_slice(&bytes[..HEAD]);
    dense[ENCODING_AT] = DENSE;
    let mut index = 0;
    for run in runs(bytes) {
        if index + run.len > REGISTERS {
            return Err(Corrupted);
        }
        if run.value > 0 {
            (index..index + run.len).for_each(|n| set_dense_register(&mut dense[HEAD..], n, run.value));
        }
        index += run.len;
    }
    if index != REGISTERS {
        return Err(Corrupted);
    }
    *bytes = dense;
    Ok(true)
}

/// Raises each of these registers to what the string says.
pub fn merge(bytes: &[u8], into: &mut [u8]) -> Result<(), Corrupted> {
    assert_eq!(into.len(), REGISTERS, "there is room for each register");
    if is_dense(bytes) {
        // Four registers lie in three bytes.
        let (threes, _) = bytes[HEAD..].as_chunks::<3>();
        let (fours, _) = into.as_chunks_mut::<4>();
        for (three, four) in threes.iter().zip(fours) {
            let word = u32::from_le_bytes([three[0], three[1], three[2], 0]);
            for (n, register) in four.iter_mut().enumerate() {
                *register = (*register).max((word >> (n * REGISTER_BITS)) as u8 & REGISTER_MAX);
            }
        }
        return Ok(());
    }
    let mut index = 0;
    for run in runs(bytes) {
        let registers = into.get_mut(index..index + run.len).ok_or(Corrupted)?;
        if run.value > 0 {
            registers.iter_mut().for_each(|register| *register = (*register).max(run.value));
        }
        index += run.len;
    }
    if index == REGISTERS { Ok(()) } else { Err(Corrupted) }
}

/// Estimates how many different elements were added.
pub fn estimate(bytes: &[u8]) -> Result<u64, Corrupted> {
    let mut counts = [0u32; 64];
    if is_dense(bytes) {
        let mut registers = vec![0; REGISTERS];
        merge(bytes, &mut registers)?;
        return Ok(estimate_of(&registers));
    }
    let mut index = 0;
    for run in runs(bytes) {
        if index + run.len > REGISTERS {
            return Err(Corrupted);
        }
        counts[usize::from(run.value)] += run.len as u32;
        index += run.len;
    }
    if index == REGISTERS { Ok(estimate_by(&counts)) } else { Err(Corrupted) }
}

/// The same of registers, a byte each.
pub fn estimate_of(registers: &[u8]) -> u64 {
    let mut counts = [0u32; 64];
    registers.iter().for_each(|register| counts[usize::from(register & REGISTER_MAX)] += 1);
    estimate_by(&counts)
}

/// Ertl's estimator, from how many registers have each value.
fn estimate_by(counts: &[u32; 64]) -> u64 {
    const ALPHA_INFINITE: f64 = 0.721_347_520_444_481_7;
    let all = REGISTERS as f64;
    let mut z = all * tau((all - f64::from(counts[RANK_BITS + 1])) / all);
    for rank in (1..=RANK_BITS).rev() {
        z = (z + f64::from(counts[rank])) * 0.5;
    }
    z += all * sigma(f64::from(counts[0]) / all);
    (ALPHA_INFINITE * all * all / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn added(elements: impl Iterator<Item = u64>, sparse_max: usize) -> Vec<u8> {
        let mut bytes = empty();
        for element in elements {
            let (index, value) = place(element.to_string().as_bytes());
            raise(&mut bytes, index, value, sparse_max).expect("it is whole");
        }
        bytes
    }

    #[test]
    fn hashes_are_those_of_redis() {
        // An empty string hashes as the formula says by hand: only the end is mixed.
        let m: u64 = 0xc6a4_a793_5bd1_e995;
        let mut by_hand: u64 = 0xadc8_3b19;
        by_hand = (by_hand ^ by_hand >> 47).wrapping_mul(m);
        assert_eq!(murmur64a(b""), by_hand ^ by_hand >> 47);
        assert_eq!(empty(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
    }

    #[test]
    fn estimates_are_within_what_the_paper_says() {
        for (count, sparse_max) in
            [(0, 3_000), (1, 3_000), (100, 3_000), (1_000, 3_000), (1_000, 0), (50_000, 3_000)]
        {
            let bytes = added(0..count, sparse_max);
            let estimate = estimate(&bytes).expect("it is whole") as f64;
            let error = (estimate - count as f64).abs();
            assert!(error <= (count as f64 * 0.0081 * 4.0).max(0.0), "{count}: {estimate}");
            assert_eq!(is_dense(&bytes), count == 50_000 || sparse_max == 0 && count > 0, "{count}");
        }
    }

    proptest! {
        #[test]
        fn both_forms_hold_the_same_registers(
            changes in proptest::collection::vec((0usize..REGISTERS, 1u8..=51), 0..300),
            near in proptest::collection::vec((0usize..20, 1u8..=4), 0..60),
            limits in (prop_oneof![Just(100usize), Just(3_000)], prop_oneof![Just(0usize), Just(300), Just(3_000)]),
            turns in 0usize..400,
        ) {
            let (mut model, mut bytes) = (vec![0u8; REGISTERS], empty());
            let changes = near.into_iter().chain(changes.into_iter().map(|(index, value)| (index, value.min(40))));
            for (n, (index, value)) in changes.enumerate() {
                // The bound of the sparse form is configured anew; one that was allowed before stays until it is changed.
                let sparse_max = if n < turns { limits.0 } else { limits.1 };
                let raised = raise(&mut bytes, index, value, sparse_max);
                prop_assert_eq!(raised, Ok(model[index] < value));
                model[index] = model[index].max(value);
                prop_assert_eq!(register(&bytes, index), Ok(model[index]));
                prop_assert!(is_one(&bytes) && (is_dense(&bytes) || bytes.len() <= limits.0.max(limits.1).max(18)));
            }
            let mut merged = vec![0; REGISTERS];
            prop_assert_eq!(merge(&bytes, &mut merged), Ok(()));
            prop_assert_eq!(&merged, &model);
            let before = estimate(&bytes);
            prop_assert_eq!(before, Ok(estimate_of(&model)));
            make_dense(&mut bytes).expect("it is whole");
            prop_assert_eq!(bytes.len(), DENSE_LEN);
            prop_assert_eq!(estimate(&bytes), before);
            let mut merged = vec![0; REGISTERS];
            prop_assert_eq!(merge(&bytes, &mut merged), Ok(()));
            prop_assert_eq!(merged, model);
        }

        #[test]
        fn no_bytes_make_it_fail(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
            index in 0usize..REGISTERS,
            value in 1u8..=51,
            sparse_max in 0usize..200,
        ) {
            let mut whole = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
            whole.append(&mut bytes);
            prop_assert!(is_one(&whole));
            let before = estimate(&whole);
            let mut registers = vec![0; REGISTERS];
            prop_assert_eq!(merge(&whole, &mut registers).is_ok(), before.is_ok());
            let mut dense = whole.clone();
            prop_assert_eq!(make_dense(&mut dense).is_ok(), before.is_ok());
            let raised = raise(&mut whole, index, value, sparse_max);
            prop_assert!(before.is_err() || raised.is_ok());
            let _ = (register(&whole, index), cached(&whole));
        }
    }
}
