//! A certificate authority of a site, as `openssl` makes one.

use std::path::{Path, PathBuf};

use crate::program::Program;

/// The authority. It lives in a folder of the caller's.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

/// What it signs: names and addresses of this machine.
const EXTENSIONS: &str =
    "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n";

impl Authority {
    /// Makes a new one in this folder.
    pub fn new(folder: &Path) -> Self {
        let made = Self { folder: folder.to_owned() };
        let line = "req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN=tests \
            -keyout ca.key -out ca.pem";
        openssl(folder, line);
        made
    }

    /// Its own certificate, which who believes it must know (PEM).
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Makes a certificate for a server at 127.0.0.1 in a folder, and its key (PEM).
    pub(super) fn certify(&self, folder: &Path) -> (PathBuf, PathBuf) {
        fs_err::write(folder.join("extensions"), EXTENSIONS).expect("the extensions");
        let request = "req -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=127.0.0.1 \
            -keyout server.key -out server.csr";
        openssl(folder, request);
        let own = self.folder.display();
        let sign = format!(
            "x509 -req -in server.csr -CA {own}/ca.pem -CAkey {own}/ca.key -set_serial 2 -days 2 -extfile extensions -out server.pem"
        );
        openssl(folder, &sign);
        (folder.join("server.pem"), folder.join("server.key"))
    }
}

fn openssl(folder: &Path, line: &str) {
    Program::new("openssl", folder).args(line.split_whitespace()).code(0);
}
