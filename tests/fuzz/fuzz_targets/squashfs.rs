//! The target `squashfs` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bf_fuzz::squashfs::run(data));
