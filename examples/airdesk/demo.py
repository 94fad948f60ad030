"""What `make demo` shows, in three acts: a table of flights is served, a year is replayed, a service renews itself.

It runs the commands that you would type, prints each before it runs, and needs nothing but the installed package. The
third act alone: `live.py`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import live
import pyarrow.parquet as pq
from steps import HERE, Service, run, say

GATE_SAID_NO = 3


def flights() -> list[dict[str, Any]]:
    """Three flights of December, as a client would ask about them; what became of each under `late`."""
    table = pq.read_table(HERE / "data" / "flights.parquet")
    rows = table.slice(table.num_rows - 22_000).take([0, 2_000, 21_700]).to_pylist()
    return [{**row, "departs_at": row["departs_at"].isoformat()} for row in rows]


def serve() -> None:
    """Fit, serve, ask; and ask with a mistake."""
    run("fit", allowed=(0, GATE_SAID_NO))
    run("status")
    with Service("serve", HERE) as service:
        for flight in flights():
            late = flight.pop("late")
            print(f"\nPOST /models/delay/predict\n{json.dumps(flight)}")
            status, answer = service.ask("/models/delay/predict", flight)
            if status != 200:
                sys.exit(f"{status}: {answer}")
            print(f"{status} {json.dumps(answer)}\n(it was {'late' if late else 'not late'})")
        print("\nthe same with a mistake in it: text where a number belongs")
        status, answer = service.ask("/models/delay/predict", {**flight, "distance": "far"})
        print(f"{status} {json.dumps(answer)}")


def main() -> None:
    say("1  A table of flights becomes a service")
    serve()
    say("2  Would renewing on drift have paid? The year is played as if it were live")
    run("replay", "delay")
    say("3  The loop, live: flights from March on stream through a service that knows only January and February")
    live.main()
    print(
        "\nThe champion's report, with plots:  examples/airdesk/.mainspring/models/delay/*/report.html"
        "\nThe replayed year, with plots:      examples/airdesk/.mainspring/models/delay/replay.html"
        "\nTo keep the service running:        .venv/bin/mainspring up examples/airdesk"
        "\nthen its API is described at        http://127.0.0.1:8000/docs"
    )


if __name__ == "__main__":
    main()
