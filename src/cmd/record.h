/*
 * What --json writes: one JSON object per line, each with
 *
 *   event   what happened, see below
 *   t       seconds since the start
 *
 * and, depending on the event (bytes and offsets are numbers, rates bytes per second, times seconds):
 *
 *   progress      once a second: phase (start check fetch verify store), size (null = unknown), bytes, emitted, rate,
 *                 eta (null = unknown), phase_bytes and phase_total for check and verify, paths (as in summary)
 *   size          size
 *   output        file
 *   resumed       file, bytes
 *   connected     path, local (address), rtt
 *   answer        path, reason: a request came to nothing
 *   state         path, state (new active silent wait out)
 *   steal         path, from (path), bytes
 *   no-ranges     source (number)
 *   differs       source, other, offset
 *   condemned     source, bytes (that are fetched again)
 *   size-differs  source, size
 *   changed       source
 *   source        url: a source was added
 *   route-out     reason
 *   digest        digest (algorithm=hex) became known
 *   rejected      offset, bytes: a piece was wrong
 *   restart       reason: begun anew
 *   message       level (error warning note), text
 *   summary       last of all: file, size, bytes (kept), resumed, emitted, seconds, rate (bytes fetched / seconds),
 *                 duplicated, compared, digest (none unverified good wrong), digest_algorithm, digest_from, exit (the
 *                 exit status), error (null = none), and paths: for each its number `path`, source (URL), route,
 *                 local, state, bytes (kept), duplicated, compared, rate (average; `now` in progress), rtt (null =
 *                 unknown), errors, reason (of its latest failure, null = none)
 *
 * Paths and sources are numbered from 0 in the order in which they were added.
 */
#ifndef PLAIT_CMD_RECORD_H
#define PLAIT_CMD_RECORD_H

#include <stdio.h>

#include "get.h"

/* All write one line to `to` and flush it. */
void plait_record_event(FILE *to, const struct plait_get_event *event);
void plait_record_progress(FILE *to, const struct plait_get_progress *progress);
void plait_record_message(FILE *to, double t, const char *level, const char *text);
void plait_record_summary(FILE *to, const struct plait_get_result *result);

#endif
