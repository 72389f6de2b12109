"""Definitions are found by name, read in a child process, and unpacked within bounds."""

import io
import resource
import tarfile
from pathlib import Path

import pytest

from triplane.engines.graph import reading
from triplane.engines.graph.reading import Surroundings, draw_definition, find_definition, read_definition, read_source, unpack
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


JINJA = """#!Jinja2
[scheduling]
    [[graph]]
        R1 = {what}
[runtime]
    [[root, a, b]]
"""


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("{% for i in range(10**4) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}a", "takes too much processor time"),
        ("{{ 'x' * 10**10 }}", "MemoryError|memory"),
        ("{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "comes to more than"),
        ("{{ ''.__class__.__mro__ }}", "'__class__' of 'str' object is unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "is unsafe"),
        ("{{ environ['PATH'] }}", "has no attribute 'PATH'"),
        ("{{ 9 ** 99999 }}", "numbers as large as these"),
        ("{{ range(10**9) }}", "Range too big"),
        ("{% include '/etc/hostname' %}", "leaves the definition's directory"),
        ("{% include '../flow.cylc' %}", "leaves the definition's directory"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"),
        ("{{ a }}", "'a' is undefined"),
    ],
)
async def test_templates_that_loop_or_reach_out_are_refused_in_bounded_time(what: str, message: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "CPU_SECONDS", 1)
    started = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(InvalidDefinition, match=message) as raised:
        await read_definition(JINJA.replace("{what}", what).encode())
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.ru_utime + ended.ru_stime - started.ru_utime - started.ru_stime < 10
    assert raised.value.details["line"] == 4


async def test_files_beside_a_definition_can_be_included_and_no_others(tmp_path: Path):
    (tmp_path / "secret").write_text("R1 = a\n")
    folder = tmp_path / "flow"
    folder.mkdir()
    (folder / "graph.inc").write_text("R1 = a\n")
    (folder / "link.inc").symlink_to(tmp_path / "secret")
    text = "[scheduler]\nallow implicit tasks = True\n[scheduling]\n[[graph]]\n%include NAME\n"
    for name in ("../secret", "/etc/hostname", "link.inc", "nothing.inc"):
        with pytest.raises(InvalidDefinition, match="directory") as raised:
            await read_definition(text.replace("NAME", name).encode(), Surroundings(directory=folder))
        assert raised.value.details["line"] == 5
    source = text.replace("NAME", "'graph.inc'").encode()
    on_disk = await read_definition(source, Surroundings(directory=folder))
    packed = await read_definition(source, Surroundings(files={"flow.cylc": source, "graph.inc": b"R1 = a\n", "data.bin": b"\xff"}))
    assert on_disk.plain == packed.plain and list(on_disk.plain["tasks"]) == ["a"]


async def test_settings_fill_a_template():
    source = JINJA.replace("{what}", "{{ FIRST }} => {{ NAMES | join(' & ') }}").encode()
    definition = await read_definition(source, Surroundings({"FIRST": "a", "NAMES": "['b']"}))
    assert list(definition.plain["tasks"]) == ["a", "b"]
    with pytest.raises(InvalidDefinition, match="is no template"):
        await read_definition(once("a").encode(), Surroundings({"FIRST": "a"}))


async def test_a_graph_is_drawn_between_two_points():
    drawing = await draw_definition(once("a => b").replace("R1", "P1").encode(), None, "1", "1")
    assert drawing["nodes"] == ["1/a", "1/b"] and drawing["edges"] == [["1/a", "1/b"]]
    assert drawing["reference"].splitlines()[0] == 'edge "1/a" "1/b"'
