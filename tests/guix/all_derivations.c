/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads every derivation of a store and checks that printing gives its bytes
   back, that its own name and every output path can be recomputed from its
   text. The store is the folder that PANOPLY_ALL_DERIVATIONS names, e.g. one
   that an evaluation of all packages filled (tests/guix/README.md); without it
   the test is skipped. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "guix/derivation.h"

#define SKIPPED 77
#define FAILURES_SHOWN 20

struct survey
{
  const char *folder;
  struct str_map known; /* full path of a .drv -> index in hashes */
  struct guix_hash *hashes;
  size_t hashes_count, hashes_capacity;
  long derivations, fixed, outputs, failures;
  size_t bytes, largest;
};

static void
report(struct survey *survey, struct str basename, const char *what)
{
  if (survey->failures++ < FAILURES_SHOWN)
    fprintf(stderr, "%.*s: %s\n", STR_FMT(basename), what);
}

static int
read_derivation(const struct survey *survey, struct str basename, struct buf *text,
                struct error *err)
{
  CLEANUP_FREE char *path = mem_printf("%s/%.*s", survey->folder, STR_FMT(basename));
  return file_read_all(path, GUIX_DERIVATION_SIZE_MAX, text, err);
}

/* A guix_modulo_lookup: computes M of a derivation once, its inputs' first. */
static int
modulo_of(void *context, struct str drv_path, struct guix_hash *ret, struct error *err)
{
  struct survey *survey = context;
  int64_t index;
  if (str_map_get(&survey->known, drv_path, &index)) {
    *ret = survey->hashes[index];
    return 0;
  }
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation derivation;
  int r = read_derivation(survey, guix_path_basename(drv_path), &text, err);
  if (r == 0)
    r = guix_derivation_parse(buf_str(&text), &arena, &derivation, err);
  if (r == 0)
    r = guix_derivation_hash_modulo(&derivation, false, modulo_of, survey, ret, err);
  if (r < 0)
    return r;
  mem_grow(&survey->hashes, &survey->hashes_capacity, survey->hashes_count + 1, sizeof *ret);
  survey->hashes[survey->hashes_count] = *ret;
  str_map_put(&survey->known, drv_path, (int64_t) survey->hashes_count++);
  return 0;
}

static void
check_outputs(struct survey *survey, const struct guix_derivation *derivation, struct str basename,
              struct arena *arena)
{
  struct str drv_name = str_from(basename, GUIX_PATH_HASH_SIZE + 1);
  struct str name = str_make(drv_name.data, drv_name.size - 4);
  for (size_t i = 0; i < derivation->outputs_count; i++) {
    struct str path;
    struct error err = { 0 };
    survey->outputs++;
    if (guix_derivation_output_path(derivation, name, i, modulo_of, survey, arena, &path, &err) < 0)
      report(survey, basename, err.message);
    else if (!str_equal(path, derivation->outputs[i].path))
      report(survey, basename, "another output path comes out");
  }
}

static void
check_own_name(struct survey *survey, const struct guix_derivation *derivation, struct str basename,
               struct str text, struct arena *arena)
{
  size_t count;
  struct str *references = guix_derivation_references(derivation, arena, &count);
  struct str path = guix_path_of_text(arena, str_from(basename, GUIX_PATH_HASH_SIZE + 1), text,
                                      references, count);
  if (!str_equal(guix_path_basename(path), basename))
    report(survey, basename, "another name of its own comes out");
}

static void
check_derivation(struct survey *survey, struct str basename)
{
  CLEANUP_BUF struct buf text = { 0 }, printed = { 0 };
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_derivation derivation;
  struct error err = { 0 };
  survey->derivations++;
  if (read_derivation(survey, basename, &text, &err) < 0
      || guix_derivation_parse(buf_str(&text), &arena, &derivation, &err) < 0) {
    report(survey, basename, err.message);
    return;
  }
  survey->bytes += text.size;
  survey->largest = text.size > survey->largest ? text.size : survey->largest;
  survey->fixed += guix_derivation_is_fixed(&derivation);
  guix_derivation_print(&derivation, &printed);
  if (!str_equal(buf_str(&printed), buf_str(&text)))
    report(survey, basename, "printing gives other bytes");
  check_own_name(survey, &derivation, basename, buf_str(&text), &arena);
  check_outputs(survey, &derivation, basename, &arena);
}

static int
check_folder(struct survey *survey)
{
  DIR *folder = opendir(survey->folder);
  if (folder == NULL) {
    fprintf(stderr, "%s: %s\n", survey->folder, strerror(errno));
    return EXIT_FAILURE;
  }
  struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) {
    struct str name = str_of(entry->d_name);
    if (entry->d_type == DT_REG && guix_basename_is_valid(name) && str_ends(name, STR(".drv")))
      check_derivation(survey, name);
  }
  closedir(folder);
  return survey->failures == 0 && survey->derivations > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(void)
{
  struct survey survey = { .folder = getenv("PANOPLY_ALL_DERIVATIONS") };
  if (survey.folder == NULL) {
    puts("skipped: PANOPLY_ALL_DERIVATIONS does not name a store folder full of derivations");
    return SKIPPED;
  }
  int64_t started = clock_monotonic_ms();
  int status = check_folder(&survey);
  printf("%ld derivations (%ld of them fixed), %ld outputs, %zu bytes, the largest %zu: "
         "%ld failures, %.1f s\n",
         survey.derivations, survey.fixed, survey.outputs, survey.bytes, survey.largest,
         survey.failures, (double) (clock_monotonic_ms() - started) / 1000);
  str_map_free(&survey.known);
  free(survey.hashes);
  return status;
}
