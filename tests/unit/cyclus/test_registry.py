"""The registry and the names of tables: what is registered changes what is said, never what is there (contract cyclus sections 3 and 6)."""

from triplane.commands import ResumeRun, StopMode, StopRun
from triplane.queries import ReadTable
from unit.cyclus.served import served

RUN = "cyclus-default"


async def test_tables_that_are_not_registered_are_as_current_as_those_that_are(tmp_path):
    async with served(tmp_path) as wire, wire.client() as client:
        await client.ask("load", input={"duration": 10_000, "pace_s": 0.001})
        await wire.home.until(lambda: "Stores" in wire.home.store.tables.names(wire.home.view(RUN).run.run_id))
        shown = (await client.ask("table_data", table="Stores"))["data"]["data"]
        assert (await client.ask("registry_request"))["all"] is True
        assert (await client.ask("register_tables", tables="Flows"))["data"] == ["Flows"]
        for registered in (["Flows"], []):
            answer = await client.ask("registry_request")
            assert answer["data"] == registered and "all" not in answer
            await longer(wire, len(shown))
            newer = (await client.ask("table_data", table="Stores"))["data"]["data"]
            assert newer[: len(shown)] == shown and len(newer) > len(shown)
            shown = newer
            assert "Stores" in (await client.ask("table_names_request"))["data"]
            await client.ask("deregister_tables", tables=["Flows", "NoSuch"])
        await wire.home.connection.dispatch(StopRun(workflow_id=RUN, mode=StopMode.KILL))


async def longer(wire, rows):
    await wire.home.until(lambda: len(wire.home.table("Stores", workflow_id=RUN).rows) > rows)


async def test_tables_that_every_run_has_are_listed_only_where_asked_and_are_always_there(tmp_path):
    tables = {"Tasks": {"columns": [["Mine", "int"]], "rows": [[1]]}}
    async with served(tmp_path) as wire:
        await wire.home.start_model("recorded", "w", input={"tables": tables, "steps": 3})
        await wire.home.closed("w")
        async with wire.client("/runs/w") as plain, wire.client("/runs/w?tables=all") as all_of_them:
            assert (await plain.ask("table_names_request"))["data"] == ["Tasks"]
            assert (await all_of_them.ask("table_names_request"))["data"] == ["History", "Jobs", "Tasks", "triplane.Tasks"]
            assert (await plain.ask("table_data", table="Tasks"))["data"]["columns"] == ["Mine"]
            fields = {}
            for name in ("Tasks", "Jobs", "History"):
                shown = await plain.ask("table_data", table=f"triplane.{name}", orient="table")
                fields[name] = {field["name"]: field["type"] for field in shown["data"]["schema"]["fields"]}
                assert shown["data"]["data"]
            for name in ("Jobs", "History"):
                assert (await plain.ask("table_data", table=name))["data"]["data"]
    number, text, flag = "number", "string", "boolean"
    assert fields == {
        "Tasks": {
            "index": "integer", "cycle": text, "name": text, "state": text, "is_held": flag, "is_queued": flag, "is_runahead": flag,
            "submit_num": "integer", "flow_nums": text, "updated": number,
        },
        "Jobs": {
            "index": "integer", "cycle": text, "name": text, "submit_num": "integer", "state": text, "platform": text, "job_id": text,
            "submitted": number, "started": number, "finished": number,
        },
        "History": {
            "index": "integer", "seq": "integer", "time": number, "event": text, "wire": text, "principal": text, "data": text,
        },
    }  # fmt: skip


async def test_a_repeating_filtered_read_looks_only_at_what_is_new(tmp_path, monkeypatch):
    async with served(tmp_path) as wire, wire.client() as client:
        asked = []
        reads = wire.home.gateway.reads
        answer_query = reads.answer

        def counting(request, principal):
            answer = answer_query(request, principal)
            if isinstance(request, ReadTable) and answer is not None:
                asked.append((request.from_row, answer.next_row))
            return answer

        monkeypatch.setattr(reads, "answer", counting)
        await client.ask("load", input={"duration": 50}, paused=True)
        await client.ask("set_repeating_actions", actions=[["table_data", {"table": "Stores", "conds": [["Time", ">", 10]]}]])
        await wire.home.connection.dispatch(ResumeRun(workflow_id=RUN))
        await wire.home.closed(RUN)
        frame = {}
        while len(frame.get("data", {}).get("index", ())) < 40:
            frame = await client.until("table_data")
        assert frame["data"]["index"] == list(range(10, 50))
        looked_at = sum(until - start for start, until in asked)
        assert looked_at == 50, asked
