# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in HTML a piece of a page stands, and so how a value there is escaped.

A state machine over the literal text of a template, after the tokenizer of the
HTML standard (section 13.2.5) as far as templates that people write need it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum, auto


class Where(Enum):
    TEXT = auto()
    TAG_NAME = auto()
    IN_TAG = auto()  # between attributes
    TAG_PART = auto()  # after something optional in a tag: now a space or the end must come
    ATTRIBUTE_NAME = auto()
    BEFORE_VALUE = auto()  # after "="
    QUOTED = auto()
    UNQUOTED = auto()
    AFTER_VALUE = auto()  # after the closing quote
    DECLARATION = auto()  # <!DOCTYPE ...>
    COMMENT = auto()
    RAW = auto()  # inside <script> or <style>


class Url(Enum):
    NONE = auto()  # no URL attribute
    START = auto()
    PART = auto()
    FOREIGN = auto()  # a scheme in which no value is safe


# What may follow each other where a branch left something out of a tag.
TAG_ENDINGS = {Where.TAG_NAME, Where.IN_TAG, Where.TAG_PART, Where.ATTRIBUTE_NAME, Where.AFTER_VALUE}

URL_ATTRIBUTES = {"href", "src", "action", "formaction", "cite", "data", "poster", "background",
                  "manifest", "ping", "xlink:href"}
FORBIDDEN_ATTRIBUTES = {"style", "srcdoc", "srcset"}
RAW_ELEMENTS = {"script", "style"}
SAFE_SCHEMES = {"http", "https", "mailto"}
SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")
SPACE = " \t\r\n\f"


class PositionError(Exception):
    pass


@dataclass(frozen=True)
class Position:
    where: Where = Where.TEXT
    tag: str = ""  # lower case; "/a" for an end tag
    attribute: str = ""
    quote: str = ""
    url: Url = Url.NONE
    seen: str = field(default="", compare=False)  # literal text that decides later

    # ---- what a value here becomes ----

    def escaper(self) -> str:
        """The function of ui/html.h that puts a value here."""
        if self.where is Where.TEXT:
            return "ui_put_text"
        if self.where is not Where.QUOTED:
            raise PositionError(REFUSALS[self.where].format(tag=self.tag))
        if self.attribute.startswith("on"):
            raise PositionError(f"a value cannot stand in the script of '{self.attribute}': "
                                "use a data- attribute")
        if self.attribute in FORBIDDEN_ATTRIBUTES:
            raise PositionError(f"a value cannot stand in the attribute '{self.attribute}'")
        if self.url is Url.FOREIGN:
            raise PositionError("a value cannot stand in a URL of this scheme")
        return {Url.NONE: "ui_put_attribute", Url.START: "ui_put_url", Url.PART: "ui_put_url_part"}[self.url]

    def after_value(self) -> Position:
        return replace(self, url=Url.PART) if self.url is Url.START else self

    # ---- branches ----

    def merge(self, other: Position) -> Position | None:
        """Where we are when either branch was taken; None when that cannot be."""
        if self == other:
            return self
        if self.where in TAG_ENDINGS and other.where in TAG_ENDINGS and self.tag == other.tag:
            return Position(Where.TAG_PART, self.tag)
        return None

    def describe(self) -> str:
        if self.where is Where.QUOTED:
            begin = " (its beginning)" if self.url is Url.START else ""
            return f"the attribute '{self.attribute}' of <{self.tag}>{begin}"
        if self.where in (Where.TEXT, Where.COMMENT, Where.DECLARATION):
            return {Where.TEXT: "text", Where.COMMENT: "a comment"}.get(self.where, "a declaration")
        return f"the content of <{self.tag}>" if self.where is Where.RAW else f"the tag <{self.tag}>"

    # ---- literal text ----

    def feed(self, text: str) -> Position:
        position, index = self, 0
        while index < len(text):
            position, index = STEPS[position.where](position, text, index)
        return position


REFUSALS = {
    Where.TAG_NAME: "a value cannot be (part of) the name of a tag",
    Where.IN_TAG: "a value cannot be the name of an attribute",
    Where.TAG_PART: "a value cannot be the name of an attribute",
    Where.ATTRIBUTE_NAME: "a value cannot be (part of) the name of an attribute",
    Where.BEFORE_VALUE: "put quotes around the attribute's value",
    Where.UNQUOTED: "put quotes around the attribute's value",
    Where.AFTER_VALUE: "a value cannot stand directly behind an attribute",
    Where.DECLARATION: "a value cannot stand in a declaration",
    Where.COMMENT: "a value cannot stand in a comment of HTML",
    Where.RAW: "a value cannot stand inside <{tag}>: use a data- attribute",
}

Step = tuple[Position, int]


def step_text(position: Position, text: str, index: int) -> Step:
    start = text.find("<", index)
    if start < 0:
        return position, len(text)
    if text.startswith("<!--", start):
        return Position(Where.COMMENT), start + 4
    if text.startswith("<!", start):
        return Position(Where.DECLARATION), start + 2
    match = re.compile(r"</?[A-Za-z]|</?$").match(text, start)
    if match is None:
        return position, start + 1
    return Position(Where.TAG_NAME, text[start + 1:match.end()].lower()), match.end()


def step_tag_name(position: Position, text: str, index: int) -> Step:
    if text[index] in SPACE + "/>":
        return replace(position, where=Where.IN_TAG), index
    return replace(position, tag=position.tag + text[index].lower()), index + 1


def step_in_tag(position: Position, text: str, index: int) -> Step:
    character = text[index]
    if character == ">":
        where = Where.RAW if position.tag in RAW_ELEMENTS else Where.TEXT
        return Position(where, position.tag if where is Where.RAW else ""), index + 1
    if character in SPACE + "/":
        return Position(Where.IN_TAG, position.tag), index + 1
    if position.where in (Where.TAG_PART, Where.AFTER_VALUE):
        raise PositionError("a space must stand between attributes")
    if character in "\"'=<":
        raise PositionError(f"unexpected {character} in the tag <{position.tag}>")
    return Position(Where.ATTRIBUTE_NAME, position.tag), index


def step_attribute_name(position: Position, text: str, index: int) -> Step:
    character = text[index]
    if character in SPACE + "/>":
        return replace(position, where=Where.IN_TAG), index
    if character == "=":
        return replace(position, where=Where.BEFORE_VALUE), index + 1
    return replace(position, attribute=position.attribute + character.lower()), index + 1


def step_before_value(position: Position, text: str, index: int) -> Step:
    character = text[index]
    if character in SPACE:
        return position, index + 1
    if character not in "\"'":
        return replace(position, where=Where.UNQUOTED), index
    url = Url.START if position.attribute in URL_ATTRIBUTES else Url.NONE
    return replace(position, where=Where.QUOTED, quote=character, url=url, seen=""), index + 1


def step_quoted(position: Position, text: str, index: int) -> Step:
    end = text.find(position.quote, index)
    if end >= 0:
        return Position(Where.AFTER_VALUE, position.tag), end + 1
    seen = position.seen + text[index:]
    return replace(position, url=url_part(position.url, seen), seen=seen), len(text)


def url_part(url: Url, seen: str) -> Url:
    """SEEN: all literal text of the attribute's value so far."""
    scheme = SCHEME.match(seen)
    if url is not Url.START or not seen.strip():
        return url
    return Url.FOREIGN if scheme is not None and scheme[1].lower() not in SAFE_SCHEMES else Url.PART


def step_unquoted(position: Position, text: str, index: int) -> Step:
    if text[index] in SPACE + ">":
        return Position(Where.IN_TAG, position.tag), index
    return position, index + 1


def skip_to(end_mark: str, text: str, index: int, position: Position) -> Step:
    """The mark may be split between two pieces of literal text."""
    seen = position.seen + text[index:]
    end = seen.find(end_mark)
    if end < 0:
        return replace(position, seen=seen[-len(end_mark):]), len(text)
    return Position(), index + end + len(end_mark) - len(position.seen)


def step_declaration(position: Position, text: str, index: int) -> Step:
    return skip_to(">", text, index, position)


def step_comment(position: Position, text: str, index: int) -> Step:
    return skip_to("-->", text, index, position)


def step_raw(position: Position, text: str, index: int) -> Step:
    end = re.compile(rf"</{position.tag}\s*>", re.IGNORECASE).search(text, index)
    return (Position(), end.end()) if end else (position, len(text))


STEPS = {
    Where.TEXT: step_text,
    Where.TAG_NAME: step_tag_name,
    Where.IN_TAG: step_in_tag,
    Where.TAG_PART: step_in_tag,
    Where.ATTRIBUTE_NAME: step_attribute_name,
    Where.BEFORE_VALUE: step_before_value,
    Where.QUOTED: step_quoted,
    Where.UNQUOTED: step_unquoted,
    Where.AFTER_VALUE: step_in_tag,
    Where.DECLARATION: step_declaration,
    Where.COMMENT: step_comment,
    Where.RAW: step_raw,
}
