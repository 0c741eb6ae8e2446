# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page and every answer of the API, with names that mean harm."""

import collections
import html.parser
import json
import re

from support.case import Case
from support.panoply import API, Client

OF_A_KIND = 3  # links with the same parameters that are followed
SCRIPTS = ("copy", "fields", "drawing", "log", "matrix")
SCRIPT = "<script>alert(1)</script>\"'&"
HOSTILE = f"{SCRIPT} \x1b[31mred\u202e {'x' * 10000}"
STATEMENTS_MAX = 8  # that a page may have the database run
VOID = {"meta", "link", "input", "br", "hr", "img"}


def statements_of(answer) -> int:
    return int(re.search(r"statements;desc=(\d+)", answer.headers["Server-Timing"])[1])


class Page(html.parser.HTMLParser):
    """Checks that elements nest; remembers links and scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.links, self.scripts, self.problems = [], [], [], []
        self.feed(text)
        self.problems += [f"<{tag}> never ends" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "a":
            self.links.append(values.get("href", ""))
        if tag == "script":
            self.scripts.append(values.get("src"))
        if any(name.startswith("on") for name in values) or "style" in values:
            self.problems.append(f"<{tag}> with {sorted(values)}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        # HTML lets the ends of some elements be left out.
        while self.open and self.open[-1] in ("dt", "dd", "li", "p", "option") and self.open[-1] != tag:
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> without beginning")


class Pages(Case):
    timeout = 240

    def setUp(self) -> None:
        super().setUp()
        self.repository = self.channel()
        self.repository.write("note", "a change")
        self.repository.commit(f"{SCRIPT} \x1b[31mred\u202e {'long ' * 500}")
        self.repository.add_package("hostile", f"cat <<'END'\n{HOSTILE}\nEND\nexit 1\n")
        self.repository.add_package("unspeakable", "mkdir $out\n")
        self.repository.replace("example/packages/unspeakable.scm", "(inputs (list ))",
                                f"(inputs (list (error {json.dumps(SCRIPT)}"
                                f" (string #\\x1b) (make-string 10000 #\\x))))")
        self.repository.commit("Packages that mean harm")
        self.panoply = self.server(machine=self.machine("evaluator"))
        self.agent(self.panoply, self.machine("worker"), jobs=2)
        self.panoply.add_specification(self.repository.specification())
        self.client = self.panoply.client
        self.panoply.wait_for("/specifications/example", lambda value:
                              value["newest_evaluation"]
                              and value["newest_evaluation"]["state"] == "succeeded", 120)
        self.panoply.wait_for("/status", lambda value:
                              value["builds_by_state"]["waiting"]
                              + value["builds_by_state"]["running"] == 0, 120)

    def page(self, path: str, status: int = 200) -> Page:
        answer = self.client.request("GET", path, headers={"Accept": "text/html"})
        self.assertEqual(answer.status, status, path)
        self.assertIn("default-src", answer.headers["Content-Security-Policy"])
        self.assertLessEqual(statements_of(answer), STATEMENTS_MAX, path)
        text = answer.body.decode()
        self.assertNotIn(SCRIPT, text)
        self.assertNotIn("\x1b", text)
        page = Page(text)
        self.assertEqual(page.problems, [], path)
        self.assertEqual(page.scripts[:1], ["/static/live.js"])
        self.assertLessEqual(set(page.scripts[1:]), {f"/static/{name}.js" for name in SCRIPTS})
        return page

    def api(self, path: str) -> dict:
        return self.client.api("GET", path)

    def has(self, value: dict, members: str) -> None:
        self.assertEqual(set(members.split()) - set(value), set())

    def builds(self) -> dict[str, dict]:
        return {build["name"].rsplit("-", 1)[0]: build
                for build in self.api("/builds?limit=1000")["items"]}

    def test_all(self):
        # One farm for all: it takes longer to make than to ask.
        self.enrol_hostile()
        self.check_pages()
        self.check_hostile()
        self.check_links()
        self.check_api()
        self.check_lists()
        self.check_who_may_write()
        self.check_terminal()

    def enrol_hostile(self) -> None:
        """An agent that says of itself what no machine is."""
        joining = Client(self.panoply.url, self.panoply.join_token_file().read_text().strip())
        joining.json("POST", "/agent/v1/enrol", {
            "name": "hostile", "systems": ["x86_64-linux"], "jobs": 1,
            "facts": {"host": HOSTILE, SCRIPT: {"deep": [HOSTILE[:100]]}}})

    def check_hostile(self) -> None:
        """What means harm is shown, as the text that it is."""
        builds = self.builds()
        for path in (f"/builds/{builds['hostile']['id']}", "/evaluations/1", "/agents/hostile"):
            self.page(path)
            self.assertIn("&lt;script&gt;alert(1)", self.client.text(path), path)
        log = self.client.text(f"/builds/{builds['sounding-log']['id']}/log?from=0")
        self.assertIn("green", log)
        self.assertIn("&lt;b&gt;&amp;amp; no markup&lt;/b&gt;", log)
        self.assertIn("~" * 10000, log)
        self.assertIn("Größe der Bucht: 12 km²", log)
        errors = {row["name"]: row for row in self.api("/evaluations/1/errors")["items"]}
        self.assertIn(SCRIPT, errors["unspeakable@1.0"]["message"])

    def check_pages(self) -> None:
        builds = self.builds()
        for path in ("/", "/specifications", "/specifications/example", "/evaluations/1",
                     "/evaluations/1?show=failed", "/builds", "/builds?state=failed", "/agents",
                     "/agents/worker", "/agents/hostile", "/substitutes", f"/builds?name={SCRIPT.replace('&', '')}",
                     *(f"/builds/{build['id']}" for build in builds.values())):
            self.page(path)
        for path in ("/nothing", "/builds/99999", "/builds/x", "/specifications/none",
                     "/evaluations/77", "/agents/nobody"):
            self.page(path, 404)
        self.page("/builds?state=odd", 400)
        page = self.client.text(f"/builds/{builds['sounding-log']['id']}")
        self.assertLess(len(page), 150000)
        self.assertIn("End of the log", page)
        self.assertRegex(page, r'<span id="L\d+"><a [^>]*>\d+</a> sounding \d+: ')
        self.page(f"/builds/{builds['sounding-log']['id']}/log")

    def check_links(self) -> None:
        """Every link of every page leads somewhere; of those that differ in what they ask a list
        for, a few do."""
        seen, waiting, kinds = set(), ["/"], collections.Counter()
        while waiting:
            path = waiting.pop(0).partition("#")[0]
            place, _, query = path.partition("?")
            kind = (place, *sorted(re.findall(r"([^&=]+)=", query)))
            if path in seen or not path.startswith("/") or kinds[kind] == OF_A_KIND:
                continue
            kinds[kind] += 1
            seen.add(path)
            answer = self.client.request("GET", path, headers={"Accept": "text/html"})
            self.assertEqual(answer.status, 200, path)
            if answer.headers["Content-Type"].startswith("text/html"):
                self.assertLessEqual(statements_of(answer), STATEMENTS_MAX, path)
                # To sign in leads back to where one was: a link that is new on each page.
                waiting += [link for link in Page(answer.body.decode()).links
                            if not link.startswith("/sign-in")]
        self.assertGreater(len(seen), 25)

    def check_api(self) -> None:
        self.has(self.api("/status"), "version scheduler builds_by_state agents_connected_count "
                                     "agents_enrolled_count")
        self.has(self.api("/key"), "public_key")
        self.has(self.api("/specifications")["items"][0],
                 "name definition paused period_s priority created_at changed_at polled_at "
                 "failure newest_evaluation")
        evaluation = self.api("/evaluations/1")
        self.has(evaluation, "id specification state created_at started_at finished_at jobs_count "
                             "errors_count derivations_count message revisions builds_by_state")
        self.has(evaluation["revisions"][0], "channel url commit subject author committed_at")
        self.assertEqual(sum(evaluation["builds_by_state"].values()), evaluation["jobs_count"])
        self.has(self.api("/evaluations/1/errors")["items"][0], "name message file line column")
        self.has(self.api("/evaluations/1/jobs")["items"][0], "name system derivation build state")
        build = self.api(f"/builds/{self.builds()['navigator']['id']}")
        self.has(build, "id name derivation system state priority timeout_s max_silent_s "
                        "created_at finished_at failed_build outputs attempts dependencies "
                        "dependents jobs")
        in_list = next(it for it in self.api("/builds?limit=1000")["items"]
                       if it["id"] == build["id"])
        lists = {"outputs", "attempts", "dependencies", "dependents", "jobs", "attempts_count",
                 "dependencies_count", "dependents_count", "jobs_count"}
        self.assertEqual(in_list, {name: value for name, value in build.items()
                                   if name not in lists})
        self.has(build["outputs"][0], "name path available nar_size")
        self.has(build["dependencies"][0], "id name state")
        self.has(build["jobs"][0], "specification evaluation name")
        self.assertEqual(build["state"], "dependency-failed")
        self.assertEqual(build["failed_build"], self.builds()["sextant"]["id"])
        why = self.api(f"/builds/{build['id']}/explain")
        self.has(why, "state reason")
        self.assertEqual(why["derivation"], build["derivation"])
        sextant = self.api(f"/builds/{build['failed_build']}")
        self.has(sextant["attempts"][0], "id agent state cause message created_at started_at "
                                         "finished_at log_size")
        self.assertEqual(sextant["attempts"][0]["cause"], "build")
        self.has(self.api("/agents/worker"), "name systems places paused connected connected_at "
                                             "seen_at enrolled_at facts running_attempts")
        problem = self.client.request("GET", API + "/builds/99999")
        self.assertEqual(problem.headers["Content-Type"], "application/problem+json")
        self.has(json.loads(problem.body), "title status detail")

    def check_lists(self) -> None:
        """Pages of a list join without gap or repetition."""
        for path in ("/builds", "/evaluations/1/jobs"):
            whole = self.api(f"{path}?limit=1000")
            self.assertIsNone(whole["next"])
            pieces, cursor = [], ""
            while cursor is not None:
                piece = self.api(f"{path}?limit=4{cursor}")
                pieces += piece["items"]
                cursor = piece["next"] and f"&before={piece['next']}"
            self.assertEqual(pieces, whole["items"], path)

    def check_who_may_write(self) -> None:
        nobody = Client(self.panoply.url)
        joining = Client(self.panoply.url, self.panoply.join_token_file().read_text().strip())
        for method, path in (("POST", "/specifications"), ("PUT", "/specifications/example"),
                             ("DELETE", "/specifications/example"),
                             ("POST", "/specifications/example/evaluate"),
                             ("POST", "/evaluations/1/cancel"), ("POST", "/builds"),
                             ("POST", "/builds/1/cancel"), ("POST", "/builds/1/restart"),
                             ("POST", "/agents/worker/pause"), ("POST", "/agents/tokens")):
            self.assertEqual(nobody.request(method, API + path, b"{}").status, 401, path)
            self.assertIn(joining.request(method, API + path, b"{}").status, (401, 403), path)

    def check_terminal(self) -> None:
        for words in (("spec", "list"), ("spec", "show", "example"), ("evaluation", "list"),
                      ("evaluation", "show", "1"), ("evaluation", "jobs", "1"),
                      ("evaluation", "errors", "1"), ("build", "list"), ("agents", "list"),
                      ("build", "list", "--state", "failed"), ("agents", "show", "worker"),
                      ("key", "show"), ("doctor",)):
            wants_look = words == ("doctor",)  # a build has failed
            printed = self.panoply.command_line(*words, check=not wants_look).stdout
            self.assertNotIn("\x1b", printed, words)
            self.assertTrue(printed, words)
        json.loads(self.panoply.command_line("build", "list", "--json").stdout)


