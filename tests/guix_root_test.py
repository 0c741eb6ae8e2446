# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/guix-root: machines come up, build in sandboxes of their own, and go without a trace."""

import pathlib
import subprocess
import threading

from support.case import Case
from support.roots import GUIX_ROOT, Machine, ensure_base, guix_root


def mounts_below(folder: pathlib.Path) -> list[str]:
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4].startswith(f"{folder}/")]


def processes_in(machine: Machine) -> list[str]:
    """Processes whose / is of the machine's overlay: that of a build has its own mounts."""
    def is_inside(process: pathlib.Path) -> bool:
        try:
            lines = (process / "mountinfo").read_text().splitlines()
        except OSError:
            return False  # it has ended
        return any(line.split()[4] == "/" and f"upperdir={machine.folder}/" in line
                   for line in lines)
    return [process.name for process in pathlib.Path("/proc").iterdir()
            if process.name.isdigit() and is_inside(process)]


def is_alive(pid: str) -> bool:
    try:
        return "\nState:\tZ" not in pathlib.Path("/proc", pid, "status").read_text()
    except OSError:
        return False


def command_of(pid: str) -> str:
    try:
        return pathlib.Path("/proc", pid, "cmdline").read_text()
    except OSError:
        return ""


class GuixRoot(Case):
    def setUp(self) -> None:
        super().setUp()
        self.example = self.channel(survey_seconds=600)

    def copy_channel(self, machine: Machine) -> None:
        subprocess.run(["cp", "-a", self.example.folder, machine.outside("/example")], check=True)

    def start_survey(self, machine: Machine) -> subprocess.Popen:
        """Starts the build that takes ten minutes; returns when its builder runs."""
        build = subprocess.Popen([GUIX_ROOT, "run", machine.folder, "guix", "build",
                                  "-L", "/example", "sea-floor-survey"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(build.communicate)
        self.addCleanup(build.kill)
        next(line for line in build.stderr if b"line 1 of 600" in line)
        return build

    def test_machine_builds_with_its_own_store(self):
        one, other = self.machine("one"), self.machine("other")
        self.copy_channel(one)
        item = one.run("guix", "build", "-L", "/example", "almanac").stdout.strip()
        self.assertTrue(one.has(item))
        self.assertFalse(other.has(item))
        self.assertIn("sunrise at", one.run(f"{item}/bin/almanac", "7").stdout)

    def test_end_of_a_build_leaves_other_machines_builds_alone(self):
        """guix-daemon kills all that runs as a build's account, in whatever root."""
        one, other = self.machine("one"), self.machine("other")
        self.copy_channel(one)
        self.copy_channel(other)
        self.start_survey(one)
        builders = [pid for pid in processes_in(one) if "-builder.sh" in command_of(pid)]
        self.assertEqual(len(builders), 1)
        other.run("guix", "build", "-L", "/example", "sunrise")
        self.assertTrue(is_alive(builders[0]))

    def test_stop_during_a_build_leaves_nothing(self):
        machine = self.machine("busy")
        self.copy_channel(machine)
        build = self.start_survey(machine)
        builders = processes_in(machine)
        self.assertGreater(len(builders), 2)  # guix-daemon, that of the connection, the builder
        guix_root("stop", machine.folder)
        self.assertNotEqual(build.wait(20), 0)
        self.assertFalse(machine.daemon.is_running())
        self.assertEqual(mounts_below(machine.folder), [])
        self.assertEqual(processes_in(machine), [])
        self.assertEqual([pid for pid in builders if is_alive(pid)], [])
        guix_root("stop", machine.folder)  # once more is fine

    def test_machine_comes_up_again_with_its_store(self):
        machine = self.machine("again")
        self.copy_channel(machine)
        item = machine.run("guix", "build", "-L", "/example", "sunrise").stdout.strip()
        guix_root("stop", machine.folder)
        guix_root("machine", ensure_base(), machine.folder)
        machine.start_daemon()
        self.assertTrue(machine.has(item))

    def test_base_that_is_ready_is_left_alone(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(
            subprocess.run([GUIX_ROOT, "base", ensure_base()]).returncode)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [0, 0])

    def test_refuses_what_is_no_machine(self):
        folder = self.folder()
        (folder / "precious").write_text("")
        for command in (["delete", folder], ["base", folder], ["daemon", folder],
                        ["machine", folder, folder / "x"]):
            done = subprocess.run([GUIX_ROOT, *command], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1, command)
            self.assertRegex(done.stderr, r"^guix-root: .*\n$")
        self.assertTrue((folder / "precious").exists())
