//! Files in the format GGUF that hold nothing but noise, to be imported.

use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a whole GGUF file (version 3) with one tensor of `megabytes` * 10^6 bytes.
pub fn write_gguf(path: &Path, megabytes: u64) -> io::Result<()> {
    let bytes = megabytes * 1_000_000;
    let mut header = b"GGUF\x03\0\0\0".to_vec();
    header.extend(1_u64.to_le_bytes()); // tensors
    header.extend(1_u64.to_le_bytes()); // metadata entries
    text(&mut header, "general.architecture");
    header.extend(8_u32.to_le_bytes()); // a string
    text(&mut header, "llama");
    text(&mut header, "noise");
    header.extend(1_u32.to_le_bytes()); // dimensions
    header.extend((bytes / 4).to_le_bytes());
    header.extend(0_u32.to_le_bytes()); // F32
    header.extend(0_u64.to_le_bytes()); // offset
    header.resize(header.len().next_multiple_of(32), 0);

    let mut file = BufWriter::with_capacity(1 << 20, fs_err::File::create(path)?);
    file.write_all(&header)?;
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..bytes / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
