//! The scripts that are the same in every image.

/// `startscript`: an instance of an image from a registry has nothing of its own to start.
pub const STARTSCRIPT: &str = "#!/bin/sh\n";

/// `env/90-environment.sh`, which the link `/environment` names: for what a site adds.
pub(super) const ENVIRONMENT: &str = "#!/bin/sh\n";

/// `env/01-base.sh`.
pub(super) const BASE: &str = "#!/bin/sh\n";

/// `env/95-apps.sh`: the variables of an app of the Scientific Filesystem, when one is asked for.
pub(super) const APPS: &str = r#"#!/bin/sh
if [ -n "${SINGULARITY_APPNAME:-}" ]; then
    export SINGULARITY_APPNAME
    if [ ! -d "/scif/apps/$SINGULARITY_APPNAME/" ]; then
        echo "the container has no app $SINGULARITY_APPNAME"
        exit 1
    fi
    SCIF_APPS=/scif/apps
    SCIF_APPROOT=$SCIF_APPS/$SINGULARITY_APPNAME
    export SCIF_APPS SCIF_APPROOT
    PATH=$SCIF_APPROOT:$SCIF_APPS/singularity:$PATH
    if [ -d "$SCIF_APPROOT/bin" ]; then
        PATH=$SCIF_APPROOT/bin:$PATH
    elif [ -d "$SCIF_APPS/singularity/bin" ]; then
        PATH=$SCIF_APPS/singularity/bin:$PATH
    fi
    if [ -d "$SCIF_APPROOT/lib" ]; then
        export LD_LIBRARY_PATH="$SCIF_APPROOT/lib:${LD_LIBRARY_PATH:-}"
    elif [ -d "$SCIF_APPS/singularity/lib" ]; then
        export LD_LIBRARY_PATH="$SCIF_APPS/singularity/lib:${LD_LIBRARY_PATH:-}"
    fi
    if [ -f "$SCIF_APPROOT/scif/env/01-base.sh" ]; then
        . "$SCIF_APPROOT/scif/env/01-base.sh"
    elif [ -f "$SCIF_APPS/singularity/scif/env/01-base.sh" ]; then
        . "$SCIF_APPS/singularity/scif/env/01-base.sh"
    fi
    if [ -f "$SCIF_APPROOT/scif/env/90-environment.sh" ]; then
        . "$SCIF_APPROOT/scif/env/90-environment.sh"
    elif [ -f "$SCIF_APPS/singularity/scif/env/90-environment.sh" ]; then
        . "$SCIF_APPS/singularity/scif/env/90-environment.sh"
    fi
    export PATH
fi
"#;

/// `env/99-base.sh`: where Apptainer binds the host's libraries for GPUs, and a prompt.
pub(super) const LIBRARIES: &str = r"#!/bin/sh
LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/.singularity.d/libs
PS1=${PS1:-Apptainer> }
export LD_LIBRARY_PATH PS1
";

/// `env/99-runtimevars.sh`: what the user asks for PATH.
pub(super) const RUNTIME: &str = r"#!/bin/sh
PATH=${SING_USER_DEFINED_PREPEND_PATH:+$SING_USER_DEFINED_PREPEND_PATH:}${PATH:-}
PATH=$PATH${SING_USER_DEFINED_APPEND_PATH:+:$SING_USER_DEFINED_APPEND_PATH}
PATH=${SING_USER_DEFINED_PATH:-$PATH}
unset SING_USER_DEFINED_PREPEND_PATH SING_USER_DEFINED_APPEND_PATH SING_USER_DEFINED_PATH
export PATH
";

/// How every action begins.
const SOURCE: &str = r#"for script in /.singularity.d/env/*.sh; do
    [ ! -f "$script" ] || . "$script"
done
"#;

/// `actions/NAME`, which Apptainer and Singularity before 3.6 start, and the links `/.run` and so on name.
pub(super) fn actions() -> [(&'static str, String); 5] {
    let script = |before: &str, action: &str| format!("#!/bin/sh\n{before}{SOURCE}{action}");
    [
        ("exec", script("", "exec \"$@\"\n")),
        (
            "run",
            script(
                "",
                &of_app(
                    "runscript",
                    "echo 'the image has no runscript, here is its shell'\nexec /bin/sh \"$@\"",
                ),
            ),
        ),
        ("shell", script("", SHELL)),
        // The first process of an instance waits for this signal.
        (
            "start",
            script(
                "kill -CONT 1\n",
                "[ ! -x /.singularity.d/startscript ] || exec /.singularity.d/startscript\n",
            ),
        ),
        ("test", script("", &of_app("test", "echo 'the image has no test'\nexec /bin/sh -c true"))),
    ]
}

const SHELL: &str = r#"if [ -n "${SINGULARITY_SHELL:-}" ] && [ -x "$SINGULARITY_SHELL" ]; then
    exec "$SINGULARITY_SHELL" "$@"
elif [ -x /bin/bash ]; then
    SHELL=/bin/bash
    PS1="Apptainer ${APPTAINER_NAME:-}:\\w> "
    export SHELL PS1
    exec /bin/bash --norc "$@"
elif [ -x /bin/sh ]; then
    SHELL=/bin/sh
    export SHELL
    exec /bin/sh "$@"
fi
echo 'the container has no /bin/sh' >&2
exit 1
"#;

/// Starts a script of the app that is asked for, or of the image, or else `otherwise`.
fn of_app(script: &str, otherwise: &str) -> String {
    format!(
        r#"if [ -n "${{SINGULARITY_APPNAME:-}}" ]; then
    for app in "$SINGULARITY_APPNAME" singularity; do
        [ ! -x "/scif/apps/$app/scif/{script}" ] || exec "/scif/apps/$app/scif/{script}" "$@"
    done
    echo "the app $SINGULARITY_APPNAME has no {script}"
    exit 1
fi
[ ! -x /.singularity.d/{script} ] || exec /.singularity.d/{script} "$@"
{otherwise}
"#
    )
}
