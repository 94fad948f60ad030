"""The follower's process: `python -m mainspring.lifecycle DIR` carries promotions over from MLflow till stopped."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from mainspring import spec
from mainspring.lifecycle.follow import follow


def main() -> None:
    """Follow until SIGTERM or SIGINT."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    follow(spec.load(sys.argv[1]), stop)


main()
