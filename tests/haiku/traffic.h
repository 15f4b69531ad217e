/*
 * traffic.h: packets that a check can recognize, in both directions, and the driver's accounts of them.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "far_side.h"
#include "unit.h"

/* Resolves neighbours by echoes of each family that the unit carries, then empties the queue to the program: from here
 * on what is sent to the far side arrives at once. No thread reads the unit afterwards, and it is blocking. `learned`,
 * unless it is NULL, gets the responder, which has learned a TAP's Ethernet address. */
void settle_neighbours(struct unit* unit, struct responder* learned);

/* Returns how many families the unit carries; family_of(0) is AF_INET. */
int families(const struct unit* unit);
int family_of(int n);
const char* family_name(int family);

/* Sends `count` datagrams to the far side's discard port, from the n-th on numbered `first`, ... in their first four
 * bytes, with a payload of `payload` bytes (at least 4). Returns how many sends failed. */
int send_numbered(const struct unit* unit, int family, uint32_t first, int count, size_t payload);

/* Returns the number of such a datagram, or -1 if the packet is another one. `length` is what read returned. */
int64_t number_of(const struct unit* unit, const uint8_t* packet, size_t length);

/* Reads until a numbered datagram comes; packets that the stack sends by itself are passed over. Returns what read
 * returned, -1 with errno set if there was none within `milliseconds`. */
ssize_t read_numbered(const struct unit* unit, uint8_t* packet, size_t space, int64_t* number, int milliseconds);

/* Returns the length that the unit reads of a datagram with this payload. */
size_t packet_length(const struct unit* unit, int family, size_t payload);

/* Opens a socket that receives what build_udp() addresses to `port`; receives time out after 200 ms. */
int open_receiver(const struct unit* unit, int family, uint16_t port);

/* Receives one datagram. Haiku's receive may time out though there is one; a second one without waiting gets it. */
ssize_t receive(int socket, void* data, size_t space);

/* Sends echoes of random lengths through the far side. Returns how many came back as they were sent. */
int exchange_echoes(const struct unit* unit, int family, int count);

/* Takes the interface down or brings it up, with the routes that it loses by that. */
bool bring_down(const struct unit* unit);
bool bring_up(const struct unit* unit);

/* Checks, for each direction, that accepted = delivered + answered + purged + dropped + queued. */
void expect_balance(const struct unit* unit);

/* Returns what was dropped for this reason on the way to the program. */
uint64_t dropped(const struct unit* unit, int reason);

#endif
