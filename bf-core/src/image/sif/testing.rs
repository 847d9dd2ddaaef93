//! Small SIF files for tests: a header, a definition, a squashfs of nothing.

/// Where the one partition of [`small`] begins.
pub const PARTITION: usize = 4096;

/// The smallest file that is a whole SIF with a root filesystem of `size` bytes; `salt` makes another one of it.
pub fn small(salt: u8, size: usize) -> Vec<u8> {
    let size = size.max(96);
    let mut bytes = vec![0; PARTITION];
    bytes[..32].copy_from_slice(b"#!/usr/bin/env run-singularity\n\0");
    bytes[32..42].copy_from_slice(b"SIF_MAGIC\0");
    bytes[42..45].copy_from_slice(b"01\0");
    bytes[45..48].copy_from_slice(b"02\0");
    bytes[48] = salt;
    let data = [PARTITION as u64, size as u64];
    let definition: &[u8] = b"bootstrap: docker\nfrom: q.io/org/name:tag\n\n";
    bytes[2048..2048 + definition.len()].copy_from_slice(definition);
    bytes[713..717].copy_from_slice(&0x4001_i32.to_le_bytes());
    bytes[717] = 1;
    bytes[730..738].copy_from_slice(&2048_u64.to_le_bytes());
    bytes[738..746].copy_from_slice(&(definition.len() as u64).to_le_bytes());
    for (index, value) in [0, 0, 0, 2, 128, 1170, data[0], data[1]].into_iter().enumerate() {
        bytes[64 + 8 * index..72 + 8 * index].copy_from_slice(&u64::to_le_bytes(value));
    }
    let entry = &mut bytes[128..128 + 585];
    entry[..4].copy_from_slice(&0x4004_i32.to_le_bytes());
    entry[4] = 1;
    entry[17..25].copy_from_slice(&data[0].to_le_bytes());
    entry[25..33].copy_from_slice(&data[1].to_le_bytes());
    entry[201..205].copy_from_slice(&1_i32.to_le_bytes());
    entry[205..209].copy_from_slice(&2_i32.to_le_bytes());
    entry[209..212].copy_from_slice(b"02\0");
    let mut squashfs = vec![0; size];
    squashfs[..4].copy_from_slice(b"hsqs");
    squashfs[20] = 1;
    squashfs[40..48].copy_from_slice(&data[1].to_le_bytes());
    bytes.extend(squashfs);
    bytes
}
