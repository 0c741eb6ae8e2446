# SPDX-License-Identifier: GPL-3.0-or-later
"""What a specification may ask for (doc/specification.md), from the file to the builds; and a
database that is not our own and sorts texts as people do."""

import base64
import hashlib
import subprocess

from support import channel as example
from support.case import Case
from support.farm import Farm
from support.panoply import Server

SYSTEMS = ["x86_64-linux", "aarch64-linux"]

MANIFEST = """\
(use-modules (guix profiles) (example packages almanac) (example packages survey))
(packages->manifest (list almanac lighthouse sonar (list libtide "doc")))
"""

# For time-machine: a channel that is Guix itself would be built before it is on the load path.
MANIFEST_WITH_LOAD_PATH = """\
(add-to-load-path (dirname (current-filename)))
(use-modules (guix profiles))
(packages->manifest (list (@ (example packages almanac) sunrise)))
"""

CUSTOM = """\
(define-module (our ci)
  #:use-module (example packages lamp)
  #:use-module (gnu ci) #:use-module (guix)
  #:export (cuirass-jobs))

(define (cuirass-jobs store arguments)
  (map (lambda (system)
         (derivation->job "ours" (package-derivation store lamp system)
                          #:timeout 60 #:max-silent-time 7))
       (assq-ref arguments 'systems)))
"""

# What no Guix would report stands in the evaluator's results by the code's own hand.
CUSTOM_FORGED = """\
(define-module (forged ci)
  #:use-module (example packages almanac)
  #:use-module (gnu ci) #:use-module (guix)
  #:export (cuirass-jobs))

(define (report name derivation)
  (let ((port (fdopen (dup 3) "w")))
    (format port "{\\"type\\":\\"job\\",\\"name\\":~s,\\"derivation\\":~s}~%" name derivation)
    (close-port port)))

(define (cuirass-jobs store arguments)
  (report "absent" "/gnu/store/6d4lk73an4918digdv34xprynczidc39-absent.drv")
  (report "no-derivation" "/etc/passwd")
  (list '((#:job-name . "missing") (#:system . "x86_64-linux")
          (#:derivation . "/gnu/store/6d4lk73an4918digdv34xprynczidc39-missing.drv"))
        (derivation->job "ours" (package-derivation store almanac))))
"""

# guix-daemon takes any text for a derivation.
CUSTOM_ODD = """\
(define-module (odd ci)
  #:use-module (example packages almanac)
  #:use-module (gnu ci) #:use-module (guix)
  #:export (cuirass-jobs))

(define (job name file)
  `((#:job-name . ,name) (#:system . "x86_64-linux") (#:derivation . ,file)))

(define (cuirass-jobs store arguments)
  (define* (odd name #:key (inputs '()) (system "x86_64-linux"))
    (job name (derivation-file-name (derivation store name "/bin/sh" '()
                                                #:inputs inputs #:system system))))
  (let* ((good (package-derivation store almanac))
         (mini (add-text-to-store store "mini.drv"
                                  "Derive([],[],[],\\"x\\",\\"y\\",[],[])")))
    (list (job "mini" mini) (derivation->job "ours" good)
          (odd "needing"
               #:inputs (list (derivation-input (read-derivation-from-file mini) '("out"))))
          (odd "astray" #:inputs (list (derivation-input good '("nosuch"))))
          (odd "nowhere" #:system "?"))))
"""

LANTERN = """\
(define-module (lantern)
  #:use-module (example packages almanac) #:use-module (guix packages))
(define-public lantern
  (package (inherit sunrise) (name "lantern")))
"""


class Specifications(Case):
    timeout = 180

    @classmethod
    def setUpClass(cls) -> None:
        cls.database = Server("--no-fsync", "--roles", "web", name="database")
        cls.addClassCleanup(cls.database.stop)
        socket = f"host={cls.database.state}/postgresql/socket"
        subprocess.run(["psql", "--quiet", f"postgresql:///postgres?{socket}&user=postgres",
                        "--command", "CREATE DATABASE english OWNER panoply TEMPLATE template0 ENCODING 'UTF8' "
                        "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"],
                       check=True, stdin=subprocess.DEVNULL)
        cls.farm = Farm("--database", f"postgresql:///english?{socket}&user=panoply", jobs=4)
        cls.addClassCleanup(cls.farm.delete)
        cls.farm.channel.write("all/manifest.scm", MANIFEST)
        cls.farm.channel.write("manifest.scm", MANIFEST_WITH_LOAD_PATH)
        cls.farm.channel.write("our/ci.scm", CUSTOM)
        cls.farm.channel.write("forged/ci.scm", CUSTOM_FORGED)
        cls.farm.channel.write("odd/ci.scm", CUSTOM_ODD)
        cls.farm.channel.add_package("lamp", "echo oil > $out\n")
        cls.commit = cls.farm.channel.commit("Manifests and jobs")

    def setUp(self) -> None:
        super().setUp()
        self.farm.watch(self)

    def evaluate(self, name: str, **fields) -> dict:
        """The evaluation of a new specification, which must succeed; with `jobs`, by name and
        system, and `errors`, by name."""
        evaluation = self.farm.evaluate(name=name, **fields)
        self.assertEqual(evaluation["state"], "succeeded", evaluation["message"])

        def read(kind: str) -> list[dict]:
            items = self.farm.client.api("GET", f"/evaluations/{evaluation['id']}/{kind}")["items"]
            self.assertEqual(len(items), evaluation[f"{kind}_count"])
            return items
        return {**evaluation,
                "jobs": {(job["name"], job["system"]): job["build"] for job in read("jobs")},
                "errors": {error["name"]: error["message"] for error in read("errors")}}

    def assert_built(self, *builds: int) -> None:
        for build in builds:
            self.farm.wait_for_build(build, "succeeded")

    def test_packages(self):
        found = self.evaluate("packages", build={"packages": ["almanac", "sonar", "nosuch"]})
        self.assertEqual(set(found["jobs"]), {("almanac.x86_64-linux", "x86_64-linux")})
        self.assertEqual(found["errors"], {"nosuch": "nosuch: unknown package"})
        self.assert_built(*found["jobs"].values())

    def test_manifests(self):
        found = self.evaluate("manifests", build={"manifests": ["all/manifest.scm", "none.scm"]})
        self.assertEqual({name for name, _ in found["jobs"]},
                         {"almanac-2026.1", "libtide-1.4.2"})
        self.assertEqual(set(found["errors"]), {"lighthouse-0.1", "none.scm"})
        self.assert_built(*found["jobs"].values())

    def test_custom_jobs_on_several_systems(self):
        """A job of each, though they have one name; with the limits that the module gives."""
        found = self.evaluate("custom", build={"custom": ["our ci", "(no such)"]},
                              systems=SYSTEMS)
        self.assertEqual(set(found["jobs"]), {("ours", system) for system in SYSTEMS})
        self.assertEqual(set(found["errors"]), {"(no such)"})
        build = self.farm.wait_for_build(found["jobs"]["ours", "x86_64-linux"], "succeeded")
        self.assertEqual((build["timeout_s"], build["max_silent_s"]), (60, 7))

    def test_custom_job_that_cannot_be_costs_only_itself(self):
        found = self.evaluate("forged", build={"custom": ["forged ci"]})
        self.assertEqual(set(found["jobs"]), {("ours", "x86_64-linux")})
        self.assertEqual(set(found["errors"]), {"absent", "no-derivation", "missing"})
        self.assertIn("not in the evaluator's store", found["errors"]["absent"])
        self.assertIn("no such derivation in the store", found["errors"]["missing"])

    def test_derivation_that_is_none_costs_only_what_needs_it(self):
        found = self.evaluate("odd", build={"custom": ["odd ci"]})
        self.assertEqual(set(found["jobs"]), {("ours", "x86_64-linux")})
        self.assert_built(*found["jobs"].values())
        self.assertEqual(set(found["errors"]), {"mini", "needing", "astray", "nowhere"})
        for name in ("mini", "needing"):
            self.assertIn("-mini.drv: derivation, byte 30: no output", found["errors"][name])
        self.assertIn("needs an output that", found["errors"]["astray"])
        self.assertIn("for a system that is none", found["errors"]["nowhere"])

    def test_limit_that_is_none_costs_only_its_package(self):
        channel = self.channel()
        channel.add_package("hasty", "mkdir $out\n", properties="(timeout . \"soon\")")
        channel.add_package("patient", "mkdir $out\n",
                            properties="(max-silent-time . 1000000000000000000000000000000)")
        channel.commit("Limits")
        found = self.evaluate("limits", build={"packages": ["hasty", "patient"]}, channels=[
            {"name": "example", "url": self.farm.channel.url},
            {"name": "limits", "url": channel.url}])
        self.assertEqual(set(found["jobs"]), {("patient.x86_64-linux", "x86_64-linux")})
        self.assertEqual(found["errors"],
                         {"hasty.x86_64-linux": "timeout: \"soon\" is no number of seconds"})
        build = self.farm.build(found["jobs"]["patient.x86_64-linux", "x86_64-linux"])
        self.assertEqual(build["max_silent_s"], 30 * 24 * 3600)

    def test_system_that_guix_does_not_know(self):
        """The others are evaluated all the same."""
        found = self.evaluate("unknown", build={"packages": ["almanac"]},
                              systems=["z80-linux", "x86_64-linux"])
        self.assertEqual(set(found["jobs"]), {("almanac.x86_64-linux", "x86_64-linux")})
        self.assertIn("knows no such system", found["errors"]["z80-linux"])

    def test_errors_alone_are_no_success(self):
        ended = self.farm.evaluate(name="misspelt", build={"packages": ["almanach"]})
        self.assertEqual((ended["state"], ended["jobs_count"], ended["errors_count"]), ("failed", 0, 1))
        self.assertTrue(ended["message"].startswith("nothing could be evaluated; almanach: "),
                        ended["message"])

    def test_channel_file_that_is_none(self):
        channel = self.channel()
        channel.write(".guix-channel", "(channel (version 7))\n")
        channel.commit("Of the future")
        self.farm.server.add_specification(
            {**self.farm.channel.specification("future", period=300),
             "channels": [{"name": "example", "url": channel.url}]})
        ended = self.farm.server.wait_for(
            "/specifications/future",
            lambda it: it["newest_evaluation"] and it["newest_evaluation"]["finished_at"]
            and it["newest_evaluation"])["newest_evaluation"]
        self.assertEqual(ended["state"], "failed")
        self.assertTrue(ended["message"].endswith(
            "guix repl: error: channel example: .guix-channel: "
            "unsupported '.guix-channel' version: 7"), ended["message"])
        self.assertNotIn("Backtrace", ended["message"])

    def test_several_systems(self):
        """Those that no agent builds wait."""
        found = self.evaluate("systems", build={"channels": ["example"]}, systems=SYSTEMS)
        names = (example.SUCCEEDING | example.FAILING | example.DEPENDING_ON_FAILING | {"lamp"})
        expected = {(f"{name}.{system}", system) for name in names for system in SYSTEMS}
        self.assertEqual(set(found["jobs"]),
                         expected | {("sonar.aarch64-linux", "aarch64-linux")})
        self.assert_built(found["jobs"]["almanac.x86_64-linux", "x86_64-linux"])
        waiting = found["jobs"]["sonar.aarch64-linux", "aarch64-linux"]
        told = self.farm.client.api("GET", f"/builds/{waiting}/explain")
        self.assertEqual((told["state"], told["reason"]), ("waiting", "no-agent"))

    def test_several_channels(self):
        """Each at its own commit, though the database has them in another order than we; and
        nothing is new when nothing has changed."""
        lantern = self.channel()
        lantern.git("rm", "-rq", "example")
        lantern.write("lantern.scm", LANTERN)
        commits = {"example": self.commit, "Lantern": lantern.commit("A lantern"),
                   "lamps": lantern.git("rev-parse", "HEAD~1")}
        found = self.evaluate("channels", build={"channels": ["Lantern"]}, channels=[
            {"name": "lamps", "url": lantern.url, "commit": commits["lamps"]},
            {"name": "example", "url": self.farm.channel.url},
            {"name": "Lantern", "url": lantern.url}])
        self.assertEqual({it["channel"]: it["commit"] for it in found["revisions"]}, commits)
        self.assertEqual({name for name, _ in found["jobs"]}, {"lantern.x86_64-linux"})
        self.assert_built(*found["jobs"].values())
        self.farm.server.command_line("spec", "evaluate", "channels")
        self.farm.server.wait_for("/specifications/channels", lambda it: not it["requested_at"])
        items = self.farm.client.api("GET", "/evaluations?specification=channels")["items"]
        self.assertEqual([it["id"] for it in items], [found["id"]])

    def test_time_machine(self):
        """Without a network no Guix can be made, but one that lies in Guix's cache can be run:
        here it is the installed one."""
        key = base64.b32encode(hashlib.sha256(self.commit.encode()).digest())
        cached = self.farm.evaluator.outside("/var/guix/profiles/per-user/root/inferiors/" +
                                             key.decode().lower().rstrip("="))
        cached.parent.mkdir(parents=True)
        cached.symlink_to("/usr")
        found = self.evaluate("machine", mode="time-machine",
                              build={"manifests": ["manifest.scm"]},
                              channels=[{"name": "guix", "url": self.farm.channel.url}])
        self.assertEqual(set(found["jobs"]), {("sunrise-5.2.0", "x86_64-linux")})
        self.assert_built(*found["jobs"].values())
