"""What a machine finds hard to read on any view, light and dark."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.dashboard.pageserver import complaints
from tests.dashboard.views import VIEWS, open_view

if TYPE_CHECKING:
    from pathlib import Path

    from selenium.webdriver import Chrome
    from tests.dashboard.pageserver import Page

AXE = "axe-core@4.14.1"
ASK = (
    "const done = arguments[arguments.length - 1];"
    "axe.run().then((found) => done([found.passes.length, found.violations]));"
)


@pytest.fixture
def axe(tmp_path: Path) -> str:
    """Return the script of axe-core."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: it brings axe-core")
    subprocess.run(["npm", "pack", "--silent", AXE], cwd=tmp_path, check=True, timeout=120)
    (archive,) = tmp_path.glob("*.tgz")
    subprocess.run(["tar", "-xzf", archive, "package/axe.min.js"], cwd=tmp_path, check=True)
    return (tmp_path / "package" / "axe.min.js").read_text()


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(shown: Page, browser: Chrome, axe: str, scheme: str) -> None:
    """No view has contrast, names, roles or an order that a screen reader stumbles over."""
    browser.set_script_timeout(60)

    def run(command: str, **arguments: Any) -> None:
        browser.execute_cdp_cmd(command, arguments)  # type: ignore[no-untyped-call] # selenium leaves it so

    features = [{"name": "prefers-color-scheme", "value": scheme}]
    run("Emulation.setEmulatedMedia", features=features)
    found: list[str] = []
    for view in VIEWS:
        open_view(browser, shown, view)
        run("Runtime.evaluate", expression=axe)

        passes, violations = browser.execute_async_script(ASK)  # type: ignore[no-untyped-call] # selenium leaves it so

        assert passes > (10 if view.startswith("/") else 20), view
        found += [f"{view}: {one['id']} {json.dumps(one['nodes'])[:300]}" for one in violations]
    assert found == []
    assert complaints(browser) == []
