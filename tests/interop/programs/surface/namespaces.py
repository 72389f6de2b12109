"""Namespaces, search attributes, storage."""

from durable_workflow import NamespaceNotFound
from durable_workflow.errors import ServerError

from surface.house import case, refused


@case(
    "Client.create_namespace", "Client.describe_namespace", "Client.list_namespaces", "Client.update_namespace",
    "Client.delete_namespace",
)  # fmt: skip
async def namespaces(house):
    name = house.name("space")
    made = await house.client.create_namespace(name, description="first", retention_days=7)
    assert (made.name, made.description, made.retention_days) == (name, "first", 7)
    error = await refused(house.client.create_namespace(name), ServerError)
    assert error.status == 409 and error.reason() == "namespace_already_exists"
    changed = await house.client.update_namespace(name, description="second", retention_days=9)
    seen = await house.client.describe_namespace(name)
    assert (changed.description, seen.description, seen.retention_days, seen.status) == ("second", "second", 9, "active")
    assert {"default", name} <= {each.name for each in (await house.client.list_namespaces()).namespaces}
    async with type(house.client)(house.url, namespace=name) as inside:
        await inside.start_workflow(workflow_type="x", task_queue="q", workflow_id="only-there")
        assert [each.workflow_id for each in (await inside.list_workflows()).executions] == ["only-there"]
    gone = await house.client.delete_namespace(name)
    assert gone.status == "deleted" and gone.deleted["workflow_runs"] == 1
    await refused(house.client.describe_namespace(name), NamespaceNotFound)


@case("Client.set_namespace_external_storage")
async def storage_of_a_namespace(house):
    name = house.name("stored")
    await house.client.create_namespace(name)
    seen = await house.client.set_namespace_external_storage(name, driver="local", enabled=True, threshold_bytes=1_024)
    assert seen.external_payload_storage.driver == "local" and seen.external_payload_storage.threshold_bytes == 1_024


@case("Client.test_external_storage")
async def storage_test(house):
    seen = await house.client.test_external_storage(driver="local", small_payload_bytes=64, large_payload_bytes=4_096)
    assert seen.namespace == "default" and seen.driver == "local"
    assert seen.small_payload.bytes == 64 and seen.large_payload.bytes == 4_096 and len(seen.large_payload.sha256) == 64


@case("Client.create_search_attribute", "Client.list_search_attributes", "Client.delete_search_attribute")
async def attributes(house):
    name = house.name("Tier").replace("-", "_")
    assert (await house.client.create_search_attribute(name, "keyword"))["outcome"] == "created"
    seen = await house.client.list_search_attributes()
    assert seen.system_attributes["WorkflowType"] == "keyword" and seen.custom_attributes[name] == "keyword"
    error = await refused(house.client.create_search_attribute(name, "keyword"), ServerError)
    assert error.status == 409 and error.reason() == "attribute_already_exists"
    handle = await house.waiting(search_attributes={name: "gold"})
    found = await house.client.list_workflows(query=f'{name}="gold"')
    assert [each.workflow_id for each in found.executions] == [handle.workflow_id]
    assert (await house.client.delete_search_attribute(name))["outcome"] == "deleted"
    assert name not in (await house.client.list_search_attributes()).custom_attributes
