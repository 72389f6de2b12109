"""Definitions are found by name, read in a child process, and unpacked within bounds."""

import io
import tarfile
from pathlib import Path

import pytest

from triplane.engines.graph import reading
from triplane.engines.graph.reading import find_definition, read_definition, read_source, unpack
from triplane.errors import DefinitionNotFound, InvalidDefinition, RefusedInput, TooLarge
from unit.graph.simulated import once


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar file of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


async def test_the_child_process_answers_with_the_definition():
    definition = await read_definition(once("a => b").encode())
    assert list(definition.plain["tasks"]) == list(definition.plan.names) == ["a", "b"]
    assert definition.view["edges"] == [["a", "b"]]


async def test_a_problem_comes_back_with_its_line():
    with pytest.raises(InvalidDefinition, match=r"flow.cylc line 11: `\|` on the right") as raised:
        await read_definition(once("a => b | c").encode())
    assert raised.value.details["line"] == 11


@pytest.mark.parametrize("source", [b"\xff\xfe[scheduling]", b"[scheduling]\n[[graph]]\nR1 = \x00"])
async def test_bytes_that_are_no_definition_are_refused(source: bytes):
    with pytest.raises(InvalidDefinition):
        await read_definition(source)


async def test_ten_megabytes_are_refused_before_any_child_is_made():
    with pytest.raises(TooLarge):
        await read_definition(b"x" * 10 * 1024 * 1024)


async def test_a_child_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "READING_TIMEOUT_S", 0.001)
    with pytest.raises(InvalidDefinition, match="within 0.001 s"):
        await read_definition(once("a").encode())


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", ".hidden", "a/b", "", "a\x00b", "a\n"])
def test_a_name_is_never_a_path(name: str, tmp_path: Path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "flow.cylc").write_text("x")
    (tmp_path / "definitions").mkdir()
    with pytest.raises(RefusedInput):
        find_definition(name, [str(tmp_path / "definitions")])


def test_a_name_is_looked_up_in_each_directory_in_order(tmp_path: Path):
    for folder in ("one", "two"):
        (tmp_path / folder / "demo").mkdir(parents=True)
    (tmp_path / "two" / "demo" / "flow.cylc").write_text("x")
    (tmp_path / "one" / "other.cylc").write_text("x")
    directories = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert find_definition("demo", directories) == tmp_path / "two" / "demo" / "flow.cylc"
    assert find_definition("other", directories) == tmp_path / "one" / "other.cylc"
    with pytest.raises(DefinitionNotFound, match="no graph 'none'"):
        find_definition("none", directories)


def test_a_file_over_the_limit_is_not_read_whole(tmp_path: Path):
    big = tmp_path / "flow.cylc"
    with big.open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(TooLarge):
        read_source(big)


def test_a_packed_directory_gives_its_files():
    script = tarfile.TarInfo("bin/tool")
    script.mode = 0o755
    files = unpack(packed((tarfile.TarInfo("flow.cylc"), b"flow"), (script, b"#!/bin/sh")))
    assert files == {"flow.cylc": (b"flow", False), "bin/tool": (b"#!/bin/sh", True)}


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../flow.cylc"),
        tarfile.TarInfo("/flow.cylc"),
        tarfile.TarInfo("a/../../b"),
        link("bin", tarfile.SYMTYPE, "/etc"),
        link("bin", tarfile.LNKTYPE, "flow.cylc"),
        link("bin", tarfile.FIFOTYPE, ""),
    ],
)
def test_a_packed_directory_cannot_reach_outside(member: tarfile.TarInfo):
    with pytest.raises(InvalidDefinition):
        unpack(packed((tarfile.TarInfo("flow.cylc"), b"flow"), (member, b"")))


@pytest.mark.parametrize("archive", [b"", b"not a tar", packed((tarfile.TarInfo("other"), b"x"))])
def test_a_packed_directory_without_a_definition_is_refused(archive: bytes):
    with pytest.raises(InvalidDefinition):
        unpack(archive)
