# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in HTML a piece of a page stands, and so how a value there is escaped.

A state machine over the literal text of a template, after the tokenizer of the
HTML standard (section 13.2.5) as far as templates that people write need it."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, replace
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
    RAW = auto()  # inside <script>, <style> and the like


class Url(Enum):
    NONE = auto()  # no attribute for URLs
    START = auto()  # `seen` does not yet say where the URL leads
    PART = auto()  # it does, whatever follows


# What may follow each other where a branch left something out of a tag.
TAG_ENDINGS = {Where.TAG_NAME, Where.IN_TAG, Where.TAG_PART, Where.ATTRIBUTE_NAME, Where.AFTER_VALUE}

# The only places for a URL that holds a value: what they lead to runs nothing in our pages.
URL_ATTRIBUTES = {("a", "href"), ("area", "href"), ("audio", "src"), ("blockquote", "cite"), ("del", "cite"),
                  ("form", "action"), ("img", "src"), ("ins", "cite"), ("q", "cite"), ("source", "src"),
                  ("use", "href"), ("video", "poster"), ("video", "src")}
# The only other attributes with values, beside data-... and aria-...: a browser takes them for text,
# whatever they say, on every element but these. What is on neither list is refused.
PLAIN_ATTRIBUTES = set(
    "abbr alt class cols colspan d datetime dir for headers height high id label lang list low max maxlength min "
    "minlength name optimum placeholder role rows rowspan scope size span start step title value viewbox width x y".split())
ELEMENTS_WITHOUT_VALUES = {"param"}  # its name and value may be a URL
RAW_ELEMENTS = {"iframe", "noembed", "noframes", "plaintext", "script", "style", "xmp"}

# A literal beginning after which no value can change a URL's scheme or host. The "/" needs a name
# behind it, for an empty value between two would make "//host".
FIXED_URL = re.compile(r"/[\w.~%-]|[?#]|\.\.?/|https?://[a-z0-9.:\[\]-]+[/?#]|mailto:", re.ASCII | re.IGNORECASE)
UNKNOWN = ":"  # `seen` of a URL that begins thus or otherwise: never becomes a FIXED_URL
CONTROLS_AND_SPACE = "".join(map(chr, range(0x21)))

NOT_ON_THE_LIST = ("a value cannot stand in the attribute '{attribute}' of <{tag}>: it is not on the lists in "
                   "tools/pagegen/position.py")
NOT_FIXED = "before a value, a URL must be empty or begin with /NAME, ?, #, ./ or http(s)://HOST/"
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
    seen: str = ""  # literal text of a comment, or of a URL at its START

    # ---- what a value here becomes ----

    def escaper(self) -> str:
        """The function of ui/html.h that puts a value here."""
        if self.where is Where.TEXT:
            return "ui_put_text"
        if self.where is not Where.QUOTED:
            raise PositionError(REFUSALS[self.where].format(tag=self.tag))
        if self.url is Url.START and as_browsers_read(self.seen):
            raise PositionError(NOT_FIXED)
        if self.url is not Url.NONE:
            return "ui_put_url" if self.url is Url.START else "ui_put_url_part"
        if self.attribute.startswith("on"):
            raise PositionError(f"a value cannot stand in the script of '{self.attribute}': "
                                "use a data- attribute")
        if not self.is_plain():
            raise PositionError(NOT_ON_THE_LIST.format(attribute=self.attribute, tag=self.tag))
        return "ui_put_attribute"

    def is_plain(self) -> bool:
        return self.tag not in ELEMENTS_WITHOUT_VALUES and (
            self.attribute in PLAIN_ATTRIBUTES or self.attribute.startswith(("data-", "aria-")))

    def after_value(self) -> Position:
        return replace(self, url=Url.PART, seen="") if self.url is Url.START else self

    # ---- branches ----

    def merge(self, other: Position) -> Position | None:
        """Where we are when either branch was taken; None when that cannot be."""
        if self == other:
            return self
        if self.where in TAG_ENDINGS and other.where in TAG_ENDINGS and self.tag == other.tag:
            return Position(Where.TAG_PART, self.tag)
        if self.url is not Url.NONE and replace(self, url=other.url, seen=other.seen) == other:
            return replace(self, url=Url.START, seen=UNKNOWN)
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
    if re.compile(r"<!(\[|-?\Z)").match(text, start):
        raise PositionError("'<!' begins a comment or <!DOCTYPE, in one piece")
    if re.compile(r"<[!?]|</[^A-Za-z]").match(text, start):
        return Position(Where.DECLARATION), start + 2
    match = re.compile(r"</?[A-Za-z]|</?$").match(text, start)
    if match is None:
        return position, start + 1
    return Position(Where.TAG_NAME, text[start + 1:match.end()].lower()), match.end()


def step_tag_name(position: Position, text: str, index: int) -> Step:
    if position.tag in ("", "/") and not text[index].isalpha():
        raise PositionError("write &lt; where '<' begins no tag")
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
    url = Url.START if (position.tag, position.attribute) in URL_ATTRIBUTES else Url.NONE
    return replace(position, where=Where.QUOTED, quote=character, url=url), index + 1


def step_quoted(position: Position, text: str, index: int) -> Step:
    end = text.find(position.quote, index)
    if end >= 0:
        return Position(Where.AFTER_VALUE, position.tag), end + 1
    if position.url is not Url.START:
        return position, len(text)
    seen = position.seen + text[index:]
    if FIXED_URL.match(as_browsers_read(seen)):
        return replace(position, url=Url.PART, seen=""), len(text)
    return replace(position, seen=seen), len(text)


def as_browsers_read(url: str) -> str:
    """Without what HTML and URLs let one write between its characters."""
    return re.sub(r"[\t\n\r]", "", html.unescape(url)).lstrip(CONTROLS_AND_SPACE)


def step_unquoted(position: Position, text: str, index: int) -> Step:
    if text[index] in SPACE + ">":
        return Position(Where.IN_TAG, position.tag), index
    return position, index + 1


def step_declaration(position: Position, text: str, index: int) -> Step:
    end = text.find(">", index)
    return (Position(), end + 1) if end >= 0 else (position, len(text))


def step_comment(position: Position, text: str, index: int) -> Step:
    """The mark of its end may be split between two pieces of literal text."""
    seen = position.seen + text[index:]
    end = re.search(r"^-?>|--!?>", seen)
    if end is None:
        return replace(position, seen=seen), len(text)
    return Position(), index + end.end() - len(position.seen)


def step_raw(position: Position, text: str, index: int) -> Step:
    end = re.compile(rf"</{position.tag}(?=[\t\n\f\r />])", re.IGNORECASE).search(text, index)
    stop = end.end() if end else len(text)
    if "<!--" in text[index:stop]:  # behind it, the end tag may not be the end
        raise PositionError(f"a comment of HTML cannot stand inside <{position.tag}>")
    return (Position(Where.TAG_NAME, "/" + position.tag) if end else position), stop


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
