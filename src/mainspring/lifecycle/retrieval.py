"""A collection of documents becomes a version: read, split, embedded, indexed, tuned, judged.

    documents ─ collect ─▶ hashes: known? ─▶ unchanged, end
     ─ tasks.indexing: what is new is read, split and embedded ─▶ index/
    questions ─┬─ tuning ─ tasks.retrieval ─▶ dense_weight, reranker, answerability ─▶ index/
               └─ judging ─ by words │ by meaning │ both │ champion ─▶ verdict

A version holds the embedder beside the index, since a question has to be embedded as the passages were. Its golden
examples are texts with their vectors, and questions with the passages that they find.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from mainspring.data.documents.collection import Source, collect
from mainspring.errors import require
from mainspring.lifecycle import lineage, retrieval_page, retrieval_verdict
from mainspring.lifecycle.progress import Prepared, Watcher
from mainspring.lifecycle.retrieval_report import RetrievalReport
from mainspring.registry import desired, versions
from mainspring.registry.versions import Golden, Manifest, Version
from mainspring.schema import Column, Schema, Target
from mainspring.spec import Project, RetrievalSpec

INDEX = "index"
SCHEMA = Schema((Column("query", "text"),), Target("passages"))
