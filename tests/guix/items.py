# SPDX-License-Identifier: GPL-3.0-or-later
"""Store items, nars and derivations computed once more, apart from libguixstore, so that the
two can be held against each other and against guix-daemon."""

import dataclasses
import hashlib
import os
import pathlib
import struct

DIGITS = "0123456789abcdfghijklmnpqrsvwxyz"


def base32(data: bytes) -> str:
    number = int.from_bytes(data, "little")
    return "".join(DIGITS[number >> 5 * k & 31] for k in reversed(range((8 * len(data) + 4) // 5)))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def store_path(kind: str, digest: str, name: str) -> str:
    full = hashlib.sha256(f"{kind}:sha256:{digest}:/gnu/store:{name}".encode()).digest()
    folded = bytearray(20)
    for index, byte in enumerate(full):
        folded[index % 20] ^= byte
    return f"/gnu/store/{base32(folded)}-{name}"


def text_path(name: str, contents: bytes, references=()) -> str:
    return store_path(":".join(["text", *sorted(set(references))]), sha256(contents), name)


def source_path(name: str, nar: bytes) -> str:
    return store_path("source", sha256(nar), name)


# ---- nars ----

def _string(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data + bytes(-len(data) % 8)


def _strings(*texts: str) -> bytes:
    return b"".join(_string(text.encode()) for text in texts)


def file_nar(contents: bytes, executable: bool = False) -> bytes:
    mark = _strings("executable", "") if executable else b""
    return (_strings("nix-archive-1", "(", "type", "regular") + mark + _strings("contents")
            + _string(contents) + _strings(")"))


def _node(path: pathlib.Path) -> bytes:
    if path.is_symlink():
        return _strings("(", "type", "symlink", "target", os.readlink(path), ")")
    if path.is_file():
        return file_nar(path.read_bytes(), os.access(path, os.X_OK))[len(_strings("nix-archive-1")):]
    entries = b"".join(_strings("entry", "(", "name", name, "node") + _node(path / name)
                       + _strings(")") for name in sorted(os.listdir(path)))
    return _strings("(", "type", "directory") + entries + _strings(")")


def nar(path: pathlib.Path) -> bytes:
    return _strings("nix-archive-1") + _node(path)


# ---- derivations ----

def _quote(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"),
                           ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def _list(items) -> str:
    return "[" + ",".join(items) + "]"


def _tuple(*items: str) -> str:
    return "(" + ",".join(items) + ")"


@dataclasses.dataclass
class Derivation:
    name: str
    builder: str
    arguments: list[str] = dataclasses.field(default_factory=list)
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    sources: list[str] = dataclasses.field(default_factory=list)
    inputs: list["Derivation"] = dataclasses.field(default_factory=list)
    outputs: list[str] = dataclasses.field(default_factory=lambda: ["out"])
    system: str = "x86_64-linux"
    fixed: str = ""  # base16 SHA-256 of a flat fixed output

    def _text(self, paths: dict[str, str], inputs: dict[str, list[str]]) -> str:
        variables = {**self.variables, **paths}
        fixed = ("sha256", self.fixed) if self.fixed else ("", "")
        return "Derive" + _tuple(
            _list(_tuple(*map(_quote, (name, paths[name], *fixed)))
                  for name in sorted(self.outputs)),
            _list(_tuple(_quote(path), _list(map(_quote, sorted(names))))
                  for path, names in sorted(inputs.items())),
            _list(map(_quote, sorted(self.sources))), _quote(self.system), _quote(self.builder),
            _list(map(_quote, self.arguments)),
            _list(_tuple(_quote(name), _quote(value))
                  for name, value in sorted(variables.items())))

    def _modulo(self, paths: dict[str, str]) -> str:
        inputs: dict[str, set[str]] = {}
        for drv in self.inputs:
            inputs.setdefault(drv.modulo, set()).update(drv.outputs)
        return sha256(self._text(paths, inputs).encode())

    @property
    def modulo(self) -> str:
        if self.fixed:
            return sha256(f"fixed:out:sha256:{self.fixed}:{self.paths['out']}".encode())
        return self._modulo(self.paths)

    @property
    def paths(self) -> dict[str, str]:
        """Output paths by output name."""
        if self.fixed:
            digest = sha256(f"fixed:out:sha256:{self.fixed}:".encode())
            return {"out": store_path("output:out", digest, self.name)}
        masked = self._modulo({name: "" for name in self.outputs})
        return {name: store_path(f"output:{name}", masked,
                                 self.name if name == "out" else f"{self.name}-{name}")
                for name in self.outputs}

    @property
    def out(self) -> str:
        return self.paths["out"]

    @property
    def text(self) -> bytes:
        return self._text(self.paths, {drv.path: drv.outputs for drv in self.inputs}).encode()

    @property
    def references(self) -> list[str]:
        return sorted({*self.sources, *(drv.path for drv in self.inputs)})

    @property
    def path(self) -> str:
        return text_path(self.name + ".drv", self.text, self.references)
