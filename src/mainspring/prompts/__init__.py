"""Prompts that are kept in files, answered by a strategy, and fitted like any other model.

template    `{{variable}}` and what is put in its place
prompt      `Prompt`: messages with variables, examples, and how it is answered
files       a prompt as a Markdown file, there and back
toml_text   values as TOML
reading     the answer in a model's text: a line, a number, one of several options, JSON
model       `LanguageModel`: batches of requests to an engine; `Attempt`: one question's calls, counted and limited
vectors     texts as vectors, each computed once
patience    what is done while an engine's queue is full
tools       what a model may use while it answers
model_tools the project's own models as tools
records     a prompt program among the other models: its records, and what it asks
strategy    what a strategy is: `Strategy`, `Answer`
strategies  one file a technique, the paper named in it
export      plain messages for any client of OpenAI's API
metrics     how right an answer is
candidates  what may be tried for a task: strategies and choices of examples
fitting     the candidate that does best on questions with known answers
"""

from mainspring.prompts.export import export
from mainspring.prompts.files import dumps, load, parse
from mainspring.prompts.model import Cost, LanguageModel
from mainspring.prompts.prompt import Example, Limits, Prompt, SamplingSpec, Turn
from mainspring.prompts.strategy import Answer, Strategy, answer_all
from mainspring.prompts.tools import Tool

__all__ = [
    "Answer",
    "Cost",
    "Example",
    "LanguageModel",
    "Limits",
    "Prompt",
    "SamplingSpec",
    "Strategy",
    "Tool",
    "Turn",
    "answer_all",
    "dumps",
    "export",
    "load",
    "parse",
]
