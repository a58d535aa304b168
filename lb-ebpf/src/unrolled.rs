//! What is done several times, without a loop.
//!
//! Without CAP_PERFMON the verifier also follows the way that a branch does not take, as a processor does by speculation. There a
//! loop whose bound is a number goes on past it: kernels before 6.17 follow it until they refuse the program ("The sequence of 8193
//! jumps is too complex"), whatever the loop does (docs/design/0035). So no program has a loop.

/// Does the block so many times, unless it returns.
macro_rules! unrolled {
    (2: $does:block) => {
        $does
        $does
    };
    (8: $does:block) => {
        $crate::unrolled::unrolled!(2: $does);
        $crate::unrolled::unrolled!(2: $does);
        $crate::unrolled::unrolled!(2: $does);
        $crate::unrolled::unrolled!(2: $does);
    };
    (16: $does:block) => {
        $crate::unrolled::unrolled!(8: $does);
        $crate::unrolled::unrolled!(8: $does);
    };
}
pub(crate) use unrolled;
