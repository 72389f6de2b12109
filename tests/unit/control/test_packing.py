"""A source directory becomes one bounded archive, and nothing outside it gets in."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from triplane_control import packing
from triplane_control.packing import CannotPack, definition_in, pack


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {member.name: member for member in opened}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "bin").mkdir(parents=True)
    (folder / "flow.cylc").write_text("[scheduling]\n")
    (folder / "bin" / "tool").write_text("#!/bin/sh\n")
    (folder / "bin" / "tool").chmod(0o755)
    return folder


def test_everything_beside_the_definition_is_packed_and_nothing_of_whose_it_is(source: Path) -> None:
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("secret")
    os.symlink("tool", source / "bin" / "link")
    packed = members(pack(source / "flow.cylc"))
    assert set(packed) == {"flow.cylc", "bin", "bin/tool", "bin/link"}
    assert packed["bin/tool"].mode & 0o111 and packed["bin/link"].isreg() and packed["bin/link"].mode & 0o111
    assert {(member.uid, member.uname, member.mtime) for member in packed.values()} == {(0, "", 0)}


@pytest.mark.parametrize("target", ["loop", "other"])
def test_a_link_that_leads_to_itself_is_named(source: Path, target: str) -> None:
    os.symlink(target, source / "loop")
    os.symlink("loop", source / "other")
    with pytest.raises(CannotPack, match="loop"):
        pack(source / "flow.cylc")


def test_the_same_source_gives_the_same_bytes(source: Path) -> None:
    first = pack(source / "flow.cylc")
    os.utime(source / "flow.cylc", (1, 1))
    assert pack(source / "flow.cylc") == first


def test_a_definition_of_another_name_is_packed_alone_as_flow_cylc(source: Path) -> None:
    other = source / "mine.txt"
    other.write_text("[meta]\n")
    assert set(members(pack(other))) == {"flow.cylc"}


def test_a_folder_without_a_definition_has_none(tmp_path: Path, source: Path) -> None:
    assert definition_in(tmp_path) is None
    assert definition_in(source) == source / "flow.cylc"
    assert definition_in(source / "flow.cylc") == source / "flow.cylc"


@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside", "bin/../../outside"])
def test_a_link_out_of_the_folder_is_refused(source: Path, target: str) -> None:
    os.symlink(target, source / "leak")
    with pytest.raises(CannotPack, match="a link that leaves"):
        pack(source / "flow.cylc")


def test_a_link_to_a_folder_is_refused(source: Path) -> None:
    os.symlink("bin", source / "again")
    with pytest.raises(CannotPack, match="not a file"):
        pack(source / "flow.cylc")


def test_a_second_name_of_a_file_is_packed_as_the_file_it_is(source: Path) -> None:
    os.link(source / "bin" / "tool", source / "other")
    packed = members(pack(source / "flow.cylc"))
    assert packed["other"].isreg() and packed["other"].size == packed["bin/tool"].size


def test_a_pipe_is_refused(source: Path) -> None:
    os.mkfifo(source / "pipe")
    with pytest.raises(CannotPack, match="pipe is neither"):
        pack(source / "flow.cylc")


def test_too_much_is_refused_before_it_is_read(source: Path) -> None:
    with (source / "data").open("wb") as data:
        data.truncate(packing.MAX_ARCHIVE_BYTES + 1)
    with pytest.raises(CannotPack, match="larger than 64 MiB"):
        pack(source / "flow.cylc")


def test_too_many_files_are_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_FILES", 3)
    for number in range(5):
        (source / f"f{number}").touch()
    with pytest.raises(CannotPack, match="more than 3 files"):
        pack(source / "flow.cylc")
