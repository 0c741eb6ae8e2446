/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all pages share: the frame (frame.html), components.html, the static
   files, and the pages that only say something: an error, a question. */
#pragma once

#include "http/http.h"
#include "ui/frame.h"
#include "ui/help.h"
#include "ui/list.h"

/* GET /static/{name}: the files of this folder, with their contents' hash as
   ETag, to be asked for again each time (a 304 costs little). */
struct http_routes ui_routes(void);

/* GET /style, the design system: of development builds alone (meson's buildtype is not
   "release"). */
struct http_routes ui_style_routes(void);

/* All but the account: what the request says of its page. Slices live as long as the
   request. accounts_frame does both. */
void ui_frame_read(struct http_request *request, struct ui_frame *ret);

/* Answers 200 with PAGE, which is taken over. What the frame said is said once. Each page depends
   on who is signed in, and is to be asked for again each time. */
int ui_reply(struct http_request *request, const struct ui_frame *frame, struct buf *page);
/* The same with another STATUS, for a form that is shown again with what is wrong. */
int ui_reply_status(struct http_request *request, const struct ui_frame *frame, int status,
                    struct buf *page);

/* After a form was carried out: on to LOCATION (a path of ours), whose page says the
   formatted sentence. */
int ui_done(struct http_request *request, const char *location, const char *format, ...)
    PN_PRINTF(3, 4);

/* Where a form's field `then` leads: a path of ours, or FALLBACK when it is anything else. */
const char *ui_local_path(struct http_request *request, struct str path, const char *fallback);

/* A page that asks before something is destroyed. */
struct ui_question
{
  struct str title;   /* "Delete specification guix?" */
  struct str what;    /* a sentence or two: what is lost, what stays */
  struct str button;  /* "Delete it" */
  const char *action; /* the path that the form is sent to */
  const char *back;   /* the path of "No, go back" */
};

int ui_ask(struct http_request *request, const struct ui_frame *frame,
           const struct ui_question *question);

/* The page for an error (http_options.error_page wants one with a frame made). */
void ui_error_page(const struct ui_frame *frame, int status, const struct error *err,
                   struct buf *page);
