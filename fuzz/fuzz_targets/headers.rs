#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| traced_fuzz::headers::run(data));
