"""llama-server of the Python package xllamacpp: takes llama.cpp's own option names and serves until it is told to end.

Installed as <engine>/bin/llama-server; the package is in <engine>/lib. Ends with 64 for a wrong option and with 1 when
the model cannot be loaded, each with one line on stderr.
"""

import os
import signal
import sys

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
USAGE = 64


def fail(code, message):
    """Says one line and ends."""
    sys.stderr.write("llama-server: " + " ".join(str(message).split()) + "\n")
    sys.stderr.flush()
    os._exit(code)


def path(text):
    """A readable file."""
    try:
        with open(text, "rb"):
            return text
    except OSError as error:
        fail(1, "%s cannot be read: %s" % (text, error.strerror))


def set_threads(params, value):
    params.cpuparams.n_threads = value
    params.cpuparams_batch.n_threads = value


def set_keys(params, value):
    with open(path(value), encoding="utf-8") as lines:
        keys = [line.strip() for line in lines if line.strip()]
    if not keys:
        fail(1, "%s holds no key" % value)
    params.api_keys = keys


def setter(*names):
    """Sets an attribute of an attribute: `setter("sampling", "temp")`."""

    def set_value(params, value):
        for name in names[:-1]:
            params = getattr(params, name)
        setattr(params, names[-1], value)

    return set_value


# Names of an option, how its value is read (None: it has none), what is done with it.
OPTIONS = [
    (("--model", "-m"), path, setter("model", "path")),
    (("--alias", "-a"), str, lambda params, value: setattr(params, "model_alias", {value})),
    (("--host",), str, lambda params, value: setattr(params, "hostnames", [value])),
    (("--port",), int, setter("port")),
    (("--threads", "-t"), int, set_threads),
    (("--ctx-size", "-c"), int, setter("n_ctx")),
    (("--parallel", "-np"), int, setter("n_parallel")),
    (("--n-gpu-layers", "--gpu-layers", "-ngl"), int, setter("n_gpu_layers")),
    (("--batch-size", "-b"), int, setter("n_batch")),
    (("--ubatch-size", "-ub"), int, setter("n_ubatch")),
    (("--chat-template",), str, setter("chat_template")),
    (("--embeddings", "--embedding"), None, lambda params, _: setattr(params, "embedding", True)),
    (("--seed", "-s"), int, setter("sampling", "seed")),
    (("--temp",), float, setter("sampling", "temp")),
    (("--top-k",), int, setter("sampling", "top_k")),
    (("--top-p",), float, setter("sampling", "top_p")),
    (("--no-warmup",), None, lambda params, _: setattr(params, "warmup", False)),
    (("--api-key-file",), str, set_keys),
]
BY_NAME = {name: (read, use) for names, read, use in OPTIONS for name in names}


def apply(params, arguments):
    """Reads the command line into the parameters. `--name value` and `--name=value` are the same."""
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=") if argument.startswith("--") else (argument, "", "")
        if name not in BY_NAME:
            fail(USAGE, "the option %s is not known; there are: %s" % (name, " ".join(BY_NAME)))
        read, use = BY_NAME[name]
        if read is None:
            if equals:
                fail(USAGE, "the option %s takes no value" % name)
            use(params, None)
            continue
        if not equals:
            if not rest:
                fail(USAGE, "the option %s needs a value" % name)
            value = rest.pop(0)
        try:
            use(params, read(value))
        except (ValueError, OverflowError, TypeError):
            fail(USAGE, "%r is no value for the option %s" % (value, name))
    if not params.model.path:
        fail(USAGE, "no model was named; use --model FILE")


def main(arguments):
    sys.path.insert(0, os.path.join(HERE, "lib"))
    try:
        import xllamacpp
    except Exception as error:  # also what a missing library of the system raises
        fail(1, "xllamacpp cannot be loaded: %s" % error)
    if arguments == ["--version"]:
        print(getattr(xllamacpp, "__version__", "unknown"))
        return
    params = xllamacpp.CommonParams()
    apply(params, arguments)
    # Until the model is loaded a signal ends the process at once: Python could not handle it before that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        server = xllamacpp.Server(params)
    except Exception as error:
        fail(1, "%s cannot be served: %s" % (params.model.path, error))
    sys.stderr.write("llama-server: listening at %s\n" % server.listening_address)
    sys.stderr.flush()
    # A signal may reach any of the server's threads; the pipe wakes this one in every case.
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    os.read(wake, 1)
    # The server's threads cannot be joined while requests are open: there is nothing left to lose.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
