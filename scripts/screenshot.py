"""Take a picture of the page with a real browser: screenshot.py URL OUT [dark] [WIDTHxHEIGHT]."""

from __future__ import annotations

import shutil
import sys
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


def browser(*, dark: bool = False, size: tuple[int, int] = (1280, 1400)) -> webdriver.Chrome:
    """Start Debian's Chromium without a screen."""
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    driver = shutil.which("chromedriver") or "/usr/bin/chromedriver"
    page = webdriver.Chrome(options=options, service=Service(driver))
    width, height = size
    view = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}  # noqa: PLR2004 - a phone
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", view)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    return page


def main(arguments: list[str]) -> int:
    """Wait until the page is live, then save a picture of it."""
    url, out, *rest = arguments
    sizes = [word for word in rest if "x" in word]
    width, height = (sizes or ["1280x1400"])[0].split("x")
    page = browser(dark="dark" in rest, size=(int(width), int(height)))
    try:
        page.get(url)
        WebDriverWait(page, 20).until(lambda p: "live" in p.page_source)
        time.sleep(2)
        page.save_screenshot(out)
    finally:
        page.quit()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
