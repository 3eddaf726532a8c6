"""One question to a language model behind an OpenAI-compatible endpoint, by urllib3.

The key comes from the environment (``PERSONAREC_LLM_KEY``) and stands in no message. Redirects are
not followed: the key would go along. What passes by itself (429, 5xx, a lost or torn answer) is
asked again after the time the endpoint names, or after longer and longer ones.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from urllib3.util import Timeout, parse_url

from kg.errors import ChangeSomethingError, TryAgainError, one_line
from personarec.text.chat import Reply, estimated_tokens
from personarec.text.prompt import Prompt

KEY = "PERSONAREC_LLM_KEY"
MOST_BYTES = 1 << 20  # of an answer; ours are a few hundred words
LONGEST_WAIT = 120.0  # seconds an endpoint may ask us to wait; after longer ones one runs again
ATTEMPTS = 6
_PASSES = {408, 409, 425, 429, 500, 502, 503, 504, 529}


class _PassingError(Exception):
    """A failure that may pass, and how long the endpoint asks to wait."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class Endpoint:
    """An OpenAI-compatible endpoint and one model there; may be asked from several threads."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        seconds: float = 120.0,
        connections: int = 4,
        first_wait: float = 1.0,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Make ready to ask; nothing is sent.

        Args:
            url: up to and without ``/chat/completions``, as ``http://127.0.0.1:8000/v1``.
            model: name of the model.
            seconds: longest time of one attempt.
            connections: kept open at a time.
            first_wait: seconds before the second attempt; doubled before each further one.
            environment: where the key is looked for.

        Raises:
            ChangeSomethingError: no such URL, one that holds credentials, or a key that cannot be
                sent.
        """
        try:
            parts = parse_url(url)
        except urllib3.exceptions.LocationParseError:
            parts = parse_url("")
        if parts.scheme not in ("http", "https") or not parts.host:
            raise ChangeSomethingError(
                "the language model's URL must begin with http:// or https://, as in "
                "http://127.0.0.1:8000/v1"
            )
        if parts.auth or parts.query:
            raise ChangeSomethingError(
                f"the language model's URL must hold no credentials; set {KEY} instead"
            )
        self.url = url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        self.model = model
        self._key = environment.get(KEY, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            # Refused here: whoever sends it would quote it in the error.
            raise ChangeSomethingError(
                f"{KEY} holds a character that no key has, such as a line break or a typographic "
                "quote; set it anew"
            )
        self._seconds = seconds
        self._first_wait = first_wait
        self._stopped = threading.Event()
        self._pool = urllib3.PoolManager(maxsize=connections, retries=False)

    def ask(self, prompt: Prompt, max_tokens: int) -> Reply:
        """See :class:`personarec.text.chat.Chat`."""
        retrying = Retrying(
            retry=retry_if_exception_type(_PassingError),
            stop=stop_after_attempt(ATTEMPTS),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, prompt, max_tokens)
        except _PassingError as error:
            raise TryAgainError(
                f"{self.url}: {error}, {ATTEMPTS} times; what was answered is kept, run it again "
                "later"
            ) from error

    def stop(self) -> None:
        """See :class:`personarec.text.chat.Chat`."""
        self._stopped.set()

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, _PassingError) else None
        if asked is None:
            waits = self._first_wait * 2.0 ** (state.attempt_number - 1)
            return waits * random.uniform(0.75, 1.25)
        if asked > LONGEST_WAIT:
            raise TryAgainError(
                f"{self.url} asks to wait {asked:.0f} seconds; what was answered is kept, run it "
                "again then"
            )
        return asked

    def _sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise TryAgainError(f"{self.url}: given up while waiting to ask again")

    def _once(self, prompt: Prompt, max_tokens: int) -> Reply:
        body = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        status, headers, raw = self._send(json.dumps(body).encode())
        if status in _PASSES:
            raise _PassingError(f"answers with status {status}", _retry_after(headers))
        if status != 200:
            return self._refused(status, raw)
        if raw.lstrip()[:1] == b"<":
            raise ChangeSomethingError(
                f"{self.url} answers with a web page; is the URL that of the API, often ending in "
                "/v1?"
            )
        try:
            answer = json.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError) as error:  # bytes that are no UTF-8, too
            raise _PassingError("answers with broken JSON") from error
        return self._reply(answer, prompt)

    def _send(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        until = time.monotonic() + self._seconds
        try:
            response = self._pool.request(
                "POST", self.url, body=body, headers=headers, redirect=False,
                preload_content=False,
                timeout=Timeout(connect=min(10.0, self._seconds), read=self._seconds),
            )  # fmt: skip
            try:
                raw = self._read(response, until)
                response.release_conn()
            finally:
                response.close()
        except urllib3.exceptions.SSLError as error:
            raise ChangeSomethingError(
                f"{self.url}: {one_line(self._hidden(error))}; mend its certificate or the URL"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise _PassingError(f"does not answer ({one_line(self._hidden(error))})") from error
        return response.status, response.headers, raw

    def _read(self, response: urllib3.BaseHTTPResponse, until: float) -> bytes:
        parts, size = [], 0
        # As it comes: an endpoint that drips would never meet a limit on single reads.
        while part := response.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise ChangeSomethingError(
                    f"{self.url} answers with more than {MOST_BYTES >> 20} MiB; is it the API of "
                    "a language model?"
                )
            if time.monotonic() > until:
                raise _PassingError(f"does not finish an answer in {self._seconds:.0f} seconds")
        return b"".join(parts)

    def _refused(self, status: int, raw: bytes) -> Reply:
        said = one_line(self._hidden(Exception(_message(raw))))
        if status == 400 and "content_filter" in raw.decode("utf-8", "replace"):
            return Reply("", refused=True, estimated=True)
        advice = {
            401: f"set {KEY} to a key that it takes",
            403: f"set {KEY} to a key that may use this model",
            404: f"check the URL and the name of the model ({self.model})",
        }.get(status, "check the URL, the name of the model and its limits")
        if 300 <= status < 400:
            advice = "name the address it leads to; redirects are not followed"
        raise ChangeSomethingError(f"{self.url} refuses with status {status} ({said}); {advice}")

    def _reply(self, answer: Any, prompt: Prompt) -> Reply:
        try:
            usage = answer.get("usage") or {}
            choices = answer["choices"]
            choice = choices[0] if choices else {"message": {"content": ""}}
            message = choice["message"]
            text = message.get("content") or ""
            if not isinstance(text, str):
                raise TypeError("content is no text")
            counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
            told = [n for n in counts if isinstance(n, int) and n >= 0]
            estimated = len(told) < len(counts)
            guessed = [estimated_tokens(prompt), len(text.encode("utf-8", "replace")) // 4]
            asked, said = guessed if estimated else told
            reason = choice.get("finish_reason")
            refused = bool(message.get("refusal")) or reason == "content_filter"
            return Reply(text, reason == "length", refused, asked, said, estimated)
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise ChangeSomethingError(
                f"{self.url} answers with JSON that is no chat completion; is it an "
                "OpenAI-compatible API?"
            ) from error

    def _hidden(self, error: Exception) -> Exception:
        """Without the key, which some endpoints repeat."""
        return Exception(str(error).replace(self._key, "…")) if self._key else error


def _message(raw: bytes) -> str:
    """What an error answer says."""
    try:
        found = json.loads(raw)["error"]
        return str(found["message"] if isinstance(found, dict) else found)
    except (ValueError, KeyError, TypeError):
        return raw[:200].decode("utf-8", "replace") or "nothing said"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or a date."""
    value = headers.get("Retry-After", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None
