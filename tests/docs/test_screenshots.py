"""The pictures for the docs can be taken, show something, and are small enough to keep."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.nightly
def test_every_picture_of_the_docs_can_be_taken_again(tmp_path: Path) -> None:
    from PIL import Image

    spec = importlib.util.spec_from_file_location("screenshots", DOCS / "screenshots.py")
    assert spec
    assert spec.loader
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)
    made = screenshots.take(tmp_path / "img", tmp_path)
    assert len({p.name for p in made}) == 10
    for path in made:
        assert path.stat().st_size < 300_000
        with Image.open(path) as image:
            colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
            assert colours
            assert len(colours) > 50  # a blank page has one
