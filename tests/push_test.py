# SPDX-License-Identifier: GPL-3.0-or-later
"""From a push to builds: by itself, within the period, and only what changed."""

import datetime

from support import channel as example
from support.case import Case
from support.farm import Farm
from support.waiting import TIME_FACTOR

PERIOD_S, LATE_S = 5, 5  # of one specification; how much later is still in time

DEPENDING_ON_CALENDAR = {"tide-calendar", "harbour-clock", "almanac", "navigator"}


class Push(Case):
    timeout = 180

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm(jobs=4)
        cls.addClassCleanup(cls.farm.delete)
        cls.base = cls.farm.channel.git("rev-parse", "HEAD")
        cls.first = cls.farm.evaluate(period=1)
        cls.builds = cls.farm.finish(cls.first)

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)
        self.addCleanup(self.reset)

    def reset(self) -> dict:
        """As a force-push of the first commit."""
        self.farm.channel.git("reset", "--quiet", "--hard", self.base)
        return self.farm.evaluation_of(self.base)

    def commit(self) -> dict:
        """Its evaluation, which nobody asked for."""
        return self.farm.evaluation_of(self.farm.channel.commit("A change"))

    def ids(self, builds: dict[str, dict]) -> dict[str, int]:
        return {package: build["id"] for package, build in builds.items()}

    def test_first_evaluation_builds_all(self):
        states = {package: build["state"] for package, build in self.builds.items()}
        self.assertEqual(states, {
            **dict.fromkeys(example.SUCCEEDING, "succeeded"),
            **dict.fromkeys(example.FAILING, "failed"),
            **dict.fromkeys(example.DEPENDING_ON_FAILING, "dependency-failed")})
        self.assertEqual(self.first["jobs_count"], len(states))
        first = self.farm.client.api("GET", f"/evaluations/{self.first['id']}")
        self.assertEqual(first["builds_by_state"], {
            "waiting": 0, "running": 0, "succeeded": 9, "failed": 1, "dependency-failed": 1,
            "cancelled": 0})

    def test_push_is_seen_within_the_period(self):
        specification = self.farm.channel.specification("measured", period=PERIOD_S)
        self.farm.server.add_specification(specification)
        self.addCleanup(self.farm.server.command_line, "spec", "delete", "measured")
        self.farm.evaluation_of(self.base, "measured")
        self.farm.channel.write("NEWS", "measured\n")
        pushed = datetime.datetime.now(datetime.UTC)
        evaluation = self.farm.evaluation_of(self.farm.channel.commit("A change"), "measured")
        created = datetime.datetime.fromisoformat(evaluation["created_at"])
        self.assertGreater(created, pushed)
        self.assertLess((created - pushed).total_seconds(),
                        PERIOD_S + (LATE_S * TIME_FACTOR))

    def test_push_builds_only_what_changed(self):
        self.farm.channel.set_version("tide-calendar", "0.9.2")
        evaluation = self.commit()
        self.assertEqual(evaluation["state"], "succeeded", evaluation["message"])
        builds = self.farm.finish(evaluation)
        changed = {package for package, number in self.ids(builds).items()
                   if number != self.builds[package]["id"]}
        self.assertEqual(changed, DEPENDING_ON_CALENDAR)
        self.assertEqual(set(builds), set(self.builds))
        self.assertEqual(builds["tide-calendar"]["name"], "tide-calendar-0.9.2")
        self.assertEqual(builds["almanac"]["state"], "succeeded")
        self.assertEqual(evaluation["derivations_count"], len(DEPENDING_ON_CALENDAR))

    def test_change_of_no_package_builds_nothing(self):
        self.farm.channel.write("NEWS", "nothing new\n")
        evaluation = self.commit()
        self.assertEqual(self.ids(self.farm.builds(evaluation)), self.ids(self.builds))
        self.assertEqual(evaluation["derivations_count"], 0)

    def test_package_in_error_is_a_row_with_its_place(self):
        self.farm.channel.add_package("buoy", "mkdir $out\n")
        self.farm.channel.replace("example/packages/buoy.scm", "(inputs (list ))",
                                  '(inputs (list (error "no such rope:" 42)))')
        evaluation = self.commit()
        self.assertEqual(evaluation["state"], "succeeded", evaluation["message"])
        self.assertEqual(evaluation["errors_count"], 2)
        rows = self.farm.client.api("GET", f"/evaluations/{evaluation['id']}/errors")["items"]
        errors = {row["name"]: row for row in rows}
        self.assertEqual(set(errors), {"lighthouse@0.1", "buoy@1.0"})
        self.assertIn("no such rope: 42", errors["buoy@1.0"]["message"])
        for name, file in (("buoy@1.0", "buoy.scm"), ("lighthouse@0.1", "survey.scm")):
            with self.subTest(name):
                row = errors[name]
                self.assertEqual(row["file"], f"example/packages/{file}")
                line = (self.farm.channel.folder / row["file"]).read_text().splitlines()
                self.assertEqual(line[row["line"] - 1].strip(), "(package")
        self.assertEqual(self.ids(self.farm.builds(evaluation)), self.ids(self.builds))

    def test_force_push_is_followed(self):
        self.farm.channel.set_version("tide-calendar", "0.9.3")
        dropped = self.commit()
        self.farm.channel.git("reset", "--quiet", "--hard", self.base)
        self.farm.channel.set_version("tide-calendar", "1.0")
        evaluation = self.commit()
        self.assertNotEqual(evaluation["id"], dropped["id"])
        builds = self.farm.finish(evaluation)
        self.assertEqual(builds["tide-calendar"]["name"], "tide-calendar-1.0")
        back = self.reset()
        self.assertEqual(self.ids(self.farm.builds(back)), self.ids(self.builds))
        self.assertEqual(back["derivations_count"], 0)

    def test_what_happened_is_told(self):
        """The revision carries the commit's own words; the log Guix's."""
        self.farm.channel.write("NEWS", "something\n")
        evaluation = self.farm.evaluation_of(self.farm.channel.commit("Tell of ⟨the sea⟩ <&>"))
        revision = evaluation["revisions"][0]
        self.assertEqual((revision["channel"], revision["subject"], revision["author"]),
                         ("example", "Tell of ⟨the sea⟩ <&>", "Ada Example"))
        self.assertEqual(revision["url"], self.farm.channel.url)
        self.assertEqual(self.farm.client.request(
            "GET", f"/api/panoply/v1/evaluations/{evaluation['id']}/log").status, 200)
