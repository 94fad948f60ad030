"""What the scripts of engines that run in process have in common: the answering side of a small protocol.

`language_engines.py` starts such a script and writes jobs to its input, a line of JSON each: `{"prompts": [[token ids],
...], "new": count}`. The script answers all the prompts of a job at the same time, greedily, with `new` tokens each,
and prints a line: `{"first": seconds until the first token of the first answer, "last": seconds until its last one,
"seconds": until all are done, "ids": [[token ids], ...], "counts": [how many tokens each answer has, ...]}`. It ends
when its input does.

This file is read by the peers' interpreters and imports nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Prompts = list[list[int]]


class Clock:
    """When the tokens of a job came."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.times: list[float] = []

    def tick(self) -> None:
        """The first answer has a token more."""
        self.times.append(time.perf_counter() - self.began)

    def answer(self, ids: list[list[int]]) -> dict[str, Any]:
        """What is to be printed when all are done."""
        seconds, counts = time.perf_counter() - self.began, [len(each) for each in ids]
        return {"first": self.times[0], "last": self.times[-1], "seconds": seconds, "ids": ids, "counts": counts}


def settings() -> dict[str, Any]:
    """What the script was started with: the JSON object that is its only argument."""
    return dict(json.loads(sys.argv[1]))


def answer_jobs(generate: Callable[[Prompts, int], dict[str, Any]]) -> None:
    """Answer jobs with `generate` until there are no more. What libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        for line in sys.stdin:
            job = json.loads(line)
            print(json.dumps(generate(job["prompts"], job["new"])), file=output, flush=True)
