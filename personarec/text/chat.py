"""What a language model is to the rest: it answers a prompt, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from personarec.text.prompt import Prompt


@dataclass(frozen=True)
class Reply:
    """What a model said.

    Attributes:
        text: as it came.
        cut_off: it stopped because it may say no more.
        refused: the endpoint says that it will not answer this.
        prompt_tokens: of the question; estimated where the endpoint does not say.
        answer_tokens: of the answer; the same.
        estimated: whether the tokens are.
    """

    text: str
    cut_off: bool = False
    refused: bool = False
    prompt_tokens: int = 0
    answer_tokens: int = 0
    estimated: bool = False


class Chat(Protocol):
    """Anything that answers prompts."""

    @property
    def model(self) -> str:
        """Name of the model; answers are kept by it."""

    def ask(self, prompt: Prompt, max_tokens: int) -> Reply:
        """One answer. Raises TryAgainError or ChangeSomethingError when there will be none."""

    def stop(self) -> None:
        """Have waiting questions give up, for good; called from another thread."""


def estimated_tokens(prompt: Prompt) -> int:
    """About how many tokens a question has: a quarter of its bytes."""
    return len((prompt.system + prompt.user).encode()) // 4
