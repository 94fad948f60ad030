"""A project from Python."""

from __future__ import annotations

from pathlib import Path

from mainspring import spec
from mainspring.registry import desired, versions
from mainspring.registry.versions import Version
from mainspring.use.documents import Documents
from mainspring.use.language import LanguageModel
from mainspring.use.programs import PromptProgram


class OpenProject:
    """A project whose models can be asked."""

    def __init__(self, folder: Path | str = ".") -> None:
        self.declared = spec.load(folder)

    def model(self, name: str, version: str | None = None) -> LanguageModel:
        """The language model called `name`: its champion, or `version`.

        Raises:
            SpecError: there is no such language model.
            RegistryError: it has no champion, or no such version.
        """
        self.declared.language(name)
        return LanguageModel(self.declared.state, self._version(name, version))

    def prompt(self, name: str, version: str | None = None) -> PromptProgram:
        """The prompt program called `name`: its champion, or `version`.

        Raises:
            SpecError: there is no such prompt program.
            RegistryError: it has no champion, or no such version, or its files are damaged.
        """
        self.declared.prompt(name)
        return PromptProgram(self.declared, self._version(name, version))

    def documents(self, name: str, version: str | None = None) -> Documents:
        """The collection of documents called `name`: its champion, or `version`.

        Raises:
            SpecError: there is no such collection.
            RegistryError: it has no champion, or no such version.
        """
        self.declared.retrieval(name)
        return Documents(self.declared.state, self._version(name, version))

    def _version(self, name: str, version: str | None) -> Version:
        state = self.declared.state
        chosen = version or desired.read(state).champion(name)
        if chosen is None:
            raise versions.no_champion(state, name)
        return versions.load(state, name, chosen)
