"""The page of `antiphon report` in headless Chromium: pictures, players, filters, curves, colours, no request."""

import json
import shutil
import sys
import time
from pathlib import Path

import report_run
from harness import main
from report_run import HOSTILE

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NOT_RUN = 77  # tests/faults.cmake knows it


class Browser(report_run.Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900", "--no-first-run", "--disable-background-networking", "--autoplay-policy=no-user-gesture-required"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        cls.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
        cls.addClassCleanup(cls.driver.quit)
        cls.driver.set_script_timeout(20)

    def open(self, page, width=1280, scheme="light"):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700})
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.driver.get(Path(page).as_uri())

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def wait(self, script, message):
        end = time.monotonic() + 20
        while not self.js(script):
            self.assertLess(time.monotonic(), end, message)
            time.sleep(0.05)

    def visible(self):
        return self.js("return [...document.querySelectorAll('.card')].filter(c => c.offsetParent).length")

    def assert_quiet(self):
        """No message of the console, and no request but that for the page itself."""
        self.assertEqual(self.driver.get_log("browser"), [])
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        self.assertEqual([url for url in asked if not url.startswith(("file:", "data:"))], [])
        self.assertEqual(len([url for url in asked if url.startswith("file:")]), 1)
        self.assertEqual(self.js("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length"), 0)

    def show_all(self):
        for y in range(0, self.js("return document.body.scrollHeight"), 500):
            self.js("window.scrollTo(0, arguments[0])", y)
            time.sleep(0.05)

    def test_pictures_and_players(self):
        for page, width in [(self.one, 1280), (self.two, 390)]:
            self.open(page, width)
            self.assertEqual(self.js("return document.querySelectorAll('.card img').length"), 4)
            self.assertEqual(self.js("return document.querySelectorAll('.card audio[controls]').length"), 2)
            for kind, good in [("img", "n.complete && n.naturalWidth > 0"), ("audio", "n.readyState >= 1 && Math.abs(n.duration - 0.5) < 0.01"), ("video", "n.readyState >= 1 && n.videoWidth > 0")]:
                for i in range(self.js(f"return document.querySelectorAll('.card {kind}').length")):
                    self.js(f"document.querySelectorAll('.card {kind}')[{i}].scrollIntoView({{block: 'center'}})")
                    self.wait(f"const n = document.querySelectorAll('.card {kind}')[{i}]; return {good}", f"{kind} {i} of {page} does not work")
            self.assertTrue(self.js("return [...document.querySelectorAll('.card img')].every(n => n.alt)"))
            self.assert_quiet()

    def test_histograms(self):
        for page, runs in ((self.one, 1), (self.two, 2)):
            self.open(page)
            self.assertEqual(self.js("return [...document.querySelectorAll('#spread figcaption')].map(n => n.firstChild.textContent)"), ["tokens of a sample", "width of a picture", "height of a picture"] * runs)
            self.assertEqual(self.js("return [...document.querySelectorAll('#spread figure')].slice(0, 1).flatMap(n => [...n.querySelectorAll('.bin')].map(b => b.style.width))"), ["33.3333%", "100%"])
            self.assertEqual(self.js("return [...document.querySelectorAll('#spread .bin')].filter(n => n.offsetWidth < 2).length"), 0)
            self.assert_quiet()

    def test_a_player_plays(self):
        self.open(self.one)
        self.js("document.querySelector('audio').scrollIntoView({block: 'center'})")
        self.wait("return document.querySelector('audio').readyState >= 1", "no sound")
        self.js("const a = document.querySelector('audio'); a.muted = true; a.play()")
        self.wait("return document.querySelector('audio').currentTime > 0", "it does not play")

    def press(self, verdict):
        self.js("document.querySelector(`[data-verdict=${arguments[0]}]`).click()", verdict)
        return self.visible()

    def test_filters(self):
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys

        self.open(self.one)
        self.assertEqual(self.visible(), 7)
        self.assertEqual([self.press(v) for v in ["right", "wrong", "all"]], [3, 4, 7])
        self.assertEqual(self.js("return [...document.querySelectorAll('[data-verdict] b')].map(n => n.textContent)"), ["7", "3", "4"])
        self.js("document.querySelector('[data-verdict=wrong]').focus()")
        self.driver.switch_to.active_element.send_keys(Keys.SPACE)
        self.assertEqual(self.visible(), 4, "the keyboard does it too")
        search = self.driver.find_element(By.CSS_SELECTOR, "#filters [name=text]")
        search.send_keys("what colour")
        self.assertEqual(self.visible(), 1)
        self.assertIn("1 of 7", self.js("return document.getElementById('visible').textContent"))
        self.press("all")
        self.assertEqual(self.visible(), 2)
        self.js("const f = document.getElementById('filters'); f.elements.text.value = ''; f.elements.order.value = 'loss'; f.dispatchEvent(new Event('input'))")
        self.assertEqual(self.visible(), 7)
        first = self.js("return document.querySelector('.card .mono').textContent")
        self.assertTrue(first.startswith(HOSTILE[:20]), f"the highest loss comes first, not {first}")
        self.open(self.two)
        self.assertEqual([self.press(v) for v in ["right", "wrong", "a", "b", "all"]], [1, 2, 2, 2, 7])
        self.assert_quiet()

    def test_curves(self):
        for page, lines in [(self.one, 1), (self.two, 2)]:
            self.open(page)
            charts = self.js("return [...document.querySelectorAll('.chart')].map(n => n.dataset.metric)")
            self.assertEqual(charts, ["train/loss", "train/lr", "train/gradient_norm", "train/tokens_per_second", "train/memory_bytes", "train/data_wait_seconds", "train/rewards/margins"])
            self.wait("return document.querySelectorAll('.chart path').length > 0", "nothing is drawn")
            self.assertEqual(self.js("return document.querySelectorAll('[data-metric=\"train/loss\"] path.line').length"), lines)
            self.assertIn("Share of peak: not measured", self.js("return document.getElementById('curves-note').textContent"))
            self.js("const s = document.getElementById('smoothing'); s.value = 0; s.dispatchEvent(new Event('input'))")
            self.assertEqual(self.js("return document.querySelectorAll('path.line').length"), 0)
            self.js("document.querySelector('.chart svg').focus()")
            self.driver.switch_to.active_element.send_keys("\ue014")  # arrow to the right
            self.assertRegex(self.js("return document.querySelector('.readout').textContent"), r"step 1: [34]\.\d+")
            self.assertFalse(self.js("return document.querySelector('#charts').textContent.includes('NaN')"))
            self.assert_quiet()

    def test_tables(self):
        self.open(self.two)
        text = self.js("return document.getElementById('evaluation').innerText")
        self.assertIn("+0.40", text)
        self.assertIn("p < 0.0002", text)
        self.assertIn("2 skipped", text)
        self.assertEqual(self.js("return document.querySelectorAll('#evaluation td.better').length > 0"), True)
        self.assertIn("model.llm.peft.0.rank", self.js("return document.getElementById('differences').innerText"))
        self.assertEqual(self.js("return document.querySelectorAll('#skipped .big.some').length"), 2)
        answers = self.js("return document.getElementById('answers').innerText")
        self.assertEqual(answers.count("asked after 20"), 2, "of each run the last step's")
        self.assertNotIn("asked after 10", answers)
        self.assertIn(HOSTILE.split()[0], answers)
        for page in [self.one, self.two]:
            self.open(page)
            self.assertNotRegex(self.js("return document.body.innerText"), r"\[object|undefined|NaN")
            widths = self.js("return [...document.querySelectorAll('#evaluation tr:not(.task)')].map(r => [...r.cells].reduce((n, c) => n + c.colSpan, 0))")
            self.assertEqual(len(set(widths[-2:])), 1)

    def test_hostile_text_is_inert(self):
        for page in [self.one, self.two]:
            self.open(page)
            self.show_all()
            self.assertIsNone(self.js("return window.hacked || null"))
            self.assertTrue(self.js("return [...document.querySelectorAll('.question')].some(n => n.textContent === arguments[0])", HOSTILE))
            self.assertEqual(self.js("return document.scripts.length"), 2)
            self.assert_quiet()

    def test_nothing_can_be_loaded(self):
        self.open(self.one)
        blocked = "const done = arguments[0]; document.addEventListener('securitypolicyviolation', e => done(e.effectiveDirective)); "
        for code, directive in [("new Image().src = 'http://127.0.0.1:9/x.png'", "img-src"), ("fetch('http://127.0.0.1:9/').catch(() => 0)", "connect-src"), ("const s = document.createElement('script'); s.src = 'http://127.0.0.1:9/'; document.head.append(s)", "script-src-elem")]:
            self.assertEqual(self.driver.execute_async_script(blocked + code), directive)

    def test_phone(self):
        for page in [self.one, self.two]:
            self.open(page, width=390)
            self.show_all()
            self.assertEqual(self.js("return [innerWidth, document.documentElement.scrollWidth]"), [390, 390])
            self.assertEqual(self.js("return new Set([...document.querySelectorAll('.card')].map(c => c.getBoundingClientRect().left)).size"), 1, "one column")

    def test_dark(self):
        background = "return getComputedStyle(document.body).backgroundColor"
        self.open(self.one)
        light = self.js(background)
        self.js("document.getElementById('theme').click()")
        dark = self.js(background)
        self.assertNotEqual(light, dark)
        self.open(self.one, scheme="dark")
        self.assertEqual(self.js(background), dark)
        self.js("document.getElementById('theme').click()")
        self.assertEqual(self.js(background), light)


if __name__ == "__main__":
    if not (CHROMIUM and DRIVER):
        print("SKIPPED: Chromium is not installed: ./setup test-system")
        sys.exit(NOT_RUN)
    main()
