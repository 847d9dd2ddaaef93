//! The cryptography of TLS: ring, which needs no build tools of its own. rustls wants to be told once in each process.

/// Tells it, unless somebody has. To be called before a client is built, also one that speaks plain HTTP: `reqwest` asks for it.
pub fn install() {
    // Only the first one counts, and there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
