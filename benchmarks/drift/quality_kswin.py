"""river's KSWIN, as the others in `quality_river.py`, but seconds a stream, so that it sees fewer of them."""

from functools import partial

from cells import main
from quality_river import watch_errors
from river import drift

if __name__ == "__main__":
    main(partial(watch_errors, {"river KSWIN": partial(drift.KSWIN, seed=0)}))
