/*
 * interface.h: what ifconfig and route do, by the same ioctls.
 */
#ifndef INTERFACE_H
#define INTERFACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Any address with its length, ready for bind, connect and ioctl. */
struct address {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
    };
    socklen_t length;
};

/* Parses a numeric IPv4 or IPv6 address. */
struct address address_of(const char* text, uint16_t port);

struct interface_statistics {
    uint64_t received, receive_dropped, receive_errors;
    uint64_t sent, send_dropped, send_errors;
};

/* Each returns whether it worked and sets errno if not. */
bool interface_exists(const char* name);
bool interface_add(const char* name);
bool interface_delete(const char* name);
bool interface_set_address(const char* name, const char* address, const char* mask);
bool interface_set_mtu(const char* name, int mtu);
bool interface_set_up(const char* name, bool up);
bool interface_add_route(const char* name, const char* destination, const char* mask);
bool interface_remove_route(const char* name, const char* destination, const char* mask);
bool interface_get_statistics(const char* name, struct interface_statistics* statistics);

/* Starts a packet capture as libpcap does. Returns a socket that receives each frame, -1 with errno set if it failed.
 * Close it to end the capture: in SIOCCPACKETCAP Haiku may lock up with the thread that feeds the capture. */
int interface_start_capture(const char* name);

/* Returns the interface flags, 0 if there is no such interface. */
int interface_flags(const char* name);

#endif
