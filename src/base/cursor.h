/*
 * Bounded cursors: the only way that plait reads or writes wire bytes.
 *
 * A reader or writer that would pass its end does nothing more and remembers it (`bad`); callers make a run
 * of calls and check once. Numbers on the wire are big-endian.
 */
#ifndef PLAIT_BASE_CURSOR_H
#define PLAIT_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plait_reader {
    const uint8_t *at; /* borrows */
    const uint8_t *end;
    bool bad;
};

struct plait_writer {
    uint8_t *at; /* borrows */
    uint8_t *start;
    uint8_t *end;
    bool bad;
};

void plait_reader_init(struct plait_reader *r, const void *bytes, size_t len);
size_t plait_reader_left(const struct plait_reader *r);
uint8_t plait_read_u8(struct plait_reader *r);
uint16_t plait_read_u16(struct plait_reader *r);
uint32_t plait_read_u32(struct plait_reader *r);
uint64_t plait_read_u64(struct plait_reader *r);
/* Returns a view of the next `len` bytes (borrowed from the input), or NULL and marks the reader bad. */
const uint8_t *plait_read_bytes(struct plait_reader *r, size_t len);

void plait_writer_init(struct plait_writer *w, void *bytes, size_t size);
size_t plait_writer_used(const struct plait_writer *w);
void plait_write_u8(struct plait_writer *w, uint8_t v);
void plait_write_u16(struct plait_writer *w, uint16_t v);
void plait_write_u32(struct plait_writer *w, uint32_t v);
void plait_write_u64(struct plait_writer *w, uint64_t v);
void plait_write_bytes(struct plait_writer *w, const void *bytes, size_t len);

#endif
