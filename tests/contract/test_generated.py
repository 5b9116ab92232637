"""What is written for others (schemas, examples, reference pages, access lists) is what we do."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.conftest import ROOT

from monitorpi_dev import contracts

if TYPE_CHECKING:
    from pathlib import Path

PARSER = "@asyncapi/parser@3.6.6"
READ = """
import { Parser, fromFile } from "@asyncapi/parser";
const { document, diagnostics } = await fromFile(new Parser(), process.argv[1]).parse();
const said = diagnostics.map(({ code, message, path }) => `${code} ${path.join(".")}: ${message}`);
console.log(JSON.stringify({ channels: document?.channels().length ?? 0, said }));
"""


def test_no_generated_file_has_drifted() -> None:
    """Messages, settings with their defaults and limits, examples: as the code has them now."""
    for name, text in contracts.files().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name}: ./monitorpi generate"


@pytest.mark.soak
def test_the_asyncapi_document_passes_the_official_parser(tmp_path: Path) -> None:
    """With every schema it refers to, and without a remark."""
    subprocess.run(
        ["npm", "install", "--silent", "--no-fund", "--no-audit", PARSER],
        cwd=tmp_path, check=True, timeout=600,
    )  # fmt: skip

    read = subprocess.run(
        ["node", "--input-type=module", "--eval", READ, ROOT / "contracts" / "asyncapi.yaml"],
        cwd=tmp_path, check=True, timeout=120, capture_output=True, text=True,
    )  # fmt: skip

    found = json.loads(read.stdout)
    kinds = {*contracts.OWNED, *contracts.SHARED}
    assert found == {"channels": len(kinds) + 1, "said": []}  # and `status`, which is a word
