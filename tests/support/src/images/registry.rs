//! A real registry (Docker's `distribution`) on a port of this machine.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::authority::Authority;
use super::root::ToolRoot;
use crate::eventually;
use crate::program::Outcome;

/// Who may read from a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Name.
    pub user: &'static str,
    /// Password.
    pub password: &'static str,
    /// What `htpasswd -B` makes of it.
    pub hash: &'static str,
}

impl Account {
    /// The one that the tests use.
    pub const TESTER: Self = Self {
        user: "tester",
        password: "pass:word of tests",
        hash: "$2y$05$abcdefghijklmnopqrstuuASiCm2NhckMMyBBk.SnAt5jyUYLzU42",
    };
}

/// The registry. It ends with the test program, however that ends, or earlier with this, and its folder with it.
#[derive(Debug)]
pub struct Registry {
    /// Where it listens.
    pub address: SocketAddr,
    holder: Child,
    folder: PathBuf,
    root: ToolRoot,
    account: Option<Account>,
}

/// Runs the rest until its own standard input ends, and removes the folder `$1` then. What is killed is `unshare`, which hands it on.
const HOLD: &str = r#"
folder=$1
shift
"$@" </dev/null &
cat >/dev/null || true
kill -KILL $! || true
wait || true
rm -rf --one-file-system "$folder"
"#;

impl Registry {
    /// Starts one, open to all or only to an account, that speaks plain HTTP.
    pub fn start(root: &ToolRoot, account: Option<Account>) -> Self {
        Self::start_with(root, account, None)
    }

    /// Starts one that speaks HTTPS, with a certificate of this authority.
    pub fn secure(root: &ToolRoot, authority: &Authority) -> Self {
        Self::start_with(root, None, Some(authority))
    }

    fn start_with(root: &ToolRoot, account: Option<Account>, authority: Option<&Authority>) -> Self {
        let made = tempfile::Builder::new().prefix("bft-registry-").tempdir_in("/var/tmp");
        let folder = made.expect("a folder").keep();
        // Between this and its start the port is anybody's; the system gives out others meanwhile.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let place = folder.display();
        let tls = authority.map_or_else(String::new, |authority| {
            let (certificate, key) = authority.certify(&folder);
            format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display())
        });
        let mut yaml = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {place}/data}}}}\nhttp: {{addr: '{address}'{tls}}}\n"
        );
        if let Some(account) = account {
            let line = format!("{}:{}\n", account.user, account.hash);
            fs_err::write(folder.join("htpasswd"), line).expect("htpasswd");
            let auth = format!("auth: {{htpasswd: {{realm: tests, path: {place}/htpasswd}}}}\n");
            yaml.push_str(&auth);
        }
        let config = folder.join("config.yml");
        fs_err::write(&config, yaml).expect("its configuration");
        let config = config.to_str().expect("a plain path");
        let words = root.words(Path::new("/var/tmp"), ["docker-registry", "serve", config]);
        let log = fs_err::File::create(folder.join("log")).expect("a log").into_file();
        let mut command = Command::new("bash");
        command.args(["-uc", HOLD, "bash"]).arg(&folder).args(&words);
        // Who kills all of us at once must not keep it from cleaning up.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let holder = command.spawn().expect("a registry");
        let registry = Self { address, holder, folder, root: root.clone(), account };
        eventually("a registry", Duration::from_secs(20), || TcpStream::connect(address).ok());
        registry
    }

    /// `127.0.0.1:PORT/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Has skopeo copy `source` (as `oci:/srv/layout:tag`, with `srv` as `/srv`) to `name`, as it is, all platforms of an index.
    pub fn push(&self, srv: &Path, source: &str, name: &str) -> Outcome {
        self.copy(srv, &["--preserve-digests", source], name)
    }

    /// As `push`, but with manifests and lists as Docker wrote them before there was a standard.
    pub fn push_as_docker(&self, srv: &Path, source: &str, name: &str) -> Outcome {
        self.copy(srv, &["--format=v2s2", source], name)
    }

    fn copy(&self, srv: &Path, further: &[&str], name: &str) -> Outcome {
        let to = format!("docker://{}", self.reference(name));
        let words = ["skopeo", "copy", "--quiet", "--insecure-policy", "--all", "--dest-tls-verify=false"];
        let words = words.into_iter().chain(further.iter().copied()).chain([&*to]);
        let program = self.root.program(srv, words);
        let Some(Account { user, password, .. }) = self.account else { return program.code(0) };
        // Not in its words: other tests look for the password in those of all processes.
        let auths = json!({"auths": {self.address.to_string(): login(user, password)}});
        fs_err::write(srv.join("login.json"), auths.to_string()).unwrap();
        program.env("REGISTRY_AUTH_FILE", "/srv/login.json").code(0)
    }

    /// The manifest or list that it has for `name`.
    pub fn manifest(&self, name: &str) -> Value {
        let source = format!("docker://{}", self.reference(name));
        let words = ["skopeo", "inspect", "--raw", "--tls-verify=false", &source];
        self.root.program(&self.folder, words).code(0).json()
    }

    /// A folder that ends with it, below `/var/tmp`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        fs_err::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// The entry of an account in `auths` of a file of logins.
pub fn login(user: &str, password: &str) -> Value {
    json!({"auth": base64(&format!("{user}:{password}"))})
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.as_bytes().chunks(3).flat_map(|three| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(*three.get(at).unwrap_or(&0)));
        let digit = move |at: usize| {
            if at > three.len() { '=' } else { char::from(DIGITS[bits >> (18 - 6 * at) & 63]) }
        };
        (0..4).map(digit)
    });
    digits.collect()
}
