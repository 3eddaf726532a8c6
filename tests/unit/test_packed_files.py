"""Files packed with bzip2 and zstd, like those packed with gzip: whole, cut, broken, huge."""

from __future__ import annotations

import bz2
import gzip
import os
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import zstandard

from kg.loaders import loader
from kg.loaders.lines import MAX_LINE, read_lines
from kg.loaders.records import Interaction, Rejected

Pack = Callable[[bytes], bytes]
PACKS: dict[str, Pack] = {"gz": gzip.compress, "bz2": bz2.compress, "zst": zstandard.compress}
every_pack = pytest.mark.parametrize("suffix", sorted(PACKS))
OWN = ("bz2", "zst")  # unpacked by our own reader; the others' tests are in test_amazon_loaders.py


def noise(lines: int) -> bytes:
    """Text that does not pack, so that a cut file ends somewhere within it."""
    return b"".join(b"%x\n" % (n * 2654435761 % 2**32) for n in range(lines))


@every_pack
def test_a_packed_file_reads_like_the_file_itself(suffix: str, tmp_path: Path) -> None:
    content = b"\xef\xbb\xbfa\r\n\n\xc3\x28\nb\0\n" + noise(50_000) + b"no end"
    (tmp_path / "plain").write_bytes(content)
    expected = list(read_lines(tmp_path / "plain"))
    for name in (f"f.{suffix}", f"f.json.{suffix.upper()}"):
        (tmp_path / name).write_bytes(PACKS[suffix](content))
        assert list(read_lines(tmp_path / name)) == expected


@every_pack
def test_packed_parts_in_one_file_are_one_file(suffix: str, tmp_path: Path) -> None:
    pack = PACKS[suffix]
    parts = [b"a\nb", b"c\nd\n", b"", noise(3_000)]
    (tmp_path / f"f.{suffix}").write_bytes(b"".join(map(pack, parts)))
    (tmp_path / "plain").write_bytes(b"".join(parts))
    assert list(read_lines(tmp_path / f"f.{suffix}")) == list(read_lines(tmp_path / "plain"))


def test_a_frame_of_zstd_that_holds_no_data_is_passed_over(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    packed = zstandard.compress(b"a\n") + skippable + zstandard.compress(b"b\n")
    (tmp_path / "f.zst").write_bytes(packed)
    assert list(read_lines(tmp_path / "f.zst")) == [(1, "a"), (2, "b")]


@every_pack
def test_an_empty_file_has_no_lines(suffix: str, tmp_path: Path) -> None:
    for content in (b"", PACKS[suffix](b"")):
        (tmp_path / f"f.{suffix}").write_bytes(content)
        assert list(read_lines(tmp_path / f"f.{suffix}")) == []


@every_pack
def test_a_packed_file_cut_anywhere_keeps_its_lines_and_says_so_once(
    suffix: str, tmp_path: Path
) -> None:
    content = noise(3_000)
    whole = PACKS[suffix](content)
    expected = list(enumerate(content.decode().splitlines(), 1))
    kept = []
    for cut in [*range(2, 30), *range(30, len(whole) - 9, 997), *range(len(whole) - 9, len(whole))]:
        (tmp_path / f"f.{suffix}").write_bytes(whole[:cut])
        *good, last = read_lines(tmp_path / f"f.{suffix}")
        assert good == expected[: len(good)]
        assert last == Rejected(
            len(good) + 1, f"compressed file cut short after line {len(good)}", ""
        )
        kept.append(len(good))
    assert kept == sorted(kept)


@pytest.mark.parametrize("suffix", OWN)
@pytest.mark.parametrize("tail", [b"more than nothing", b"\0" * 40, b"more " * 1_000])
def test_what_follows_the_packed_content_is_said(suffix: str, tail: bytes, tmp_path: Path) -> None:
    (tmp_path / f"f.{suffix}").write_bytes(PACKS[suffix](b"a\nb\n") + tail)
    *good, last = read_lines(tmp_path / f"f.{suffix}")
    assert good == [(1, "a"), (2, "b")]
    assert isinstance(last, Rejected)
    assert last.line == 3
    assert last.reason.startswith("compressed file broken after line 2: ")


@pytest.mark.parametrize("suffix", OWN)
def test_a_file_that_is_not_packed_at_all_costs_one_row(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"f.{suffix}").write_bytes(b"plain text\n" * 100)
    (only,) = read_lines(tmp_path / f"f.{suffix}")
    assert isinstance(only, Rejected)
    assert only.reason.startswith("compressed file broken after line 0: ")


@every_pack
def test_any_byte_of_a_packed_file_may_be_wrong(suffix: str, tmp_path: Path) -> None:
    whole = PACKS[suffix](noise(300))
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x55
        (tmp_path / f"f.{suffix}").write_bytes(changed)
        found = list(read_lines(tmp_path / f"f.{suffix}"))
        said = [f for f in found if isinstance(f, Rejected) and "compressed" in f.reason]
        assert len(said) <= 1
        assert said == found[-1:] or not said


@pytest.mark.parametrize("suffix", OWN)
def test_a_packed_file_that_unpacks_to_much_takes_little_memory(
    suffix: str, tmp_path: Path
) -> None:
    content = b"a\n" + b"x" * 64 * 1024 * 1024 + b"\nb\n"
    (tmp_path / f"f.{suffix}").write_bytes(PACKS[suffix](content))
    del content
    assert (tmp_path / f"f.{suffix}").stat().st_size < 20_000
    tracemalloc.start()
    found = list(read_lines(tmp_path / f"f.{suffix}"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(f) for f in found] == [tuple, Rejected, tuple]
    assert peak < 5 * MAX_LINE  # of 64 MB in 20 KB


@pytest.mark.timeout(20)
@pytest.mark.parametrize("suffix", OWN)
def test_a_packed_file_is_streamed(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pipe.{suffix}"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)  # kept open for writing: the file never ends
    try:
        # Many small streams: one block of one stream can be more than a pipe holds.
        os.write(descriptor, (PACKS[suffix](noise(100)) * 100)[:60_000])
        reader = read_lines(path)
        assert [number for number, _ in islice(reader, 5)] == [1, 2, 3, 4, 5]  # type: ignore[misc]
        reader.close()  # type: ignore[attr-defined]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("suffix", OWN)
def test_the_file_is_closed_when_reading_stops(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"f.{suffix}").write_bytes(PACKS[suffix](noise(50_000)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    reader = read_lines(tmp_path / f"f.{suffix}")
    assert next(reader) == (1, "0")
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    reader.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@every_pack
def test_loaders_read_packed_files(suffix: str, tmp_path: Path) -> None:
    text = b"user_id\titem_id\trating\ttimestamp\nu\ti\t4\t5\n"
    (tmp_path / f"f.{suffix}").write_bytes(PACKS[suffix](text))
    assert list(loader("tsv-interactions").read(tmp_path / f"f.{suffix}")) == [
        Interaction("u", "i", 4.0, 5, 2)
    ]
