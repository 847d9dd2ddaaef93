//! A SIF read back: where its filesystem is, mounted by the kernel, or unpacked by `unsquashfs`.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::root::ToolRoot;
use super::tree::ImageTree;

/// Where the filesystem begins in a SIF, and its length, both in bytes: the first descriptor that is a partition (0x4004), as the SIF
/// format has it. Panics where there is none.
pub fn partition(sif: &Path) -> (u64, u64) {
    let mut file = fs_err::File::open(sif).expect("a SIF");
    let mut header = [0; 128];
    file.read_exact(&mut header).expect("the header of a SIF");
    assert_eq!(&header[32..41], b"SIF_MAGIC", "{} is no SIF", sif.display());
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"));
    let (total, at) = (number(&header[88..]), number(&header[96..]));
    file.seek(SeekFrom::Start(at)).expect("the descriptors");
    for _ in 0..total {
        let mut descriptor = [0; 585];
        file.read_exact(&mut descriptor).expect("a descriptor");
        if descriptor[..4] == 0x4004_u32.to_le_bytes() && descriptor[4] == 1 {
            return (number(&descriptor[17..]), number(&descriptor[25..]));
        }
    }
    panic!("{} has no partition", sif.display());
}

/// The filesystem of a SIF, mounted read-only in a namespace of its own: it is gone with this, however that ends.
#[derive(Debug)]
pub struct Mounted {
    holder: Child,
    path: PathBuf,
}

/// By the kernel; where there is no loop device, by `squashfuse`.
const MOUNT: &str = r#"
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/tree
mount -t squashfs -o "ro,loop,offset=$2,sizelimit=$3" "$1" /mnt/tree || squashfuse -o "offset=$2" "$1" /mnt/tree
echo ready
cat >/dev/null
"#;

impl Mounted {
    /// Mounts it. Needs root.
    pub fn new(sif: &Path) -> Self {
        let (offset, bytes) = partition(sif);
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-euc", MOUNT, "bash"]);
        command.arg(sif).args([offset.to_string(), bytes.to_string()]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("unshare");
        let mut line = String::new();
        let out = holder.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("its word");
        assert_eq!(line, "ready\n", "{} cannot be mounted", sif.display());
        let path = PathBuf::from(format!("/proc/{}/root/mnt/tree", holder.id()));
        Self { holder, path }
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is in it.
    pub fn tree(&self) -> ImageTree {
        ImageTree::of(&self.path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

impl ToolRoot {
    /// What `unsquashfs` makes of a SIF's filesystem, which it lists first. `sif` and the new folder `to` are below `/var/tmp`.
    pub fn unsquashed(&self, sif: &Path, to: &Path) -> ImageTree {
        let offset = partition(sif).0.to_string();
        let words = |words: &[&str]| {
            let all = ["unsquashfs", "-o", &offset].into_iter().chain(words.iter().copied());
            self.program(Path::new("/var/tmp"), all)
        };
        let list = words(&["-lln"]).args([sif]).code(0);
        let unpack = words(&["-quiet", "-no-progress", "-d"]).args([to, sif]).code(0);
        assert!(!list.stdout.is_empty() && unpack.stderr.is_empty(), "{unpack}");
        ImageTree::of(to)
    }
}
