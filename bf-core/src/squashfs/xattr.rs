//! Extended attributes: which there can be, and their tables.

/// Namespaces that squashfs has, in the order of their numbers in the format.
const PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// Whether squashfs has a place for an extended attribute of this whole name. There is none for access control
/// lists (`system.posix_acl_access`) and for what other systems have.
pub fn storable(name: &[u8]) -> bool {
    split(name).is_some()
}

/// The number of the namespace and the rest of the name.
fn split(name: &[u8]) -> Option<(u16, &[u8])> {
    (0..).zip(PREFIXES).find_map(|(number, prefix)| match name.strip_prefix(prefix) {
        Some(rest) if !rest.is_empty() && !rest.contains(&0) && name.len() <= 255 => Some((number, rest)),
        _ => None,
    })
}
