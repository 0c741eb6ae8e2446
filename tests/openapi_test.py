# SPDX-License-Identifier: GPL-3.0-or-later
"""The description of the API (openapi.json) is complete, well-formed and true: every operation of
it is called on a farm that works, and what comes back has the shape that it tells."""

import itertools
import json
import re
import subprocess
import unittest
import urllib.parse

import jsonschema

from support.case import Case
from support.farm import Farm
from support.panoply import API, Client
from support.programs import TOP
from support.waiting import TIME_FACTOR

METHODS = ("get", "put", "post", "delete")
FORMATS = jsonschema.FormatChecker(formats=[])
ROUTE = re.compile(r'\{\s*(?:\.method = )?"([A-Z]+)",\s*(?:\.path = )?HTTP_API "(/[^"]*)"')
NAME_IN_DOCUMENT = re.compile(r"^[A-Za-z0-9._-]+$")


@FORMATS.checks("date-time")
def is_time(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value))


def routes_of_sources() -> set[tuple[str, str]]:
    """Of all route tables below the API."""
    return {found for file in (TOP / "src").glob("*/*.c") if not file.stem.endswith("_test")
            for found in ROUTE.findall(file.read_text())}


def routes_of_manual() -> set[tuple[str, str]]:
    """Of the table of doc/api.md: its first cells name methods and paths, and leave out what stands
    there already: "`GET`, `PUT /a/{b}`", "`POST /a/pause`, `.../resume`"."""
    routes = set()
    text = (TOP / "doc/api.md").read_text()
    table = text[text.index("| route |"):text.index("## Shapes")]
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        waiting, path = [], ""
        for word in re.findall("`([^`]*)`", row):
            method, _, named = word.rpartition(" ")
            if word.isupper():
                waiting.append(word)
                continue
            path = named.replace("...", path.rsplit("/", 1)[0])
            waiting = [*waiting, method] if method else waiting or [last]
            routes |= {(method, path) for method in waiting}
            waiting, last = [], waiting[-1]
    return routes


class OfDescription(Case):
    timeout = 240

    @classmethod
    def make(cls) -> None:
        cls.farm = Farm(jobs=4)
        unittest.addModuleCleanup(cls.farm.delete)
        cls.client = cls.farm.client
        cls.answer = cls.client.request("GET", f"{API}/openapi.json")
        cls.document = json.loads(cls.answer.body)
        cls.resolver = jsonschema.RefResolver("", cls.document)
        cls.operations = {(method.upper(), path): operation
                          for path, item in cls.document["paths"].items()
                          for method, operation in item.items()}
        cls.evaluation = cls.farm.evaluate()
        cls.builds = cls.farm.finish(cls.evaluation)
        cls.not_begun = {build["id"] for build in cls.builds.values()
                         if build["state"] == "dependency-failed"}

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)

    def resolve(self, thing: dict) -> dict:
        return self.resolver.resolve(thing["$ref"])[1] if "$ref" in thing else thing

    def parameters(self, operation: dict) -> list[dict]:
        return [self.resolve(parameter) for parameter in operation["parameters"]]

    def validator(self, schema: dict) -> jsonschema.Draft202012Validator:
        return jsonschema.Draft202012Validator(schema, resolver=self.resolver,
                                               format_checker=FORMATS)

    def validate(self, value: object, schema: dict, what: str) -> None:
        errors = [f"{what}: {'/'.join(map(str, error.absolute_path))}: {error.message}"
                  for error in self.validator(schema).iter_errors(value)]
        self.assertEqual(errors, [])


def setUpModule() -> None:
    OfDescription.make()


class Document(OfDescription):
    """What it is, whatever the farm does."""

    def test_every_route_is_in_it_and_in_the_manual(self):
        self.assertEqual(set(self.operations), routes_of_sources())
        self.assertEqual(routes_of_manual(), routes_of_sources())

    def test_its_structure(self):
        document = self.document
        self.assertEqual(set(document), {"openapi", "info", "servers", "paths", "components"})
        self.assertRegex(document["openapi"], r"^3\.1\.\d+$")
        self.assertLessEqual({"title", "version", "license"}, set(document["info"]))
        self.assertEqual([server["url"] for server in document["servers"]], [API])
        self.assertEqual(self.answer.headers["Content-Type"], "application/json")
        names = [operation["operationId"] for operation in self.operations.values()]
        self.assertEqual(len(set(names)), len(names))
        for (method, path), operation in self.operations.items():
            with self.subTest(operation["operationId"]):
                self.assertIn(method.lower(), METHODS)
                self.assertLessEqual(
                    {"operationId", "summary", "tags", "parameters", "security", "responses"},
                    set(operation))
                self.assertTrue(operation["summary"])
                parameters = self.parameters(operation)
                for parameter in parameters:
                    self.assertLessEqual({"name", "in", "description", "schema"}, set(parameter))
                    self.assertTrue(parameter.get("required") or parameter["in"] != "path")
                self.assertEqual(len({(it["in"], it["name"]) for it in parameters}),
                                 len(parameters))
                self.assertEqual(re.findall(r"\{(\w+)\}", path),
                                 [it["name"] for it in parameters if it["in"] == "path"])
                self.assertLessEqual({"400", "500", "503"}, set(operation["responses"]))
                for status, response in operation["responses"].items():
                    self.assertRegex(status, r"^[2-5]\d\d$")
                    self.assertTrue(self.resolve(response)["description"])
                for requirement in operation["security"]:
                    self.assertLessEqual(set(requirement),
                                         set(document["components"]["securitySchemes"]))

    def test_no_rule_of_the_lint_is_broken(self):
        if not (TOP / "node_modules").exists():
            raise RuntimeError("no lint: run tools/deps")
        lint = subprocess.run(["node", TOP / "tests/lint_openapi.mjs"], input=self.answer.body,
                              capture_output=True, timeout=60 * TIME_FACTOR)
        self.assertEqual((lint.returncode, lint.stdout.decode(), lint.stderr.decode()), (0, "", ""))

    def references(self, value: object):
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            value = list(value.values())
        if isinstance(value, list):
            yield from itertools.chain.from_iterable(map(self.references, value))

    def test_references_lead_somewhere_and_nothing_is_left_over(self):
        used = set(self.references(self.document))
        for reference in used:
            self.resolver.resolve(reference)
        there = {f"#/components/{kind}/{name}" for kind in ("schemas", "parameters", "responses",
                                                            "headers")
                 for name in self.document["components"][kind]}
        self.assertEqual(used, there)
        for reference in there:
            self.assertRegex(reference.rsplit("/", 1)[1], NAME_IN_DOCUMENT)

    def objects(self, value: object):
        if isinstance(value, dict):
            if value.get("type") == "object":
                yield value
            value = list(value.values())
        if isinstance(value, list):
            yield from itertools.chain.from_iterable(map(self.objects, value))

    def test_schemas_are_strict_and_explained(self):
        for name, schema in self.document["components"]["schemas"].items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)
                self.assertTrue(schema["description"])
                for value in self.objects(schema):
                    self.assertIn("additionalProperties", value)
                    self.assertLessEqual(set(value.get("required", [])),
                                         set(value.get("properties", {})))
                    for member, property_ in value.get("properties", {}).items():
                        self.assertTrue({"description", "$ref"} & set(property_), member)

    def test_it_is_kept(self):
        again = self.client.request("GET", f"{API}/openapi.json",
                                    headers={"If-None-Match": self.answer.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))


class Live(OfDescription):
    """What the farm answers is what the description says."""

    def call(self, method: str, path: str, body: object = None, client: Client | None = None,
             query: str = "", **parameters: object) -> tuple[int, object]:
        """Calls the operation, and holds its answer against the description."""
        operation = self.operations[method, path]
        target = path.format(**{name: urllib.parse.quote(str(value))
                                for name, value in parameters.items()})
        if body is not None:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            self.validate(body, schema, f"the body for {method} {target}")
        answer = (client or self.client).request(
            method, f"{API}{target}{query}", None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"} if body is not None else {})
        return answer.status, self.check(operation, f"{method} {target}{query}", answer)

    def check(self, operation: dict, what: str, answer) -> object:
        responses = operation["responses"]
        found = responses.get(str(answer.status))
        self.assertIsNotNone(found, f"{what}: {answer.status} {answer.body[:500]}")
        response = self.resolve(found)
        for name in response.get("headers", {}):
            if name != "Link":  # the last page has none
                self.assertTrue(answer.headers.get(name), f"{what}: {name}")
        if "content" not in response:
            self.assertEqual(answer.body, b"", what)
            return None
        type_, = response["content"]
        self.assertEqual(answer.headers["Content-Type"].split(";")[0], type_, what)
        if not type_.endswith("json"):
            return answer.body.decode()
        value = json.loads(answer.body)
        self.validate(value, response["content"][type_]["schema"], what)
        return value

    def fillings(self, path: str) -> list[dict]:
        """What may stand for the names in PATH: everything that is there."""
        if "{" not in path:
            return [{}]
        noun = path.split("/")[1]
        items = self.client.api("GET", f"/{noun}?limit=1000")["items"]
        return [{"id": item.get("id"), "name": item.get("name")} for item in items]

    def test_whatever_can_be_read(self):
        """Each thing that is there; whole lists, and lists in pages of one item."""
        for (method, path), operation in self.operations.items():
            if method != "GET" or path == "/events":
                continue
            names = {it["name"] for it in self.parameters(operation) if it["in"] == "query"}
            for filling in self.fillings(path):
                with self.subTest(path, **filling):
                    query = "?q=tide" if path == "/search" else ""
                    status, value = self.call(method, path, query=query, **filling)
                    begun = "/log" not in path or filling["id"] not in self.not_begun
                    self.assertEqual(status, 200 if begun else 404)
                    if "before" in names:
                        self.walk_pages(path, filling)

    def walk_pages(self, path: str, filling: dict) -> None:
        """A page that holds all is the last one; smaller ones lead to all of it, and to no more."""
        def identities(value: object) -> list[tuple]:
            return [tuple(item.get(key) for key in ("id", "name", "evaluation", "build",
                                                    "specification", "message"))
                    for item in value["items"]]

        _, value = self.call("GET", path, query="?limit=1000", **filling)
        whole = identities(value)
        if not whole:
            return
        for size in (len(whole), 1 if len(whole) < 8 else (len(whole) + 1) // 2):
            found, cursor = [], ""
            while cursor is not None:
                before = f"&before={urllib.parse.quote(cursor)}" if cursor else ""
                _, value = self.call("GET", path, query=f"?limit={size}{before}", **filling)
                self.assertTrue(value["items"], f"{path}: a page with nothing on it")
                found += identities(value)
                cursor = value["next"]
            self.assertEqual(found, whole, path)

    def test_logs(self):
        """Both kinds of log have validators and ranges once they have ended, compressed or not."""
        build = self.builds["almanac"]["id"]
        for path, id_ in (("/builds/{id}/log", build),
                          ("/evaluations/{id}/log", self.evaluation["id"])):
            for coding in ("identity", "gzip"):
                with self.subTest(path, coding=coding):
                    operation = self.operations["GET", path]
                    target = f"{API}{path}".format(id=id_)

                    def ask(status, method="GET", **headers):
                        headers = {name.replace("_", "-"): text for name, text in headers.items()}
                        answer = self.client.request(method, target, headers={
                            "Accept-Encoding": coding, **headers})
                        self.assertEqual(answer.status, status)
                        return answer

                    whole = ask(200)
                    size = len(whole.body)
                    self.assertEqual(whole.headers["Accept-Ranges"], "bytes")
                    same = ask(304, If_None_Match=whole.headers["ETag"])
                    self.assertIn(same.headers["Content-Length"], (None, str(size)))
                    ask(304, If_Modified_Since=whole.headers["Last-Modified"])
                    if size > 3:
                        part = ask(206, Range="bytes=1-3", If_Range=whole.headers["ETag"])
                        self.assertEqual(part.body, whole.body[1:4])
                        self.assertEqual(part.headers["Content-Range"], f"bytes 1-3/{size}")
                    self.check(operation, target, ask(416, Range=f"bytes={size}-"))
                    head = ask(200, method="HEAD")
                    self.assertEqual((head.body, head.headers["Content-Length"]),
                                     (b"", str(size)))

    def test_search(self):
        item = self.builds["almanac"]["derivation"]
        commit = self.evaluation["revisions"][0]["commit"]
        for word, members in (("tide", {"jobs"}), (item, {"store_items"}), (commit, {"commits"}),
                              ("example", {"things"}), ("nowhere at all", set())):
            _, found = self.call("GET", "/search", query=f"?q={urllib.parse.quote(word)}")
            self.assertLessEqual(members, {name for name, list_ in found.items() if list_})
            if not members:
                self.assertFalse(any(found.values()))

    def facts(self, path: str, **filling: object) -> dict:
        status, value = self.call("GET", path, **filling)
        self.assertEqual(status, 200, value)
        return value

    def test_what_pages_tell_of_a_build(self):
        failed, needing = self.builds["sextant"]["id"], self.builds["navigator"]["id"]
        log = self.client.request("GET", f"{API}/builds/{failed}/log").body.decode()
        outline = self.facts("/builds/{id}/log/outline", id=failed)
        self.assertEqual((outline["log_size"], outline["lines_count"], outline["growing"]),
                         (len(log.encode()), len(log.splitlines()), False))
        self.assertIn(outline["error"][:40], log.splitlines()[outline["error_line"] - 1])
        history = self.facts("/builds/{id}/history", id=failed)
        self.assertEqual((history["job"], history["specification"], history["outcome"]),
                         ("sextant.x86_64-linux", "example", "failed"))
        self.assertEqual(history["since_evaluation"], self.evaluation["id"])
        self.assertEqual([it["build"] for it in history["items"]], [failed])
        graph = self.facts("/builds/{id}/graph", id=needing)
        self.assertIn({"dependency": failed, "dependent": needing}, graph["edges"])
        self.assertLessEqual({failed, needing}, {node["id"] for node in graph["nodes"]})
        made = self.facts("/builds/{id}/reproduction", id=failed)
        self.assertEqual(made["build_command"], f"guix build {self.builds['sextant']['derivation']}")
        self.assertIn("sextant", made["time_machine_command"])
        self.assertIn(self.evaluation["revisions"][0]["commit"], made["channels_scm"])

    def test_counts_of_a_build_are_those_of_its_lists(self):
        for name in ("sextant", "navigator", "almanac"):
            build = self.facts("/builds/{id}", id=self.builds[name]["id"])
            for member in ("attempts", "dependencies", "dependents", "jobs"):
                items = self.facts(f"/builds/{{id}}/{member}", id=build["id"])["items"]
                self.assertEqual(build[f"{member}_count"], len(items), f"{name}: {member}")
                self.assertCountEqual(build[member], items)
            for output in build["outputs"]:
                self.assertEqual(output["available"], output["narinfo"] is not None)
                if output["available"]:
                    narinfo = self.client.request("GET", output["narinfo"])
                    self.assertIn(f"StorePath: {output['path']}\n", narinfo.body.decode())

    def test_what_pages_tell_of_an_agent(self):
        failed = self.facts("/agents/{name}/attempts", name="builder-1")
        self.assertIn(self.builds["sextant"]["id"], [it["build"] for it in failed["items"]])
        _, narrowed = self.call("GET", "/agents/{name}/attempts", name="builder-1",
                                query="?state=failed")
        self.assertEqual(narrowed["items"], [it for it in failed["items"]
                                             if it["state"] == "failed"])
        self.assertEqual(self.call("GET", "/agents/{name}/attempts", name="builder-1",
                                   query="?state=running")[0], 400)
        day = self.facts("/agents/{name}/day", name="builder-1")
        self.assertEqual(day["failures_count"], len(narrowed["items"]))
        self.assertGreater(sum(it["busy_places"] for it in day["items"]), 0)
        _, tried = self.call("GET", "/builds", query="?limit=1000&agent=builder-1")
        self.assertEqual({it["id"] for it in tried["items"]},
                         {it["build"] for it in failed["items"]})
        self.assertEqual(self.call("GET", "/builds", query="?agent=nobody")[0], 404)

    def test_what_pages_tell_of_an_evaluation(self):
        found = self.facts("/evaluations/{id}/commits", id=self.evaluation["id"])
        self.assertEqual([(it["channel"], it["commit"], it["commit_before"], it["commits"])
                          for it in found["items"]],
                         [(it["channel"], it["commit"], None, [])
                          for it in self.evaluation["revisions"]])
        errors = self.facts("/evaluations/{id}/errors", id=self.evaluation["id"])["items"]
        for show, wanted in (("new", errors), ("gone", [])):
            status, shown = self.call("GET", "/evaluations/{id}/errors", query=f"?show={show}",
                                      id=self.evaluation["id"])
            self.assertEqual((status, shown["items"]), (200, wanted))
        self.assertEqual(self.call("GET", "/evaluations/{id}/errors", query="?show=old",
                                   id=self.evaluation["id"])[0], 400)

    def test_what_needs_attention(self):
        found = self.farm.server.wait_for("/overview", lambda it: it["worse_evaluations"])
        self.assertEqual([(it["specification"], it["evaluation"], it["against"])
                          for it in found["worse_evaluations"]],
                         [("example", self.evaluation["id"], None)])
        self.assertEqual((found["scheduler"], found["failing_specifications"]), (True, []))

    def test_each_filter_narrows(self):
        number = self.evaluation["id"]
        whole = {path: self.client.api("GET", path + "?limit=1000")["items"]
                 for path in ("/builds", "/evaluations", f"/evaluations/{number}/jobs")}
        asked_for = {build["id"] for build in self.builds.values()}
        self.assertLess(len(asked_for), len(whole["/builds"]))
        for path, template, query, holds in (
                ("/builds", "/builds", "state=failed", lambda it: it["state"] == "failed"),
                ("/builds", "/builds", "name=tide", lambda it: "tide" in it["name"]),
                ("/builds", "/builds", f"evaluation={number}&system=x86_64-linux",
                 lambda it: it["id"] in asked_for),
                ("/builds", "/builds", "system=riscv64-linux", lambda it: False),
                ("/evaluations", "/evaluations", "state=failed",
                 lambda it: it["state"] == "failed"),
                (f"/evaluations/{number}/jobs", "/evaluations/{id}/jobs", "system=i686-linux",
                 lambda it: it["system"] == "i686-linux"),
                ("/evaluations", "/evaluations", "specification=example",
                 lambda it: it["specification"] == "example"),
                (f"/evaluations/{number}/jobs", "/evaluations/{id}/jobs", "state=failed",
                 lambda it: it["state"] == "failed"),
                (f"/evaluations/{number}/jobs", "/evaluations/{id}/jobs", "name=tide",
                 lambda it: "tide" in it["name"])):
            with self.subTest(query):
                _, value = self.call("GET", template, query=f"?limit=1000&{query}", id=number)
                self.assertEqual(value["items"], [it for it in whole[path] if holds(it)])

    def test_events(self):
        operation = self.operations["GET", "/events"]
        content = operation["responses"]["200"]["content"]["text/event-stream"]["schema"]
        _, lines, connection = self.client.stream("GET", f"{API}/events",
                                                  headers={"Last-Event-ID": "0-0"})
        self.addCleanup(connection.close)
        data = (line[6:] for line in lines if line.startswith(b"data: "))
        kinds = set()
        while not {"evaluation.succeeded", "build.failed", "agent.enrolled"} <= kinds:
            event = json.loads(next(data))
            self.validate(event, content["contentSchema"], str(event))
            kinds.add(event["kind"])

    def test_what_nobody_offers_is_refused(self):
        """Parameters that an operation does not name, flags that are neither, things that are not
        there, and for what needs a token: nobody. None of that does anything."""
        stranger = Client(self.client.url)
        for (method, path), operation in self.operations.items():
            nowhere = {"id": 10**9, "name": "nowhere", "token": 10**9}
            with self.subTest(operation["operationId"]):
                self.assertEqual(self.call(method, path, query="?colour=red", **nowhere)[0], 400)
                for parameter in self.parameters(operation):
                    if parameter["schema"].get("enum") == ["yes", "no"]:
                        query = f"?{parameter['name']}=maybe"
                        self.assertEqual(self.call(method, path, query=query, **nowhere)[0], 400)
                if operation["security"]:
                    self.assertEqual(self.call(method, path, client=stranger, **nowhere)[0], 401)
                if "{" in path and "requestBody" not in operation:
                    self.assertEqual(self.call(method, path, **nowhere)[0], 404)

    def test_bodies_are_as_strict_as_it_says(self):
        for (method, path), operation in self.operations.items():
            if "requestBody" not in operation:
                continue
            with self.subTest(operation["operationId"]):
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                for body in ({}, [], {"colour": "red"}):
                    self.assertFalse(self.validator(schema).is_valid(body))
                    answer = self.client.request(
                        method, API + path.format(name="example"), json.dumps(body).encode(),
                        {"Content-Type": "application/json"})
                    self.assertEqual(answer.status, 400)
                    self.check(operation, path, answer)

    def test_whatever_can_be_done(self):
        done = set()

        def do(status: int, method: str, path: str, **rest) -> object:
            answered, value = self.call(method, path, **rest)
            self.assertEqual(answered, status, f"{method} {path}: {value}")
            done.add((method, path))
            return value

        self.do_with_specification(do)
        self.do_with_builds(do)
        self.do_with_agents(do)
        do(200, "POST", "/cache/check", query="?withdraw=no")
        self.assertEqual(done, {key for key in self.operations if key[0] != "GET"})

    def do_with_specification(self, do) -> None:
        definition = {**self.farm.channel.specification("described", period=0),
                      "build": {"packages": ["almanac"]}}
        do(201, "POST", "/specifications", body=definition)
        do(200, "PUT", "/specifications/{name}", name="described",
           body={**definition, "priority": -3, "systems": ["x86_64-linux"]})
        self.assertEqual(self.call("POST", "/specifications", body=definition)[0], 409)
        for verb in ("pause", "resume"):
            do(202, "POST", f"/specifications/{{name}}/{verb}", name="described")
        evaluations = "/evaluations?specification=described"
        do(202, "POST", "/specifications/{name}/evaluate", name="described", query="?force=yes")
        newest = self.farm.server.wait_for(evaluations, lambda it: it["items"])["items"][0]
        do(202, "POST", "/evaluations/{id}/cancel", id=newest["id"])
        self.farm.server.wait_for(f"/evaluations/{newest['id']}", lambda it: it["finished_at"])
        self.assertEqual(self.call("POST", "/evaluations/{id}/cancel", id=newest["id"])[0], 409)
        self.assertEqual(self.call("GET", "/evaluations/{id}", id=newest["id"])[0], 200)
        do(204, "DELETE", "/specifications/{name}", name="described")

    def do_with_builds(self, do) -> None:
        failed = self.builds["sextant"]
        do(202, "POST", "/agents/{name}/pause", name="builder-1")
        do(202, "POST", "/evaluations/{id}/restart", id=self.evaluation["id"])
        self.farm.server.wait_for(f"/builds/{failed['id']}", lambda it: it["state"] == "waiting")
        do(202, "POST", "/builds/{id}/cancel", id=failed["id"])
        self.farm.server.wait_for(f"/builds/{failed['id']}", lambda it: it["state"] == "cancelled")
        do(202, "POST", "/builds/{id}/restart", id=failed["id"], query="?dependents=yes")
        _, explained = self.call("GET", "/builds/{id}/explain", id=failed["id"])
        self.assertEqual(explained["reason"], "agents-paused")
        do(202, "POST", "/builds/{id}/cancel", id=failed["id"])
        self.assertEqual(self.call("POST", "/builds/{id}/cancel", id=failed["id"])[0], 409)
        self.assertEqual(self.call("GET", "/builds/{id}", id=failed["id"])[0], 200)
        submitted = do(201, "POST", "/builds",
                       body={"derivations": [self.builds["almanac"]["derivation"]], "priority": 7})
        self.assertEqual(submitted, {"builds": [self.builds["almanac"]["id"]]})

    def do_with_agents(self, do) -> None:
        token = do(201, "POST", "/agents/tokens", body={"name": "described", "valid_s": 600})
        self.call("GET", "/agents/tokens")
        do(202, "POST", "/agents/tokens/{token}/revoke", token=token["id"])
        do(202, "POST", "/agents/{name}/resume", name="builder-1")
        do(202, "POST", "/agents/{name}/release", name="builder-1")
        self.assertEqual(self.call("GET", "/agents")[0], 200)
