# SPDX-License-Identifier: GPL-3.0-or-later
"""Where pages and API say the same of the same mistake; what is asked before it is done; and what
nobody on the way may keep."""

import html
import json
import re

from support.case import Case
from support.farm import Farm
from support.panoply import API
from support.visitor import Visitor, without_tags
from support.waiting import wait_until

NOBODY = "/gnu/store/00000000000000000000000000000000-nobody-has-this.drv"


def json_of(value: object) -> bytes:
    return json.dumps(value).encode()


class Manners(Case):
    timeout = 180

    @classmethod
    def setUpClass(cls) -> None:
        cls.farm = Farm()
        cls.addClassCleanup(cls.farm.delete)
        cls.evaluation = cls.farm.evaluate()
        cls.builds = cls.farm.finish(cls.evaluation)

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)
        self.client = self.farm.client
        self.visitor = Visitor(self.farm.server.url)
        self.visitor.sign_in(self.farm.server.token())
        self.csrf = re.search(r'name="csrf" value="([^"]+)"', self.visitor.page("/"))[1]

    def send(self, path: str, **fields):
        return self.visitor.request("POST", path, {"csrf": self.csrf, **fields})

    def status(self, path: str) -> int:
        return self.visitor.request("GET", path).status

    def api_status(self, path: str) -> int:
        return self.client.request("GET", API + path).status

    # ---- filters ----

    def test_filters(self):
        """Empty: a slip of a program, but what a browser makes of a field left empty. Unknown
        words are a 400, unknown things a 404."""
        id_ = self.evaluation["id"]
        for path, of_page, of_api in (
                ("/builds?state=", 200, 400), ("/builds?system=", 200, 400),
                ("/builds?evaluation=", 200, 400), ("/builds?state=&name=sex", 200, 400),
                ("/builds?state=odd", 400, 400), ("/builds?evaluation=odd", 400, 400),
                ("/builds?evaluation=999", 404, 404), ("/builds?specification=nobody", 404, 404),
                ("/builds?specification=example", 200, 200), (f"/builds?evaluation={id_}", 200, 200),
                (f"/builds?evaluation={id_}&name=nothing-is-called-so", 200, 200)):
            with self.subTest(path):
                self.assertEqual((self.status(path), self.api_status(path)), (of_page, of_api))
        for path, status in ((f"/evaluations/{id_}/jobs?system=", 400),
                             (f"/evaluations/{id_}/jobs?state=odd", 400),
                             (f"/evaluations/{id_}/changes?against=", 400),
                             (f"/evaluations/{id_}/changes?against=999", 404),
                             (f"/evaluations/{id_}/changes?show=odd", 400),
                             ("/evaluations?specification=", 400),
                             ("/evaluations?specification=nobody", 404),
                             ("/evaluations?state=odd", 400), ("/search?q=", 400),
                             ("/events?kind=", 400)):
            with self.subTest(path):
                self.assertEqual(self.api_status(path), status)
        log = f"/builds/{self.builds['almanac']['id']}/log"
        for path, status in ((f"/evaluations/{id_}?show=&name=&against=", 200),
                             (f"/evaluations/{id_}?errors=zzz", 400),
                             (f"/evaluations/{id_}?errors=all", 200),
                             (f"/evaluations/{id_}?show=odd", 400),
                             (f"/evaluations/{id_}?against=999", 400),  # beside its field
                             (f"/evaluations/{id_}/matrix?part=odd", 400),
                             ("/add-specification?as=odd", 400), (f"{log}?unfold=odd", 400),
                             (f"{log}?line=", 200), ("/builds?utm_source=a-newsletter", 200)):
            with self.subTest(path):
                self.assertEqual(self.status(path), status)

    # ---- forms ----

    def test_forms_are_as_strict_as_the_api(self):
        build = f"/builds/{self.builds['sextant']['id']}"
        _, lines, connection = self.client.stream("GET", f"{API}/events")
        self.addCleanup(connection.close)
        next(line for line in lines if line.startswith(b"id: "))  # from now on
        for path, fields in ((f"{build}/restart", {"dependents": "maybe"}),
                             (f"{build}/restart", {"dependants": "yes"}),
                             (f"{build}/restart", {"dependents": ""}),
                             ("/specifications/example/evaluate", {"force": "maybe"}),
                             ("/specifications/example/pause", {"for": "ever"}),
                             ("/agents/builder-1/pause", {"until": "noon"}),
                             ("/sign-out", {"everywhere": "yes"}),
                             ("/join-agents", {"name": "a", "days": "1", "role": "admin"}),
                             ("/add-specification", {"name": "a", "url": "https://example.org/a",
                                                     "build": "everything"})):
            with self.subTest(path, **fields):
                answer = self.send(path, **fields)
                self.assertEqual(answer.status, 400, answer.body[-300:])
        answer = self.visitor.client.request(
            "POST", f"{build}/restart",
            f"csrf={self.csrf}&dependents=no&dependents=yes".encode(),
            {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "; ".join(
                f"{it.key}={it.coded_value}" for it in self.visitor.cookies.values())})
        self.assertEqual(answer.status, 400)
        # Of what was refused nothing has happened.
        self.client.api("POST", "/agents/builder-1/pause", {})
        self.client.api("POST", "/agents/builder-1/resume", {})
        kinds = []
        while "agent.resumed" not in kinds:
            kinds += [json.loads(line[6:])["kind"] for line in [next(lines)]
                      if line.startswith(b"data: ")]
        self.assertEqual([kind for kind in kinds if not kind.startswith("agent.")], [])
        self.assertEqual(kinds.count("agent.paused"), 1)
        self.assertEqual(self.farm.build(self.builds["sextant"]["id"])["state"], "failed")

    def test_a_name_that_is_taken(self):
        answer = self.send("/add-specification", name="example", url="https://example.org/a")
        self.assertEqual(answer.status, 409)
        self.assertIn('id="problem"', answer.body.decode())
        answer = self.client.request("POST", f"{API}/specifications", json_of(
            {"name": "example", "channels": [{"name": "a", "url": "https://example.org/a"}],
             "build": "all"}), {"Content-Type": "application/json"})
        self.assertEqual(answer.status, 409, answer.body)

    def test_names_that_are_missing(self):
        """In the form's words, at its field."""
        for build, what in (("packages", "package"), ("manifests", "manifest file")):
            with self.subTest(build):
                answer = self.send("/add-specification", name="nameless", url="https://example.org/a",
                                   build=build, names=" ")
                self.assertEqual(answer.status, 400)
                page = answer.body.decode()
                self.assertEqual(re.findall(r'<input id="(\w+)"[^>]*aria-invalid="true"', page), ["names"])
                self.assertIn(f"Name at least one {what}", page)
        self.add("named", build={"packages": ["hello"]})
        page = self.visitor.page("/specifications/named/edit")
        answer = self.send("/specifications/named/edit", channel="a", url="https://example.org/a", build="packages",
                           changed_at=re.search(r'name="changed_at" value="(\d+)"', page)[1])
        self.assertEqual(answer.status, 400)
        self.assertIn("Name at least one package", answer.body.decode())

    # ---- cancelling ----

    def states(self, evaluation: dict) -> dict[str, str]:
        return {name: build["state"] for name, build in self.farm.builds(evaluation).items()}

    def test_what_is_left_of_an_evaluation(self):
        """Its builds go, but for what another newest evaluation asks for, and what that needs."""
        for name in ("boats", "dinghy"):
            self.addCleanup(self.client.api, "DELETE", f"/specifications/{name}")
        boats = self.farm.evaluate(name="boats", systems=["aarch64-linux"])
        dinghy = self.farm.evaluate(name="dinghy", systems=["aarch64-linux"],
                                    build={"packages": ["tide-tables"]})
        path = f"/evaluations/{boats['id']}/cancel"
        self.farm.server.wait_for(f"/evaluations/{boats['id']}", lambda it: it["outcome"] == "building")
        self.assertIn(path, self.visitor.page(f"/evaluations/{boats['id']}"))
        self.assertIn("what is left", self.visitor.page(path))
        self.assertEqual(self.send(path).status, 303)
        wait_until(lambda: set(self.states(boats).values()) == {"waiting", "cancelled"}, 20, "they go")
        states = self.states(boats)
        self.assertEqual(states["tide-tables"], "waiting")
        self.assertEqual((states["navigator"], states["sounding-log"]), ("cancelled", "cancelled"))
        self.assertEqual(self.send(path).status, 409)
        self.farm.server.command_line("evaluation", "cancel", dinghy["id"])
        wait_until(lambda: set(self.states(boats).values()) == {"cancelled"}, 20, "the rest goes")
        waiting = [it for it in self.client.api("GET", "/builds?state=waiting")["items"]
                   if it["system"] == "aarch64-linux"]
        self.assertEqual(waiting, [])  # nor what only they needed

    # ---- editing a specification ----

    def add(self, name: str, **members) -> None:
        answer = self.client.request("POST", f"{API}/specifications", json_of(
            {"name": name, "period": 0, "channels": [{"name": "a", "url": "https://example.org/a"}],
             **members}), {"Content-Type": "application/json"})
        self.assertEqual(answer.status, 201, answer.body)
        self.addCleanup(self.client.api, "DELETE", f"/specifications/{name}")

    def definition(self, name: str) -> dict:
        return self.client.api("GET", f"/specifications/{name}")["definition"]

    def fields(self, path: str) -> dict[str, str]:
        """What the form at PATH would send, were nothing changed."""
        page = self.visitor.page(path)
        found = dict(re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"', page))
        if "<select" in page:
            found["build"] = re.search(r'<option value="(\w+)" selected', page)[1]
        if text := re.search(r'<textarea[^>]*>\n?(.*?)</textarea>', page, re.DOTALL):
            found["definition"] = html.unescape(text[1])
        return {name: value for name, value in found.items() if name not in ("csrf", "q")}

    def test_the_simple_form_edits_what_it_shows_and_keeps_the_rest(self):
        self.add("edited", build={"packages": ["hello", "tar"]}, priority=7, memory_limit_mb=512)
        path = "/specifications/edited/edit"
        before = self.definition("edited")
        fields = self.fields(path)
        self.assertEqual(fields["names"], "hello tar")
        self.assertEqual(self.send(path, **fields).status, 303)
        self.assertEqual(self.definition("edited"), before)
        fields = self.fields(path)
        self.assertEqual(self.send(path, **{**fields, "build": "channels", "period": "60"}).status,
                         303)
        self.assertEqual(self.definition("edited"),
                         {**before, "build": {"channels": ["a"]}, "period": 60})
        answer = self.send(path, **{**self.fields(path), "url": "nonsense"})
        self.assertEqual(answer.status, 400)
        self.assertIn('value="nonsense"', answer.body.decode())

    def test_what_the_simple_form_cannot_show_is_edited_as_json(self):
        self.add("custom", build={"custom": ["(my ci)"]})
        page = self.visitor.page("/specifications/custom/edit")
        self.assertIn("<textarea", page)
        self.assertNotIn("?as=json", page)
        self.assertIn("<textarea", self.visitor.page("/specifications/example/edit?as=json"))

    def test_two_who_edit_at_once(self):
        self.add("shared")
        for path, mine in (("/specifications/shared/edit", {"period": "60"}),
                           ("/specifications/shared/edit?as=json", {})):
            with self.subTest(path):
                fields = {**self.fields(path), **mine}
                self.send(path, **{**self.fields("/specifications/shared/edit"), "branch": "theirs"})
                theirs = self.definition("shared")
                answer = self.send("/specifications/shared/edit", **fields)
                page = answer.body.decode()
                self.assertEqual(answer.status, 409, page[-300:])
                self.assertEqual(self.definition("shared"), theirs)
                self.assertIn("somebody else has changed it", page)
                self.assertIn("&quot;theirs&quot;", page)  # what it says now
                again = re.search(r'name="changed_at" value="(\d+)"', page)[1]
                self.assertEqual(self.send("/specifications/shared/edit",
                                           **{**fields, "changed_at": again}).status, 303)
                self.assertNotEqual(self.definition("shared"), theirs)
        self.assertEqual(self.send("/specifications/shared/edit", definition="{}").status, 400)

    def test_a_long_url(self):
        for size, status in ((1000, 201), (1001, 400)):
            url = "https://example.org/".ljust(size, "a")
            body = {"name": "long", "channels": [{"name": "a", "url": url}], "build": "all",
                    "period": 0}
            answer = self.client.request("POST", f"{API}/specifications", json_of(body),
                                         {"Content-Type": "application/json"})
            self.assertEqual(answer.status, status, answer.body)
        self.assertIn(b"1 to 1000", answer.body)
        self.client.api("DELETE", "/specifications/long")

    def test_names_of_joining_tokens(self):
        before = self.client.api("GET", "/agents/tokens")["items"]
        for name in ("", " ", "\t", "a\nb", "bell\x07", "x" * 201):
            with self.subTest(name):
                answer = self.client.request("POST", f"{API}/agents/tokens",
                                             json_of({"name": name}),
                                             {"Content-Type": "application/json"})
                self.assertEqual(answer.status, 400)
                # A form's ends are trimmed: people do not see them.
                if name.strip() or name == "":
                    self.assertEqual(self.send("/join-agents", name=name, days="1").status, 400)
        for fields, wrong in (({"name": " ", "days": "1"}, "name"), ({"name": "a", "days": "x"}, "days"),
                              ({"name": "a", "days": str(2 ** 62)}, "days")):
            page = self.send("/join-agents", **fields).body.decode()
            self.assertEqual(re.findall(r'<input name="(\w+)"[^>]*aria-invalid="true"', page), [wrong])
        self.assertEqual(self.client.api("GET", "/agents/tokens")["items"], before)

    # ---- what is shown once ----

    def test_a_new_token_is_shown_once_and_made_once(self):
        def tokens() -> list[dict]:
            return [it for it in self.client.api("GET", "/agents/tokens")["items"]
                    if it["name"] == "the shed"]

        answer = self.send("/join-agents", name="the shed", days="1")
        self.assertEqual((answer.status, answer.headers["Location"]), (303, "/join-agents"))
        page = self.visitor.request("GET", "/join-agents")
        text = page.body.decode()
        token = re.search(r"panoply_join_[0-9a-f]{64}", text)[0]
        words = " ".join(without_tags(text).split())
        self.assertIn("The token the shed, shown this once:", words)
        self.assertIn("works on the server’s own machine only", words)
        self.assertIn("in 24 hours", words)
        self.assertEqual(page.headers.get_all("Cache-Control"), ["no-store"])
        again = self.visitor.request("GET", "/join-agents")
        self.assertNotIn("panoply_join_", again.body.decode())
        self.assertEqual(len(tokens()), 1)
        # A cookie from elsewhere shows nothing that is none of our tokens.
        for forged in ("panoply_join_" + "0" * 64, "hello"):
            self.visitor.cookies["panoply_made"] = forged
            self.assertNotIn("shown this once", self.visitor.page("/join-agents"))
        answer = self.client.request("POST", f"{API}/agents/tokens", json_of({"name": "the shed"}),
                                     {"Content-Type": "application/json"})
        self.assertEqual((answer.status, answer.headers["Cache-Control"]), (201, "no-store"))
        self.assertNotIn(token.encode(), answer.body)

        # Revoking asks first.
        for id_ in [it["id"] for it in tokens()]:
            path = f"/join-agents/{id_}/revoke"
            self.assertIn(f'href="{path}"', self.visitor.page("/join-agents"))
            question = without_tags(self.visitor.page(path))
            self.assertIn("Revoke the token “the shed”?", question)
            self.assertIn("is revoked", self.visitor.press(path, "Revoke it"))
            self.assertEqual(self.status(path), 404)
        self.assertEqual(tokens(), [])

    def test_pages_are_of_who_is_signed_in(self):
        for visitor in (self.visitor, Visitor(self.farm.server.url)):
            for path in ("/", "/builds", "/agents/builder-1", "/sign-in"):
                with self.subTest(path):
                    answer = visitor.request("GET", path)
                    self.assertEqual(answer.headers["Cache-Control"], "private, no-cache")
                    self.assertEqual(answer.headers["Vary"], "Cookie")

    # ---- questions ----

    def test_nothing_is_asked_that_cannot_be_done(self):
        for path, status in ((f"/evaluations/{self.evaluation['id']}/cancel", 409),
                             (f"/builds/{self.builds['almanac']['id']}/cancel", 409),
                             ("/evaluations/999/cancel", 404), ("/agents/nobody/release", 404),
                             ("/agents/builder-1/release", 200), ("/join-agents/999/revoke", 404),
                             ("/specifications/nobody/delete", 404)):
            with self.subTest(path):
                answer = self.visitor.request("GET", path)
                self.assertEqual(answer.status, status)
                if status != 200:
                    self.assertEqual(self.send(path).status, status)

    # ---- words ----

    def test_where_the_store_lies_is_nobodys_business(self):
        answer = self.client.request("POST", f"{API}/builds", json_of({"derivations": [NOBODY]}),
                                     {"Content-Type": "application/json"})
        self.assertEqual(answer.status, 404)
        self.assertIn(f"{NOBODY} is not in the server's store", answer.body.decode())
        self.assertNotIn(str(self.farm.evaluator.root), answer.body.decode())

    def test_what_is_no_json_is_told_in_one_way(self):
        """Whether a route reads it by itself or not."""
        for body, words in ((b'{"name":\n]', r"not valid JSON at line 2, column 1: "),
                            (b'{"name": "\\u0000"}', r"not valid JSON at line 1, column \d+: "
                                                     r"the character NUL is not allowed")):
            told = set()
            for path in ("/specifications", "/agents/tokens", "/builds"):
                answer = self.client.request("POST", API + path, body,
                                             {"Content-Type": "application/json"})
                self.assertEqual(answer.status, 400)
                told.add(answer.body)
            self.assertEqual(len(told), 1, told)
            self.assertRegex(told.pop().decode(), words)

    # ---- bodies ----

    def test_a_body_that_is_too_large_is_told_of_however_it_comes(self):
        connection = self.client.connect()
        self.addCleanup(connection.close)
        connection.request("POST", f"{API}/specifications", (b"x" * 65536 for _ in range(320)),
                           self.client.headers({"Content-Type": "application/json"}),
                           encode_chunked=True)
        reply = connection.getresponse()
        self.assertEqual(reply.status, 413, reply.read())
