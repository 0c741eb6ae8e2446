// SPDX-License-Identifier: GPL-3.0-or-later
// A button that copies, for <pre class="copied"> and for store paths among facts and in tables:
// selecting the text by hand does the same.

const DONE_MS = 2000; // the button says so
const COPIED = "pre.copied, .facts .store-path, td .store-path";

function addButton(element) {
  if (element.dataset.copies) return;
  element.dataset.copies = "yes";
  const isBlock = element.matches("pre");
  // It may change under the button, which is a part of a block.
  const textOf = () => (isBlock ? element.firstChild : element).textContent;
  const button = document.createElement("button");
  const name = isBlock ? "Copy" : `Copy ${textOf()}`;
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", name);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(textOf());
      button.textContent = "Copied";
    } catch { // only https and this machine have a clipboard: the text is selected instead
      getSelection().selectAllChildren(isBlock ? element.firstChild : element);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, DONE_MS);
  });
  if (isBlock) element.append(button);
  else element.after(button);
}

const addAll = () => document.querySelectorAll(COPIED).forEach(addButton);

addAll();
document.addEventListener("panoply:shown", addAll); // live.js has replaced something
