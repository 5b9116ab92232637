"""Files one can read in one go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitorpi_dev.file_lengths import LONGER, MOST_LINES, too_long

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_that_is_too_long_is_found_and_one_that_just_fits_is_not(tmp_path: Path) -> None:
    """What has a reason may be longer, and needs none once it is not."""
    fits, long = tmp_path / "fits.py", tmp_path / "long.py"
    fits.write_text("\n" * MOST_LINES)
    long.write_text("\n" * (MOST_LINES + 1))
    excused = tmp_path / next(iter(LONGER))
    excused.parent.mkdir(parents=True)
    excused.write_text("\n" * 1000)

    found = too_long(tmp_path, [fits, long, excused])

    assert found == {"long.py": MOST_LINES + 1}

    excused.write_text("\n" * MOST_LINES)

    assert {next(iter(LONGER)): MOST_LINES} == too_long(tmp_path, [excused])
