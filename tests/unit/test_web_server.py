"""The socket that the server listens on."""

from __future__ import annotations

import socket

import pytest

from kg.errors import ChangeSomethingError
from personarec.web.server import address_of, listening


def test_an_answer_does_not_wait_for_the_client_s_word() -> None:
    """Else each answer takes 40 ms more: its head and its body are sent apart."""
    with listening("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_address_that_is_printed_leads_there() -> None:
    with listening("localhost", 0) as listener:
        host, port = listener.getsockname()[:2]
        assert address_of(listener) in (f"http://{host}:{port}", f"http://[{host}]:{port}")
        assert port


def test_a_taken_port_is_one_line() -> None:
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ChangeSomethingError, match="Address already in use") as refusal:
            listening("127.0.0.1", port)
    assert "choose another --port" in str(refusal.value)
    assert "\n" not in str(refusal.value)
