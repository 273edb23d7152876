//! Blocks of memory and what they really cost.
//!
//! Memory is counted by what the allocator hands out, not by what was asked for, so that used memory and the process's
//! resident size agree. The classes are mimalloc's: 16 bytes apart up to 128, then four to a doubling; large blocks
//! are whole kilobytes.

/// The bytes that a block for `size` bytes takes. Blocks are asked for at this size, so that a value may grow in place up to it.
#[inline]
pub const fn block_size(size: usize) -> usize {
    if size <= 128 {
        return if size == 0 { 0 } else { (size + 15) & !15 };
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
            assert!(size < 64 || block - size <= size / 4, "{size} -> {block}");
            last = block;
        }
        for (size, block) in [(1, 16), (54, 64), (129, 160), (161, 192), (228, 256), (257, 320), (1025, 1280)]
        {
            assert_eq!(block_size(size), block);
        }
    }
}
