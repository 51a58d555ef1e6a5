"""What came of attacks on a memory is kept beside the run: the newest of a kind, and nothing where a file is broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instar.errors import StoreError
from instar.store.attacks import FILE, attacks, keep_attack


def attack(**changed: Any) -> dict[str, Any]:
    return {"policy": "p", "how": "facts", "planted": 5, "seed": 1, "tasks": 20, "rows": [], **changed}


def test_an_attack_is_kept_once_and_another_kind_beside_it(tmp_path: Path) -> None:
    assert attacks(tmp_path) == []
    keep_attack(tmp_path, attack(rows=[{"right": 0.5}]))
    keep_attack(tmp_path, attack(how="orders"))
    keep_attack(tmp_path, attack())
    assert attacks(tmp_path) == [attack(how="orders"), attack()]
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("text", ["{", "3", '[{"no": "rows"}]', "\x00"])
def test_a_file_that_is_none_is_named_and_the_next_attack_writes_it_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StoreError, match=r"attacks\.json"):
        attacks(tmp_path)
    keep_attack(tmp_path, attack())
    assert attacks(tmp_path) == [attack()]
