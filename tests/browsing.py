"""Pages as a browser shows them: Chromium for the tests, and what went wrong in it."""

import json
import os
import shutil
from importlib.util import find_spec

import pytest

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
]

# What a page's own scripts may be followed by: `contrast(element)` is that of WCAG 2, of a text
# against the nearest ground behind it, opacity included.
CONTRAST = """
const rgba = text => {
  const [r, g, b, a = 1] = text.match(/-?[\\d.]+(?:e-?\\d+)?/g).map(Number);
  return text.startsWith("color(") ? [255 * r, 255 * g, 255 * b, a] : [r, g, b, a];
};
const over = (top, below, a) => top.slice(0, 3).map((v, i) => a * v + (1 - a) * below[i]);
const ground = element => {
  if (!element) return [255, 255, 255];
  const color = rgba(getComputedStyle(element).backgroundColor);
  return color[3] === 1 ? color : over(color, ground(element.parentElement), color[3]);
};
const opacity = element =>
  element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;
const luminance = color => {
  const [r, g, b] = color.map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = element => {
  const behind = ground(element), front = rgba(getComputedStyle(element).color);
  const shown = over(front, behind, front[3] * opacity(element));
  const [low, high] = [luminance(shown), luminance(behind)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const says = element => [...element.childNodes].some(
  node => node.nodeType === Node.TEXT_NODE && node.data.trim());
"""
ENOUGH = 4.5  # WCAG's AA for text


def absent(what):
    """Leave the browser out, or fail where LAYERFUSION_BROWSER says that there must be one."""
    if os.environ.get("LAYERFUSION_BROWSER") == "required":
        pytest.fail(f"{what}, and LAYERFUSION_BROWSER=required")
    pytest.skip(f"{what}: no page was looked at in a browser")


def chromium(profile):
    """Chromium without a window, with its profile in a folder of its own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        absent("chromium or chromedriver is not installed")
    if find_spec("selenium") is None:
        absent("the package selenium is not installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driven = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    driven.get("about:blank")
    driven.get_log("performance")  # of the page that Chromium opens by itself
    yield driven
    driven.quit()


def failures(browser, address):
    """What went wrong since the last page: in the console, in requests, in requests elsewhere."""
    complaints = [
        entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"
    ]
    failed, foreign = [], []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        kind, details = message["method"], message["params"]
        if kind == "Network.loadingFailed":
            failed.append(details["errorText"])
        elif kind == "Network.responseReceived" and details["response"]["status"] >= 400:
            failed.append(details["response"]["url"])
        elif kind == "Network.requestWillBeSent":
            url = details["request"]["url"]
            foreign += [] if url.startswith((address, "data:")) else [url]
    return {"complaints": complaints, "failed": failed, "foreign": foreign}


def show(browser, address, *, scheme="light", width=1000, media=""):
    """Open a page as a screen of some width and colours shows it."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(address)
