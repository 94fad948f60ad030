"""Runs the command line in processes that begin with every library loaded, by forking one that has loaded them.

Loading takes seconds in which a kill finds nothing to destroy; so a test can kill many fits where it matters.
Run as a program: reads a list of arguments as JSON, a line at a time; answers with the process id, then with its end.
"""

import json
import os
import sys


def main() -> None:

    import mainspring.cli.fit
    import mainspring.lifecycle.fit
    import mainspring.registry.tracking

    assert len(os.listdir("/proc/self/task")) == 1, "a fork takes no threads along"
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            sys.argv = ["mainspring", *json.loads(line)]
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            mainspring.cli.main()
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
