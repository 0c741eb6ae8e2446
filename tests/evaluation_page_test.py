# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of an evaluation: what changed, by which commits, its jobs, errors, log and actions;
and what the API says of the same."""

import html
import json
import re
import urllib.parse

from support.case import Case
from support.farm import Farm
from support.panoply import API, Client, Refused
from support.waiting import wait_until

SCRIPT = "<script>alert(1)</script>\"'&"
SYSTEM = ".x86_64-linux"


class Visitor:
    """A browser that has signed in, as far as forms go."""

    def __init__(self, url: str, token: str):
        self.client = Client(url)
        self.cookies: dict[str, str] = {}
        answer = self.post("/sign-in", {"token": token, "then": "/"})
        assert answer.status == 303, answer

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str):
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.client.request(method, path, body, {
            "Accept": "text/html", **({"Cookie": jar} if jar else {}), **headers})
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer

    def get(self, path: str) -> str:
        answer = self.request("GET", path)
        if answer.status >= 400:
            raise Refused("GET", path, answer)
        return answer.body.decode()

    def post(self, path: str, fields: dict[str, str]):
        return self.request("POST", path, urllib.parse.urlencode(fields).encode(),
                            **{"Content-Type": "application/x-www-form-urlencoded"})

    def confirm(self, path: str) -> tuple[str, str]:
        """Opens the page that asks, says yes; returns what was asked, and what came of it."""
        question = self.get(path)
        token = re.search(r'name="csrf" value="([^"]+)"', question[question.index("<main"):])[1]
        answer = self.post(path, {"csrf": token})
        assert answer.status == 303, answer
        return question, self.get(answer.headers["Location"])


def text_of(page: str) -> str:
    """The words of a page, without its marks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


class EvaluationPage(Case):
    timeout = 300

    def setUp(self) -> None:
        super().setUp()
        self.farm = Farm(jobs=2)
        self.addCleanup(self.farm.delete)
        self.farm.watch(self)
        self.client, self.channel = self.farm.client, self.farm.channel

    def page(self, path: str) -> str:
        return self.client.text(path)

    def changes(self, number: int, query: str = "") -> dict:
        return self.client.api("GET", f"/evaluations/{number}/changes?{query}")

    def names(self, number: int, query: str) -> set[str]:
        return {it["name"].removesuffix(SYSTEM) for it in self.changes(number, query)["items"]}

    def jobs_of_page(self, path: str) -> list[str]:
        shown = self.page(path).partition('<div id="list"')[2].partition("<h2")[0]
        return re.findall(r'<tr>\n<td>(?:<a [^>]*>)?([^<]+)', shown)

    def chip(self, page: str, label: str) -> int:
        return int(re.search(rf"</svg>([\d,]+) {label}</a>", page)[1].replace(",", ""))

    def make_two(self) -> None:
        """Two evaluations: in the second sextant is fixed, tide-tables is broken and what needs it, logbook is gone, and compass is new."""
        self.channel.add_package("logbook", "mkdir $out\n")
        self.channel.commit("gnu: Add logbook")
        self.first = self.farm.evaluate()
        self.before = self.farm.finish(self.first)
        self.channel.repair_sextant()
        self.channel.add_package("compass", f"echo {json.dumps('needle')}; mkdir $out\n")
        self.channel.commit(f"gnu: Mend sextant {SCRIPT} \x1b[31m")
        self.channel.add_package("unspeakable", "mkdir $out\n")
        self.channel.replace("example/packages/unspeakable.scm", "(inputs (list ))",
                             f"(inputs (list (error {json.dumps(SCRIPT)} (make-string 9000 #\\x))))")
        (self.channel.folder / "example/packages/logbook.scm").unlink()
        self.break_tables()
        self.second = self.farm.push("gnu: Break the tide tables")
        self.after = self.farm.finish(self.second)

    def break_tables(self) -> None:
        path = "example/packages/almanac.scm"
        text = (self.channel.folder / path).read_text()
        start = text.index('(name "tide-tables")')
        script = text.index('#:script "', start) + len('#:script "')
        text = text[:script] + "exit 1\n" + text[script:]
        (self.channel.folder / path).write_text(text)

    def test_all(self):
        # One farm for all: it takes longer to make than to ask.
        self.make_two()
        self.check_outcomes()
        self.check_changes()
        self.check_lists()
        self.check_page()
        self.check_order()
        self.check_first()
        self.check_matrix()
        self.check_errors()
        self.check_facts()
        self.check_command_line()
        self.check_restart()
        self.check_restart_of_some()
        self.check_cancel()
        self.check_broken_stays()

    def cell_of_strip(self, path: str, number: int) -> tuple[str, str]:
        """What a strip says of an evaluation: its mark, and its title's first words."""
        found = re.search(rf'<a href="/evaluations/{number}" data-state="([^"]+)" '
                          rf'title="{number} ([^:]+(?:: \d+ of[^:]+)?):', self.page(path))
        return found.groups() if found else ("", "")

    def summary_of(self, builds: dict, errors: int) -> str:
        failed = sum(it["state"] in ("failed", "dependency-failed") for it in builds.values())
        return f"{failed} of {len(builds)} failed, {errors} error{'s' * (errors > 1)}"

    def check_outcomes(self) -> None:
        """Lists tell what came of an evaluation's builds, not only that Guix computed it."""
        for evaluation, builds in ((self.first, self.before), (self.second, self.after)):
            number = evaluation["id"]
            errors = len(self.client.api("GET", f"/evaluations/{number}/errors")["items"])
            summary = self.summary_of(builds, errors)
            expected = ("some-failed", f"{summary}, {len(builds)} jobs")
            for path in ("/", "/specifications", "/specifications/example"):
                wait_until(lambda path=path, number=number, expected=expected:
                           self.cell_of_strip(path, number) == expected,
                           20, f"{path} says {expected}")
            self.assertIn('<span class="state badge" data-state="some-failed">',
                          self.page(f"/evaluations/{number}"))
            self.assertIn(summary, text_of(self.page(f"/evaluations/{number}")))
        self.assertIn(f"example : evaluation {self.second['id']} : 1 new error since "
                      f"evaluation {self.first['id']}", text_of(self.page("/")))
        self.assertEqual(self.broken_since(self.second["id"]),
                         len(self.changes(self.second["id"], "show=broken")["items"]))

    def broken_since(self, number: int) -> int:
        """How many jobs the overview says are."""
        found = re.search(rf"example : (\d+) jobs? (?:is|are) broken since evaluation {number} ",
                          text_of(self.page("/")))
        return int(found.group(1)) if found else 0

    def check_broken_stays(self) -> None:
        """What is broken stays on the overview, whatever comes after it, until it is mended."""
        broken = self.broken_since(self.second["id"])
        self.assertGreater(broken, 1)
        (self.channel.folder / "example/packages/slow.scm").unlink()
        self.channel.commit("Do not take a while")
        self.channel.write("notes.txt", "Something else.")
        self.farm.finish(self.farm.push("Notes"))
        self.assertEqual(self.broken_since(self.second["id"]), broken)
        self.channel.replace("example/packages/almanac.scm", '#:script "exit 1\n', '#:script "')
        self.farm.finish(self.farm.push("gnu: Mend the tide tables"))
        wait_until(lambda: self.broken_since(self.second["id"]) == 0, 20, "nothing is broken")

    def check_changes(self) -> None:
        number = self.second["id"]
        changes = self.changes(number)
        self.assertEqual((changes["evaluation"], changes["against"]), (number, self.first["id"]))
        broken = {name for name in self.after if name in self.before
                  and self.before[name]["state"] == "succeeded"
                  and self.after[name]["state"] in ("failed", "dependency-failed")}
        self.assertIn("tide-tables", broken)
        self.assertEqual(self.names(number, "show=broken"), broken)
        fixed = {name for name in self.after if name in self.before
                 and self.before[name]["state"] in ("failed", "dependency-failed")
                 and self.after[name]["state"] == "succeeded"}
        self.assertIn("sextant", fixed)
        self.assertEqual(self.names(number, "show=fixed"), fixed)
        self.assertEqual(self.names(number, "show=added"), {"compass"})
        self.assertEqual(self.names(number, "show=removed"), {"logbook"})
        self.assertEqual(changes["counts"]["broken"], len(broken))
        self.assertEqual(changes["counts"]["added"], 1)
        self.assertEqual((changes["errors_new_count"], changes["errors_gone_count"]), (1, 0))
        self.assertEqual(self.names(number, ""), self.names(number, "show=changed"))
        by_state = {state: count for state, count in self.second_builds().items() if count}
        self.assertEqual({state: changes["counts"][state] for state in by_state}, by_state)
        removed = self.changes(number, "show=removed")["items"][0]
        self.assertEqual(removed, {
            "name": removed["name"], "change": "removed", "build": None, "state": None,
            "build_before": self.before["logbook"]["id"], "state_before": "succeeded"})

    def second_builds(self) -> dict:
        return self.client.api("GET", f"/evaluations/{self.second['id']}")["builds_by_state"]

    def check_lists(self) -> None:
        number = self.second["id"]
        whole = self.changes(number)["items"]
        pages, cursor = [], ""
        while cursor is not None:
            page = self.changes(number, f"limit=1{cursor and '&before=' + urllib.parse.quote(cursor)}")
            pages, cursor = pages + page["items"], page["next"]
        self.assertEqual(pages, whole)
        self.assertEqual(self.names(number, "show=succeeded&name=TIDE"), {
            name for name in self.after if "tide" in name
            and self.after[name]["state"] == "succeeded"})
        for query in ("show=odd", "against=x", "limit=0", "colour=red", "before=x"):
            self.assertEqual(self.client.request(
                "GET", f"{API}/evaluations/{number}/changes?{query}").status, 400, query)
        for path in (f"{number}/changes?against=999", f"{number}/changes?against={number}",
                     "999/changes"):
            self.assertEqual(self.client.request("GET", f"{API}/evaluations/{path}").status, 404)
        # Against a later one, new is what is gone there.
        against = self.changes(self.first["id"], f"against={number}&show=added")
        self.assertEqual([it["name"] for it in against["items"]], [f"logbook{SYSTEM}"])

    def check_page(self) -> None:
        number = self.second["id"]
        page = self.page(f"/evaluations/{number}")
        counts = self.changes(number)["counts"]
        self.assertEqual(self.chip(page, "broken"), counts["broken"])
        self.assertEqual(self.chip(page, "new"), 1)
        self.assertEqual(self.chip(page, "removed"), 1)
        self.assertEqual(self.chip(page, "succeeded"), counts["succeeded"])
        self.assertIn(f'<a class="button" rel="prev" href="/evaluations/{self.first["id"]}">', page)
        self.assertNotIn('rel="next" href="/evaluations/', page)
        self.assertNotIn("/restart", page, "nobody is signed in")
        self.assertEqual(len(self.jobs_of_page(f"/evaluations/{number}")), self.second["jobs_count"])
        for show in ("broken", "fixed", "added", "removed", "failed", "unfinished"):
            shown = {name.removesuffix(SYSTEM)
                     for name in self.jobs_of_page(f"/evaluations/{number}?show={show}")}
            self.assertEqual(shown, self.names(number, f"show={show}"), show)
        self.assertEqual(self.jobs_of_page(f"/evaluations/{number}?name=COMPASS"),
                         [f"compass{SYSTEM}"])
        self.assertIn("No job is like that",
                      self.page(f"/evaluations/{number}?name={urllib.parse.quote(SCRIPT)}"))
        self.assertEqual(self.client.request("GET", f"/evaluations/{number}?show=odd").status, 400)
        self.check_against(number)
        # What came between, from the clone; this channel's URL has no forge.
        self.assertIn("2 commits since evaluation", text_of(page))
        self.assertIn("gnu: Break the tide tables", page)
        self.assertIn("gnu: Mend sextant &lt;script&gt;", page)
        self.assertNotIn(SCRIPT, page)
        self.assertNotIn("\x1b", page)
        self.assertIn(f'href="/api/panoply/v1/evaluations/{number}/log"', page)

    def check_against(self, number: int) -> None:
        """What is typed wrongly is told beside its field, on the page itself."""
        for typed, words in (("77", "there is no other evaluation 77"), ("abc", "must be the number"),
                             ("0", "must be the number")):
            answer = self.client.request("GET", f"/evaluations/{number}?against={typed}&show=failed")
            page = answer.body.decode()
            self.assertEqual(answer.status, 400, typed)
            field = re.search(r'<input name="against"[^>]*>', page)[0]
            self.assertIn('aria-invalid="true"', field)
            self.assertIn(f'value="{typed}"', field)
            self.assertIn('aria-describedby="against-problem"', field)
            self.assertIn(words, re.search(r'id="against-problem">([^<]*)', page)[1])
            self.assertIn('<div id="list"', page)

    def check_order(self) -> None:
        """What broke, errors, commits, jobs with the broken ones first; or by name."""
        number = self.second["id"]
        page = self.page(f"/evaluations/{number}")
        places = [page.index(it) for it in ("<h2>Broken</h2>", '<h2 id="errors"', "<h2>Commits</h2>",
                                            '<h2 id="jobs"', '<h2 id="log-title"')]
        self.assertEqual(places, sorted(places))
        broken = page[places[0]:places[1]]
        for name in self.names(number, "show=broken"):
            self.assertIn(f">{name}{SYSTEM}</a>", broken)
        states = [it["state"] for it in self.after.values()]
        shown = re.findall(r'data-label="Build"><span class="state" data-state="([^"]+)"', page)
        self.assertEqual(sorted(shown), sorted(states))
        good = shown.index("succeeded")
        self.assertEqual(set(shown[good:]), {"succeeded"})
        jobs = self.jobs_of_page(f"/evaluations/{number}")
        changed = self.names(number, "show=broken")
        self.assertEqual({it.removesuffix(SYSTEM) for it in jobs[:len(changed)]}, changed)
        by_name = self.jobs_of_page(f"/evaluations/{number}?sort=name")
        self.assertEqual(by_name, sorted(jobs))
        self.assertEqual(self.jobs_of_page(f"/evaluations/{number}?sort=-name"), by_name[::-1])
        self.assertIn('<th aria-sort="ascending"><a href="/evaluations/'
                      f'{number}?sort=-name#jobs"', self.page(f"/evaluations/{number}?sort=name"))

    def check_restart_of_some(self) -> None:
        """With a filter, only what the list shows; and back to the list with its filter."""
        number = self.second["id"]
        visitor = Visitor(self.client.url, self.farm.server.token())
        before = {name: len(self.farm.build(it["id"])["attempts"]) for name, it in self.after.items()}
        page = visitor.get(f"/evaluations/{number}?show=failed&name=tide-ta")
        path = f"/evaluations/{number}/restart?show=failed&name=tide-ta"
        self.assertIn(f'href="{html.escape(path)}"', page)
        self.assertIn("Restart the failed one below", page)
        question = visitor.get(path)
        self.assertIn(f"1 build is tried again: tide-tables{SYSTEM}", text_of(question))
        self.assertIn(f'href="/evaluations/{number}?show=failed&amp;name=tide-ta#jobs"', question)
        token = re.search(r'name="csrf" value="([^"]+)"', question[question.index("<main"):])[1]
        answer = visitor.post(path, {"csrf": token})
        self.assertEqual((answer.status, answer.headers["Location"]),
                         (303, f"/evaluations/{number}?show=failed&name=tide-ta#jobs"))
        self.farm.finish(self.second)
        after = {name: len(self.farm.build(it["id"])["attempts"]) for name, it in self.after.items()}
        self.assertEqual(after, {**before, "tide-tables": before["tide-tables"] + 1})
        # What is not failed any more cannot be restarted: said on the page, not by an error.
        self.assertIn("nothing to restart", text_of(self.after_redirect(
            visitor, f"/evaluations/{number}/restart?name=sextant")))

    def after_redirect(self, visitor: Visitor, path: str) -> str:
        answer = visitor.request("GET", path)
        self.assertEqual(answer.status, 303)
        return visitor.get(answer.headers["Location"].partition("#")[0])

    def check_first(self) -> None:
        """The first one has nothing to be held against."""
        page = self.page(f"/evaluations/{self.first['id']}")
        changes = self.changes(self.first["id"])
        self.assertIsNone(changes["against"])
        self.assertEqual((changes["items"], changes["counts"]["changed"]), ([], 0))
        self.assertNotIn("Against <a", page)
        self.assertIn(f'rel="next" href="/evaluations/{self.second["id"]}"', page)

    def check_matrix(self) -> None:
        path = f"/evaluations/{self.second['id']}/matrix"
        answer = self.client.request("GET", path)
        matrix = json.loads(answer.body)
        names = [name + matrix["ending"] for name in matrix["names"]]
        items = self.changes(self.second["id"], "show=removed")["items"]
        for show in ("waiting", "running", "succeeded", "failed", "dependency-failed"):
            items += self.changes(self.second["id"], f"show={show}")["items"]
        self.assertEqual(names, sorted(it["name"] for it in items))
        for name, state, change, build in zip(names, matrix["states"], matrix["changes"],
                                              matrix["builds"], strict=True):
            item = next(it for it in items if it["name"] == name)
            self.assertEqual(build, item["build"] or item["build_before"])
            self.assertEqual(state, item["state"][0] if item["state"] else "-")
            self.assertEqual(change, {"same": ".", "broken": "b", "fixed": "x", "failing": "f",
                                      "added": "a", "removed": "r"}[item["change"]])
        again = self.client.request("GET", path, headers={"If-None-Match": answer.headers["ETag"]})
        self.assertEqual(again.status, 304)
        states = self.client.json("GET", f"{path}?part=states")
        self.assertEqual(states, {name: matrix[name] for name in ("states", "changes")})

    def check_errors(self) -> None:
        number = self.second["id"]
        page = self.page(f"/evaluations/{number}")
        self.assertEqual(self.chip(page, "new error"), 1)
        fresh = self.page(f"/evaluations/{number}?errors=new")
        table = fresh[fresh.index('<h2 id="errors"'):fresh.index("</table>", fresh.index('<h2 id="errors"'))]
        self.assertIn("unspeakable@1.0", table)
        self.assertNotIn("lighthouse@0.1", table)
        self.assertIn("<details><summary>", table)
        self.assertNotIn("x" * 3000, table)
        gone = self.page(f"/evaluations/{self.first['id']}?against={number}&errors=gone")
        self.assertIn("unspeakable@1.0", gone[gone.index('<h2 id="errors"'):])
        self.assertIn("lighthouse@0.1", self.page(f"/evaluations/{self.first['id']}"))

    def check_facts(self) -> None:
        """The same in the API."""
        first, second = self.first["id"], self.second["id"]
        channel, = self.client.api("GET", f"/evaluations/{second}/commits")["items"]
        self.assertEqual(channel["commits_count"], 2)
        self.assertIn("gnu: Break the tide tables",
                      [commit["subject"] for commit in channel["commits"]])
        self.assertEqual(channel["commit"], channel["commits"][0]["commit"])
        self.assertEqual(channel["commit_before"], self.first["revisions"][0]["commit"])
        errors = {it["name"]: it["new"] for it in
                  self.client.api("GET", f"/evaluations/{second}/errors")["items"]}
        self.assertEqual((errors["unspeakable@1.0"], errors["lighthouse@0.1"]), (True, False))
        for path in (f"{second}/errors?show=new", f"{first}/errors?show=gone&against={second}"):
            items = self.client.api("GET", f"/evaluations/{path}")["items"]
            self.assertEqual({it["name"] for it in items}, {"unspeakable@1.0"}, path)

    def check_command_line(self) -> None:
        shown = self.farm.server.command_line("evaluation", "changes", self.second["id"]).stdout
        self.assertIn(f"tide-tables{SYSTEM}", shown)
        self.assertIn("broken", shown)
        self.assertNotIn("sunrise", shown)

    def check_restart(self) -> None:
        number = self.second["id"]
        visitor = Visitor(self.client.url, self.farm.server.token())
        self.assertIn(f'href="/evaluations/{number}/restart"', visitor.get(f"/evaluations/{number}"))
        for fields in ({}, {"csrf": "0" * 64}):
            self.assertEqual(visitor.post(f"/evaluations/{number}/restart", fields).status, 403)
        stranger = Client(self.client.url)
        self.assertIn(stranger.request("GET", f"/evaluations/{number}/restart").status, (303, 401))
        self.assertEqual(self.farm.build(self.after["tide-tables"]["id"])["state"], "failed")
        self.client.api("POST", "/agents/builder-1/pause")
        question, done = visitor.confirm(f"/evaluations/{number}/restart")
        failed = sum(build["state"] in ("failed", "dependency-failed")
                     for build in self.after.values())
        self.assertIn(f"{failed} builds are tried again", text_of(question))
        self.assertIn(f"{failed} builds are restarted", text_of(done))
        self.check_outcome_follows(number, failed)
        tables = wait_until(lambda: self.tried_again(), 60, "tide-tables is tried again")
        self.assertEqual(tables["state"], "failed")
        for name, build in self.farm.finish(self.second).items():
            self.assertEqual(build["state"], self.after[name]["state"], name)
        self.assertEqual(self.client.request(
            "POST", f"{API}/evaluations/999/restart").status, 404)

    def check_outcome_follows(self, number: int, unfinished: int) -> None:
        """What was counted is counted again when builds begin again, and when they end."""
        left = f"building: {unfinished} of {len(self.after)} left, "
        wait_until(lambda: left in self.page("/specifications/example"), 20, left)
        self.assertEqual(self.cell_of_strip("/", number)[0], "building")
        self.client.api("POST", "/agents/builder-1/resume")
        wait_until(lambda: self.cell_of_strip("/", number)[0] == "some-failed", 60, "some-failed")

    def tried_again(self) -> dict:
        build = self.farm.build(self.after["tide-tables"]["id"])
        assert len(build["attempts"]) == 2 and build["finished_at"], build["attempts"]
        return build

    def check_cancel(self) -> None:
        """One that runs shows how far it is, and can be cancelled."""
        self.channel.write("example/packages/slow.scm",
                           "(define-module (example packages slow))\n(sleep 100)\n")
        self.channel.commit("Take a while")
        self.client.api("POST", "/specifications/example/evaluate")
        number = self.second["id"] + 1
        runs = self.farm.server.wait_for(f"/evaluations/{number}",
                                         lambda it: it["state"] == "running")
        self.assertFalse(runs["cancelling"])
        self.assertGreaterEqual(runs["usual_duration_s"], 1)
        self.assertIn(runs["expected_jobs_count"], (len(self.before), len(self.after)))
        visitor = Visitor(self.client.url, self.farm.server.token())
        page = visitor.get(f"/evaluations/{number}")
        self.assertIn("<progress", page)
        self.assertRegex(text_of(page), "as the ones before took|longer than the ones before")
        self.assertNotIn("Against <a", page)
        self.assertIn("They come when the evaluation ends", page)
        self.assertIn("data-follow=", page)
        self.assertEqual(self.client.json("GET", f"/evaluations/{number}/matrix")["names"], [])
        self.assertEqual(visitor.post(f"/evaluations/{number}/cancel", {}).status, 403)
        _, done = visitor.confirm(f"/evaluations/{number}/cancel")
        self.assertIn("is cancelled", text_of(done))
        self.farm.server.wait_for(f"/evaluations/{number}", lambda it: it["state"] == "cancelled")
        page = visitor.get(f"/evaluations/{number}")
        self.assertIn("It ended before it had any", page)
        self.assertNotIn("removed", text_of(page))
        self.assertIsNone(self.changes(number)["against"])
        self.assertNotIn("<progress", page)
