/*
 * packet.h: the far side of a unit as a function from packet to packet.
 *
 * A reflected packet comes back with source and destination address swapped, which leaves every checksum valid, so that
 * both ends of a connection can live in one Haiku: what the client sends to the far address arrives from it.
 */
#ifndef PACKET_H
#define PACKET_H

#include <stdint.h>

#include "unit.h"

enum { DISCARD_PORT = 9 }; /* UDP that the far side takes without an answer */

struct responder {
    enum unit_kind kind;
    uint8_t local4[4], local6[16];      /* the interface's own addresses, never answered for */
    uint8_t station_mac[6], far_mac[6]; /* TAP: the interface's, learned from what it sends, and the far side's */
    uint64_t reflected, discarded, neighbours, ignored;
};

void responder_init(struct responder* responder, const struct unit* unit);

/* Turns the packet or frame into the far side's answer, in place. Returns its length, 0 if there is no answer.
 * The buffer must have PACKET_SPACE bytes. */
size_t respond(struct responder* responder, uint8_t* packet, size_t length);

/* One's complement sum of 16-bit words in network order, not yet inverted, added to `sum`. */
uint32_t checksum_add(uint32_t sum, const void* data, size_t length);
uint16_t checksum_finish(uint32_t sum);

/* Returns the sum of a TCP, UDP or ICMPv6 pseudo header; addresses of 4 or 16 bytes. */
uint32_t checksum_pseudo_header(const uint8_t* source, const uint8_t* destination, size_t address_length,
    uint8_t protocol, size_t length);

uint16_t get16(const uint8_t* data);
uint32_t get32(const uint8_t* data);
void put16(uint8_t* data, uint16_t value);
void put32(uint8_t* data, uint32_t value);

/* Builds an IP header and, for a TAP, the Ethernet header before it. Returns the offset of the payload. */
size_t build_headers(const struct responder* responder, uint8_t* packet, int family, const struct address* source,
    const struct address* destination, uint8_t protocol, size_t payload);

/* Builds a whole UDP packet from the far side to the interface. Returns its length. */
size_t build_udp(const struct responder* responder, const struct unit* unit, uint8_t* packet, int family,
    uint16_t source_port, uint16_t destination_port, size_t payload);

#endif
