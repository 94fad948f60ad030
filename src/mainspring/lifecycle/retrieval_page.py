"""The report of a collection as one page of HTML: the verdict, who finds how much, what is missed, what was not read.

Dressed by the style sheet of the report of a table's version (see `report_page`).
"""

from __future__ import annotations

from importlib.resources import files

from mainspring.lifecycle.replay_page import style
from mainspring.lifecycle.retrieval_report import RetrievalReport
from mainspring.lifecycle.wording import count, date, duration, measured, metric_name, number, sentence


def render(report: RetrievalReport) -> str:
    """The page, as the text of a UTF-8 HTML file."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": count,
        "duration": duration,
        "number": number,
        "sentence": sentence,
        "metric": metric_name,
    }
    template = environment.from_string((files("mainspring.lifecycle") / "retrieval.html.jinja").read_text("utf-8"))
    return template.render(
        report=report,
        style=Markup(style()),
        date=date(report.created),
        measured=lambda estimate: measured(estimate)[:2],
    )
