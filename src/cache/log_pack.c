/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finished logs: gzip files (RFC 1952) that any client can read, and that we can enter
   at points: whoever wants the end of a gigabyte, or goes on from some byte, must not
   make a server thread unpack what lies before.

   At each point the compressor forgets what came before (a full flush). Where the points
   are stands in the header's extra field, subfield "PN": three numbers of 64 bits, little
   end first, with the size of the text, the bytes of text from one point to the next, and
   how many points there are; then the place of each point in the file. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "cache/cache_private.h"

#define POINTS_MAX 1000         /* so that the extra field stays below its 64 KiB */
#define SPACING_LEAST (1 << 20) /* bytes of text */
#define FIXED_SIZE 16           /* header up to the subfield's contents */
#define NUMBERS 3               /* before the points */
#define TRAILER_SIZE 8
#define INPUT_SIZE 16384
#define FLAG_EXTRA 4
#define SUBFIELD "PN"

#define RAW_DEFLATE (-MAX_WBITS)
#define WITH_HEADER (MAX_WBITS + 16)

struct log_index
{
  int64_t text_size;
  int64_t spacing;
  int64_t count;
  int64_t *places; /* in the file */
};

static void
index_free(struct log_index *index)
{
  free(index->places);
}

static size_t
header_size(const struct log_index *index)
{
  return FIXED_SIZE + (NUMBERS + (size_t) index->count) * 8;
}

static void
put_number(unsigned char *at, uint64_t number, int bytes)
{
  for (int i = 0; i < bytes; i++)
    at[i] = (unsigned char) (number >> 8 * i);
}

static int64_t
get_number(const unsigned char *at)
{
  uint64_t number = 0;
  for (int i = 7; i >= 0; i--)
    number = number << 8 | at[i];
  return (int64_t) number;
}

/* ---- packing ---- */

struct packing
{
  z_stream deflate;
  struct log_index index;
  int from, to;
  int64_t position; /* in the text */
  int64_t written;  /* to the file */
  uLong checksum;
};

static struct log_index
plan_index(int64_t size)
{
  struct log_index index = { .text_size = size, .spacing = size / POINTS_MAX + 1 };
  if (index.spacing < SPACING_LEAST)
    index.spacing = SPACING_LEAST;
  index.count = size == 0 ? 0 : (size - 1) / index.spacing;
  index.places = mem_array((size_t) index.count + 1, sizeof *index.places);
  return index;
}

static int
write_out(struct packing *packing, const void *data, size_t size, struct error *err)
{
  int r = file_write_full(packing->to, data, size);
  packing->written += (int64_t) size;
  return r < 0 ? error_set(err, r, "cannot write a compressed log") : 0;
}

static int
write_header(struct packing *packing, struct error *err)
{
  const struct log_index *index = &packing->index;
  size_t size = header_size(index);
  CLEANUP_FREE unsigned char *header = mem_alloc(size);
  const unsigned char fixed[] = { 0x1f, 0x8b, Z_DEFLATED, FLAG_EXTRA, [9] = 255 /* no system */ };
  memcpy(header, fixed, sizeof fixed);
  memcpy(header + 12, SUBFIELD, 2);
  put_number(header + 10, size - 12, 2);
  put_number(header + 14, size - FIXED_SIZE, 2);
  put_number(header + FIXED_SIZE, (uint64_t) index->text_size, 8);
  put_number(header + FIXED_SIZE + 8, (uint64_t) index->spacing, 8);
  put_number(header + FIXED_SIZE + 16, (uint64_t) index->count, 8);
  for (int64_t i = 0; i < index->count; i++)
    put_number(header + FIXED_SIZE + (NUMBERS + i) * 8, (uint64_t) index->places[i], 8);
  return write_out(packing, header, size, err);
}

static int
deflate_piece(struct packing *packing, struct str piece, int flush, struct error *err)
{
  unsigned char room[INPUT_SIZE];
  z_stream *deflate_stream = &packing->deflate;
  deflate_stream->next_in = (Bytef *) piece.data;
  deflate_stream->avail_in = (uInt) piece.size;
  packing->checksum = crc32(packing->checksum, deflate_stream->next_in, (uInt) piece.size);
  do {
    deflate_stream->next_out = room;
    deflate_stream->avail_out = sizeof room;
    (void) deflate(deflate_stream, flush);
    int r = write_out(packing, room, sizeof room - deflate_stream->avail_out, err);
    if (r < 0)
      return r;
  } while (deflate_stream->avail_out == 0);
  return 0;
}

/* One piece, up to the next point at most; 1 = there is more. */
static int
pack_next(struct packing *packing, char *room, struct error *err)
{
  struct log_index *index = &packing->index;
  int64_t next_point = (packing->position / index->spacing + 1) * index->spacing;
  int64_t end = next_point < index->text_size ? next_point : index->text_size;
  int64_t wanted = end - packing->position;
  ssize_t got =
      wanted == 0 ? 0
                  : pread(packing->from, room, wanted < CACHE_PIECE ? (size_t) wanted : CACHE_PIECE,
                          packing->position);
  if (got < 0 && errno == EINTR)
    return 1;
  if (got < 0 || (got == 0 && wanted > 0))
    return error_set(err, got < 0 ? -errno : -EIO, "cannot read a log");
  packing->position += got;
  bool ends = packing->position == index->text_size;
  bool is_point = !ends && packing->position == next_point;
  int r = deflate_piece(packing, str_make(room, (size_t) got),
                        ends       ? Z_FINISH
                        : is_point ? Z_FULL_FLUSH
                                   : Z_NO_FLUSH,
                        err);
  if (is_point)
    index->places[next_point / index->spacing - 1] = packing->written;
  return r < 0 ? r : !ends;
}

static int
pack(struct packing *packing, struct error *err)
{
  unsigned char trailer[TRAILER_SIZE];
  CLEANUP_FREE char *room = mem_alloc(CACHE_PIECE);
  int r = write_header(packing, err); /* for its size: the points come later */
  if (r == 0)
    do
      r = pack_next(packing, room, err);
    while (r > 0);
  if (r < 0)
    return r;
  put_number(trailer, packing->checksum, 4);
  put_number(trailer + 4, (uint64_t) packing->index.text_size, 4);
  r = write_out(packing, trailer, sizeof trailer, err);
  if (r == 0 && lseek(packing->to, 0, SEEK_SET) != 0)
    r = error_set_errno(err, "cannot write a compressed log");
  return r < 0 ? r : write_header(packing, err);
}

int
cache_log_pack(int from, int64_t size, int to, struct error *err)
{
  struct packing packing = {
    .from = from, .to = to, .index = plan_index(size), .checksum = crc32(0, NULL, 0)
  };
  int r = deflateInit2(&packing.deflate, Z_DEFAULT_COMPRESSION, Z_DEFLATED, RAW_DEFLATE, 8,
                       Z_DEFAULT_STRATEGY)
                  == Z_OK
              ? pack(&packing, err)
              : error_set(err, -ENOMEM, "cannot compress a log");
  deflateEnd(&packing.deflate);
  index_free(&packing.index);
  return r;
}

/* ---- reading ---- */

struct cache_log_reader
{
  int fd;
  z_stream inflate;
  bool ended;
  int64_t skip; /* bytes of text from the point to where the reader begins */
  int64_t text_size;
  unsigned char input[INPUT_SIZE];
};

/* -ENODATA: none, as in a file that another program packed. */
static int
read_index(int fd, struct log_index *ret)
{
  unsigned char fixed[FIXED_SIZE + NUMBERS * 8];
  if (pread(fd, fixed, sizeof fixed, 0) != sizeof fixed || fixed[3] != FLAG_EXTRA
      || memcmp(fixed + 12, SUBFIELD, 2) != 0)
    return -ENODATA;
  struct log_index index = { .text_size = get_number(fixed + FIXED_SIZE),
                             .spacing = get_number(fixed + FIXED_SIZE + 8),
                             .count = get_number(fixed + FIXED_SIZE + 16) };
  if (index.text_size < 0 || index.spacing < SPACING_LEAST || index.count < 0
      || index.count > POINTS_MAX)
    return -EBADMSG;
  size_t size = (size_t) index.count * 8;
  CLEANUP_FREE unsigned char *places = mem_alloc(size + 1);
  if (pread(fd, places, size, sizeof fixed) != (ssize_t) size)
    return -EBADMSG;
  index.places = mem_array((size_t) index.count + 1, sizeof *index.places);
  for (int64_t i = 0; i < index.count; i++)
    index.places[i] = get_number(places + i * 8);
  *ret = index;
  return 0;
}

/* One point, the beginning; the size is in the trailer (modulo 4 GiB). */
static int
make_index(int fd, struct log_index *ret)
{
  unsigned char size[8] = { 0 };
  off_t end = lseek(fd, 0, SEEK_END);
  if (end < TRAILER_SIZE || pread(fd, size, 4, end - 4) != 4)
    return -EBADMSG;
  *ret = (struct log_index) { .text_size = get_number(size), .spacing = INT64_MAX };
  return 0;
}

static int
find_index(int fd, struct log_index *ret)
{
  int r = read_index(fd, ret);
  return r == -ENODATA ? make_index(fd, ret) : r;
}

int64_t
cache_log_text_size(int fd)
{
  PN_CLEANUP(index_free) struct log_index index = { 0 };
  int r = find_index(fd, &index);
  return r < 0 ? r : index.text_size;
}

/* Goes to the last point before FROM: the file's beginning, which has a header that
   inflate wants to see, or another. */
static int
enter(struct cache_log_reader *reader, int64_t from)
{
  PN_CLEANUP(index_free) struct log_index index = { 0 };
  int r = find_index(reader->fd, &index);
  if (r < 0)
    return r;
  if (from < 0)
    from = index.text_size + from > 0 ? index.text_size + from : 0;
  int64_t point = from / index.spacing;
  if (point > index.count)
    point = index.count;
  reader->text_size = index.text_size;
  reader->ended = from >= index.text_size;
  reader->skip = from - point * index.spacing;
  if (lseek(reader->fd, point == 0 ? 0 : index.places[point - 1], SEEK_SET) < 0)
    return -EBADMSG;
  return inflateInit2(&reader->inflate, point == 0 ? WITH_HEADER : RAW_DEFLATE) == Z_OK ? 0
                                                                                        : -ENOMEM;
}

int
cache_log_reader_open(int fd, int64_t from, struct cache_log_reader **ret)
{
  struct cache_log_reader *reader = mem_alloc(sizeof *reader);
  reader->fd = fd;
  int r = enter(reader, from);
  if (r < 0)
    cache_log_reader_free(reader);
  else
    *ret = reader;
  return r;
}

void
cache_log_reader_free(struct cache_log_reader *reader)
{
  if (reader == NULL)
    return;
  inflateEnd(&reader->inflate);
  file_closep(&reader->fd);
  free(reader);
}

int64_t
cache_log_reader_size(const struct cache_log_reader *reader)
{
  return reader->text_size;
}

/* Something into ROOM; 0 = nothing yet, or the end. */
static int64_t
inflate_some(struct cache_log_reader *reader, char *room, size_t size)
{
  z_stream *inflate_stream = &reader->inflate;
  if (inflate_stream->avail_in == 0) {
    ssize_t got = read(reader->fd, reader->input, sizeof reader->input);
    if (got < 0)
      return errno == EINTR ? 0 : -errno;
    if (got == 0)
      return -EBADMSG; /* cut short */
    inflate_stream->next_in = reader->input;
    inflate_stream->avail_in = (uInt) got;
  }
  inflate_stream->next_out = (Bytef *) room;
  inflate_stream->avail_out = (uInt) size;
  int r = inflate(inflate_stream, Z_NO_FLUSH);
  reader->ended = r == Z_STREAM_END;
  if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
    return -EBADMSG;
  return (int64_t) (size - inflate_stream->avail_out);
}

int64_t
cache_log_reader_read(struct cache_log_reader *reader, char *room, size_t size)
{
  while (!reader->ended) {
    int64_t got = inflate_some(reader, room, size);
    if (got < 0)
      return got;
    int64_t skipped = got < reader->skip ? got : reader->skip;
    reader->skip -= skipped;
    if (skipped == got)
      continue;
    memmove(room, room + skipped, (size_t) (got - skipped));
    return got - skipped;
  }
  return 0;
}
