# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines on which a person does what a guide says: Guix, and what else the guide takes for
granted, on a network of their own where the names of the guide are theirs."""

import pathlib
import re
import shutil
import subprocess

from .channel import Channel
from .panoply import executable
from .programs import TOP, Program
from .roots import Machine, temporary_folder
from .waiting import TIME_FACTOR

STAND_INS = TOP / "tests/support/stand-ins"
POSTGRESQL = pathlib.Path("/usr/lib/postgresql/15")
PROGRAMS = ("wget", "curl")  # with PostgreSQL's and ours, all that Guix's Debian lacks
NAMES = ("ci.example.org example.org db.example.org builder "
         "bordeaux.guix.gnu.org ci.guix.gnu.org")  # the last two know nothing here
WEB = """\
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 443 ssl default_server;
    ssl_certificate {certificate};
    ssl_certificate_key {folder}/key.pem;
    return 404;
  }}
  server {{
    listen 443 ssl;
    server_name example.org;
    ssl_certificate {certificate};
    ssl_certificate_key {folder}/key.pem;
    root {folder}/www;
  }}
  {block}
}}
"""


class Network(Program):
    """Loopback alone, where machines see nobody's processes but their own, and what guides find on theirs: nginx with doc/nginx.conf in front of port
    8080, and https://example.org/my-channel.git, whose branch `main` has the example channel."""

    def __init__(self):
        self.folder = temporary_folder("network")
        super().__init__("network", [
            "unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c",
            "ip link set lo up && echo up && while sleep 1000; do :; done",
            f"{self.folder}/"], self.folder / "network.log")  # by which a killed run's is found
        self.start()
        self.wait_for("up\n")
        namespaces = f"/proc/{self.process.pid}/ns"
        self.connect = ["nsenter", f"--net={namespaces}/net"]
        self.enter = [*self.connect, f"--pid={namespaces}/pid_for_children"]
        self.certificate = self.folder / "certificate.pem"
        self._certify()
        self._publish_channel()
        self._serve()

    def _certify(self) -> None:
        names = ",".join(f"DNS:{name}" for name in NAMES.split())
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=example.org", "-addext", f"subjectAltName={names}", "-keyout",
                        self.folder / "key.pem", "-out", self.certificate],
                       check=True, capture_output=True)

    def _publish_channel(self) -> None:
        self.channel = Channel(self.folder / "channel")
        self.channel.add_package("my-package", "mkdir $out\n")
        self.channel.commit("my-package: New.")
        bare = self.folder / "www/my-channel.git"
        self.channel.git("clone", "--quiet", "--bare", str(self.channel.folder), str(bare))
        self.channel.git("-C", str(bare), "branch", "--move", "master", "main")
        self.channel.git("-C", str(bare), "update-server-info")

    def _serve(self) -> None:
        block = (TOP / "doc/nginx.conf").read_text()
        for path, own in (("/etc/ssl/ci.example.org.pem", self.certificate),
                          ("/etc/ssl/ci.example.org.key", self.folder / "key.pem")):
            assert path in block, path
            block = block.replace(path, str(own))
        file = self.folder / "nginx.conf"
        file.write_text(WEB.format(folder=self.folder, certificate=self.certificate, block=block))
        self.nginx = Program("nginx", [*self.connect, "nginx", "-p", self.folder, "-c", file],
                             self.folder / "nginx.log")
        self.nginx.start()

    def stop(self, seconds: float = 30) -> int | None:
        self.nginx.stop(seconds)
        self.kill()  # unshare ignores SIGTERM; its child ends with it
        return super().stop(seconds)


class Host(Machine):
    """A machine in a NETWORK, on which ACCOUNT, or who says sudo, does what a guide says."""

    def __init__(self, name: str, network: Network, account: str = "root",
                 daemon_options: tuple[str, ...] = ()):
        super().__init__(name, network=network, daemon_options=daemon_options)
        self.account = account
        self.programs: list[Program] = []
        home = "/root" if account == "root" else f"/home/{account}"
        self.environment = {"PATH": f"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:{POSTGRESQL}/bin",
                            "HOME": home, "LC_ALL": "C.UTF-8"}
        self._connect()
        self._furnish()

    def _connect(self) -> None:
        self.outside("/etc/hosts").write_text(f"127.0.0.1 localhost {NAMES}\n")
        trusted = self.outside("/etc/ssl/certs")
        trusted.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.network.certificate, trusted / "ca-certificates.crt")

    def _furnish(self) -> None:
        subprocess.run([*self.enter, "mount", "-t", "proc", "proc", self.outside("/proc")], check=True)
        for folder in (POSTGRESQL, pathlib.Path("/usr/share/postgresql/15")):
            self.mount(folder, str(folder))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", self.outside("/dev/shm")],
                       check=True)  # PostgreSQL's
        own = self.outside("/usr/local/bin")
        for program in (*STAND_INS.iterdir(), *(pathlib.Path(shutil.which(it)) for it in PROGRAMS)):
            shutil.copy(program, own)
        postgresql = [POSTGRESQL / "bin" / name for name in ("postgres", "psql", "initdb", "pg_dump")]
        self.run("useradd", "--system", "--create-home", "--home-dir", "/var/lib/postgresql", "postgres")
        if self.account != "root":
            self.run("useradd", "--create-home", "--shell", "/bin/bash", self.account)
        self.run("install", "-d", "-o", "postgres", "/var/run/postgresql")
        self.add_libraries(*postgresql, *(shutil.which(program) for program in PROGRAMS))

    def mount(self, folder: pathlib.Path, path: str) -> None:
        """Shows a FOLDER of the outside at PATH, until the machine is deleted."""
        self.outside(path).mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", folder, self.outside(path)], check=True)

    def add_libraries(self, *programs: object) -> None:
        """Those of the outside's that PROGRAMS need and this Debian, a newer one, lacks."""
        told = subprocess.run(["ldd", *map(str, programs)], check=True, text=True, capture_output=True)
        for library in map(pathlib.Path, set(re.findall(r"=> (/\S+)", told.stdout))):
            if not self.outside(f"/usr/lib/{library.parent.name}/{library.name}").exists():
                shutil.copy(library, self.outside("/usr/local/lib"))
        self.run("ldconfig")

    def add_panoply(self) -> None:
        """As `make install` would, from the build folder."""
        self.outside("/usr/local/share/panoply").mkdir(parents=True)
        shutil.copytree(TOP / "scheme", self.outside("/usr/local/share/panoply/scheme"))
        shutil.copy(executable(), self.outside("/usr/local/bin"))
        self.add_libraries(executable())

    def command(self, line: str) -> list[str]:
        """What runs LINE from outside."""
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        account = "root" if "sudo " in line else self.account
        return [*self.enter, "env", "--ignore-environment", *settings,
                "chroot", f"--userspec={account}:", str(self.root), "bash", "-c", f"cd; set -o pipefail; {line}"]

    def do(self, line: str, given: str = "", seconds: float = 60) -> subprocess.CompletedProcess:
        """Runs LINE to its end; what it exports stays."""
        file = f"{self.environment['HOME']}/.exported"
        done = subprocess.run(self.command(f"{line}\nstatus=$?; env -0 >{file}; exit $status"),
                              text=True, input=given, capture_output=True,
                              timeout=seconds * TIME_FACTOR, start_new_session=True)
        exported = dict(it.split("=", 1) for it in self.outside(file).read_text().split("\0") if it)
        self.environment |= {name: value for name, value in exported.items()
                             if name.startswith("PANOPLY_")}
        return done

    def begin(self, line: str) -> Program:
        """Runs LINE beside what comes next, until the machine is deleted."""
        name = f"{self.name}-{len(self.programs)}"
        program = Program(line, self.command(f"exec {line}"), temporary_folder(name) / "log")
        program.start()
        self.programs.append(program)
        return program

    def delete(self) -> None:
        for program in reversed(self.programs):
            program.stop()
        super().delete()
