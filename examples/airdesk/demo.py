"""What `make demo` shows: a table served, a desk that answers from a handbook, a year replayed, a service that renews.

It runs the commands that you would type, prints each before it runs, and needs nothing but the installed package. The
last act alone: `live.py`; some of them: `demo.py serve replay`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import live
import pyarrow.parquet as pq
from openai import OpenAI
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
        say("2  A desk that answers from a handbook, and cites it, asked through OpenAI's own client")
        talk(service.port)


def talk(port: int) -> None:
    """Ask the desk, and show its answer as it comes, with where it stands; the last question has no answer there."""
    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none is needed")
    for question in (
        "May I bring my cat in the cabin, and what does it cost?",
        "When do I have to be at the airport before departure?",
        "Who painted the Mona Lisa?",
    ):
        print(f"\nyou   {question}\ndesk  ", end="")
        began, first, cited = time.perf_counter(), 0.0, dict[str, None]()
        stream = client.chat.completions.create(
            model="desk", messages=[{"role": "user", "content": question}], temperature=0, stream=True
        )
        for chunk in stream:
            if not chunk.choices:
                continue
            delta = chunk.choices[0].delta
            if delta.content:
                first = first or time.perf_counter() - began
                print(delta.content, end="", flush=True)
            for annotation in getattr(delta, "annotations", None) or ():
                cited[annotation["url_citation"]["url"]] = None
        print(f"\n      ({time.perf_counter() - began:.1f} s, the first sentence after {first:.1f} s)")
        for place in cited:
            print(f"      {place}")


def replay() -> None:
    """Play the year."""
    say("3  Would renewing on drift have paid? The year is played as if it were live")
    run("replay", "delay")


def loop() -> None:
    """Watch a service renew itself."""
    say("4  The loop, live: flights from March on stream through a service that knows only January and February")
    live.main()


ACTS = {"serve": serve, "replay": replay, "loop": loop}


def main() -> None:
    for act in sys.argv[1:] or ACTS:
        ACTS[act]()
    print(
        "\nThe champion's report, with plots:  examples/airdesk/.mainspring/models/delay/*/report.html"
        "\nWhat the handbook is found by:      examples/airdesk/.mainspring/models/handbook/*/report.html"
        "\nThe replayed year, with plots:      examples/airdesk/.mainspring/models/delay/replay.html"
        "\nTo keep the service running:        .venv/bin/mainspring up examples/airdesk"
        "\nthen its API is described at        http://127.0.0.1:8000/docs"
    )


if __name__ == "__main__":
    main()
