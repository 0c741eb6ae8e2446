# SPDX-License-Identifier: GPL-3.0-or-later
"""help_pages: the documents that the server shows, as HTML in a C table (ui/help.h).

  help_pages.py OUTPUT.c FILE.md...      in this order

The text is Markdown with tables and fenced code. Names of other documents of the list, set in
backticks, become links to them."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import markdown
from markdown.extensions import Extension
from markdown.extensions.toc import TocExtension
from markdown.treeprocessors import Treeprocessor

from embed import c_text

HEAD = "/* SPDX-License-Identifier: GPL-3.0-or-later */\n/* Made by tools/help_pages.py. */\n"
HELP = "/help/"
CONTENTS_FROM = 3  # chapters


class HelpError(Exception):
    pass


def text_of(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def label_cells(table: ElementTree.Element) -> None:
    """On narrow screens a row is a block, and each cell says what it is."""
    heads = [text_of(head) for head in table.iter("th")]
    for row in table.iter("tr"):
        for head, cell in zip(heads, row.findall("td")):
            cell.set("data-label", head)


def link_documents(root: ElementTree.Element, titles: dict[str, str]) -> None:
    for parent in [element for element in root.iter() if element.tag not in ("a", "pre")]:
        for index, child in enumerate(list(parent)):
            name = (child.text or "").removeprefix("doc/")
            if child.tag == "code" and name.endswith(".md") and name[:-3] in titles:
                link = ElementTree.Element("a", href=HELP + name[:-3])
                link.text, link.tail = titles[name[:-3]], child.tail
                parent.remove(child)
                parent.insert(index, link)


class Finish(Treeprocessor):
    """Runs behind all others, on the whole tree."""

    titles: dict[str, str]

    def run(self, root: ElementTree.Element) -> None:
        for table in root.iter("table"):
            label_cells(table)
        for block in root.iter("pre"):
            block.set("tabindex", "0")
        link_documents(root, self.titles)


class Finishing(Extension):
    def __init__(self, titles: dict[str, str]):
        super().__init__()
        self.titles = titles

    def extendMarkdown(self, md: markdown.Markdown) -> None:  # pylint: disable=invalid-name
        finish = Finish(md)
        finish.titles = self.titles
        md.treeprocessors.register(finish, "finish", 0)


def split(file: Path) -> tuple[str, str]:
    """Title and the text behind it."""
    first, text = file.read_text(encoding="utf-8").split("\n", 1)
    if not first.startswith("# "):
        raise HelpError(f"{file}: begins with no heading")
    return first.removeprefix("# "), text


def convert(text: str, titles: dict[str, str]) -> str:
    contents = "[TOC]\n\n" if text.count("\n## ") >= CONTENTS_FROM else ""
    return markdown.markdown(contents + text, output_format="html",
                             extensions=["tables", "fenced_code", TocExtension(toc_depth="2"),
                                         Finishing(titles)])


def table(files: list[Path]) -> str:
    documents = {file.stem: split(file) for file in files}
    titles = {name: title for name, (title, _) in documents.items()}
    texts, rows = "", ""
    for name, (title, text) in documents.items():
        texts += f"static const char {name}[] =\n{c_text(convert(text, titles))};\n\n"
        cells = [f'{{ "{text}", sizeof "{text}" - 1 }}' for text in (name, title)]
        rows += f"  {{ {cells[0]}, {cells[1]}, {{ {{ {name}, sizeof {name} - 1 }} }} }},\n"
    return (f'{HEAD}#include "base/compiler.h"\n#include "ui/help.h"\n\n{texts}'
            f"const struct help_page help_pages[] = {{\n{rows}}};\n\n"
            "const size_t help_pages_count = ARRAY_SIZE(help_pages);\n")


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        text = table([Path(name) for name in sys.argv[2:]])
    except (HelpError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    Path(sys.argv[1]).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
