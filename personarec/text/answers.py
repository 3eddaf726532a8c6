"""What a language model said, cleaned; or why it is of no use."""

from __future__ import annotations

import re

from personarec.text.chat import Reply

LONGEST_DESCRIPTION, LONGEST_KEYWORD = 1_500, 60
MOST_KEYWORDS = 30
_REFUSAL = re.compile(
    r"^\W*(?:(?:i['’]?m|i am) (?:sorry|unable|not able)|i (?:cannot|can['’]?t|won['’]?t)|sorry\b|"
    r"as an? (?:ai|language model)|(?:unfortunately|apolog))",
    re.IGNORECASE,
)
_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_MARKUP = re.compile(r"<(?:!doctype|html|head|body|div|script)\b", re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")  # of a pair: no character by itself


class UselessAnswerError(ValueError):
    """Why an answer is not used; a few words."""


def description(reply: Reply) -> str:
    """One paragraph.

    Raises:
        UselessAnswerError: empty, refused, cut off, too long, markup or unreadable.
    """
    text = " ".join(_said(reply).split())
    text = re.sub(r"^description:\s*", "", text, flags=re.IGNORECASE)
    if not text:
        raise UselessAnswerError("empty")
    if len(text) > LONGEST_DESCRIPTION:
        raise UselessAnswerError(f"longer than {LONGEST_DESCRIPTION} characters")
    return text


def keywords(reply: Reply) -> str:
    """Keywords with commas between, each once.

    Raises:
        UselessAnswerError: as :func:`description`, or it is prose.
    """
    text = re.sub(r"^\s*keywords?:\s*", "", _said(reply), flags=re.IGNORECASE)
    words = [re.sub(r"^\s*(?:\d+[.)]|[-*•])\s*", "", w) for w in re.split(r"[,;\n]", text)]
    found = list(dict.fromkeys(w.strip(" .\"'`*") for w in words))
    found = [w for w in found if w]
    if not found:
        raise UselessAnswerError("empty")
    if any(len(w) > LONGEST_KEYWORD for w in found):
        raise UselessAnswerError("prose, no keywords")
    if len(found) > MOST_KEYWORDS:
        raise UselessAnswerError(f"more than {MOST_KEYWORDS} keywords")
    return ", ".join(found)


def _said(reply: Reply) -> str:
    if reply.refused:
        raise UselessAnswerError("refused")
    if reply.cut_off:
        raise UselessAnswerError("cut off")
    text = _THINKING.sub("", reply.text).strip()
    if _MARKUP.search(text):
        raise UselessAnswerError("markup")
    if (
        "\ufffd" in text
        or _HALF.search(text)
        or any(ord(c) < 32 and c not in "\n\r\t" for c in text)
    ):
        raise UselessAnswerError("unreadable")
    if _REFUSAL.match(text):
        raise UselessAnswerError("refused")
    return text
