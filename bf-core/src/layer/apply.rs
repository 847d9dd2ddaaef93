//! Reads all layers, the uppermost first, and makes one tree of them.

use std::thread;

use super::decompress::Fault;
use super::error::{ApplyError, LayerError};
use super::pipe::{self, Stop, Stream};
use super::record::{self, Record};
use super::tar::{Reader, TarError};
use super::{Contents, Count, Layer, Limits, Merged, Progress, Source, Stopped, merged, replay};

/// Makes one filesystem of all layers. The contents of its files go to `contents`, in no order that means something; `tell`
/// hears how far it is, every few MiB and at the end of each layer.
pub fn apply<S: Source, C: Contents>(
    source: &mut S,
    contents: &mut C,
    limits: &Limits,
    tell: &mut dyn FnMut(Progress),
) -> Result<Merged, ApplyError<S::Error, C::Error>> {
    let mut record = Record::new(source.count());
    let mut names = vec![String::new(); source.count()];
    let mut unpacked = 0;
    for (index, name) in names.iter_mut().enumerate().rev() {
        let layer = source.open(index).map_err(ApplyError::Source)?;
        name.clone_from(&layer.name);
        let allowed = limits.bytes.saturating_sub(unpacked);
        let bytes = read(layer, allowed, limits.bytes, |reader| {
            let mut position = |bytes| tell(Progress { layer: index, bytes, again: false, done: false });
            let mut seldom = record::seldom(&mut position);
            record.take(index, name, reader, contents, limits, &mut seldom)
        })?;
        tell(Progress { layer: index, bytes, again: false, done: true });
        unpacked += bytes;
    }
    let passed = record.passed;
    let nodes = replay::replay(&mut record, &names, limits.entries.saturating_mul(2))?;
    record.close();
    let (seen, mut missing) = merged::seen(&nodes);
    let again = missing.len();
    for (index, wanted) in &mut missing {
        let index = *index as usize;
        let layer = source.open(index).map_err(ApplyError::Source)?;
        let bytes = read(layer, limits.bytes, limits.bytes, |reader| {
            let mut position = |bytes| tell(Progress { layer: index, bytes, again: true, done: false });
            record::fetch(wanted, reader, contents, &mut record::seldom(&mut position))
        })?;
        tell(Progress { layer: index, bytes, again: true, done: true });
    }
    let Some(tree) = merged::tree(&record, nodes, &missing) else {
        let layer = names.first().cloned().unwrap_or_default();
        return Err(LayerError::Limit { layer, what: "entries", limit: limits.entries }.into());
    };
    let all = record.files;
    Ok(Merged {
        tree,
        entries: record.entries,
        unpacked,
        files: seen.all,
        hidden: all.minus(passed).minus(seen.all.minus(seen.written)),
        in_vain: passed.minus(seen.written),
        again,
        dropped_xattrs: record.dropped_xattrs,
        skipped: record.skipped,
    })
}

impl Count {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn minus(self, other: Self) -> Self {
        let files = self.files.saturating_sub(other.files);
        Self { files, bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// Reads one layer, which unpacks to at most `allowed` bytes, and compares its digest. How many bytes it had.
fn read<S, E>(
    layer: Layer<'_>,
    allowed: u64,
    limit: u64,
    work: impl FnOnce(&mut Reader<Stream>) -> Result<(), Stopped<E>>,
) -> Result<u64, ApplyError<S, E>> {
    let Layer { input, diff_id, name, stop } = layer;
    thread::scope(|scope| {
        let stream = pipe::start(scope, input, allowed)
            .map_err(|source| LayerError::Read { layer: name.clone(), source })?;
        let mut reader = Reader::new(stream);
        let worked = work(&mut reader);
        let position = reader.position();
        let stopped = |stop| match stop {
            Stop::Limit => LayerError::Limit { layer: name.clone(), what: "bytes", limit },
            Stop::Fault(Fault::Read(source)) => LayerError::Read { layer: name.clone(), source },
            Stop::Fault(Fault::Compressed(source)) => LayerError::Compressed { layer: name.clone(), source },
            Stop::Fault(Fault::Method(method)) => LayerError::Method { layer: name.clone(), method },
        };
        if worked.is_err() {
            // What is known already is not told later because the rest is long in coming.
            stop();
        }
        match worked {
            Ok(()) => {}
            Err(Stopped::Contents(error)) => return Err(ApplyError::Contents(error)),
            Err(Stopped::Layer(error)) => return Err(error.into()),
            // The stream knows why.
            Err(Stopped::Tar(TarError::Io(source))) => {
                let stop = reader.into_inner().finish().err();
                return Err(stop.map_or(LayerError::Read { layer: name.clone(), source }, stopped).into());
            }
            Err(Stopped::Tar(source)) => {
                return Err(LayerError::Tar { layer: name.clone(), position, source }.into());
            }
        }
        let whole = reader.into_inner().finish().map_err(stopped)?;
        if whole.sha256 != diff_id.hex() {
            let found = format!("sha256:{}", whole.sha256);
            return Err(LayerError::Digest { layer: name.clone(), expected: diff_id, found }.into());
        }
        Ok(whole.bytes)
    })
}
