/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A streaming JSON writer (RFC 8259) into a buffer: no tree, and it cannot
   emit invalid JSON. Text that is not UTF-8 is written with U+FFFD in place
   of each bad byte. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define JSON_DEPTH_MAX 32

struct json
{
  struct buf *out;
  int depth;
  bool has_member[JSON_DEPTH_MAX]; /* a comma is due */
  bool after_key;
};

/* Writes into OUT (appending); no clean-up needed. */
struct json json_begin(struct buf *out);

void json_object_open(struct json *json);
void json_object_close(struct json *json);
void json_array_open(struct json *json);
void json_array_close(struct json *json);

/* In an object, before each value. */
void json_key(struct json *json, const char *name);

void json_text(struct json *json, struct str text);
void json_cstr(struct json *json, const char *text); /* NULL = null */
void json_i64(struct json *json, int64_t number);
void json_bool(struct json *json, bool truth);
void json_none(struct json *json);
void json_time(struct json *json, int64_t microseconds); /* RFC 3339, UTC, six digits */
/* Ready JSON text, e.g. made by PostgreSQL; must be one valid value. */
void json_raw(struct json *json, struct str value);

/* key and value in one call */
void json_put_text(struct json *json, const char *name, struct str text);
void json_put_cstr(struct json *json, const char *name, const char *text);
void json_put_i64(struct json *json, const char *name, int64_t number);
void json_put_time(struct json *json, const char *name, int64_t microseconds, bool none);
/* 0 = null: numbers of things begin with 1. */
void json_put_id(struct json *json, const char *name, int64_t id);
/* Empty = null. */
void json_put_words(struct json *json, const char *name, struct str text);
void json_put_bool(struct json *json, const char *name, bool truth);
