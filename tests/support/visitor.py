# SPDX-License-Identifier: GPL-3.0-or-later
"""Who looks at pages: a browser without scripts."""

import html
import http.cookies
import re
import urllib.parse

from .panoply import Client


def without_tags(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", text))


class Visitor:
    """A browser without scripts: keeps cookies, and sends the forms of pages."""

    def __init__(self, url: str):
        self.client = Client(url)
        self.cookies = http.cookies.SimpleCookie()

    def request(self, method: str, path: str, fields: dict | None = None):
        headers = {"Accept": "text/html", "Cookie": "; ".join(
            f"{it.key}={it.coded_value}" for it in self.cookies.values() if it["max-age"] != "0")}
        body = None
        if fields is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = self.client.url
            body = urllib.parse.urlencode(fields).encode()
        answer = self.client.request(method, path, body, headers)
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            self.cookies.load(cookie)
        return answer

    def page(self, path: str) -> str:
        answer = self.request("GET", path)
        assert answer.status == 200, (path, answer.status, answer.body[:300])
        return answer.body.decode()

    def sign_in(self, token: str) -> None:
        assert self.request("POST", "/sign-in", {"token": token, "then": "/"}).status == 303

    def forms(self, path: str) -> dict[str, tuple[str, dict]]:
        """The posting forms of a page by the words of their button: address and fields."""
        found = {}
        for action, form in re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>(.*?)</form>',
                                       self.page(path), re.S):
            button = without_tags(re.search(r"<button.*?</button>", form, re.S).group())
            fields = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form))
            found[button] = (html.unescape(action), fields)
        return found

    def press(self, path: str, button: str):
        """Sends the form with this button; returns the page behind it."""
        action, fields = self.forms(path)[button]
        answer = self.request("POST", action, fields)
        assert answer.status == 303, (answer.status, answer.body[:500])
        return self.page(answer.headers["Location"])
