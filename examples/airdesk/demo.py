"""What `make demo` shows: a table is served, a language model answers, a year is replayed, a service renews itself.

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
        say("2  A language model beside it, asked through OpenAI's own client")
        talk(service.port)


def talk(port: int) -> None:
    """Ask the language model, and show its answer as it comes; then have it fill in a form."""
    client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none is needed")
    system = "You are the assistant of an airline's service desk. Answer in one short English sentence."
    for question in ("Which city is the capital of Japan?", "What should I pack for a flight?"):
        print(f"\nyou   {question}\ndesk  ", end="")
        began, first, tokens = time.perf_counter(), 0.0, 0
        stream = client.chat.completions.create(
            model="desk",
            messages=[{"role": "system", "content": system}, {"role": "user", "content": question}],
            max_tokens=80,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                first = first or time.perf_counter() - began
                print(chunk.choices[0].delta.content, end="", flush=True)
            if chunk.usage:
                tokens = chunk.usage.completion_tokens
        seconds = time.perf_counter() - began
        print(f"\n      ({tokens} tokens in {seconds:.1f} s, the first after {1000 * first:.0f} ms)")
    print("\nthe same, but the answer has to fit a JSON schema")
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 30}, "country": {"enum": ["France", "Italy", "Spain"]}},
        "required": ["city", "country"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="desk",
        messages=[{"role": "user", "content": "Which city is the Eiffel Tower in?"}],
        max_tokens=60,
        temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}},
    )
    print(answer.choices[0].message.content)


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
        "\nThe replayed year, with plots:      examples/airdesk/.mainspring/models/delay/replay.html"
        "\nTo keep the service running:        .venv/bin/mainspring up examples/airdesk"
        "\nthen its API is described at        http://127.0.0.1:8000/docs"
    )


if __name__ == "__main__":
    main()
