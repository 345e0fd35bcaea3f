# SPDX-License-Identifier: Apache-2.0
"""The vectors that Java's tests read too."""

import json
import uuid
from pathlib import Path

import pytest
from crc32c import crc32c

from tributary import messages
from tributary.chunks import ModelChunk, cut
from tributary.connection import Identity, Sending, chunk_properties
from tributary.errors import Malformed, Unsupported
from tributary.messages import RoundId
from tributary.shm import mailbox
from tributary.shm.region import PAYLOAD_OFFSET, Header
from tributary.topics import lane

VECTORS = Path(__file__).parents[3] / "protocol" / "vectors"


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def read(vector):
    data = json.dumps(vector["json"]).encode()
    decode = {
        "RoundPlan": messages.decode_plan,
        "Receipt": messages.decode_receipt,
        "DeadLetter": messages.decode_dead_letter,
        "RoundStatus": messages.decode_status,
        "ModelDescription": messages.decode_model,
    }[vector["type"]]
    return decode(data)


@pytest.mark.parametrize(
    "vector",
    [
        v
        for v in load("messages")
        if v["type"] != "ControlMessage" and v["type"] != "UpdateDescription"
    ],
    ids=lambda v: f"{v['type']}: {v['about']}",
)
def test_a_message_is_read(vector):
    if vector["result"] != "OK":
        expected = Unsupported if vector["result"] == "UNSUPPORTED" else Malformed
        with pytest.raises(expected) as failure:
            read(vector)
        assert isinstance(failure.value, Unsupported) == (expected is Unsupported)
        return
    found, source = read(vector), vector["json"]
    names = {
        "deadlineSeconds": "deadline_seconds",
        "contentId": "content_id",
        "lastUpdateToModelMs": "delay_ms",
    }
    if vector["type"] == "RoundPlan":
        assert found.config == source.get("config", {})
        expects = {"sets": (), "metrics": (), "partial": False, "personal": ()}
        assert vars(found.expects) == {**expects, **source.get("expects", {})} or not source.get(
            "expects"
        )
        asked = source.get("asked")
        assert found.asked == (asked and messages.TrainerShare(asked["from"], asked["buckets"]))
    if vector["type"] == "RoundStatus":
        check_status(found, source)
        return
    for name, value in source.items():
        if name not in (
            "round",
            "epoch",
            "modelRound",
            "modelEpoch",
            "version",
            "colour",
            "chunkBytes",
            "crc32c",
            "expects",
            "asked",
            "must",
        ):
            assert getattr(found, names.get(name, name)) == value
    assert found.id == (source["round"], source["epoch"])
    if vector["type"] == "RoundPlan":
        assert found.model == (source["modelRound"], source["modelEpoch"])
        assert not found.forged


def check_status(found, source):
    assert found.id == (source["round"], source["epoch"])
    for name in ("job", "state", "updates", "expected", "rejected", "duplicates"):
        assert getattr(found, name) == source[name]
    assert found.groups == {
        name: (group["updates"], group["expected"]) for name, group in source["groups"].items()
    }
    assert found.metrics == source.get("metrics", {})
    assert {n: vars(s) for n, s in found.summaries.items()} == source.get("summaries", {})
    assert {
        group: {n: vars(s) for n, s in summaries.items()}
        for group, summaries in found.group_summaries.items()
    } == {g: one["metrics"] for g, one in source["groups"].items() if "metrics" in one}
    said = source.get("evaluation")
    assert found.evaluation == (
        said
        and messages.Evaluation(
            RoundId(said["round"], said["epoch"]), said["metrics"], said["stop"]
        )
    )


@pytest.mark.parametrize(
    "vector",
    [v for v in load("messages") if v["type"] == "ControlMessage" and v["result"] == "OK"],
    ids=str,
)
def test_a_control_message_is_written(vector):
    m = vector["json"]
    if m["type"] == "EVALUATION":
        said = m["evaluation"]
        about = messages.Evaluation(
            RoundId(said["round"], said["epoch"]),
            said["metrics"],
            said["stop"],
            said.get("samples", 0),
        )
        written = messages.evaluation(
            m["job"], m["trainer"], m["instance"], m["group"], said["run"], about
        )
        assert json.loads(messages.encode(written)) == m
        return
    written = messages.control(m["type"], m["job"], m["trainer"], m["instance"], m["group"])
    assert json.loads(written) == m


def test_chunks_are_cut_and_read():
    vector = load("chunks")
    payload = bytes.fromhex(vector["payload"])
    first = vector["update"][0]
    beside = chunk_properties(
        Identity(first["job"], first["trainer"], first["instance"], "g"),
        Sending(
            RoundId(int(first["round"]), int(first["epoch"])),
            first["kind"],
            int(first["attempt"]),
            int(first["samples"]),
            json.loads(first["metrics"]),
        ),
        first["token"],
    )
    pieces = list(cut(memoryview(payload), 1024, beside))
    assert b"".join(bytes(chunk) for chunk, _ in pieces) == payload
    for (_, written), expected in zip(pieces, vector["update"], strict=True):
        assert json.loads(written.pop("metrics")) == json.loads(expected.pop("metrics"))
        assert written == expected
    for index, properties in enumerate(vector["model"]):
        part = ModelChunk.read(properties)
        assert part.chunk == index
        part.check(payload[index * 1024 : (index + 1) * 1024])
    for bad in vector["rejected"]:
        with pytest.raises(Malformed):
            ModelChunk.read(bad["properties"]).check(payload[:1024])


@pytest.mark.parametrize("vector", load("regions"), ids=lambda v: v["about"])
def test_the_header_of_a_region_is_read_and_written(vector):
    page = bytes.fromhex(vector["bytes"])
    header = Header(
        vector["flags"],
        vector["state"],
        vector["generation"],
        vector["length"],
        int(vector["crc32c"], 16) if vector["crc32c"] else None,
        uuid.UUID(vector["owner"]),
        vector["pid"],
        vector["capacity"],
        vector["description"].encode(),
    )
    assert header.page() == page
    size = PAYLOAD_OFFSET + vector["capacity"]
    assert Header.parse(page.ljust(PAYLOAD_OFFSET, b"\0"), size, "r") == header
    with pytest.raises(Malformed, match="damaged"):
        Header.parse(page.ljust(PAYLOAD_OFFSET, b"\0"), size - 1, "r")


@pytest.mark.parametrize("vector", load("descriptors"), ids=lambda v: v["kind"])
def test_a_descriptor_is_written(vector):
    frame = mailbox.frame(
        vector["number-of-kind"],
        uuid.UUID(vector["to"]),
        uuid.UUID(vector["from"]),
        vector["number"],
        uuid.UUID(vector["region"]),
        vector["code"],
    )
    assert frame.hex() == vector["bytes"]


def test_names_and_numbers_follow():
    vector = load("names")
    for one in vector["crc32c"]:
        assert f"{crc32c(one['text'].encode()):08x}" == one["value"]
    for one in vector["lanes"]:
        assert lane(one["trainer"]) == one["lane"]
    for one in vector["endpoints"]:
        assert str(mailbox.endpoint(one["name"])) == one["id"]
    for one in vector["rounds"]:
        assert str(RoundId(one["round"], one["epoch"])) == one["text"]
    for one in vector["names"]:
        assert taken(lambda one=one: messages.check_name("job", one["name"])) == one["good"]
    for one in vector["groups"]:
        assert taken(lambda one=one: messages.check_group(one["group"])) == one["good"]


def taken(check):
    try:
        check()
    except ValueError:
        return False
    return True
