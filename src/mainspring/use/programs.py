"""A prompt program from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from mainspring import prompts
from mainspring.lifecycle.champions import Champions
from mainspring.prompts.records import FILE_NAME, Uses
from mainspring.registry.versions import Version
from mainspring.spec import Project
from mainspring.use.loop import Loop


class PromptProgram:
    """One version of a prompt program. It asks the champions of the models that it uses.

    They are opened when it is first asked, and let go of by `close`; who becomes champion meanwhile is not asked.
    """

    def __init__(self, project: Project, version: Version) -> None:
        version.verify()
        self.version = version
        self.prompt = prompts.load(version.file(FILE_NAME))
        self._champions = Champions(project)
        self._loop = Loop()

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[prompts.Answer]:
        """The answers to `records`, which have a value for each variable; they are asked at the same time.

        Raises:
            RequestError: a record does not fit the prompt.
            RegistryError: a model that is asked has no champion.
        """
        return self._loop.run(self.aanswer(records))

    async def aanswer(self, records: Sequence[Mapping[str, Any]]) -> list[prompts.Answer]:
        """See `answer`."""
        uses = Uses.of(self.version.manifest.parameters).by(self.prompt)
        return await prompts.answer_all(self.prompt, records, await self._champions.language_model(uses))

    def close(self) -> None:
        """Let go of the models."""
        self._loop.run(self._champions.close())
        self._loop.close()

    def __enter__(self) -> PromptProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
