/* Of several ranks that fail at once, which was the root cause. A rank that fails by itself, is gone or is silent is
 * one. Of one that is lost, the others' records of collectives say where it stopped: they are asked for them, and the
 * verdict waits 0.3 s at most. A rank that fails because of another (STATUS_PEER) only says that something is wrong:
 * then every rank is asked for its record, and the verdict waits 0.3 s for a root cause to show, and two seconds for
 * ranks that do not answer. */
#ifndef LLMRUN_DIST_HUB_FAILURE_H
#define LLMRUN_DIST_HUB_FAILURE_H

#include "dist/hub_members.h"

/* A rank says that it fails. `rank` -1: what went wrong is between ranks. */
void hub_rank_failed(struct hub *hub, int32_t rank, const struct error *error, int64_t now_ns);
/* A rank's connection is closed or damaged; `how` goes into the sentence. */
void hub_rank_lost(struct hub *hub, int32_t rank, const char *how, int64_t now_ns);
/* A rank has not been heard for the timeout. */
void hub_rank_silent(struct hub *hub, int32_t rank, int64_t now_ns);

/* While reports are collected: gives the verdict when all are there or the time is over. */
void hub_collect(struct hub *hub, int64_t now_ns);

/* Tells all ranks at once that the job has failed. `rank` -1: no single one is at fault. */
void hub_tell_verdict(struct hub *hub, int status, int32_t rank, const char *sentence, int64_t now_ns);

#endif
