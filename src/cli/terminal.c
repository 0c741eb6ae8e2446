/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/terminal.h"

#include <unistd.h>

#include "base/file.h"

#define ESCAPE '\x1b'
#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Each of the takers below handles the beginning of REST, which is not empty, and
   returns how many bytes; 0 = more must come before that is known. */

/* CSI: ESC [ parameters final. Colours (m) and erasing behind them (K), which compilers
   write around their words, are left out whole; of others the ESC is made visible. */
static size_t
take_escape(struct str rest, bool last, struct buf *out)
{
  size_t end = 2;
  if (rest.size == 1 || rest.data[1] == '[') {
    while (end < rest.size && rest.data[end] >= 0x20 && rest.data[end] < 0x40)
      end++;
    if (end >= rest.size && !last)
      return 0;
    if (end < rest.size && (rest.data[end] == 'm' || rest.data[end] == 'K'))
      return end + 1;
  }
  buf_append_text(out, "^[");
  return 1;
}

/* The lone CR of a progress bar would let the next words hide the ones before. */
static size_t
take_return(struct str rest, bool last, struct buf *out)
{
  if (rest.size == 1 && !last)
    return 0;
  if (rest.size == 1 || rest.data[1] != '\n')
    buf_append_char(out, '\n');
  return 1;
}

static size_t
take_control(struct str rest, bool last, struct buf *out)
{
  char c = rest.data[0];
  if (c == ESCAPE)
    return take_escape(rest, last, out);
  if (c == '\r')
    return take_return(rest, last, out);
  if (c == '\n' || c == '\t')
    buf_append_char(out, c);
  else {
    buf_append_char(out, '^');
    buf_append_char(out, (char) (c ^ 0x40));
  }
  return 1;
}

/* C1 controls, and what overrides the direction of writing (U+202A to U+202E, U+2066
   to U+2069). */
static bool
is_harmful(const unsigned char *bytes)
{
  return (bytes[0] == 0xc2 && bytes[1] < 0xa0)
         || (bytes[0] == 0xe2 && bytes[1] == 0x80 && bytes[2] >= 0xaa && bytes[2] <= 0xae)
         || (bytes[0] == 0xe2 && bytes[1] == 0x81 && bytes[2] >= 0xa6 && bytes[2] <= 0xa9);
}

static size_t
take_wide(struct str rest, bool last, struct buf *out)
{
  const unsigned char *bytes = (const unsigned char *) rest.data;
  size_t size = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
  if (rest.size < size && !last && bytes[0] >= 0xc2)
    return 0;
  if (rest.size < size || !str_is_utf8(str_make(rest.data, size))) {
    buf_append_text(out, REPLACEMENT);
    return 1;
  }
  if (is_harmful(bytes))
    buf_append_text(out, REPLACEMENT);
  else
    buf_append(out, rest.data, size);
  return size;
}

static size_t
take(struct str rest, bool last, struct buf *out)
{
  unsigned char first = (unsigned char) rest.data[0];
  if (first >= 0x80)
    return take_wide(rest, last, out);
  if (first < 0x20 || first == 0x7f)
    return take_control(rest, last, out);
  buf_append_char(out, rest.data[0]);
  return 1;
}

void
terminal_clean(struct terminal_text *text, struct str piece, bool last, struct buf *out)
{
  CLEANUP_BUF struct buf joined = { 0 };
  if (text->held_size > 0) {
    buf_append(&joined, text->held, text->held_size);
    buf_append_str(&joined, piece);
    piece = buf_str(&joined);
  }
  text->held_size = 0;
  while (piece.size > 0) {
    /* What is longer than we hold is no sequence that anybody writes. */
    size_t taken = take(piece, last || piece.size > sizeof text->held, out);
    if (taken == 0) {
      memcpy(text->held, piece.data, piece.size);
      text->held_size = piece.size;
      return;
    }
    piece = str_from(piece, taken);
  }
}

int
terminal_write(struct terminal_text *text, struct str piece, bool last)
{
  CLEANUP_BUF struct buf shown = { 0 };
  if (isatty(STDOUT_FILENO)) {
    terminal_clean(text, piece, last, &shown);
    piece = buf_str(&shown);
  }
  return piece.size == 0 ? 0 : file_write_full(STDOUT_FILENO, piece.data, piece.size);
}

const char *
terminal_line(struct arena *arena, struct str text)
{
  CLEANUP_BUF struct buf out = { 0 };
  terminal_clean(&(struct terminal_text) { 0 }, text, true, &out);
  for (size_t i = 0; i < out.size; i++)
    if (out.data[i] == '\n' || out.data[i] == '\t')
      out.data[i] = ' ';
  return arena_str(arena, buf_str(&out)).data;
}
