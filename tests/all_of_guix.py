#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of Guix, some 31,000 jobs, through `panoply serve`; then every job, derivation and source is
held against Guix's own answer and against the store's files, without any code of ours.

  make check-all-of-guix        (or tests/all_of_guix.py, or tests/run --slow all_of_guix)

Takes from 20 minutes up, most of it Guix at work. Environment:

  PANOPLY_ALL_OF_GUIX   a folder where the machine stays between runs, so that the next one finds
                        most derivations made: for work on what comes after Guix
  SEED, SAMPLE          which and how many derivations and sources are fetched and compared byte
                        for byte (a new seed each time, 1000)

Prints figures at the end: doc/performance.md."""

import collections
import hashlib
import os
import pathlib
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.parse

TESTS = pathlib.Path(__file__).resolve().parent

if __name__ == "__main__":
    os.execv(TESTS / "run", ["run", "--slow", "all_of_guix"])

sys.path.insert(0, str(TESTS / "guix"))

import items  # noqa: E402 (the path comes first)
from support.case import Case  # noqa: E402
from support.panoply import API, Client, Server  # noqa: E402
from support.programs import BUILD  # noqa: E402
from support.roots import Machine, temporary_folder  # noqa: E402
from support.waiting import TIME_FACTOR, wait_until  # noqa: E402

SYSTEM = "x86_64-linux"
SPECIFICATION = "all"
# Guix 1.5.0 has 31,316 jobs; a version with far fewer would prove nothing.
JOBS_MINIMUM = 25000
HOURS = 3600
PAGE_SECONDS = 0.3
RESTART_SECONDS = 15
ADDED_SECONDS = 120  # what comes after Guix's last line

CUIRASS_JOBS = f"""\
(use-modules (gnu ci) (guix))
(with-store store
  (for-each (lambda (job)
              (format #t "~a ~a~%" (assq-ref job #:job-name) (assq-ref job #:derivation)))
            (cuirass-jobs store
                          '((subset . all) (systems "{SYSTEM}")
                            (channels (repository (version 0) (url "/x") (branch "master")
                                                  (commit "0") (name guix)))))))
"""

# One line for each derivation of the graph, as Walk.line writes it.
GRAPH_LINES = """\
COPY (
  SELECT path.basename, system.name, text_size,
         (SELECT string_agg(o.name || '=' || p.basename, ' ' ORDER BY o.name COLLATE "C")
            FROM derivation_output o JOIN store_path p ON p.id = o.path_id
           WHERE o.derivation_id = derivation.id),
         coalesce((SELECT string_agg(p.basename || '!' || array_to_string(i.outputs, ','), ' '
                                     ORDER BY p.basename COLLATE "C")
                     FROM derivation_input i JOIN store_path p ON p.id = i.input_id
                    WHERE i.derivation_id = derivation.id), ''),
         coalesce((SELECT string_agg(p.basename, ' ' ORDER BY p.basename COLLATE "C")
                     FROM derivation_source s JOIN store_path p ON p.id = s.path_id
                    WHERE s.derivation_id = derivation.id), '')
    FROM derivation
    JOIN store_path path ON path.id = derivation.id
    JOIN system ON system.id = system_id
) TO STDOUT"""

NAR_LINES = """\
COPY (
  SELECT path.basename, encode(nar_hash, 'hex'), nar_size,
         coalesce((SELECT string_agg(p.basename, ' ' ORDER BY p.basename COLLATE "C")
                     FROM unnest(reference_ids) AS r (id) JOIN store_path p ON p.id = r.id), '')
    FROM nar JOIN store_path path ON path.id = path_id
) TO STDOUT"""

# Builds whose derivation reads outputs that nobody builds and nobody offers.
HOLES = """\
SELECT count(*)
  FROM build
  JOIN derivation_input i ON i.derivation_id = build.derivation_id
  JOIN derivation needed ON needed.id = i.input_id
 WHERE NOT EXISTS (SELECT FROM build b WHERE b.output_key = needed.output_key)"""

COUNTS = """\
SELECT (SELECT count(*) FROM derivation), (SELECT count(*) FROM derivation_input),
       (SELECT count(*) FROM store_path), (SELECT count(*) FROM build), (SELECT count(*) FROM nar),
       (SELECT count(*) FROM nar_file WHERE compression = 3)"""

DERIVATION = re.compile(
    r'Derive\(\[((?:\("[^"]*","[^"]*","[^"]*","[^"]*"\),?)+)\],'  # outputs
    r'\[((?:\("[^"]*",\[[^]]*\]\),?)*)\],\[([^]]*)\],"([^"]*)",')  # inputs, sources, system
STORE = "/gnu/store/"


def base(path: str) -> str:
    assert path.startswith(STORE), path
    return path[len(STORE):]


class Walk:
    """The closure of some derivations, read from the store's files. `digests`: of each one's line,
    by basename; `sources` and `outputs`: basenames."""

    def __init__(self, store: pathlib.Path, derivations: set[str]):
        self.store = store
        self.digests: dict[str, bytes] = {}
        self.sources: set[str] = set()
        self.outputs: set[str] = set()
        self.edges = 0
        todo = set(derivations)
        while todo:
            basename = todo.pop()
            inputs = self._read(basename)
            todo.update(i for i in inputs if i not in self.digests)

    def _read(self, basename: str) -> list[str]:
        text = (self.store / basename).read_bytes()
        found = DERIVATION.match(text.decode("latin-1"))
        assert found, f"{basename} does not look like a derivation"
        outputs = re.findall(r'\("([^"]*)","([^"]*)"', found[1])
        inputs = [(base(path), re.findall(r'"([^"]*)"', names))
                  for path, names in re.findall(r'\("([^"]*)",\[([^]]*)\]', found[2])]
        sources = sorted(base(path) for path in re.findall(r'"([^"]*)"', found[3]))
        line = "\t".join([
            basename, found[4], str(len(text)),
            " ".join(f"{name}={base(path)}" for name, path in sorted(outputs)),
            " ".join(f"{path}!{','.join(names)}" for path, names in sorted(inputs)),
            " ".join(sources)])
        self.digests[basename] = digest(line)
        self.sources.update(sources)
        self.outputs.update(base(path) for _, path in outputs)
        self.edges += len(inputs)
        return [path for path, _ in inputs]


def digest(line: str) -> bytes:
    return hashlib.blake2b(line.encode(), digest_size=16).digest()


def store_items(machine: Machine, wanted: set[str]) -> dict[str, tuple[str, int, str]]:
    """Hash, size and references of WANTED and all that they refer to, by guix-daemon's database."""
    with sqlite3.connect(f"file:{machine.outside('/var/guix/db/db.sqlite')}?mode=ro",
                         uri=True) as daemon:
        rows = {number: (base(path), digits.removeprefix("sha256:"), size) for
                number, path, digits, size in
                daemon.execute("select id, path, hash, narSize from ValidPaths")}
        references = collections.defaultdict(list)
        for referrer, reference in daemon.execute("select referrer, reference from Refs"):
            references[referrer].append(reference)
    numbers = {basename: number for number, (basename, _, _) in rows.items()}
    todo, found = [numbers[basename] for basename in wanted], {}
    while todo:
        number = todo.pop()
        basename, digits, size = rows[number]
        if basename not in found:
            found[basename] = (digits, size,
                               " ".join(sorted(rows[r][0] for r in references[number])))
            todo.extend(references[number])
    return found


class Memory:
    """Peaks in megabytes, looked at again and again: of the server, of Guix below it, and of the
    hungriest PostgreSQL backend (without what all share)."""

    def __init__(self, server: Server):
        self.server = server
        self.peaks = {"serve": 0, "evaluator": 0, "PostgreSQL backend": 0}

    def look(self) -> None:
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                name, key = self._kind(process)
                status = (process / "status").read_text() if name else ""
            except OSError:
                continue  # it has ended
            if name:
                size = int(re.search(rf"^{key}:\s*(\d+) kB", status, re.M)[1]) // 1024
                self.peaks[name] = max(self.peaks[name], size)

    def _kind(self, process: pathlib.Path) -> tuple[str, str]:
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        if int(process.name) == self.server.process.pid:
            return "serve", "VmHWM"
        if "/evaluate.scm" in command and f"/evaluation-" in command:
            return "evaluator", "VmHWM"
        if command.startswith("postgres: panoply panoply"):
            return "PostgreSQL backend", "RssAnon"
        return "", ""


class AllOfGuix(Case):
    slow = True
    timeout = 1.5 * HOURS

    @classmethod
    def setUpClass(cls) -> None:
        cls.figures: list[tuple[str, str]] = []
        cls.addClassCleanup(cls.print_figures)
        kept = os.environ.get("PANOPLY_ALL_OF_GUIX")
        cls.guix = Machine("evaluator", folder=pathlib.Path(kept) if kept else None)
        cls.addClassCleanup(cls.guix.delete)
        cls.store = cls.guix.outside(STORE)
        cls.note("derivations in the store before", sum(1 for _ in cls.store.glob("*.drv")))
        cls.panoply = Server(machine=cls.guix)
        cls.addClassCleanup(cls.panoply.stop)
        cls.memory = Memory(cls.panoply)
        cls.panoply.add_specification({
            "name": SPECIFICATION, "build": "all", "systems": [SYSTEM], "period": 0,
            "channels": [{"name": "empty", "url": cls.empty_channel()}]})
        cls.evaluation = cls.evaluate("first evaluation")
        for name, peak in cls.memory.peaks.items():
            cls.note(f"peak memory of {name}", f"{peak} MB")
        cls.note("database", cls.ask("SELECT pg_size_pretty(pg_database_size('panoply'))")[0][0])
        cls.jobs = cls.read_jobs(cls.evaluation["id"])
        cls.walk = Walk(cls.store, {base(derivation) for _, derivation in cls.jobs})
        cls.random = random.Random(seed := os.environ.get("SEED", str(time.time_ns())))
        cls.sample = int(os.environ.get("SAMPLE", "1000"))
        print(f"SEED={seed}", flush=True)

    def setUp(self) -> None:
        super().setUp()
        self.watch("server", self.panoply.log)

    # ---- driving ----

    @staticmethod
    def empty_channel() -> str:
        folder = temporary_folder("channel")
        (folder / ".guix-channel").write_text("(channel (version 0))\n")
        for words in (["init", "--quiet", "--initial-branch=master"], ["add", "."],
                      ["-c", "user.name=Ada", "-c", "user.email=ada@example.org",
                       "commit", "--quiet", "--message", "Nothing"]):
            subprocess.run(["git", "-C", folder, *words], check=True)
        return f"file://{folder}"

    @classmethod
    def start_evaluation(cls) -> str:
        """Asks for one and returns its path below the API."""
        def newest() -> int:
            found = cls.panoply.client.api("GET", "/evaluations?limit=1")["items"]
            return found[0]["id"] if found else 0
        before = newest()
        cls.panoply.command_line("spec", "evaluate", SPECIFICATION, "--force")
        return f"/evaluations/{wait_until(lambda: newest() > before and newest(), 60)}"

    @classmethod
    def evaluate(cls, what: str) -> dict:
        path = cls.start_evaluation()

        def ended() -> dict | None:
            cls.memory.look()
            found = cls.panoply.client.api("GET", path)
            return found if found["finished_at"] else None
        found = wait_until(ended, 2 * HOURS, "the evaluation ends", pause=0.5)
        if found["state"] != "succeeded":
            raise AssertionError(f"{found['state']}: {found['message']}")
        return cls.note_evaluation(what, found)

    @classmethod
    def note_evaluation(cls, what: str, found: dict) -> dict:
        told = wait_until(lambda: re.search(
            rf"evaluation {found['id']} of \S+ ended after (\d+) ms: .* "
            r"\(ms: Guix (\d+), sources (\d+), graph (\d+), end (\d+); (\d+) of them after",
            cls.panoply.output()), 30, "the log tells of its end")
        whole, guix, sources, graph, end, after = (int(number) / 1000 for number in told.groups())
        cls.note(what, f"{whole:.1f} s")
        cls.note("  waiting for Guix", f"{guix:.1f} s")
        cls.note("  packing sources, meanwhile", f"{sources:.1f} s")
        cls.note("  writing the graph, meanwhile", f"{graph:.1f} s")
        cls.note("  jobs and wishes, at the end", f"{end:.1f} s")
        cls.note("  all that came after Guix's last line", f"{after:.1f} s")
        return {**found, "after_s": after}

    @classmethod
    def read_jobs(cls, evaluation_id: int) -> list[tuple[str, str]]:
        """(name, derivation) of all jobs, as the API tells them."""
        jobs, cursor = [], None
        while cursor is not None or not jobs:
            more = f"&before={urllib.parse.quote(cursor)}" if cursor else ""
            page = cls.panoply.client.api(
                "GET", f"/evaluations/{evaluation_id}/jobs?limit=1000{more}")
            jobs += [(job["name"], job["derivation"]) for job in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        return jobs

    @classmethod
    def lines(cls, statement: str):
        """The lines that PostgreSQL prints, as they come."""
        command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
                   "--set", "ON_ERROR_STOP=1", "--host", cls.panoply.state / "postgresql/socket",
                   "--username", "panoply", "--command", statement, "panoply"]
        with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as psql:
            for line in psql.stdout:
                yield line.rstrip("\n")
        assert psql.returncode == 0, statement

    @classmethod
    def ask(cls, statement: str) -> list[list[str]]:
        return [line.split("|") for line in cls.lines(statement)]

    # ---- figures ----

    @classmethod
    def note(cls, name: str, value: object) -> None:
        cls.figures.append((name, str(value)))

    @classmethod
    def print_figures(cls) -> None:
        print("\n---- figures")
        for name, value in cls.figures:
            print(f"{name:<40} {value}")

    # ---- what Panoply knows, against Guix ----

    def test_jobs_are_those_of_cuirass(self):
        script = self.guix.outside("/cuirass-jobs.scm")
        script.write_text(CUIRASS_JOBS)
        started = time.monotonic()
        said = self.guix.run("guix", "repl", "--", "/cuirass-jobs.scm", seconds=2 * HOURS).stdout
        self.note("cuirass-jobs alone, in the same store", f"{time.monotonic() - started:.1f} s")
        lines = [tuple(line.split()) for line in said.splitlines()]
        theirs = set(lines)
        self.note("jobs", f"{len(theirs)}, {len(lines) - len(theirs)} of them told twice by Guix")
        self.assertGreater(len(theirs), JOBS_MINIMUM)
        self.assertEqual(self.evaluation["jobs_count"], len(theirs))
        self.assertEqual(self.evaluation["errors_count"], 0)
        self.assertEqual(len(self.jobs), len(set(self.jobs)))
        self.assertEqual(set(self.jobs) ^ theirs, set())

    def test_graph_is_that_of_the_store(self):
        ours = {line.split("\t", 1)[0]: digest(line) for line in self.lines(GRAPH_LINES)}
        walk = self.walk
        self.note("derivations", len(walk.digests))
        self.note("their inputs, outputs, sources",
                  f"{walk.edges}, {len(walk.outputs)}, {len(walk.sources)}")
        self.assertEqual(set(ours) ^ set(walk.digests), set())
        self.assertEqual([name for name in ours if ours[name] != walk.digests[name]], [])
        self.assertEqual(self.evaluation["derivations_count"], len(walk.digests))

    def test_cache_holds_the_sources(self):
        ours = {}
        for line in self.lines(NAR_LINES):
            basename, digits, size, references = line.split("\t")
            ours[basename] = (digits, int(size), references)
        theirs = store_items(self.guix, self.walk.sources)
        self.note("items in the cache", f"{len(ours)}, "
                  f"{sum(size for _, size, _ in ours.values()) / 1e6:.0f} MB as nars")
        self.assertEqual(set(ours) ^ set(theirs), set())
        self.assertEqual([name for name in ours if ours[name] != theirs[name]], [])

    def test_everything_needed_is_wished_for(self):
        self.assertEqual(self.ask(HOLES), [["0"]])
        (builds, direct, unfinished), = self.ask(
            "SELECT count(*), count(*) FILTER (WHERE direct), "
            "count(*) FILTER (WHERE state = 0) FROM build")
        self.note("builds", f"{builds}, wished for by a job: {direct}")
        self.assertEqual(builds, unfinished)  # without agents nothing begins
        wished, = self.ask("SELECT count(DISTINCT build_id) FROM job")
        self.assertEqual([direct], wished)

    # ---- bytes ----

    def fetch(self, basename: str) -> tuple[dict[str, str], bytes]:
        """The narinfo's fields and the nar, uncompressed, as any substitute client gets them."""
        client = self.panoply.client
        fields = dict(line.split(": ", 1)
                      for line in client.text(f"/{basename[:32]}.narinfo").splitlines())
        answer = client.request("GET", f"/nar/{basename}")
        self.assertEqual(answer.status, 200, basename)
        return fields, answer.body

    def compare(self, basename: str, nar: bytes) -> dict[str, str]:
        fields, served = self.fetch(basename)
        self.assertEqual(fields["StorePath"], STORE + basename)
        self.assertEqual(served == nar, True, f"the nar of {basename} is another one")
        digits = items.base32(hashlib.sha256(nar).digest())
        self.assertEqual(fields["NarHash"], f"sha256:{digits}", basename)
        self.assertEqual(fields["NarSize"], str(len(nar)), basename)
        return fields

    def choose(self, names) -> list[str]:
        names = sorted(names)
        return self.random.sample(names, min(self.sample, len(names)))

    def test_sample_of_derivations_byte_for_byte(self):
        for basename in self.choose(self.walk.digests):
            text = (self.store / basename).read_bytes()
            fields = self.compare(basename, items.file_nar(text))
            found = DERIVATION.match(text.decode("latin-1"))
            paths = re.findall(r'\("([^"]*)",\[', found[2]) + re.findall(r'"([^"]*)"', found[3])
            self.assertEqual(fields["References"].split(), sorted(map(base, paths)), basename)

    def test_sample_of_sources_byte_for_byte(self):
        for basename in self.choose(self.walk.sources):
            self.compare(basename, items.nar(self.store / basename))

    # ---- our C on the same store ----

    def run_program(self, path: str) -> None:
        """A slow test in C (tests/guix/README.md), which must not skip."""
        done = subprocess.run([BUILD / path], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=HOURS * TIME_FACTOR,
                              env={**os.environ,
                                   "PANOPLY_ALL_DERIVATIONS": str(self.store).rstrip("/")})
        for line in done.stdout.splitlines():
            self.note(f"  {path.rpartition('/')[2]}", line)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_round_trip_of_all_derivations(self):
        self.run_program("tests/guix/all_derivations")

    def test_graph_alone(self):
        self.run_program("tests/graph/graph_load_all")

    # ---- living with it ----

    def test_another_evaluation_adds_nothing(self):
        before = self.ask(COUNTS)
        again = self.evaluate("the same evaluation again")
        self.assertEqual(again["derivations_count"], 0)
        self.assertEqual(again["jobs_count"], self.evaluation["jobs_count"])
        self.assertEqual(self.ask(COUNTS), before)
        self.assertEqual(self.read_jobs(again["id"]), self.jobs)

    def test_little_is_added_to_guix(self):
        self.assertLess(self.evaluation["after_s"], ADDED_SECONDS * TIME_FACTOR)

    def test_answers_are_quick(self):
        number = self.evaluation["id"]
        name, derivation = self.jobs[len(self.jobs) // 2]
        jobs = f"{API}/evaluations/{number}/jobs"
        cursor = urllib.parse.quote(self.panoply.client.json("GET", jobs + "?limit=1000")["next"])
        build = self.panoply.client.json("GET", f"{jobs}?name={name}")["items"][0]["build"]
        slow = {}
        for path in ("/", f"/evaluations/{number}", f"/evaluations/{number}?show=waiting",
                     f"/specifications/{SPECIFICATION}", "/builds", f"/builds?evaluation={number}",
                     f"/builds/{build}", "/agents", jobs, f"{jobs}?limit=1000",
                     f"{jobs}?before={cursor}", f"{jobs}?name=python-",
                     f"{jobs}?state=failed", f"{API}/evaluations/{number}", f"{API}/evaluations",
                     f"{API}/status", f"{API}/builds", f"{API}/builds?evaluation={number}",
                     f"{API}/builds?name=python-", f"{API}/builds?state=failed",
                     f"{API}/builds?system={SYSTEM}",
                     f"{API}/builds/{build}", f"{API}/builds/{build}/explain",
                     f"/{base(derivation)[:32]}.narinfo"):
            seconds = self.seconds_to_answer(path)
            self.note(f"GET {path}"[:60], f"{seconds * 1000:.0f} ms")
            if seconds > PAGE_SECONDS * TIME_FACTOR:
                slow[path] = seconds
        self.assertEqual(slow, {})

    def seconds_to_answer(self, path: str) -> float:
        def once() -> float:
            started = time.monotonic()
            answer = self.panoply.client.request("GET", path)
            self.assertLess(answer.status, 400, path)
            return time.monotonic() - started
        return statistics.median(once() for _ in range(5))

    def test_restart_is_quick(self):
        self.panoply.stop()
        started = time.monotonic()
        self.panoply.start()
        builds = self.ask("SELECT count(*) FROM build")[0][0]
        wait_until(lambda: f", {builds} builds unfinished" in self.panoply.output(),
                   RESTART_SECONDS, "the scheduler has all builds")
        self.note("restart, until the scheduler has all builds",
                  f"{time.monotonic() - started:.1f} s")

    def test_killed_server_evaluates_again(self):
        before = self.ask(COUNTS)
        path = self.start_evaluation()
        self.panoply.wait_for(path, lambda found: found["jobs_count"] > 2000, HOURS)
        self.panoply.restart(kill=True)
        found = wait_until(lambda: (answer := self.panoply.client.api("GET", path))["finished_at"]
                           and answer, 2 * HOURS, "the evaluation ends", pause=0.5)
        self.assertEqual(found["state"], "succeeded", found["message"])
        self.note_evaluation("evaluation after kill -9 and restart", found)
        self.assertEqual(found["jobs_count"], self.evaluation["jobs_count"])
        self.assertEqual(self.ask(COUNTS), before)
        self.assertEqual(self.read_jobs(found["id"]), self.jobs)
        workspaces = self.guix.outside("/var/lib/panoply")
        wait_until(lambda: not list(workspaces.glob(f"evaluation-{found['id']}-*")), 10,
                   "the folders of both tries are gone")
