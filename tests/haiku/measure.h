/*
 * measure.h: the measurements of measure.c, one file each.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include "arguments.h"
#include "far_side.h"
#include "report.h"
#include "unit.h"

void measure_rtt(struct unit* unit, const struct arguments* arguments);
void measure_tcp_out(struct unit* unit, const struct arguments* arguments);
void measure_tcp_in(struct unit* unit, const struct arguments* arguments);
void measure_flood_in(struct unit* unit, const struct arguments* arguments);
void measure_flood_out(struct unit* unit, const struct arguments* arguments);
void measure_batch(struct unit* unit, const struct arguments* arguments);

#endif
