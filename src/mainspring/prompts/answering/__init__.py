"""Answering from passages: an answer that cites, and is not given where the documents don't hold it.

engine      `KnowledgeEngine`: searches, and then abstains, writes or quotes
settings    `Answering`: how it does so
follow_ups  what is searched for where a question needs the conversation
layout      the prompt: what stays the same first, passages as data, within the context
sentences   where sentences end, in a text and in a stream
wording     what a sentence says: its words, numbers, units, names, negations
places      where in a document a passage's sentence stands
support     whether a passage supports a claim
orders      sentences that speak to the assistant: no evidence
citations   an answer sentence by sentence, with its citations
quoting     answers that are the passages' own sentences
conflicts   documents that contradict each other
"""

from mainspring.prompts.answering.engine import KnowledgeEngine
from mainspring.prompts.answering.settings import Answering

__all__ = ["Answering", "KnowledgeEngine"]
