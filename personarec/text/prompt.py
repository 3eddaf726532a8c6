"""Prompts: a file each, with its version, a system part and a user part with ``$names``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from string import Template


@dataclass(frozen=True)
class Prompt:
    """What is asked of a language model.

    Attributes:
        name: of the file, and its version: ``description 1``.
        system: what it is told to be.
        user: what it is asked.
    """

    name: str
    system: str
    user: str


@dataclass(frozen=True)
class PromptFile:
    """A prompt whose places are not filled in yet."""

    name: str
    version: str
    system: str
    user: str

    @classmethod
    def read(cls, name: str) -> PromptFile:
        """The packaged prompt of a name."""
        return cls.parsed(name, (files("personarec.text") / "prompts" / f"{name}.txt").read_text())

    @classmethod
    def parsed(cls, name: str, text: str) -> PromptFile:
        """Raises ValueError for text that is no prompt."""
        head, has_system, rest = text.partition("\n[system]\n")
        system, has_user, user = rest.partition("\n[user]\n")
        label, colon, version = head.partition(":")
        if not (has_system and has_user and colon) or label != "version":
            raise ValueError(f"prompt {name}: wants 'version:', [system] and [user], in this order")
        return cls(name, version.strip(), system.strip(), user.strip())

    def filled(self, **values: str) -> Prompt:
        """With its places filled in; raises KeyError for one without a value."""
        user = Template(self.user).substitute(values)
        return Prompt(f"{self.name} {self.version}", self.system, user)
