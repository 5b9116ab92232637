"""What is written for others (schemas, examples, reference pages, access lists) is what we do."""

from __future__ import annotations

from tests.conftest import ROOT

from monitorpi_dev import contracts


def test_no_generated_file_has_drifted() -> None:
    """Messages, settings with their defaults and limits, examples: as the code has them now."""
    for name, text in contracts.files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name}: ./monitorpi generate"
