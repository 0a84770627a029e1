"""The report in a real browser: it opens from a file, asks for nothing else, and every plot is drawn, on any screen and on paper."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

import chromium

pytestmark = pytest.mark.slow

BOXES = """[...document.querySelectorAll('svg')].map(svg => {
  const inner = svg.getBBox(), outer = svg.getBoundingClientRect();
  return [inner.width, inner.height, outer.width, outer.height, outer.right]})"""
PICTURES = "[...document.images].map(image => image.complete && image.naturalWidth)"
CONTRAST = """(() => {
  const channels = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(value => value / 255);
  const light = colour => { const [r, g, b] = channels(colour).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const texts = [...document.querySelectorAll('p, td, th, a, li span, figcaption, caption')].map(e => getComputedStyle(e).color)
    .concat([...document.querySelectorAll('svg text:not(.on)')].map(e => getComputedStyle(e).fill));
  return Math.min(...texts.map(light).map(text => (Math.max(text, paper) + .05) / (Math.min(text, paper) + .05)))})()"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    executable = chromium.find()
    if executable is None:
        pytest.skip("no chromium here: `make test-all` installs Debian's where it can")
    profile = tmp_path_factory.mktemp("chromium")
    with chromium.started(executable, profile) as tab:
        yield tab
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture(scope="module")
def address(first_build: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(first_build.package.read("report.html"))
    return path.as_uri()


def as_seen(tab: chromium.Tab, *, scheme: str = "light", media: str = "screen", width: int = 1200) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    tab.call("Emulation.setEmulatedMedia", media=media, features=features)
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)


def test_it_opens_from_a_file_without_an_error_and_asks_for_nothing_else(tab: chromium.Tab, address: str) -> None:
    as_seen(tab)
    tab.open(address)
    asked = [event["request"]["url"] for method, event in tab.events if method == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [address]
    said = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Network.loadingFailed"}
    assert [event for event in tab.events if event[0] in said] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("media", "width"), [("screen", 1200), ("screen", 375), ("print", 794)])
def test_every_plot_and_picture_is_drawn_within_the_page(
    tab: chromium.Tab, address: str, scheme: str, media: str, width: int
) -> None:
    as_seen(tab, scheme=scheme, media=media, width=width)
    tab.open(address)
    boxes = tab.evaluate(BOXES)
    assert len(boxes) >= 8
    assert all(side > 0 for box in boxes for side in box[:4])
    assert all(box[4] <= width for box in boxes)
    assert all(tab.evaluate(PICTURES))
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(CONTRAST) >= 4.5  # WCAG 2.2, 1.4.3


def test_dark_and_light_have_other_paper_and_print_is_on_white(tab: chromium.Tab, address: str) -> None:
    papers: list[str] = []
    for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        as_seen(tab, scheme=scheme, media=media)
        tab.open(address)
        papers.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers[0] != papers[1]
    assert papers[2] == papers[0] == "rgb(255, 255, 255)"


def test_a_screen_reader_is_told_what_each_picture_and_table_is(tab: chromium.Tab, address: str) -> None:
    as_seen(tab)
    tab.open(address)
    tab.call("Accessibility.enable")
    nodes = [node for node in tab.call("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
    named = [node for node in nodes if node["role"]["value"] in {"image", "img", "table"}]
    assert len(named) > 10
    assert all(node.get("name", {}).get("value") for node in named)
    assert {"main", "navigation", "heading"} <= {node["role"]["value"] for node in nodes}


def test_it_prints_on_a_few_pages(tab: chromium.Tab, address: str) -> None:
    as_seen(tab, media="print", width=794)
    tab.open(address)
    assert tab.call("Page.printToPDF", printBackground=True)["data"].startswith("JVBERi0")  # %PDF-
