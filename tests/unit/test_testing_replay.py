"""What recorders wrapped comes out as the provider's client would hand it over."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from optiinfra.testing.replay import (
    Watched,
    recorded_answer,
    recorded_answers,
    recorded_interaction,
    unread,
)


def recording(folder: Path, document: Any, name: str = "one.json") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "document",
    [
        {"status_code": 200, "data": {"Instances": []}},
        {"headers": {"etag": "x"}, "body": {"Instances": []}},
        {"path": "/v2/things", "status": 200, "body": {"Instances": []}},
        {"Instances": []},
    ],
)
def test_an_answer_comes_out_of_its_wrapping(tmp_path: Path, document: Any) -> None:
    assert recorded_answer(recording(tmp_path, document)) == {"Instances": []}


def test_an_answers_own_words_are_no_wrapping(tmp_path: Path) -> None:
    for document in ({"data": [1], "next": None}, {"status": "DONE", "name": "n"}, [1, 2]):
        assert recorded_answer(recording(tmp_path, document)) == document


def test_times_stored_as_their_parts_are_times(tmp_path: Path) -> None:
    parts = {"__class__": "datetime", "year": 2026, "month": 7, "day": 21, "hour": 14}
    found = recorded_answer(recording(tmp_path, {"Created": [parts | {"tzinfo": "tzutc()"}]}))
    assert found == {"Created": [datetime(2026, 7, 21, 14, tzinfo=UTC)]}


def test_answers_come_in_the_order_of_their_files(tmp_path: Path) -> None:
    for name in ("b/list_1.json", "a/list_2.json", "a/list_1.json", "a/other_1.json"):
        recording(tmp_path, {"file": name}, name)
    assert [one["file"] for one in recorded_answers(tmp_path, "list_*.json")] == [
        "a/list_1.json",
        "a/list_2.json",
        "b/list_1.json",
    ]


def test_a_cassette_answers_by_address(tmp_path: Path) -> None:
    path = recording(
        tmp_path,
        {
            "interactions": [
                {"request": {"uri": f"https://h/{name}"}, "response": {"body": {"data": name}}}
                for name in ("Subscriptions", "metrics", "metrics")
            ]
        },
    )
    assert recorded_interaction(path, "Metrics") == "metrics"
    with pytest.raises(LookupError, match=r"one\.json has no answer from vaults"):
        recorded_interaction(path, "vaults")


def test_what_nobody_read_is_known() -> None:
    first, second = Watched({"id": 1, "name": "n"}), Watched({"id": 2, "size": 3})
    assert first["id"] == 1
    assert second.get("id") == 2
    assert second.get("absent", 7) == 7
    assert unread([first, second]) == {"name", "size"}
