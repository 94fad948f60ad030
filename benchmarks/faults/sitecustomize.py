"""Kills a process at a step of its work, for `benchmarks/faults.py`; nothing in Mainspring knows of it.

Python imports this module by itself at its start, where its folder is in PYTHONPATH. The file named by FAULTS_PLAN says
which program is to die, and where: before or after a call of a function, or in the middle of a write. The process that
comes there takes the plan away, so that the one that is started in its place lives, and kills itself with SIGKILL: no
handler, no `finally`, no flush runs.
"""

import functools
import json
import os
import pkgutil
import signal
import sys
import time


def _die(plan_file):
    try:
        os.rename(plan_file, plan_file + ".hit")
    except FileNotFoundError:  # another process was first
        return
    with open(plan_file + ".hit", "w") as file:
        file.write(f"{time.time()} {os.getpid()}")
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(plan_file, at, when, containing):
    place, _, name = at.rpartition(".")
    owner = pkgutil.resolve_name(place)
    original = getattr(owner, name)

    @functools.wraps(original)
    def stepped(*arguments, **named):
        if containing not in repr((arguments, named)):
            return original(*arguments, **named)
        if when == "before":
            _die(plan_file)
        if when == "within":  # os.write(descriptor, content)
            original(arguments[0], arguments[1][: len(arguments[1]) // 2])
            _die(plan_file)
        result = original(*arguments, **named)
        if when == "after":
            _die(plan_file)
        return result

    setattr(owner, name, stepped)


def _look():
    plan_file = os.environ.get("FAULTS_PLAN", "")
    try:
        with open(plan_file) as file:
            plan = json.load(file)
    except (OSError, ValueError):
        return
    if plan.pop("program") in sys.orig_argv:
        _arm(plan_file, **plan)


_look()
