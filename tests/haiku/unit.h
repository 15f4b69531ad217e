/*
 * unit.h: a TUN or TAP unit, of tun_tap or of Haiku's stock tunnel add-on.
 *
 * Unit N has the addresses 10.100+N.0.1/16 (TAP: 10.50+N.0.1/16) and, where the driver carries IPv6,
 * fd00:0:0:100+N::1/64. Every other address of these subnets belongs to the far side; .2 is the one the tests use.
 */
#ifndef UNIT_H
#define UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "interface.h"
#include "tun_tap.h"

enum unit_kind { UNIT_TUN, UNIT_TAP };

enum { UNIT_MTU = 1500, FRAME_HEADER = 14, PACKET_SPACE = 65536 + FRAME_HEADER };

struct unit {
    enum unit_kind kind;
    char name[32];
    char path[48];
    char local4[32], far4[32];
    char local6[48], far6[48];
    bool stock; /* Haiku's tunnel add-on; it knows none of tun_tap.h's controls */
    bool ipv6;
    int fd;     /* -1 while closed */
};

/* Prepares names and addresses; `name` is like "tun/0". Exits if it is neither a TUN nor a TAP. */
void unit_init(struct unit* unit, const char* name);

/* Makes the interface unless there is one, configures it, brings it up, opens the unit and finds out whose driver it
 * is. An interface that has its address already keeps its configuration. */
void unit_set_up(struct unit* unit);

/* Makes the interface. A name that was deleted is taken for as long as a TCP connection refers to it: Haiku keeps each
 * for 120 s after its end. Returns the milliseconds that it took, -1 if it did not work within 200 s. */
int64_t unit_add_interface(const struct unit* unit);

/* Adds addresses, MTU and routes and brings the interface up. */
void unit_configure(struct unit* unit);

/* Adds the routes that the interface loses when it goes down, those that Haiku has added again left out. */
void unit_add_routes(const struct unit* unit);

/* Closes the unit and removes its route for IPv6 multicast, which would take the solicitations of other units. */
void unit_retire(struct unit* unit);

/* Opens the unit, blocking unless `flags` has O_NONBLOCK; waits up to 2 s for the node. */
void unit_open(struct unit* unit, int flags);
void unit_close(struct unit* unit);
void unit_set_nonblocking(struct unit* unit, bool nonblocking);

/* Reads and forgets what is queued to the program. */
void unit_drain(const struct unit* unit);

/* Reads the driver's counters; returns false for the stock driver. */
bool unit_statistics(const struct unit* unit, struct tun_statistics* statistics);

/* Prints what the driver and the stack counted since `before`. */
void unit_report_counters(const struct unit* unit, const char* name, const struct tun_statistics* before,
    const struct interface_statistics* interface_before);

/* Returns the unit's driver as a word for result lines. */
const char* unit_driver(const struct unit* unit);

/* Returns a datagram or stream socket of the family that is bound to the unit's own address and connected to the far
 * address at `port`; the local port is `port` too for datagrams, so that a reflected packet comes back to it. */
int unit_udp_socket(const struct unit* unit, int family, uint16_t port);

struct address unit_local(const struct unit* unit, int family, uint16_t port);
struct address unit_far(const struct unit* unit, int family, uint16_t port);

#endif
