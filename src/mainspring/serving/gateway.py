"""The gateway, put together: an ASGI application that follows the desired state of one project."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import BinaryIO

from mainspring.errors import RegistryError
from mainspring.serving import pages
from mainspring.serving.access_log import AccessLog
from mainspring.serving.alarms import Alarms
from mainspring.serving.answering import Answering
from mainspring.serving.edge import Edge
from mainspring.serving.engine import Engine
from mainspring.serving.feedback import Feedback
from mainspring.serving.invocations import Invocations
from mainspring.serving.keys import KeyRing
from mainspring.serving.log_retention import LogRetention
from mainspring.serving.messages import Receive, Scope, Send
from mainspring.serving.metrics import Metrics
from mainspring.serving.oip import Infer
from mainspring.serving.openai.asking import Asking
from mainspring.serving.openai.attending import Attending
from mainspring.serving.openai.chat import Chat
from mainspring.serving.openai.completions import Completions
from mainspring.serving.openai.embeddings import Embeddings
from mainspring.serving.predict import Predict
from mainspring.serving.prediction_log import PredictionLog
from mainspring.serving.prompting import Prompting
from mainspring.serving.reconciler import Reconciler
from mainspring.serving.retrieval.asking import DocumentAsking
from mainspring.serving.retrieval.attending import Retrieving
from mainspring.serving.retrieval.knowledge import Assistants
from mainspring.serving.retrieval.searching import Searching
from mainspring.serving.shadow import Shadow
from mainspring.serving.slots import Slots
from mainspring.spec import Project

log = logging.getLogger("mainspring.serving")

_LOOK_SECONDS = 0.2  # how often the files are looked at; a promoted version is live soon after
_PATIENCE = 2.0  # times `generation_timeout`, after which an engine that says nothing is taken for gone


class Gateway:
    """One worker. An ASGI application: run it with any server, or with `mainspring.serving.server`.

    Args:
        project: what to serve, and the limits.
        access_log: where the access log goes; standard output by default.

    Raises:
        RegistryError: the file of API keys is damaged.
    """

    def __init__(self, project: Project, access_log: BinaryIO | None = None) -> None:
        limits = project.serving
        self.project = project
        self.metrics = Metrics()
        self.slots = Slots(project.models)
        self.engine = Engine(limits.timeout, limits.workers)
        self.keys = KeyRing(project.state)
        self.access_log = AccessLog(access_log or sys.stdout.buffer, self.metrics.dropped_lines)
        self.prediction_log = PredictionLog(project, self.metrics.dropped_rows, self.metrics.logged_rows)
        self.log_retention = LogRetention(project)
        self.feedback = Feedback(self.slots, project, self.metrics.feedback, limits.max_rows)
        self.shadow = Shadow(self.engine, self.prediction_log, self.metrics.shadow_skipped)
        self.alarms = Alarms(project.state, project.models, self.metrics.alarm)
        self.pages = pages.application(self)
        self.reconciler = Reconciler(
            project.state,
            self.slots,
            self.metrics,
            on_change=self._changed,
            # The limit itself is looked at where an answer is put together. One of many prompts may have to wait for
            # the others, and says nothing meanwhile.
            silence=_PATIENCE * limits.generation_timeout,
        )
        answering = Answering(self.slots, self.engine, self.prediction_log, self.shadow)
        prompting = Prompting(self.metrics.language, self.prediction_log, limits.generation_timeout)
        retrieving = Retrieving(
            self.slots, self.metrics.language, self.metrics.retrieval, self.prediction_log, limits.timeout
        )
        assistants = Assistants(retrieving)
        attending = Attending(
            self.slots,
            self.metrics.language,
            limits.generation_timeout,
            assistants,
            note=lambda exchange: exchange.write(self.prediction_log),
            traffic=self.prediction_log.traffic,
        )
        asking = Asking(attending, self.metrics.retrieval)
        self.edge = Edge(
            self.pages,
            {
                r"/models/(?P<name>[^/]+)/predict": Predict(answering, prompting, limits.max_rows),
                r"/models/(?P<name>[^/]+)/search": Searching(retrieving),
                r"/models/(?P<name>[^/]+)/ask": DocumentAsking(retrieving, assistants, limits.generation_timeout),
                r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer": Infer(answering, limits.max_rows),
                r"/invocations": Invocations(answering, limits.max_rows, limits.default_model),
                r"/models/(?P<name>[^/]+)/feedback": self.feedback,
                r"/v1/chat/completions": Chat(asking),
                r"/v1/completions": Completions(asking),
                r"/v1/embeddings": Embeddings(attending),
            },
            limits,
            self.keys,
            self.metrics,
            self.access_log,
        )
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            await self.edge(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def start(self) -> None:
        """Load what is wanted, and begin to follow. Returns when each model is live or has failed, or is slow."""
        await self.reconciler.settle()
        self._looking = asyncio.create_task(self._look())
        self.log_retention.start()

    async def stop(self) -> None:
        """Stop following, and write the rest of the logs."""
        self.log_retention.stop()
        if self._looking:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        await self.reconciler.close()
        await self.shadow.close()
        for slot in self.slots:
            for loaded in slot.loaded:
                await loaded.close()
        self.engine.close()
        await self.feedback.close()
        await self.prediction_log.close()
        await self.access_log.close()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                self.keys.refresh()
            except (RegistryError, OSError) as error:
                log.error("the API keys stay as they were: %s", error)
            try:
                self.reconciler.look()
                self.alarms.look()
            except Exception:  # the loop that follows desired state must outlive any one look
                log.exception("looking at the files failed by a defect of ours")
            self.metrics.in_flight.set(self.edge.in_flight)
            self.access_log.flush()
            self.prediction_log.flush()

    def _changed(self) -> None:
        """What is live changed, and so did the API's description."""
        self.pages.openapi_schema = None

    async def _live(self, receive: Receive, send: Send) -> None:
        """ASGI's lifespan protocol."""
        await receive()
        try:
            await self.start()
        except Exception as error:
            log.exception("the gateway cannot start")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})
