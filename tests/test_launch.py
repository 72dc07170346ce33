"""What a launcher says in the environment, and what is said when it says half of it."""

import pytest

from edge_scs import launch
from edge_scs.errors import InputError

NAMES = ("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (1, 0)),
        ({"WORLD_SIZE": ""}, (1, 0)),
        ({"WORLD_SIZE": "1", "RANK": "7"}, (1, 0)),
        ({"WORLD_SIZE": "4", "RANK": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}, (4, 2)),
    ],
)
def test_alone_or_one_of_several(monkeypatch: pytest.MonkeyPatch, given: dict, expected: tuple) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    launch.check()
    assert (launch.processes(), launch.rank()) == expected


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE: is 2 .* but RANK is not set"),
        ({"WORLD_SIZE": "2", "RANK": ""}, "RANK is not set"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is not set"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE: 'two' .* is no number"),
        ({"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "RANK: is 2 .* WORLD_SIZE is 2"),
    ],
)
def test_half_an_announcement_is_refused(monkeypatch: pytest.MonkeyPatch, given: dict, reason: str) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=reason):
        launch.check()
