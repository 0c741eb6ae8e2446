# SPDX-License-Identifier: GPL-3.0-or-later
"""What pagegen refuses and where it says so; and compiled pages, run with
hostile values and read back by a parser of HTML."""

from __future__ import annotations

import os
import subprocess
import unittest
from html.parser import HTMLParser

from support import TOP, GeneratorTest

HEADER = """#pragma once
#include "ui/html.h"

struct item { struct str name; int64_t size; bool active; int64_t made_at; bool made_at_null; };
struct items { struct item *items; size_t count; };
struct names { const struct str *items; size_t count; };
struct numbers { const int64_t *items; size_t count; };
enum color { RED, GREEN };
struct inner { struct str name; int32_t count; };
struct thing
{
  struct str title;
  const char *word;
  char letters[16];
  int16_t small;
  uint64_t large;
  double ratio;
  enum color color;
  struct inner inner;
  const struct inner *pointer, *nothing;
  struct items list;
  struct items *list_pointer;
  struct names names;
  struct numbers numbers;
  struct ui_html html;
};
"""

MAIN = """#include "room/room_pages.h"

#include <stdio.h>

int
main(int argc, char **argv)
{
  struct str value = str_of(argc > 1 ? argv[1] : "");
  struct item items[] = {
    { value, 1, true, 1795404661123456, false },
    { STR("two"), 2, false, 0, true },
  };
  struct str names[] = { value, STR("b") };
  int64_t numbers[] = { -1, 1234567 };
  struct inner inner = { STR("behind"), 7 };
  struct items list = { items, 2 };
  struct thing thing = {
    value, "w<rd", "<letters>", -3, UINT64_MAX, 0.5, GREEN, { value, 5 }, &inner, NULL, list, &list,
    { names, 2 }, { numbers, 2 }, { STR("<b>bold</b>") },
  };
  struct buf out = { 0 };
  room_page(&out, &thing);
  fwrite(out.data, 1, out.size, stdout);
  buf_free(&out);
  return 0;
}
"""

PAGE = '{#- page room_page(struct thing *page) from "room/thing.h" -#}\n'

HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='x", "&lt;&amp;", "a&b<c>d\"e'f",
           "javascript:alert(1)", " javascript:alert(1)", "JaVaScRiPt:x", "data:text/html,<script>", "-->", "]]>",
           "</title>", "//evil.example/x", "a/../b?c=d&e#f", "%3Cscript%3E", "\u00e9\u2028\U0001f427", "a b\tc\nd", "\\\\evil"]


class PagegenTest(GeneratorTest):
    def setUp(self) -> None:
        super().setUp()
        self.write("thing.h", HEADER)

    def generate(self, text: str, declared: bool = True) -> subprocess.CompletedProcess[str]:
        self.write("room.html", (PAGE if declared else "") + text)
        return self.run_program([*self.generator("pagegen"), "--shared", TOP / "src" / "ui",
                                 "--filters", TOP / "src" / "ui" / "html.h", "--depfile", "room.d",
                                 "--source", self.folder / "room_pages.c",
                                 "--header", self.folder / "room_pages.h", "--pages", "room.html"])

    def build(self, text: str) -> subprocess.CompletedProcess[str]:
        done = self.generate(text)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.write("main.c", MAIN)
        libraries = os.environ["LIBRARIES"].split()
        return self.compile("main.c", "room_pages.c", "-Wno-missing-field-initializers", *libraries, "-lm", "-pthread",
                            "-o", "page")

    def render(self, text: str, *values: str) -> str:
        """The page with VALUE as title, names[0] and list[0].name."""
        built = self.build(text)
        self.assertEqual(built.returncode, 0, built.stderr)
        return self.run_again(*values)

    def run_again(self, *values: str) -> str:
        done = subprocess.run([str(self.folder / "page"), *values], capture_output=True, check=True)
        return done.stdout.decode()


class TestRefusals(PagegenTest):
    def refuse(self, text: str, line: int, *words: str, file: str = "room.html") -> None:
        self.assert_refused(self.generate(text), f"{file}:{line}", *words)

    def refuse_in_c(self, text: str, line: int, *words: str) -> None:
        built = self.build(text)
        self.assertEqual(built.returncode, 1, "it compiles")
        self.assertRegex(built.stderr, rf"room\.html:{line}:\d+: error: ")
        for word in words:
            self.assertIn(word, built.stderr)

    def test_unknown_field(self) -> None:
        self.refuse_in_c("<p>\n{{ page.title }} {{ page.titel }}</p>", 3, "no member named", "titel")
        self.refuse_in_c("{% if page.inner.nme %}x{% endif %}", 2, "nme")
        self.refuse_in_c("<p>\n\n{% for x in page.list %}\n{{ x.size }}{{ x.weight }}{% endfor %}", 5, "weight")

    def test_unprintable_and_wrong_types(self) -> None:
        self.refuse_in_c("<p>\n{{ page.inner }}", 3)
        self.refuse_in_c('<p title="{{ page.html }}">', 2)
        self.refuse_in_c("\n{{ page.title | bytes }}", 3)
        self.refuse_in_c('\n{% if page.small == "3" %}x{% endif %}', 3)
        self.refuse_in_c("\n{% if page.list %}x{% endif %}", 3)
        self.refuse_in_c("\n{% for x in page.inner %}x{{ x.y }}{% endfor %}", 3)

    def test_unknown_names(self) -> None:
        self.refuse("<p>\n{{ pag.title }}", 3, "unknown name 'pag'")
        self.refuse("<p>\n{{ page.title | shout }}", 3, "unknown filter 'shout'")
        self.refuse("<p>\n{{ shout(page.title) }}", 3, "unknown macro 'shout'")
        self.refuse('\n{% extends "nowhere.html" %}', 3, "no template 'nowhere.html'")
        self.refuse('\n{% from "components.html" import nothing %}', 3, "has no macro 'nothing'")
        self.refuse("{{ loop.index }}", 2, "outside a loop")

    def test_positions_without_safety(self) -> None:
        places = {
            "<script>let a = {{ page.title }};</script>": "inside <script>",
            "<style>{{ page.title }}</style>": "inside <style>",
            '<SCRIPT TYPE="x">\'{{ page.title }}\'</SCRIPT>': "inside <script>",
            "<a onclick=\"x('{{ page.title }}')\">": "the script of 'onclick'",
            '<a OnClick="{{ page.title }}">': "the script of 'onclick'",
            '<a style="{{ page.title }}">': "attribute 'style'",
            '<iframe srcdoc="{{ page.title }}">': "attribute 'srcdoc'",
            "<a href={{ page.title }}>": "put quotes around",
            "<a title=x{{ page.title }}>": "put quotes around",
            "<a title= {{ page.title }}>": "put quotes around",
            "<{{ page.title }}>": "name of a tag",
            "<a{{ page.title }}>": "name of a tag",
            "</{{ page.title }}>": "name of a tag",
            "<a {{ page.title }}>": "name of an attribute",
            "<a da{{ page.title }}=\"\">": "name of an attribute",
            "<a title=\"x\"{{ page.title }}>": "directly behind an attribute",
            "<!-- {{ page.title }} -->": "a comment of HTML",
            "<!DOCTYPE {{ page.title }}>": "a declaration",
            "<a href=\"javascript:x('{{ page.title }}')\">": "a URL must be empty or begin with",
            '<a href=" JavaScript:{{ page.title }}">': "a URL must be empty or begin with",
            '<img src="data:{{ page.title }}">': "a URL must be empty or begin with",
        }
        for place, message in places.items():
            with self.subTest(place):
                self.refuse(f"\n<p>\n{place}", 4, message)

    def test_urls_whose_scheme_or_host_a_value_could_choose(self) -> None:
        no = "{% if page.small %}{% endif %}"
        for url in (f"javascript{no}:{{{{ page.title }}}}", '{{ "javascript" }}:{{ page.title }}',
                    "{{ 'java' ~ 'script:' ~ page.title }}", "java\nscript:{{ page.title }}",
                    "java\tscript:{{ page.title }}", "\x01javascript:{{ page.title }}",
                    "javascript&#58;{{ page.title }}", "javascript&colon;{{ page.title }}",
                    "&#106;avascript:{{ page.title }}", "&#x6Aavascript:{{ page.title }}",
                    f"&#1{no}06;avascript:{{{{ page.title }}}}", "java&Tab;script:{{ page.title }}",
                    "{% if page.small %}java{% endif %}script:{{ page.title }}",
                    "{% if page.small %}/x{% else %}vbscript:{% endif %}{{ page.title }}",
                    "{% block a %}javascript:{% endblock %}{{ page.title }}", "data:{{ page.title }}",
                    "x{{ page.title }}", "/{{ page.title }}/x", "//{{ page.title }}", "/\\{{ page.title }}",
                    "/\t/{{ page.title }}", "https:{{ page.title }}", "https://{{ page.title }}/",
                    "https://a.org{{ page.title }}/", "https://a.org:{{ page.title }}/", "https://a@{{ page.title }}/"):
            with self.subTest(url):
                self.refuse(f'\n<p>\n<a href="{url}">', 4 + url.count("\n"))

    def test_attributes_that_are_not_known_to_be_safe(self) -> None:
        for tag, attributes in {
                "a": "ping target xlink:href hreflang rel", "animate": "values from to by attributename",
                "applet": "codebase code archive", "base": "href", "blink": "href", "body": "background",
                "button": "formaction", "embed": "src", "frame": "src longdesc", "head": "profile",
                "html": "manifest", "iframe": "src srcdoc", "image": "href src", "img": "srcset longdesc usemap lowsrc",
                "input": "src formaction", "link": "href imagesrcset rel", "meta": "content http-equiv", "object": "data codebase",
                "p": "style is slot", "param": "value name", "script": "src nonce", "set": "to", "source": "srcset",
                "td": "background", "use": "xlink:href", "x-y": "whatever"}.items():
            for attribute in attributes.split():
                with self.subTest(f"{tag} {attribute}"):
                    self.refuse(f'\n<{tag} id="x"\n{attribute.title()}="{{{{ page.title }}}}">', 4,
                                f"attribute '{attribute}' of <{tag}>")
        self.refuse('<meta http-equiv=refresh content="0;url={{ page.title }}">', 2, "attribute 'content'")
        self.refuse('<svg><set attributeName=href to="{{ page.title }}"/></svg>', 2, "attribute 'to'")

    def test_where_browsers_end_what_looks_open(self) -> None:
        for text in ('<!-- --!><script>a="-->{{ page.title }}"', '<!--><script>a="-->{{ page.title }}"',
                     '<!---><script>a="-->{{ page.title }}"', '<?x ?><script>a="{{ page.title }}"',
                     '</ <a title="><script>{{ page.title }}">', "<script></script x><script>{{ page.title }}</script >",
                     "<!--{% if page.small %}{% endif %}-{% if page.small %}-{% endif %}>{{ page.title }}",
                     "<script><!--<script></script>{{ page.title }}</script>", "<svg><![CDATA[>]]>{{ page.title }}",
                     "<!{% if page.small %}{% endif %}-- > {{ page.title }}", "<\n!-- > {{ page.title }}",
                     "<!--!>{{ page.title }}-->", "<!-- ->{{ page.title }}-->", "<iframe>{{ page.title }}</iframe>",
                     "<xmp>{{ page.title }}</xmp>", "<plaintext>{{ page.title }}"):
            with self.subTest(text):
                self.refuse(text, 2)

    def test_branches_that_end_elsewhere(self) -> None:
        self.refuse('<p>\n{% if page.small %}<a href="{% endif %}x">', 3, "branches of this 'if' end in different places")
        self.refuse("\n{% if page.small %}<script>{% else %}<p>{% endif %}", 3, "different places")
        self.refuse("\n\n{% for x in page.list %}<!-- {{ loop }}{% endfor %}", 4)
        self.refuse("\n{% for x in page.list %}<p title='{% endfor %}", 3, "the loop begins in text")
        self.refuse('<p title="', 2, "the page ends in the attribute 'title' of <p>")
        self.refuse("{% block a %}\n<!-- {% endblock %}", 2, "the block 'a'")
        self.refuse("<a {% if page.small %}hid{% endif %}den>", 2, "a space must stand")

    def test_macros(self) -> None:
        macro = "{#- macro m(struct str a) -#}\n{% macro m(a) %}<b>{{ a }}</b>{% endmacro %}\n"
        self.refuse(macro + '<p title="{{ m(page.title) }}">', 4, "the macro 'm' gives HTML", "attribute 'title'")
        self.refuse(macro + "{{ m() }}", 4, "takes (a)")
        self.refuse(macro + "{{ m(page.title, b=1) }}", 4, "takes (a)")
        self.refuse("{% macro m(a) %}{% endmacro %}{{ m(1) }}", 2, "has no declaration")
        self.refuse("{#- macro m(struct str b) -#}\n{% macro m(a) %}{% endmacro %}", 3, "differ")
        self.refuse("{#- macro m(struct str a) -#}\n{% macro m(a) %}<!-- {% endmacro %}{{ m(page.title) }}", 3,
                    "the macro ends in a comment")

    def test_what_is_not_supported(self) -> None:
        for text in ("{{ page['title'] }}", "{% if page.small is odd %}{% endif %}", "{{ [1, 2] }}",
                     "{{ 1 < page.small < 3 }}", "{% filter upper %}x{% endfilter %}", "{{ page.title | safe }}",
                     "{% for a, b in page.list %}{% endfor %}", "{{ page.small / 2 }}", "{{ none }}"):
            with self.subTest(text):
                self.refuse("\n" + text, 3)

    def test_syntax(self) -> None:
        self.refuse("\n\n{% if page.small %}", 4, "")
        self.refuse("\n{% nonsense %}", 3, "nonsense")
        self.refuse("\n{% autoescape false %}{{ page.title }}{% endautoescape %}", 3, "not supported")
        self.refuse("<p>\n\n{% autoescape false %}{% endautoescape %}", 4, "not supported")

    def test_bytes_that_are_no_text(self) -> None:
        (self.folder / "part.html").write_bytes(b"<p>\n\xe9</p>")
        self.refuse('{% include "part.html" %}', 2, "not UTF-8", file="part.html")

    def test_declaration(self) -> None:
        self.write("room.html", "")
        done = self.generate("\n{#- page room_page(overview) -#}", declared=False)
        self.assert_refused(done, "room.html:2", "no C parameter")

    def test_mistakes_in_a_parent_are_told_there(self) -> None:
        self.write("frame.html", "<p>\n{{ page.title }}\n{{ nobody }}{% block a %}{% endblock %}")
        self.refuse('{% extends "frame.html" %}', 3, "unknown name 'nobody'", file="frame.html")

    def test_templates_in_a_circle(self) -> None:
        self.write("a.html", '{% include "b.html" %}')
        self.write("b.html", '{% include "a.html" %}')
        self.refuse('{% include "a.html" %}', 1, "too deeply", file="b.html")
        self.write("a.html", '{% extends "b.html" %}')
        self.write("b.html", '{% extends "a.html" %}')
        done = self.generate('{% extends "a.html" %}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("circle", done.stderr)


class Reader(HTMLParser):
    """Collects elements, attributes and text as a browser sees them."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: dict[str, str] = {}
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update((f"{tag}.{name}", value or "") for name, value in attributes)

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.text[self.tags[-1]] = self.text.get(self.tags[-1], "") + data


class TestEscaping(PagegenTest):
    PAGE = """<p title="{{ page.title }}" class='a {{ page.title }}'>{{ page.title }}</p>
<a href="{{ page.title }}">x</a><b><i data-x="/x/{{ page.title }}"></i></b>
<form action="/x/{{ page.title }}?q={{ page.title }}#{{ page.title }}"></form>"""

    def test_hostile_values_stay_values(self) -> None:
        self.render(self.PAGE)
        for value in HOSTILE:
            with self.subTest(value):
                self.check(value, self.run_again(value))

    def check(self, value: str, page: str) -> None:
        reader = Reader(page)
        self.assertEqual(reader.tags, ["p", "a", "b", "i", "form"])
        self.assertEqual(set(reader.attributes), {"p.title", "p.class", "a.href", "i.data-x", "form.action"})
        self.assertEqual(reader.attributes["p.title"], value)
        self.assertEqual(reader.attributes["p.class"], "a " + value)
        self.assertEqual(reader.text["p"].strip(), value.strip())
        self.assertEqual(reader.attributes["i.data-x"], "/x/" + value)
        self.assertRegex(reader.attributes["a.href"], r"^(#|[/?#][!-~]*|https?://[!-~]*)$")
        self.assertRegex(reader.attributes["form.action"], r"^/x/[\w.~%-]*\?q=[\w.~%-]*#[\w.~%-]*$")

    def test_urls(self) -> None:
        self.render('<a href="{{ page.title }}">')
        for value, expected in {"/a?b=c&d=%20#e": "/a?b=c&amp;d=%20#e", "https://x.org/": "https://x.org/",
                                "HTTP://x": "HTTP://x", "javascript:1": "#", "": "#", "x": "#", "\t/x": "#",
                                "/a b\"<'>\\": "/a%20b%22%3C%27%3E%5C", "?a": "?a"}.items():
            self.assertEqual(self.run_again(value), f'<a href="{expected}">')

    def test_url_that_begins_with_a_value(self) -> None:
        self.assertEqual(self.render('<a href="{{ page.title }}?q={{ page.title }}">', "/a/b"),
                         '<a href="/a/b?q=%2Fa%2Fb">')

    def test_urls_that_begin_literally(self) -> None:
        for begin in ("/b/", "?q=", "#", "./", "../", "http://a.org/", "HTTPS://[::1]:80/b/", "https://a.org?", "mailto:",
                      "\n /b&amp;", "&#47;b/", '{{ "/b/" }}', "{% if page.small %}/a/{% else %}/b/{% endif %}"):
            with self.subTest(begin):
                page = self.render(f'<a href="{begin}{{{{ page.title }}}}">', "javascript:/")
                self.assertIn('javascript%3A%2F">', page)

    def test_urls_without_a_value_are_free(self) -> None:
        page = '<a href="{% if page.small %}mailto:a@b{% else %}x:y{% endif %}">'
        self.assertEqual(self.render(page), '<a href="mailto:a@b">')

    def test_after_a_comment(self) -> None:
        for comment in ("<!-- > -- -->", "<!-->", "<!--->", "<!-- --!>", "<!---->", "<!-- a\n-- --->", "</ x>"):
            with self.subTest(comment):
                self.assertEqual(self.render(f"{comment}{{{{ page.title }}}}", "<"), f"{comment}&lt;")

    def test_what_steers_is_replaced(self) -> None:
        """Control characters, and those that turn the direction of what follows."""
        page = "<p title=\"{{ page.title }}\">{{ page.title }}"
        text = "a\x1b[31m\x7f\u202ab\u202ec\u2066d\u2069\u2029\u200f\u20e9e"
        shown = "a\ufffd[31m\ufffd\ufffdb\ufffdc\ufffdd\ufffd\u2029\u200f\u20e9e"
        self.assertEqual(self.render(page, text), f'<p title="{shown}">{shown}')
        self.assertEqual(self.run_again("\u05e9\u05dc\u05d5\u05dd"), '<p title="{0}">{0}'.format("\u05e9\u05dc\u05d5\u05dd"))

    def test_literal_text_in_braces_is_text(self) -> None:
        self.assertEqual(self.render("{{ '<&>' }}<p title=\"{{ '\\\"' }}\">"), '&lt;&amp;&gt;<p title="&quot;">')


class TestPages(PagegenTest):
    def test_types(self) -> None:
        page = self.render("{{ page.word }}|{{ page.letters }}|{{ page.small }}|{{ page.large }}|{{ page.ratio }}|"
                           "{{ page.color }}|{{ page.inner.count }}|{{ page.pointer.name }}|{{ page.html }}|"
                           "{% for x in page.list %}{{ x.active }} {% endfor %}|{{ 3 }}")
        self.assertEqual(page, "w&lt;rd|&lt;letters&gt;|-3|18446744073709551615|0.5|1|5|behind|<b>bold</b>|yes no |3")

    def test_loops(self) -> None:
        page = self.render("{% for n in page.names %}{{ n }}{% if not loop.last %},{% endif %}{% endfor %}|"
                           "{% for n in page.numbers %}{{ loop.index }}/{{ loop.length }}:{{ n }}"
                           "{% for n in page.list_pointer %}{{ n.size }}{% endfor %} {% endfor %}|"
                           "{% for x in page.list %}{% if loop.first %}F{% endif %}{% else %}none{% endfor %}|"
                           "{{ page.list | length }}", "v")
        self.assertEqual(page, "v,b|1/2:-112 2/2:123456712 |F|2")

    def test_conditions(self) -> None:
        page = self.render(
            '{% if page.title == "x" and page.small < 0 %}A{% elif page.title != "y" %}B{% else %}C{% endif %}'
            "{% if page.nothing %}D{% endif %}{% if page.pointer and page.pointer.count == 7 %}E{% endif %}"
            '{% if not page.title or page.word == "w<rd" %}F{% endif %}{% if page.color == GREEN %}G{% endif %}'
            "{{ 'H' if page.small >= 0 else 'I' }}{{ page.small + 1 }}"
            "<option{% if page.small %} selected{% endif %}{% if page.nothing %} hidden{% endif %}>"
            '<a class="x{% if page.small %} y{% endif %}" href="/a{% if page.small %}?b={{ page.small }}{% endif %}">'
            "{% for x in page.list %}{% if not x.made_at_null %}{{ x.made_at | iso_time }}{% endif %}{% endfor %}", "x")
        self.assertEqual(page, 'AEFGI-2<option selected><a class="x y" href="/a?b=-3">2026-11-23T03:31:01.123Z')

    def test_extends_blocks_and_super(self) -> None:
        self.write("root.html", "<title>{% block title %}root{% endblock %}</title>{% block main %}{% endblock %}.\n")
        self.write("middle.html", '{% extends "root.html" %}{% block main %}[middle {{ page.title }}]{% endblock %}')
        self.write("part.html", "({{ page.small }})")
        page = self.render('{% extends "middle.html" %}\n{% block title %}{{ page.title }} - {{ super() }}{% endblock %}'
                           "{% block main %}{{ super() }}{% include 'part.html' %}{% endblock %}", "<t>")
        self.assertEqual(page, "<title>&lt;t&gt; - root</title>[middle &lt;t&gt;](-3).\n")

    def test_macros_set_and_joined_texts(self) -> None:
        self.write("parts.html", '{#- macro link(struct str url, struct str text, bool bold) -#}\n'
                   '{% macro link(url, text, bold=false) %}<a href="{{ url }}"{% if bold %} class="b"{% endif %}>'
                   "{{ text }}</a>{% endmacro %}\n"
                   '{#- macro row(struct item *item) from "room/thing.h" -#}\n'
                   "{% macro row(item) %}{{ link('/i/' ~ item.size, item.name, bold=item.active) }}{% endmacro %}")
        page = self.render('{% from "parts.html" import row, link as to %}'
                           "{% for x in page.list %}{{ row(x) }}{% endfor %}{% set t = page.title %}"
                           "{% set both = t ~ '&' ~ page.small %}{{ to('/x', both | truncate(3)) }}", "<v>")
        self.assertEqual(page, '<a href="/i/1" class="b">&lt;v&gt;</a><a href="/i/2">two</a>'
                         '<a href="/x">&lt;v&gt;…</a>')

    def test_components(self) -> None:
        page = self.render('{% from "components.html" import time, store_path, commit %}'
                           "{% for x in page.list %}{{ x.made_at | time }}{% endfor %}"
                           "{{ store_path(page.title) }}{{ page.title | commit }}",
                           "/gnu/store/0123456789abcdfghijklmnpqrsvwxyz-a<b>-1.0")
        self.assertRegex(page, r'<time datetime="2026-11-23T03:31:01.123Z" title="[^"]*">[^<]+</time>')
        self.assertIn('title="/gnu/store/0123456789abcdfghijklmnpqrsvwxyz-a&lt;b&gt;-1.0">/gnu/store/01234567'
                      '<span class="rest">89abcdfghijklmnpqrsvwxyz</span>-a&lt;b&gt;-1.0<', page)
        self.assertIn(">/gnu/store<", page)

    def test_depfile_names_all_templates(self) -> None:
        self.write("root.html", "x")
        self.assertEqual(self.generate('{% extends "root.html" %}').returncode, 0)
        self.assertIn("root.html", self.read("room.d"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
