/*
 * reply.h: turns a ping into its reply. For echo.c and batch.c. Distributed under the terms of the MIT license.
 */
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Exchanges two addresses that follow each other. The sum of the words stays, so checksums over them stay valid. */
static inline void exchange(uint8_t* addresses, size_t length)
{
    uint8_t source[16];
    memcpy(source, addresses, length);
    memmove(addresses, addresses + length, length);
    memcpy(addresses + length, source, length);
}

/* Changes the type of an ICMP message, and its checksum by the difference (RFC 1624). */
static inline void set_type(uint8_t* message, uint8_t type)
{
    uint32_t sum = (message[2] << 8 | message[3]) + (message[0] << 8);
    sum += 0xffff - (type << 8);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    message[0] = type;
    message[2] = sum >> 8;
    message[3] = sum & 0xff;
}

/* Makes an echo request of IPv4 or IPv6 its own reply. Returns whether it was one. */
static inline bool make_reply(uint8_t* packet, size_t length)
{
    if (length >= 28 && packet[0] >> 4 == 4) {
        size_t header = (packet[0] & 15) * 4;
        if (header < 20 || length < header + 8 || packet[9] != 1 || packet[header] != 8)
            return false;
        exchange(packet + 12, 4);
        set_type(packet + header, 0);
        return true;
    }
    if (length >= 48 && packet[0] >> 4 == 6 && packet[6] == 58 && packet[40] == 128) {
        exchange(packet + 8, 16);
        set_type(packet + 40, 129);
        return true;
    }
    return false;
}

#endif /* REPLY_H */
