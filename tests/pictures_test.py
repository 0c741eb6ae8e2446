# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of README.md, of a farm to which what happens on farms has happened: `make
screenshots` makes those in doc/screenshots anew; `tests/run --slow pictures`, others."""

import json
import os
import pathlib
import shutil
import subprocess

from support.case import Case
from support.farm import ENDED, Farm, package_of
from support.programs import BUILD, TOP
from support.waiting import TIME_FACTOR

CHROMIUM = os.environ.get("PANOPLY_CHROMIUM", "/usr/bin/chromium")
FOLDER = pathlib.Path(os.environ.get("SCREENSHOTS", BUILD / "pictures"))
LARGEST, LARGEST_TOGETHER = 100_000, 400_000  # bytes: they are in the repository
AREAS = ("viking forties cromarty forth tyne dogger fisher german-bight humber thames dover wight "
         "portland plymouth biscay trafalgar fitzroy sole lundy fastnet irish-sea shannon rockall "
         "malin hebrides bailey fair-isle faeroes south-east-iceland").split()
CHARTS = """\
(define-module (example packages charts)
  #:use-module (example build-system busybox)
  #:use-module (example packages almanac)
  #:use-module ((guix licenses) #:prefix license:)
  #:use-module (guix packages))

(define* (chart area version #:optional (script "mkdir $out\\n"))
  (package
    (name (string-append "chart-" area))
    (version version)
    (source #f)
    (build-system busybox-build-system)
    (inputs (list tide-tables))
    (arguments (list #:script script))
    (home-page "https://example.org/charts")
    (synopsis "Chart of a sea area")
    (description "This package holds the chart of one sea area.")
    (license license:cc0)))
"""
ATLAS = """
(define-public sea-atlas
  (package
    (inherit (chart "all" "2026" "mkdir $out\\n"))
    (name "sea-atlas")
    (inputs (list %s))))
"""
SCRIPT = "mkdir $out\\n"
FAILING_CHECK = """\
cat <<'END'
starting phase `unpack'
chart-dogger-2026.2/soundings.csv
chart-dogger-2026.2/wrecks.csv
chart-dogger-2026.2/tests/depths.sh
phase `unpack' succeeded after 0.1 seconds
starting phase `build'
reading soundings.csv: 18406 soundings
reading wrecks.csv: 212 wrecks
drawing depth contours at 5 10 20 30 50 m
phase `build' succeeded after 2.4 seconds
starting phase `check'
PASS: tests/wrecks.sh
PASS: tests/lights.sh
FAIL: tests/depths.sh
tests/depths.sh:31: error: sounding 9127 is 4.2 m deep, but lies inside the 20 m contour
3 tests, 1 failed
error: in phase 'check': uncaught exception:
phase `check' failed after 0.6 seconds
END
exit 1
"""


def charts(areas: list[str], newer: dict[str, str]) -> str:
    """The module of charts of AREAS; NEWER: by area the script of those that were updated."""
    text = CHARTS
    for area in areas:
        version = "2026.2" if area in newer else "2026.1"
        text += f'(define-public chart-{area} (chart "{area}" "{version}" "{newer.get(area, SCRIPT)}"))\n'
    return text + ATLAS % " ".join(f"chart-{area}" for area in areas)


class Pictures(Case):
    slow = True
    timeout = 400

    def setUp(self) -> None:
        super().setUp()
        self.farm = Farm(jobs=4)
        self.addCleanup(self.farm.delete)
        self.farm.watch(self)
        lagoon = self.machine("lagoon")
        self.agent(self.farm.server, lagoon, jobs=2)

    def push(self, message: str, but: str = "") -> None:
        """A commit, its evaluation, and its builds to their end, but for the one named BUT."""
        commit = self.farm.channel.commit(message)
        self.farm.server.command_line("spec", "evaluate", "harbour")
        evaluation = self.farm.evaluation_of(commit, "harbour")
        self.farm.server.wait_for(
            f"/builds?evaluation={evaluation['id']}&limit=1000",
            lambda builds: all(it["state"] == "running" if package_of(it) == but
                               else it["state"] in ENDED for it in builds["items"]))

    def set_charts(self, areas: list[str], **newer: str) -> None:
        self.farm.channel.write("example/packages/charts.scm", charts(areas, newer))

    def let_things_happen(self) -> None:
        channel = self.farm.channel
        self.set_charts(AREAS[:-2])
        channel.commit("Add the charts of the Shipping Forecast.")
        self.farm.finish(self.farm.evaluate(name="harbour"))
        self.farm.evaluate(name="boats", systems=["aarch64-linux"])
        channel.set_version("libtide", "1.4.3")
        self.push("libtide: Update to 1.4.3.")
        self.set_charts(AREAS[:-2], fisher=SCRIPT)
        self.push("chart-fisher: Update to 2026.2.")
        channel.repair_sextant()
        channel.commit("sextant: Replace the mirror.")
        channel.set_version("sunrise", "5.3.0")
        channel.commit("sunrise: Update to 5.3.0.")
        self.set_charts(AREAS, fisher=SCRIPT, dogger=FAILING_CHECK)
        channel.set_survey_seconds(600)
        self.push("chart-dogger: Update to 2026.2; add two charts of the north.", "sea-floor-survey")

    @staticmethod
    def make_small() -> None:
        """A palette of 256 colours is enough for text."""
        pictures = sorted(FOLDER.glob("*.png"))
        subprocess.run(["pngquant", "--force", "--ext", ".png", "--speed", "1", "--strip",
                        "--quality", "70-100", *pictures], check=True)

    def test_pictures(self) -> None:
        self.let_things_happen()
        config = self.folder() / "farm.json"
        server = self.farm.server
        config.write_text(json.dumps({"base": server.url, "token": server.token(),
                                      "chromium": CHROMIUM, "time_factor": TIME_FACTOR}))
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        done = subprocess.run(["node", TOP / "tests/browser/readme.mjs", config, FOLDER], cwd=TOP,
                              text=True, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=100 * TIME_FACTOR)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.make_small()
        sizes = {picture.name: picture.stat().st_size for picture in FOLDER.glob("*.png")}
        self.assertEqual(len(sizes), 6, sizes)
        self.assertLess(max(sizes.values()), LARGEST, sizes)
        self.assertLess(sum(sizes.values()), LARGEST_TOGETHER, sizes)
