//! Writes tars, right ones and others.

/// A tar that grows.
#[derive(Debug, Default, Clone)]
pub(in crate::layer) struct Tar(pub(in crate::layer) Vec<u8>);

/// The header of one entry.
#[derive(Debug, Clone)]
pub(in crate::layer) struct Head {
    pub(in crate::layer) block: [u8; 512],
}

impl Head {
    pub(in crate::layer) fn new(name: impl AsRef<[u8]>, flag: u8, size: u64) -> Self {
        let name = name.as_ref();
        let mut head = Self { block: [0; 512] };
        head.put(0, &name[..name.len().min(100)]);
        head.put(100, b"0000644\0").put(108, b"0000000\0").put(116, b"0000000\0");
        head.put(124, format!("{size:011o}\0").as_bytes()).put(136, b"00000001750\0");
        head.block[156] = flag;
        head.put(257, b"ustar\x0000").put(329, b"0000000\0").put(337, b"0000000\0");
        head
    }

    pub(in crate::layer) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.block[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(in crate::layer) fn link(mut self, link: &str) -> Self {
        self.put(157, link.as_bytes());
        self
    }

    pub(in crate::layer) fn mode(mut self, mode: u16) -> Self {
        self.put(100, format!("{mode:07o}\0").as_bytes());
        self
    }

    pub(in crate::layer) fn gnu(mut self) -> Self {
        self.put(257, b"ustar  \0");
        self
    }

    /// With its checksum.
    pub(in crate::layer) fn done(mut self) -> [u8; 512] {
        self.put(148, b"        ");
        let sum: u32 = self.block.iter().map(|byte| u32::from(*byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        self.block
    }
}

impl Tar {
    pub(in crate::layer) fn new() -> Self {
        Self::default()
    }

    pub(in crate::layer) fn head(mut self, head: Head) -> Self {
        self.0.extend(head.done());
        self
    }

    /// Bytes, filled up to a block.
    pub(in crate::layer) fn data(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(in crate::layer) fn file(self, name: &str, text: &str) -> Self {
        self.head(Head::new(name, b'0', text.len() as u64)).data(text.as_bytes())
    }

    pub(in crate::layer) fn folder(self, name: &str, mode: u16) -> Self {
        self.head(Head::new(name, b'5', 0).mode(mode))
    }

    pub(in crate::layer) fn symlink(self, name: &str, target: &str) -> Self {
        self.head(Head::new(name, b'2', 0).link(target).mode(0o777))
    }

    pub(in crate::layer) fn hard(self, name: &str, target: &str) -> Self {
        self.head(Head::new(name, b'1', 0).link(target))
    }

    /// `.wh.` before the last part.
    pub(in crate::layer) fn gone(self, path: &str) -> Self {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        self.file(&format!("{folder}/.wh.{name}"), "")
    }

    pub(in crate::layer) fn opaque(self, folder: &str) -> Self {
        self.file(&format!("{folder}/.wh..wh..opq"), "")
    }

    /// An extended header of these records.
    pub(in crate::layer) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'x', records)
    }

    pub(in crate::layer) fn extended(self, flag: u8, records: &[(&str, &[u8])]) -> Self {
        let text: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.head(Head::new("pax", flag, text.len() as u64)).data(&text)
    }

    pub(in crate::layer) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}
