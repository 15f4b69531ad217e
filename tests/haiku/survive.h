/*
 * survive.h: the tests of survive.c, one file each.
 */
#ifndef SURVIVE_H
#define SURVIVE_H

#include "arguments.h"
#include "far_side.h"
#include "report.h"
#include "unit.h"

void survive_tcp_restart(struct unit* unit, const struct arguments* arguments);
void survive_eight_senders(struct unit* unit, const struct arguments* arguments);
void survive_closed_unit(struct unit* unit, const struct arguments* arguments);
void survive_delete_under(struct unit* unit, const struct arguments* arguments);

#endif
