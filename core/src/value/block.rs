//! Blocks of memory and what they really cost.
//!
//! Memory is counted by what the allocator hands out, not by what was asked for, so that used memory and the process's
//! resident size agree. Blocks up to [`BLOCK_MAX`] are cut from slabs, each slab in blocks of one class, and the classes are close to each
//! other: every 8 bytes up to 512, then 32 to a doubling. A key is one block, and general allocators have four classes to a doubling, where a
//! block of 228 bytes takes 256. Larger blocks have mimalloc's classes: four to a doubling, above 32 KB whole steps of 4 KB.

/// The largest block that is cut from a slab.
pub const BLOCK_MAX: usize = 8_192;
/// How many classes of blocks are cut from slabs, with one of no size in front.
pub const CLASSES: usize = class_of(BLOCK_MAX) + 1;

const FINE: usize = 8;
const FINE_MAX: usize = 512;
const FINE_CLASSES: usize = FINE_MAX / FINE;
/// Classes between a power of two and the next.
const DOUBLING: usize = 32;

/// The class of a block for `size` bytes, [`BLOCK_MAX`] at most.
#[inline]
pub const fn class_of(size: usize) -> usize {
    if size <= FINE_MAX {
        return size.div_ceil(FINE);
    }
    let doublings = ((size - 1) / FINE_MAX).ilog2() as usize;
    let steps = (size - 1) / ((FINE_MAX / DOUBLING) << doublings);
    FINE_CLASSES + doublings * DOUBLING + steps - DOUBLING + 1
}

/// The bytes of a class's blocks.
#[inline]
pub const fn class_bytes(class: usize) -> usize {
    if class <= FINE_CLASSES {
        return class * FINE;
    }
    let above = class - FINE_CLASSES - 1;
    (DOUBLING + above % DOUBLING + 1) * ((FINE_MAX / DOUBLING) << (above / DOUBLING))
}

/// The bytes that a block for `size` bytes takes. Blocks are asked for at this size, so that a value may grow in place up to it.
#[inline]
pub const fn block_size(size: usize) -> usize {
    if size <= BLOCK_MAX {
        return class_bytes(class_of(size));
    }
    // Between two powers of two there are four classes.
    let step = 1 << ((usize::BITS - (size - 1).leading_zeros()) - 3);
    let step = if step > 4096 { 4096 } else { step };
    (size + step - 1) & !(step - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_tight_and_monotonic() {
        let mut last = 0;
        for size in 0..100_000 {
            let block = block_size(size);
            assert!(block >= size && block >= last && block_size(block) == block, "{size} -> {block}");
            assert!(block.is_multiple_of(8), "{size} -> {block}");
            let waste = if size <= BLOCK_MAX { size / 32 + 8 } else { size / 4 };
            assert!(block - size <= waste, "{size} -> {block}");
            last = block;
        }
        for (size, block) in [
            (1, 8),
            (54, 56),
            (129, 136),
            (228, 232),
            (513, 528),
            (1_025, 1_056),
            (7_078, 7_168),
            (8_193, 10_240),
        ] {
            assert_eq!(block_size(size), block);
        }
    }

    #[test]
    fn every_class_has_a_size_of_its_own() {
        assert_eq!((class_of(0), class_of(BLOCK_MAX)), (0, CLASSES - 1));
        for class in 1..CLASSES {
            assert!(class_bytes(class) > class_bytes(class - 1));
            assert_eq!(class_of(class_bytes(class)), class);
            assert_eq!(class_of(class_bytes(class - 1) + 1), class);
        }
    }
}
