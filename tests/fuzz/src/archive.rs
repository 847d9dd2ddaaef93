//! Tar archives, as valid or as damaged as an input wants them.

/// An entry with its bytes: 512 for the header, and the content in whole blocks. `size` is what the header says.
pub(crate) fn entry(kind: u8, name: &[u8], link: &[u8], mode: u16, size: u64, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    put(&mut block, 0, &name[..name.len().min(100)]);
    put(&mut block, 100, format!("{:07o}", mode & 0o7777).as_bytes());
    put(&mut block, 108, b"0000001");
    put(&mut block, 116, b"0000002");
    put(&mut block, 124, format!("{size:011o}").as_bytes());
    put(&mut block, 136, b"14000000000");
    block[156] = kind;
    put(&mut block, 157, &link[..link.len().min(100)]);
    put(&mut block, 257, b"ustar\x0000");
    sum(&mut block);
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// A regular file.
pub(crate) fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    entry(b'0', name, b"", 0o644, content.len() as u64, content)
}

/// An extended header with these records.
pub(crate) fn extended(kind: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        text.extend_from_slice(format!("{length} {key}=").as_bytes());
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    entry(kind, b"extended", b"", 0o644, text.len() as u64, &text)
}

/// The end of an archive.
pub(crate) const END: [u8; 1024] = [0; 1024];

/// Makes the checksums of all headers right, as far as the sizes in them lead: else hardly any input would come further.
pub(crate) fn mend(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + 512) {
        if block.iter().all(|byte| *byte == 0) {
            at += 512;
            continue;
        }
        sum(block);
        let digits = block[124..136].iter().take_while(|byte| (b'0'..=b'7').contains(*byte));
        let size = digits.fold(0_usize, |size, digit| (size * 8 + usize::from(digit - b'0')).min(1 << 40));
        at += 512 + size.next_multiple_of(512);
    }
}

fn sum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(block, 148, format!("{sum:06o}\0 ").as_bytes());
}

fn put(block: &mut [u8], at: usize, text: &[u8]) {
    block[at..at + text.len()].copy_from_slice(text);
}
