// SPDX-License-Identifier: GPL-3.0-or-later
// <figure data-drawing="/builds/7/graph.svg" data-drawing-of="graph"><a href="..."><img ...></a></figure>:
// the picture becomes part of the page, so that what it shows can be clicked, and is drawn again
// when the live element #graph shows something new. Without this it is an image
// that leads to the picture, where it can be clicked as well.

async function take(figure, isFirst) {
  const reply = await fetch(figure.dataset.drawing);
  if (!reply.ok) {
    if (isFirst) figure.remove(); // the lists beside it say the same
    return;
  }
  // Its own style is for where it stands alone; the page's policy would complain of it.
  const text = (await reply.text()).replace(/<style>.*?<\/style>/s, "");
  const drawing = new DOMParser().parseFromString(text, "image/svg+xml");
  const picture = drawing.documentElement;
  if (picture.localName !== "svg") return;
  figure.replaceChildren(document.importNode(picture, true));
  if (isFirst) showCentre(figure);
}

// A large one is scrolled to the build that the page is about.
function showCentre(figure) {
  const centre = figure.querySelector(".centre")?.getBoundingClientRect();
  if (!centre) return;
  const room = figure.getBoundingClientRect();
  figure.scrollLeft += centre.left + centre.width / 2 - (room.left + room.width / 2);
  figure.scrollTop += centre.top + centre.height / 2 - (room.top + room.height / 2);
}

for (const figure of document.querySelectorAll("[data-drawing]")) {
  take(figure, true);
  document.addEventListener("panoply:shown", ({ detail }) => {
    if (detail.id === figure.dataset.drawingOf) take(figure, false);
  });
}
