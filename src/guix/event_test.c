/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above first. */
#include <cmocka.h>

#include <stdlib.h>

#include "guix/daemon.h"

#define ITEM "/gnu/store/10n1r190irl4q1illc7d5q04wks8gvgx-greeting.txt"
#define DRV "/gnu/store/sh7wwg5pjx23v03rkpk8ghl0mnnbqkn2-demo-src.drv"
#define LOG_FILE "/var/log/guix/drvs/sh//7wwg5pjx23v03rkpk8ghl0mnnbqkn2-demo-src.drv.gz"

static const char *const kinds[] = {
  [GUIX_EVENT_LOG] = "log",
  [GUIX_EVENT_MESSAGE] = "message",
  [GUIX_EVENT_BUILD_STARTED] = "started",
  [GUIX_EVENT_BUILD_SUCCEEDED] = "succeeded",
  [GUIX_EVENT_BUILD_FAILED] = "failed",
  [GUIX_EVENT_HOOK_FAILED] = "hook-failed",
  [GUIX_EVENT_HASH_MISMATCH] = "mismatch",
  [GUIX_EVENT_SUBSTITUTER] = "substituter",
  [GUIX_EVENT_DOWNLOAD] = "download",
};

/* What was received, as text; pieces of one process's output are joined. */
struct record
{
  struct buf text;
  int64_t log_pid; /* of the output at the end of TEXT; 0 = something else is there */
};

static void
append_field(struct buf *out, const char *name, struct str value)
{
  if (value.size > 0)
    buf_printf(out, " %s=%.*s", name, STR_FMT(value));
}

static void
receive(void *context, const struct guix_event *event)
{
  struct record *record = context;
  struct buf *out = &record->text;
  if (event->kind == GUIX_EVENT_LOG && record->log_pid == event->pid) {
    buf_append_str(out, event->text);
    return;
  }
  if (out->size > 0)
    buf_append_char(out, '|');
  buf_append_text(out, kinds[event->kind]);
  append_field(out, "drv", event->drv);
  append_field(out, "system", event->system);
  append_field(out, "file", event->log_file);
  append_field(out, "reason", event->reason);
  append_field(out, "item", event->item);
  append_field(out, "algorithm", event->algorithm);
  append_field(out, "expected", event->expected);
  append_field(out, "actual", event->actual);
  if (event->pid != 0)
    buf_printf(out, " pid=%d", (int) event->pid);
  append_field(out, "text", event->text);
  record->log_pid = event->kind == GUIX_EVENT_LOG ? event->pid : 0;
}

/* Feeds INPUT in pieces of 1..MOST bytes, drawn from SEED. */
static void
assert_events_in_pieces(struct str input, const char *expected, size_t most, unsigned seed)
{
  struct record record = { 0 };
  struct guix_event_parser *parser = guix_event_parser_new(receive, &record);
  while (input.size > 0) {
    size_t size = most == 1 ? 1 : 1 + (size_t) rand_r(&seed) % most;
    /* A copy of its own, so that reading past its end is found. */
    CLEANUP_BUF struct buf piece = { 0 };
    buf_append(&piece, input.data, size < input.size ? size : input.size);
    guix_event_parser_feed(parser, buf_str(&piece));
    input = str_from(input, piece.size);
  }
  guix_event_parser_end(parser);
  guix_event_parser_free(parser);
  assert_string_equal(buf_text(&record.text), expected);
  buf_free(&record.text);
}

static void
assert_events(const char *input, const char *expected)
{
  struct str text = str_of(input);
  assert_events_in_pieces(text, expected, 1, 0);
  assert_events_in_pieces(text, expected, text.size + 1, 0);
  for (unsigned seed = 1; seed < 50; seed++)
    assert_events_in_pieces(text, expected, 3 * seed, seed);
}

static void
test_a_build_from_start_to_end(void **state)
{
  (void) state;
  assert_events("The following derivations will be built:\n"
                "   " DRV "\n"
                "@ build-started " DRV " - x86_64-linux " LOG_FILE " 4711\n"
                "@ build-log 4711 6\nhello\n"
                "@ build-log 4711 32\nworld\n@ build-succeeded x - \nend"
                "@ build-log 4712 5\nother"
                "@ build-succeeded " DRV " -\n",
                "message text=The following derivations will be built:"
                "|message text=   " DRV "|started drv=" DRV " system=x86_64-linux file=" LOG_FILE
                " pid=4711|log pid=4711 text=hello\nworld\n@ build-succeeded x - \nend"
                "|log pid=4712 text=other|succeeded drv=" DRV);
}

static void
test_failures(void **state)
{
  (void) state;
  assert_events("@ build-failed " DRV " - 1 builder for `x' failed with exit code 3\n",
                "failed drv=" DRV " text=builder for `x' failed with exit code 3");
  assert_events("@ build-failed " DRV " - 0 cannot fork\n", "failed drv=" DRV " text=cannot fork");
  assert_events("@ build-failed " DRV " - timeout\n", "failed drv=" DRV " reason=timeout");
  assert_events("@ build-failed " DRV " - cached\n", "failed drv=" DRV " reason=cached");
  assert_events("@ hook-failed " DRV " - 256 no outputs\n",
                "hook-failed drv=" DRV " reason=256 text=no outputs");
  assert_events("@ hash-mismatch " ITEM " r:sha256 0abc 1def\n",
                "mismatch item=" ITEM " algorithm=r:sha256 expected=0abc actual=1def");
}

static void
test_substitutes_and_downloads(void **state)
{
  (void) state;
  assert_events("@ substituter-started " ITEM " substitute\n"
                "@ download-started " ITEM " https://example.org/nar/1 -\n"
                "@ download-progress " ITEM " https://example.org/nar/1 100 50\n"
                "@ download-succeeded " ITEM " https://example.org/nar/1 100\n\n"
                "@ substituter-succeeded " ITEM "\n"
                "@ substituter-failed " ITEM " timeout\n",
                "substituter reason=started item=" ITEM " text=substitute"
                "|download reason=started item=https://example.org/nar/1 text=-"
                "|download reason=progress item=https://example.org/nar/1 text=100 50"
                "|download reason=succeeded item=https://example.org/nar/1 text=100"
                "|message|substituter reason=succeeded item=" ITEM
                "|substituter reason=failed item=" ITEM " text=timeout");
}

/* What is no event stays text, whole. */
static void
test_malformed_lines_are_messages(void **state)
{
  (void) state;
  const char *lines[] = {
    "@",
    "@ ",
    "@ unheard-of " DRV,
    "@ build-started",
    "@ build-started " DRV " - x86_64-linux " LOG_FILE,
    "@ build-started " DRV " - x86_64-linux " LOG_FILE " 12x",
    "@ build-started /etc/passwd - x86_64-linux " LOG_FILE " 12",
    "@ build-succeeded " DRV,
    "@ build-succeeded " DRV " +",
    "@ build-succeeded  " DRV " -",
    "@ build-log",
    "@ build-log 1",
    "@ build-log 1 -1",
    "@ build-log 1 99999999999999999999",
    "@ build-log x 1",
    "@ build-log 1 1 1",
    "@ hash-mismatch " ITEM " sha256 0abc",
    " @ build-succeeded " DRV " -",
    "x@ build-log 1 1",
  };
  for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
    CLEANUP_BUF struct buf input = { 0 }, expected = { 0 };
    buf_printf(&input, "%s\n@ build-succeeded " DRV " -\n", lines[i]);
    buf_printf(&expected, "message text=%s|succeeded drv=" DRV, lines[i]);
    assert_events(buf_text(&input), buf_text(&expected));
  }
}

static void
test_the_end_flushes_and_forgets(void **state)
{
  (void) state;
  assert_events("@ build-succeeded " DRV " -", "succeeded drv=" DRV);
  struct record record = { 0 };
  struct guix_event_parser *parser = guix_event_parser_new(receive, &record);
  guix_event_parser_feed(parser, STR("@ build-log 7 100\nabc"));
  guix_event_parser_end(parser);
  guix_event_parser_feed(parser, STR("tail\n"));
  guix_event_parser_end(parser);
  guix_event_parser_free(parser);
  assert_string_equal(buf_text(&record.text), "log pid=7 text=abc|message text=tail");
  buf_free(&record.text);
}

struct sum
{
  size_t bytes, events, largest;
};

static void
add_up(void *context, const struct guix_event *event)
{
  struct sum *sum = context;
  assert_int_equal(event->kind, GUIX_EVENT_MESSAGE);
  sum->events++;
  sum->bytes += event->text.size;
  if (event->text.size > sum->largest)
    sum->largest = event->text.size;
}

static void
test_endless_lines_come_in_parts(void **state)
{
  (void) state;
  struct sum sum = { 0 };
  CLEANUP_BUF struct buf line = { 0 };
  size_t size = 3 * GUIX_EVENT_LINE_MAX + 5;
  memset(buf_reserve(&line, size), 'x', size);
  line.size = size;
  /* A forged event must not come to stand at the start of a part. */
  memcpy(line.data + GUIX_EVENT_LINE_MAX, "@ build-succeeded " DRV " -", 28);
  struct guix_event_parser *parser = guix_event_parser_new(add_up, &sum);
  guix_event_parser_feed(parser, buf_str(&line));
  guix_event_parser_end(parser);
  guix_event_parser_free(parser);
  assert_int_equal(sum.bytes, size);
  assert_int_equal(sum.events, 4);
  assert_int_equal(sum.largest, GUIX_EVENT_LINE_MAX);
}

int
main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_build_from_start_to_end),
    cmocka_unit_test(test_failures),
    cmocka_unit_test(test_substitutes_and_downloads),
    cmocka_unit_test(test_malformed_lines_are_messages),
    cmocka_unit_test(test_the_end_flushes_and_forgets),
    cmocka_unit_test(test_endless_lines_come_in_parts),
  };
  return cmocka_run_group_tests_name("guix/event", tests, NULL, NULL);
}
