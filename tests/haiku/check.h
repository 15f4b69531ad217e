/*
 * check.h: the groups of checks, one file each. Each runs in a process of its own, with its unit open and blocking, and
 * leaves it open.
 */
#ifndef CHECK_H
#define CHECK_H

#include "call.h"
#include "expect.h"
#include "far_side.h"
#include "report.h"
#include "traffic.h"
#include "unit.h"

void check_controls(struct unit* unit);
void check_reading(struct unit* unit);
void check_writing(struct unit* unit);
void check_waiting(struct unit* unit);
void check_batches(struct unit* unit);
void check_faults(struct unit* unit);
void check_rights(struct unit* unit);
void check_capture(struct unit* unit);
void check_floods(struct unit* unit);
void check_tcp(struct unit* unit);
void check_counters(struct unit* unit);

/* Calls under which the descriptor is closed, the interface goes down, or is deleted. The last needs a unit of its
 * own: it is deleted and made again several times. */
void check_closing(struct unit* unit);
void check_going_down(struct unit* unit);
void check_deleting(struct unit* unit);

/* Packets arrive while the interface is deleted. Haiku then may end its queue under the thread that empties it. */
void check_deleting_under_writes(struct unit* unit);

#endif
