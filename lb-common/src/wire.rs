//! The one place that promises the kernel may read and write a type as bytes.

/// Marks `$ty` as map data of exactly `$size` bytes.
macro_rules! wire {
    ($ty:ty, $size:literal) => {
        const _: () = {
            const fn is_plain_bytes<T: bytemuck::Pod>() {}
            is_plain_bytes::<$ty>();
            assert!(size_of::<$ty>() == $size);
        };

        // SAFETY: `is_plain_bytes` above proves that every byte is initialised
        // and that any bytes read back from the kernel are a valid value.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $ty {}
    };
}
