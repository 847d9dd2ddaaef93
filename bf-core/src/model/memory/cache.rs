//! The keys and values that a model keeps, by kind of layer.

use serde::{Deserialize, Serialize};

use super::{Unknown, VALUE_BYTES};

/// The most layers of a model; the largest have fewer than 200.
pub(super) const MAX_LAYERS: u64 = 10_000;

/// The most of anything else that is multiplied: heads, dimensions.
pub(super) const MAX_FACTOR: u64 = 1_000_000;

/// Layers that keep the same for each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// How many there are.
    pub layers: u64,
    /// What one of them keeps of one token, in bytes.
    pub bytes_per_token: u64,
    /// The most tokens of a sequence that they keep; nothing: all.
    pub window: Option<u64>,
}

/// What all layers keep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvCache {
    /// The layers that keep something of each token, each kind once.
    pub layers: Vec<Layers>,
    /// What a sequence takes whatever its length, in bytes: of a decoder that listens to an encoder.
    pub bytes_per_sequence: u64,
    /// Layers that keep a state of a fixed size, which is not counted.
    pub state_layers: u64,
}

impl KvCache {
    /// What one more token takes in all layers, in bytes, as long as no window is full.
    pub fn bytes_per_token(&self) -> u64 {
        let of = |kind: &Layers| kind.layers.saturating_mul(kind.bytes_per_token);
        self.layers.iter().map(of).fold(0, u64::saturating_add)
    }

    /// What a sequence of `context` tokens takes, in bytes; nothing when no number can say it.
    pub fn bytes(&self, context: u64) -> Option<u64> {
        self.layers.iter().try_fold(self.bytes_per_sequence, |sum, kind| {
            let tokens = kind.window.map_or(context, |window| window.min(context));
            sum.checked_add(kind.layers.checked_mul(kind.bytes_per_token)?.checked_mul(tokens)?)
        })
    }

    /// Adds a layer that keeps `bytes` of each token; one that keeps nothing is one with a state.
    pub(super) fn add(&mut self, bytes_per_token: u64, window: Option<u64>) {
        if bytes_per_token == 0 {
            self.state_layers += 1;
            return;
        }
        let same = |kind: &&mut Layers| kind.bytes_per_token == bytes_per_token && kind.window == window;
        match self.layers.iter_mut().find(same) {
            Some(kind) => kind.layers += 1,
            None => self.layers.push(Layers { layers: 1, bytes_per_token, window }),
        }
    }
}

/// What one layer with `kv_heads` keeps of one token, in bytes, when a head's key and value together have `dims` numbers.
pub(super) fn token_bytes(kv_heads: u64, dims: u64) -> Result<u64, Unknown> {
    if kv_heads > MAX_FACTOR || dims > 2 * MAX_FACTOR {
        return Err(Unknown::new("its heads are impossibly many or large"));
    }
    Ok(kv_heads * dims * VALUE_BYTES)
}

/// The number of layers, if a model can have so many.
pub(super) fn sound_layers(layers: u64) -> Result<u64, Unknown> {
    match layers {
        1..=MAX_LAYERS => Ok(layers),
        _ => Err(Unknown::new("the number of its layers is not one that a model has")),
    }
}
