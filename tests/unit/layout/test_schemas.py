"""The committed documents say what the code says."""

from pathlib import Path

import pytest

from triplane.documents import documents

FOLDER = Path(__file__).resolve().parents[3] / "schemas" / "triplane_schemas" / "core"


@pytest.mark.parametrize("name", sorted(documents()))
def test_a_committed_document_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text() == documents()[name], "run `make schemas`"


def test_no_document_is_left_over() -> None:
    assert {file.name for file in FOLDER.glob("*.json")} == set(documents())
