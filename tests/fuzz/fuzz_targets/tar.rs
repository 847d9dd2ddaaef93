//! The target `tar` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bf_fuzz::tar::run(data));
