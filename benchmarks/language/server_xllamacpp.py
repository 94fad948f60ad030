"""llama.cpp's own server as the wheel `xllamacpp` brings it, until it is told to stop."""

from __future__ import annotations

import signal
from typing import Any

import xllamacpp
from answering import settings


def parameters(given: dict[str, Any]) -> xllamacpp.CommonParams:
    """`llama-server`'s, as `language_engines.py` sets them for the one built from source."""
    params = xllamacpp.CommonParams()
    params.model.path = given["model"]
    params.port = given["port"]
    params.n_parallel = given["streams"]
    params.n_ctx = given["context"]
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given["threads"]
    return params


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    server = xllamacpp.Server(parameters(settings()))
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    main()
