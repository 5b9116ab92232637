"""One name, one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_dev.class_names import shared_names

if TYPE_CHECKING:
    from pathlib import Path


def test_a_name_that_stands_for_two_classes_is_found_with_both_places(tmp_path: Path) -> None:
    """Nested classes count as well; a name in one place is nobody's business."""
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("class Row: ...\nclass Alone: ...\n")
    two.write_text("def make():\n    class Row: ...\n    return Row\n")

    assert {"Row": [f"{one}:1", f"{two}:2"]} == shared_names([one, two])
