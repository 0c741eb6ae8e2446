// SPDX-License-Identifier: GPL-3.0-or-later
// A form that comes back with something wrong: the keyboard stands on the first field that is.
// `autofocus` does the same without scripts, but not where the address leads to a part of the
// page: going there takes the focus away, so this waits until the page is loaded.

function focusWrong() {
  const wrong = document.querySelector('main [aria-invalid="true"]');
  if (wrong && document.activeElement === document.body) wrong.focus();
}

if (document.readyState === "complete") focusWrong();
else addEventListener("load", focusWrong, { once: true });
