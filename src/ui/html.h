/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What compiled templates call (tools/pagegen, doc/templates.md): values are
   put by their C type, escaped for the position in HTML that they stand in. C
   written by hand calls the page functions of ROOM_pages.h instead. */
#pragma once

/* Errors inside the macros below are then told where they are used: in the
   line of the template. */
#pragma GCC system_header

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* Ready-made HTML, put without escaping, and only as content. Only ui/ and
   generated code make it. */
struct ui_html
{
  struct str html;
};

#define UI_TEXT_SIZE 256

/* A text that may carry its own bytes: what every printable value becomes on
   its way, and what filters give. */
struct ui_text
{
  struct str view; /* data NULL = the first view.size bytes of `own` */
  bool is_html;
  char own[UI_TEXT_SIZE];
};

struct ui_text ui_text_bool(bool value); /* yes, no */
struct ui_text ui_text_i64(int64_t value);
struct ui_text ui_text_u64(uint64_t value);
struct ui_text ui_text_double(double value); /* at most six digits */
struct ui_text ui_text_str(struct str value);
struct ui_text ui_text_cstr(const char *value); /* NULL = empty */
struct ui_text ui_text_self(struct ui_text value);
struct ui_text ui_text_html(struct ui_html value);

/* Its bytes; valid as long as *TEXT is. */
struct str ui_text_view(const struct ui_text *text);

/* clang-format off: a list of `type: function` is beyond it. */
#define UI_PRINTABLE                                                                    \
  bool : ui_text_bool,                                                                  \
         short : ui_text_i64,                                                           \
                 int : ui_text_i64,                                                     \
                       long : ui_text_i64,                                              \
                              long long : ui_text_i64,                                  \
                                          unsigned char : ui_text_u64,                  \
                                                          unsigned short : ui_text_u64, \
                                                                           unsigned     \
      : ui_text_u64,                                                                    \
        unsigned long : ui_text_u64,                                                    \
                        unsigned long long : ui_text_u64,                               \
                                             double : ui_text_double,                   \
                                                      struct str : ui_text_str,         \
                                                                   struct ui_text       \
      : ui_text_self,                                                                   \
        char * : ui_text_cstr,                                                          \
                 const char * : ui_text_cstr

#define UI_TEXT(value) _Generic((value), UI_PRINTABLE)(value)
#define UI_TEXT_OR_HTML(value) _Generic((value), UI_PRINTABLE, struct ui_html : ui_text_html)(value)
/* clang-format on */

/* ---- putting ---- */

void ui_write_escaped(struct buf *out, struct ui_text text);
void ui_write_url(struct buf *out, struct ui_text text);
void ui_write_url_part(struct buf *out, struct ui_text text);
void ui_write_plain(struct buf *out, struct ui_text text);

#define ui_put_literal(out, literal) buf_append_str(out, STR(literal))

/* As content of an element; takes a struct ui_html too. */
#define ui_put_text(out, value) ui_write_escaped(out, UI_TEXT_OR_HTML(value))

/* Inside a quoted attribute. */
#define ui_put_attribute(out, value) ui_write_escaped(out, UI_TEXT(value))

/* At the beginning of a URL: a path, a query, a fragment or an http(s) URL; any
   other value is replaced by "#". */
#define ui_put_url(out, value) ui_write_url(out, UI_TEXT(value))

/* Inside a URL, as one segment of its path or one value of its query: all but
   letters, digits and -._~ is percent-encoded. */
#define ui_put_url_part(out, value) ui_write_url_part(out, UI_TEXT(value))

/* Unescaped, into a text that is escaped later. */
#define ui_put_plain(out, value) ui_write_plain(out, UI_TEXT(value))

/* ---- literals, members, conditions ---- */

/* STR, but with errors told as said above. */
#define UI_LITERAL(text) ((struct str) { "" text, sizeof(text) - 1 })

/* A pointer to what VALUE names: itself when it is a pointer already. */
#define UI_REF(value) __builtin_choose_expr(__builtin_classify_type(value) == 5, (value), &(value))

static inline struct str
ui_str_same(struct str value)
{
  return value;
}

bool ui_is_true_double(double value);
bool ui_is_true_integer(int64_t value);
bool ui_is_true_str(struct str value);      /* not empty */
bool ui_is_true_cstr(const char *value);    /* neither NULL nor empty */
bool ui_is_true_pointer(const void *value); /* not NULL */

bool ui_is_equal_integer(int64_t a, int64_t b);
bool ui_is_equal_double(double a, double b);
bool ui_is_equal_cstr(const char *a, struct str b);

/* clang-format off */
/* The value behind a pointer; a C text stays one. */
#define UI_AT(pointer) \
  _Generic((pointer), char *: (pointer), const char *: (pointer), default: *(pointer))

/* A slice of either kind of text. */
#define UI_STR(value) \
  _Generic((value), struct str: ui_str_same, char *: str_of, const char *: str_of)(value)

#define UI_INTEGERS(function)                                \
  bool: function, short: function, int: function,            \
  long: function, long long: function,                       \
  unsigned char: function, unsigned short: function,         \
  unsigned: function, unsigned long: function,               \
  unsigned long long: function

#define ui_is_true(value)                                    \
  _Generic((value),                                          \
    UI_INTEGERS(ui_is_true_integer),                         \
    double: ui_is_true_double,                               \
    struct str: ui_is_true_str,                              \
    char *: ui_is_true_cstr,                                 \
    const char *: ui_is_true_cstr,                           \
    default: ui_is_true_pointer)(value)

/* Texts are compared with texts, numbers with numbers. */
#define ui_is_equal(a, b)                                    \
  _Generic((a),                                              \
    UI_INTEGERS(ui_is_equal_integer),                        \
    double: ui_is_equal_double,                              \
    struct str: str_equal,                                   \
    char *: ui_is_equal_cstr,                                \
    const char *: ui_is_equal_cstr)(a, b)
/* clang-format on */

/* ---- filters: `{{ value | NAME }}` calls ui_filter_NAME(value) ---- */

/* Times are microseconds since 1970, durations microseconds. */
struct ui_text ui_filter_iso_time(int64_t time);      /* "2026-11-23T03:31:01.123Z" */
struct ui_text ui_filter_span_since(int64_t time);    /* "3 minutes" */
struct ui_text ui_filter_relative_time(int64_t time); /* "3 minutes ago", "in 2 hours" */
struct ui_text ui_filter_duration(int64_t duration);  /* "3.2 s", "4 min 5 s", "2 h 14 min" */
struct ui_text ui_filter_bytes(int64_t size);         /* "312 bytes", "1.5 MiB" */
struct ui_text ui_filter_number(int64_t number);      /* "1,234,567" */
/* "1 build", "1,234 builds" */
struct ui_text ui_filter_count(int64_t number, const char *one, const char *many);

/* "/gnu/store/<32 digits>-hello-2.12" or its basename, in three parts: up to the first 8 digits,
   the other 24, and "-hello-2.12". Any other text is all head. */
#define ui_filter_path_head(path) ui_path_head(UI_TEXT(path))
#define ui_filter_path_middle(path) ui_path_middle(UI_TEXT(path))
#define ui_filter_path_tail(path) ui_path_tail(UI_TEXT(path))
/* The first 10 digits. */
#define ui_filter_short_commit(commit) ui_short_commit(UI_TEXT(commit))
/* At most SIZE bytes and then "…"; whole characters. SIZE <= 240. */
#define ui_filter_truncate(text, size) ui_truncate(UI_TEXT(text), size)

struct ui_text ui_path_head(struct ui_text path);
struct ui_text ui_path_middle(struct ui_text path);
struct ui_text ui_path_tail(struct ui_text path);
struct ui_text ui_short_commit(struct ui_text commit);
struct ui_text ui_truncate(struct ui_text text, size_t size);
