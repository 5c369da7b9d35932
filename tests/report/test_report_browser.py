"""The report in a real browser: clicks, keys, reads, and what it costs to open with 500 columns."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import vaex

import vaxseq as vs

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,1000",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    paths = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if not all(paths.values()):
        pytest.skip(f"not installed: {', '.join(name for name, path in paths.items() if not path)}")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = paths["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(paths["chromedriver"]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def flights(samples, tmp_path_factory):
    """A page with a leak and drift in it."""
    folder = tmp_path_factory.mktemp("report")
    vs.convert(samples / "nycflights_2013_01.csv.gz", folder / "flights.arrow", progress=False)
    frame = vs.open(folder / "flights.arrow")
    parts = vs.split(frame, {"train": 0.8, "test": 0.2}, by="hash", key="tailnum")
    definition = vs.FeatureSet.load(samples / "flights.features.yaml").to_dict()
    definition["inputs"]["numeric"]["features"].append({"name": "speed", "expr": "arr_delay * 0.5 + distance * 0.001"})
    fitted = vs.FeatureSet.from_dict(definition).fit(parts["train"], where="arr_delay > -1000", progress=False)
    return vs.report(frame, folder / "report.html", fitted, parts, progress=False).path


@pytest.fixture
def page(browser, flights):
    browser.get(flights.as_uri())
    return browser


def shown(browser) -> list[str]:
    # one call: a question to the browser for each of 500 rows takes ten seconds
    return browser.execute_script(
        """return [...document.querySelectorAll('table.columns tbody tr:not(.detail) td:first-child button')]
        .filter(one => one.checkVisibility()).map(one => one.innerText)"""
    )


def keys(browser, *pressed):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*pressed).perform()


def test_it_reads_and_loads_nothing_else(page, flights):
    assert "Likely leak" in page.find_element("id", "findings").text
    assert "numeric__speed alone tells target__late" in page.find_element("id", "findings").text
    loaded = page.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert loaded == []
    assert [line for line in page.get_log("browser") if line["level"] in ("SEVERE", "WARNING")] == []


def test_search_narrows_and_escape_clears(page):
    every = shown(page)
    keys(page, "/", "delay")
    assert shown(page) == ["dep_delay", "arr_delay"]
    assert page.find_element("id", "count").text == f"2 of {len(every)} shown"
    keys(page, "\ue00c")  # Escape
    assert shown(page) == every
    page.find_element("css selector", "#role option[value='!']").click()
    assert shown(page) == ["numeric__speed"]


def test_heads_sort(page):
    head = page.find_element("xpath", "//th[button='missing']")
    head.find_element("tag name", "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    first = shown(page)
    shares = page.execute_script(
        "return [...document.querySelectorAll('table.columns tbody tr')].map(row => +row.cells[4].dataset.key)"
    )
    assert shares == sorted(shares, reverse=True)
    head.find_element("tag name", "button").click()
    assert shown(page)[-1] != first[-1]
    page.find_element("xpath", "//th[button='column']/button").click()
    assert shown(page) == sorted(first)


def test_a_column_opens_by_mouse_and_by_keys(page):
    button = page.find_element("xpath", "//td/button[.='distance']")
    button.click()
    detail = page.find_element("css selector", "tr.detail")
    assert button.get_attribute("aria-expanded") == "true"
    assert "median" in detail.text
    assert "train" in detail.text
    plot = detail.find_element("css selector", "svg[role=img]")
    assert plot.get_attribute("aria-label") == "Distribution of distance in each part"
    assert len(plot.find_elements("css selector", "path")) == 2
    button.click()
    assert page.find_elements("css selector", "tr.detail") == []
    keys(page, "/", "carrier", "\ue015", "\ue007")  # down, Enter
    assert page.switch_to.active_element.text.startswith("carrier")
    assert "commonest" in page.find_element("css selector", "tr.detail").text
    keys(page, "\ue015", "\ue013")
    assert page.switch_to.active_element.text.startswith("carrier")


def test_a_finding_leads_to_its_column(page):
    page.find_element("css selector", "#findings a[data-column]").click()
    assert page.switch_to.active_element.text == "numeric__speed"
    assert "Alone it tells target__late" in page.find_element("css selector", "tr.detail").text


def test_everything_has_a_name_and_contrast(page):
    nameless = page.execute_script(
        """return [...document.querySelectorAll('button,a,input,select,table,svg[role=img]')].filter(one =>
        !(one.getAttribute('aria-label') || one.textContent.trim() || (one.labels && one.labels.length))).length"""
    )
    assert nameless == 0
    for scheme in ("light", "dark"):
        page.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        assert contrast(page) >= 4.5, scheme
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [360, 390, 760, 1024])
def test_it_fits_a_telephone(page, width):
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for name in ("numeric__distance", "carrier", "time_hour"):
        page.find_element("xpath", f"//td/button[.='{name}']").click()
    wide = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= width


def contrast(page) -> float:
    """The least contrast of a text with what it stands on. Source: WCAG 2.1, relative luminance."""
    return page.execute_script(
        """
        const light = (rgb) => rgb.slice(0, 3).map(v => v / 255)
          .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
          .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
        const parse = (text) => text.match(/[\\d.]+/g).map(Number);
        const ground = (one) => { for (; one; one = one.parentElement) {
          const rgb = parse(getComputedStyle(one).backgroundColor);
          if (rgb.length < 4 || rgb[3] === 1) return rgb; } return [255, 255, 255]; };
        let least = 21;
        for (const one of document.querySelectorAll('body *')) {
          if (one.closest('script, style') || !one.offsetParent) continue;
          if (![...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue;
          const under = ground(one);
          let clear = 1;
          for (let up = one; up; up = up.parentElement) clear *= +getComputedStyle(up).opacity;
          const text = parse(getComputedStyle(one).color).map((v, i) => v * clear + under[i] * (1 - clear));
          const [a, b] = [light(text), light(under)].sort((x, y) => y - x);
          least = Math.min(least, (a + .05) / (b + .05));
        }
        return least;"""
    )


def test_500_columns_open_without_lag(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    frame = vaex.from_arrays(**{f"column_{i}": rng.normal(i, 1, 2000) for i in range(500)})
    half = {"train": frame[frame.column_0 < 0], "test": frame[frame.column_0 >= 0]}
    path = vs.report(frame, tmp_path / "wide.html", splits=half, progress=False).path
    assert path.stat().st_size < 4_000_000
    browser.get(path.as_uri())
    ready = browser.execute_script("return performance.getEntriesByType('navigation')[0].domComplete")
    assert ready < 3000
    assert len(shown(browser)) == 500
    spent = browser.execute_script(
        """const began = performance.now();
        const search = document.getElementById('search'); search.value = 'column_49';
        search.dispatchEvent(new Event('input')); document.body.offsetHeight;
        document.querySelector('th button').click(); document.body.offsetHeight;
        return performance.now() - began;"""
    )
    assert spent < 500
    assert len(shown(browser)) == 11
