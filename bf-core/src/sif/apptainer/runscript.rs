//! The script that `apptainer run` starts: ENTRYPOINT and CMD of the image.

use crate::sif::RunConfig;
use crate::sif::apptainer::environment::quoted;

/// The script. ENTRYPOINT is followed by the arguments, or by CMD when there are none, word for word as the image says them.
///
/// An argument with a `$` or a backtick is evaluated as within double quotes, as Apptainer does it with all of them, unless
/// `--no-eval` is given; every other one arrives as it was written. (Apptainer takes quotes and backslashes away from those as well.)
pub fn runscript(run: &RunConfig) -> String {
    let words =
        |words: &[String]| words.iter().flat_map(|word| [" ".to_owned(), quoted(word)]).collect::<String>();
    let (entrypoint, cmd) = (words(&run.entrypoint), words(&run.cmd));
    // The line that begins with `eval` must be just that: by it Apptainer knows a script of an image from a registry, which it runs
    // with a shell of its own, so that an image needs none. That shell knows no `${10}`.
    format!(
        r#"#!/bin/sh
# ENTRYPOINT of the image, and the arguments or else its CMD.
if [ "$#" -eq 0 ]; then
    set --{cmd}
elif [ -z "${{SINGULARITY_NO_EVAL:-}}${{APPTAINER_NO_EVAL:-}}" ]; then
    for SINGULARITY_OCI_WORD in "$@"; do
        shift
        case $SINGULARITY_OCI_WORD in
        *'$'* | *'`'*) SINGULARITY_OCI_RUN="-- \"\$@\" \"$SINGULARITY_OCI_WORD\"" ;;
        *) SINGULARITY_OCI_RUN='-- "$@" "$SINGULARITY_OCI_WORD"' ;;
        esac
eval "set ${{SINGULARITY_OCI_RUN}}"
    done
fi
set --{entrypoint} "$@"
if [ "$#" -eq 0 ]; then
    echo 'the image has neither ENTRYPOINT nor CMD: say what to run' >&2
    exit 125
fi
exec "$@"
"#
    )
}
