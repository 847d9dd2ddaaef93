//! SIF files that hold nothing, to be imported and pulled.

/// The smallest file that is a whole SIF: a header, where it came from, a squashfs of nothing. `salt` makes another one of it.
#[must_use]
pub fn sif(salt: u8, source: &str) -> Vec<u8> {
    let mut bytes = vec![0; 4096 + 96];
    let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    put(32, b"SIF_MAGIC\x0001\x0002");
    put(48, &[salt]);
    for (index, value) in [0, 0, 0, 2, 128, 1170, 4096, 96_u64].into_iter().enumerate() {
        put(64 + 8 * index, &value.to_le_bytes());
    }
    let definition = format!("bootstrap: docker\nfrom: {source}\n");
    put(2048, definition.as_bytes());
    let mut object = |at: usize, kind: i32, offset: u64, size: u64| {
        put(at, &kind.to_le_bytes());
        put(at + 4, &[1]);
        put(at + 17, &offset.to_le_bytes());
        put(at + 25, &size.to_le_bytes());
    };
    object(128, 0x4001, 2048, definition.len() as u64);
    object(713, 0x4004, 4096, 96);
    put(713 + 201, &1_i32.to_le_bytes());
    put(713 + 205, &2_i32.to_le_bytes());
    put(713 + 209, b"02");
    put(4096, b"hsqs");
    put(4096 + 20, &[1]);
    put(4096 + 40, &96_u64.to_le_bytes());
    bytes
}
