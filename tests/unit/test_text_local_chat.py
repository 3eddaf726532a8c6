"""A language model on this machine: a tiny one with random weights, so its words mean nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kg.errors import ChangeSomethingError
from personarec.text.asking import AskOptions, ask_all
from personarec.text.local_chat import LocalChat
from personarec.text.prompt import Prompt

pytestmark = pytest.mark.slow  # loading transformers takes seconds

TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
PROMPTS = [Prompt("x 1", "say", f"the sea {i}") for i in range(2)]


def tiny(folder: Path, template: str | None = TEMPLATE) -> Path:
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<end>", "<none>", "say", "the", "sea", "0", "1", "sand", "salt"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "<none>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", unk_token="<none>"
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, eos_token_id=0, bos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_local_model_answers_and_is_not_asked_twice(tmp_path: Path) -> None:
    chat = LocalChat(str(tiny(tmp_path / "model")), "cpu")
    reply = chat.ask(PROMPTS[0], 6)
    assert reply == chat.ask(PROMPTS[0], 6)  # the likeliest words, not drawn ones
    assert reply.prompt_tokens == 4
    assert 1 <= reply.answer_tokens <= 6
    assert reply.cut_off == (reply.answer_tokens == 6 and reply.answer_tokens > 0)

    def check(given: Any) -> str:
        return f"said {given.answer_tokens}"

    found = ask_all(chat, PROMPTS, check, tmp_path, AskOptions(max_tokens=6))
    assert (found.asked, found.texts[0]) == (2, f"said {reply.answer_tokens}")
    assert ask_all(chat, PROMPTS, check, tmp_path, AskOptions(max_tokens=6)).asked == 0


def test_a_model_that_cannot_chat_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChangeSomethingError, match="no chat template"):
        LocalChat(str(tiny(tmp_path / "model", None))).ask(PROMPTS[0], 3)


def test_a_folder_without_a_model_is_told_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ChangeSomethingError, match="cannot load the language model") as caught:
        LocalChat(str(tmp_path)).ask(PROMPTS[0], 3)
    assert "\n" not in str(caught.value)
