# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives and hashes of store items, as Guix writes them."""

import hashlib

_DIGITS = "0123456789abcdfghijklmnpqrsvwxyz"


def base32(data: bytes) -> str:
    """In Nix's own order of digits."""
    number = int.from_bytes(data, "little")
    size = (len(data) * 8 + 4) // 5
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(size)))


def sha256(data: bytes) -> str:
    return "sha256:" + base32(hashlib.sha256(data).digest())


def nar_of_file(contents: bytes) -> bytes:
    """The archive of a plain file."""
    def token(data: bytes) -> bytes:
        return len(data).to_bytes(8, "little") + data + b"\0" * (-len(data) % 8)
    return b"".join(map(token, [b"nix-archive-1", b"(", b"type", b"regular", b"contents",
                                contents, b")"]))
