/*
 * Streams in the fetch: what its parts share about them. Not for users of fetch.h.
 *
 *      fetch_push.c    streams: what they bring, and what becomes of it when they end
 *      fetch_letter.c  letters: what is planned for each, and how they do
 *      fetch_extend.c  the plan goes on, and is taken back
 *      fetch_hole.c    what is asked for by name
 *      fetch_steer.c   the sources are told; what they answer
 */
#ifndef PLAIT_STREAM_FETCH_PUSH_H
#define PLAIT_STREAM_FETCH_PUSH_H

#include "fetch_int.h"
#include "scheduler.h"

#define PLAN_TWICE 0x80u /* beside a letter in the plan: the block was asked of a second one */
#define PUSH_FAR_NS                                                                                          \
    (100 * PLAIT_MS) /* over longer round trips a letter is told much earlier what it is to bring */

/* fetch_push.c */
void push_done(struct plait_fetch *f);
/* The path's letter, which it gets here if it has none; NO_LETTER where all are in use. */
int push_letter(struct plait_fetch *f, int path);
/* Whether a source that has not answered yet may turn out to push over a round trip so long: others do, and enough is
 * left. */
bool push_is_likely(const struct plait_fetch *f, uint64_t rtt_ns);
unsigned push_streams(const struct path *p);
/* Of those, how many have nothing to send. */
unsigned push_waiting(const struct path *p);
/* Whether some stream of the letter is open and not silent; `answered`: and its head has come. */
bool push_is_carried(const struct plait_fetch *f, int letter, bool answered);
/* Whether an idle lane of the path should become a stream, and its OPEN. */
bool push_wants_lane(const struct plait_fetch *f, int path, uint64_t now);
bool push_open(struct plait_fetch *f, int lane, uint64_t now, struct plait_fetch_cmd *cmd);
enum plait_fetch_verdict push_on_head(struct plait_fetch *f, uint64_t now, int lane,
                                      const struct plait_fetch_head *head);
enum plait_fetch_verdict push_recv(struct plait_fetch *f, uint64_t now, int lane, const uint8_t *bytes,
                                   size_t len);
/* What the end of a stream's request means for its path: a refused stream is no refused source. */
enum plait_fetch_outcome push_end_of(struct plait_fetch *f, uint64_t now, int lane,
                                     enum plait_fetch_outcome outcome);
/* The source did not do as it was asked; in the end it is only asked for ranges. */
void push_failed(struct plait_fetch *f, uint64_t now, int source);
void push_no_stream(struct plait_fetch *f, int source);
/* The lane is no stream any more, or a silent one. */
void push_after_loss(struct plait_fetch *f, int lane);
/* Bytes change hands: what letters have taken is counted. */
void push_count(struct plait_fetch *f, uint64_t lo, uint64_t hi, enum plait_block_state state, int owner);
/* What is planned for the path, by its part in the letter's rate. */
uint64_t push_outstanding(const struct plait_fetch *f, int path);

/* fetch_letter.c */
uint64_t push_block_count(const struct plait_fetch *f);
/* Whether the plan still knows whose the block is, and whose; LETTER_NOBODY where it does not. */
bool push_remembers(const struct push *u, uint64_t block);
uint8_t push_plan_at(const struct push *u, uint64_t block);
void push_plan_set(struct push *u, uint64_t block, uint8_t letter);
/* Takes the block back from its letter, which may have sent it already; whether that was so. */
void push_plan_drop(struct push *u, uint64_t block);
bool push_was_planned(const struct push *u, int letter, uint64_t block);
/* Whether the letter pushes it as well, as a copy. */
bool push_is_copy(const struct push *u, int letter, uint64_t block);
/* It is to push the block as a copy from now on. */
void push_note_copy(struct push *u, int letter, uint64_t block);
/* Whether the source is to push some of the bytes as a copy. */
bool push_is_copied(const struct plait_fetch *f, int source, uint64_t lo, uint64_t hi);
/* Copies from that block on are not to come from the letter any more. */
void push_forget_copies(struct plait_fetch *f, int letter, uint64_t from);
/* Whether the source is to push the block. */
bool push_concerns(const struct plait_fetch *f, int source, uint64_t block);
bool letter_is_named(const struct letter *t, uint64_t block);
/* Whether the letter was to bring the block, by the plan or by name. */
bool letter_is_asked(const struct plait_fetch *f, int letter, uint64_t block);
/* The plan of [first, last], as it stands in a request. */
void steer_fill_span(struct plait_fetch *f, uint64_t first, uint64_t last, struct plait_fetch_stream *out);
/* The first bytes from `at` on that are planned for the letter and not there. */
bool letter_find_due(const struct plait_fetch *f, int letter, uint64_t at, struct plait_extent *e);
bool letter_first_due(const struct plait_fetch *f, int letter, uint64_t *block);
/* All that is planned for the letter from block `from` to before `to` is free again. */
void letter_release(struct plait_fetch *f, int letter, uint64_t from, uint64_t to);
void letter_down(struct plait_fetch *f, int letter);
/* Bytes/s of all its paths: by the latest samples; as is to be expected for so long a time. */
double letter_rate(const struct plait_fetch *f, int letter, uint64_t now);
double letter_expected_rate(const struct plait_fetch *f, int letter, double ahead_s, uint64_t now);
/* The same, however long nothing has come. */
double letter_rate_mean(const struct plait_fetch *f, int letter);
/* Bytes/s that the letter has shown to bring: not what a far one may grow to, and no stutter of a near one. */
double letter_rate_seen(const struct plait_fetch *f, int letter, uint64_t now);
/* What it has to bring, of a far one with what is asked as ranges, and without what seems to wait behind lost packets. */
uint64_t letter_load_bytes(const struct plait_fetch *f, int letter, uint64_t now);
/* What its long paths are asked for as ranges. */
uint64_t letter_range_bytes(const struct plait_fetch *f, int letter);
void letter_learn_rate(struct plait_fetch *f, uint64_t now, int letter);
/* Of its longest path. */
uint64_t letter_rtt_ns(const struct plait_fetch *f, int letter);
bool letter_is_far(const struct plait_fetch *f, int letter);
/* From telling it something to what comes of that, in the queues that it has to stand in. */
uint64_t letter_answer_ns(const struct plait_fetch *f, int letter);
/* The least round trip of a path of the source. */
uint64_t source_rtt_min_ns(const struct plait_fetch *f, int source);
/* The letter that the path has, or will share with others of its source as soon as it has a stream; or NO_LETTER. */
int letter_of_kin(const struct plait_fetch *f, const struct path *p);
/* Whether somebody brings ranges. */
bool push_has_ranges(const struct plait_fetch *f);
/* How far ahead it is to have work. */
uint64_t letter_ahead_ns(const struct plait_fetch *f, int letter);

/* fetch_extend.c */
/* More is planned where letters run out of work. `whom` gets some whether or not it is carried; or NO_LETTER. */
void push_extend(struct plait_fetch *f, uint64_t now, int whom);
/* Letters as the scheduler sees them; those that may not be given anything have no rate. Time begins at 0. */
void letters_look(const struct plait_fetch *f, uint64_t now, int whom, double ahead_s,
                  struct plait_sched_path out[LETTERS_MAX]);
void letter_claim(struct plait_fetch *f, uint64_t lo, uint64_t hi, int letter);
/* One past the last block that may be planned now: within the window, the memory of the plan, and but for the last. */
uint64_t push_plan_limit(const struct plait_fetch *f);
/* Whether the plan has come to its end, for now. */
bool push_is_planned(const struct plait_fetch *f);
/* Whether no byte is free. */
bool push_all_taken(const struct plait_fetch *f);
/* In order: whether what comes after that time, at that rate, is there before all others have filled the window. */
bool push_fits_window(const struct plait_fetch *f, double rate, uint64_t arrival_ns, uint64_t now);
/* Live: the letter gives up what it has not sent yet. */
void push_cut_late(struct plait_fetch *f, uint64_t now, int letter);
/* Sources that are slower than was planned are cut. */
void push_look_at_shares(struct plait_fetch *f, uint64_t now);
/* The block that the letter's source has reached a while after it was at `from`, at that rate. */
uint64_t push_reached(const struct plait_fetch *f, int letter, uint64_t from, double rate, uint64_t look_ns);

/* fetch_hole.c */
void push_fill_holes(struct plait_fetch *f, uint64_t now);
void push_look_for_losses(struct plait_fetch *f, uint64_t now, int letter);
enum late_why {
    LATE_STALLED, /* nothing comes from the letter */
    LATE_SLOW,    /* what others have sooner is theirs */
    LATE_HELD, /* other blocks come, only the first does not: whoever has it sooner, or another of its connections */
};
/* Live: what the letter should have brought below `end` is asked of others. False: there is nobody to ask now. */
bool push_move_late(struct plait_fetch *f, uint64_t now, int letter, uint64_t end, enum late_why why);
void push_double_late(struct plait_fetch *f, uint64_t now);
void push_double_straggler(struct plait_fetch *f, uint64_t now, int letter);

/* fetch_steer.c */
/* No answer is waited for any more. */
void steer_forget(struct steer *st);
/* What is taken back from `first` on: all that the source may know, lest it be taken for what overtook that, or for known
 * because the first block is nobody's already. */
struct plait_span steer_cut_span(const struct plait_fetch *f, int source, uint64_t first);
/* The next steering request, until false. */
bool steer_next(struct plait_fetch *f, uint64_t now, struct plait_fetch_cmd *cmd);
void steer_on_deadline(struct plait_fetch *f, uint64_t now);

#endif
