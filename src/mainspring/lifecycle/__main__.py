"""The control plane beside a gateway: `python -m mainspring.lifecycle DIR [--control]`, till stopped.

It carries promotions over from MLflow, and with `--control` it also monitors and renews.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading

from mainspring import spec
from mainspring.lifecycle.follow import follow


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    folder, *options = sys.argv[1:]
    project, stop = spec.load(folder), threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    if "--control" not in options:
        follow(project, stop)
        return
    from mainspring.lifecycle.controller import control

    # A thread of its own, for an MLflow server that hangs must not hold up what watches the traffic.
    follower = threading.Thread(target=follow, args=(project, stop), name="follower", daemon=True)
    follower.start()
    control(project, stop)
    follower.join(5.0)


main()
