"""A language model on this machine, by transformers; one question at a time."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

from kg.errors import ChangeSomethingError, one_line
from personarec.text.chat import Reply
from personarec.text.hub import here_first
from personarec.text.prompt import Prompt


class LocalChat:
    """A chat model by name or folder; it is loaded at the first question."""

    def __init__(self, model: str, device: str | None = None) -> None:
        self.model = model
        self._device = device
        self._turn = threading.Lock()

    def ask(self, prompt: Prompt, max_tokens: int) -> Reply:
        """See :class:`personarec.text.chat.Chat`; the likeliest words, so the same each time."""
        with self._turn:
            tokenizer, model = self._loaded
            messages = [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ]
            asked = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
            ).to(model.device)
            length = int(asked["input_ids"].shape[1])
            said = model.generate(
                **asked, max_new_tokens=max_tokens, do_sample=False,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
            )[0][length:]  # fmt: skip
            ends = {tokenizer.eos_token_id, *_as_list(model.generation_config.eos_token_id)}
            cut_off = len(said) >= max_tokens and int(said[-1]) not in ends
            text = tokenizer.decode(said, skip_special_tokens=True)
            return Reply(text, cut_off, False, length, len(said))

    def stop(self) -> None:
        """See :class:`personarec.text.chat.Chat`; nothing waits here."""

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer, model = here_first(
                self.model,
                lambda here: tuple(
                    kind.from_pretrained(self.model, local_files_only=here)
                    for kind in (AutoTokenizer, AutoModelForCausalLM)
                ),
            )
        except Exception as error:
            raise ChangeSomethingError(
                f"cannot load the language model {self.model!r}: {one_line(error)}; check its name "
                "and the network, or give the folder of a model"
            ) from error
        if not tokenizer.chat_template:
            raise ChangeSomethingError(
                f"{self.model} is no chat model (it has no chat template); use an instruct model"
            )
        return tokenizer, model.eval().to(self._device) if self._device else model.eval()


def _as_list(ids: int | list[int] | None) -> list[int]:
    return ids if isinstance(ids, list) else [] if ids is None else [ids]
