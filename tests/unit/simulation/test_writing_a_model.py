"""The page on how to write a model: what it shows is run."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from triplane.commands import ResumeRun
from triplane.errors import InvalidDefinition, TooLarge
from triplane.models.installed import installed_models
from unit.simulation.harness import house

PAGE = Path(__file__).resolve().parents[3] / "core" / "triplane" / "models" / "README.md"


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(text)


def written(folder: Path) -> list[str]:
    folder.mkdir()
    (folder / "decay.py").write_text(block("python"))
    (folder / "slow.json").write_text(block("json"))
    return [str(folder)]


async def test_the_page_s_model_runs_from_a_file(tmp_path):
    async with house(tmp_path / "data", written(tmp_path / "definitions")) as home:
        await home.start_model("simulation:slow")
        view = await home.closed()
        assert (view.run.status, view.detail.output) == ("completed", {"left": 0.125})
        assert [row[1:] for row in home.table("Amounts").rows] == [(n, 8.0 / 2**n) for n in range(1, 7)]
        assert view.detail.definition["title"] == "Slow decay"


async def test_the_page_s_model_runs_when_it_is_installed(tmp_path, monkeypatch):
    module, distribution = tmp_path / "installed" / "my_models.py", tmp_path / "installed" / "my_models-1.0.dist-info"
    distribution.mkdir(parents=True)
    module.write_text(block("python"))
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: my_models\nVersion: 1.0\n")
    ((group, points),) = tomllib.loads(block("toml"))["project"]["entry-points"].items()
    (distribution / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{name} = {point}\n" for name, point in points.items()))
    monkeypatch.syspath_prepend(str(module.parent))
    monkeypatch.setenv("PYTHONPATH", str(module.parent))
    installed_models.cache_clear()
    async with house(tmp_path / "data") as home:
        await home.start_model("decay", input={"steps": 3})
        assert (await home.closed()).detail.output == {"left": 12.5}
    assert "my_models" not in sys.modules


async def test_a_run_goes_on_with_the_code_it_began_with(tmp_path):
    directories = written(tmp_path / "definitions")
    async with house(tmp_path / "data", directories) as home:
        await home.start_model("slow", options={"paused": True})
        await home.until(lambda: home.view().tasks)
    (tmp_path / "definitions" / "decay.py").write_text("raise RuntimeError('another one')")
    async with house(tmp_path / "data", directories) as home:
        await home.connection.dispatch(ResumeRun(workflow_id="ore"))
        assert (await home.closed()).detail.output == {"left": 0.125}


@pytest.mark.parametrize(
    ("code", "reason"),
    [("def (", "SyntaxError"), ("class Other: pass", "AttributeError"), ("raise RuntimeError('no')", "RuntimeError: no")],
)
async def test_a_file_that_is_no_model_fails_its_run_and_says_why(tmp_path, code, reason):
    directories = written(tmp_path / "definitions")
    (tmp_path / "definitions" / "decay.py").write_text(code)
    async with house(tmp_path / "data", directories) as home:
        await home.start_model("slow")
        assert (await home.closed()).run.closed_reason == "model_failed"
        assert reason in home.table("History", ("event", "==", "WorkflowFailed")).rows[0][-1]["message"]


@pytest.mark.parametrize("model", ["../decay.py:Decay", "/etc/decay.py:Decay", "decay.py", "decay.py:a.b", ".py:A", "none.py:Decay"])
async def test_a_model_s_file_lies_beside_its_definition(tmp_path, model):
    directories = written(tmp_path / "definitions")
    (tmp_path / "decay.py").write_text(block("python"))
    (tmp_path / "definitions" / "slow.json").write_text(f'{{"model": "{model}"}}')
    async with house(tmp_path / "data", directories) as home:
        with pytest.raises(InvalidDefinition):
            await home.start_model("slow")


async def test_a_model_s_file_is_text_of_bounded_length(tmp_path):
    directories = written(tmp_path / "definitions")
    async with house(tmp_path / "data", directories) as home:
        for content, error in ((b"\xff\xfe", InvalidDefinition), (b"#" * ((1 << 20) + 1), TooLarge)):
            (tmp_path / "definitions" / "decay.py").write_bytes(content)
            with pytest.raises(error):
                await home.start_model("slow")
