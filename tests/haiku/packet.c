/*
 * packet.c: the far side of a unit as a function from packet to packet.
 */
#include "packet.h"

#include <netinet/in.h>
#include <string.h>

enum { ETHER_IPV4 = 0x0800, ETHER_ARP = 0x0806, ETHER_IPV6 = 0x86dd };
enum { IPV4_HEADER = 20, IPV6_HEADER = 40, UDP_HEADER = 8 };
enum { ECHO_REQUEST4 = 8, ECHO_REPLY4 = 0, ECHO_REQUEST6 = 128, ECHO_REPLY6 = 129 };
enum { SOLICITATION = 135, ADVERTISEMENT = 136, TARGET_LINK_ADDRESS = 2 };

uint16_t get16(const uint8_t* data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

uint32_t get32(const uint8_t* data)
{
    return (uint32_t)get16(data) << 16 | get16(data + 2);
}

void put16(uint8_t* data, uint16_t value)
{
    data[0] = (uint8_t)(value >> 8);
    data[1] = (uint8_t)value;
}

void put32(uint8_t* data, uint32_t value)
{
    put16(data, (uint16_t)(value >> 16));
    put16(data + 2, (uint16_t)value);
}

uint32_t checksum_add(uint32_t sum, const void* data, size_t length)
{
    const uint8_t* bytes = data;
    for (; length > 1; bytes += 2, length -= 2)
        sum += get16(bytes);
    if (length == 1)
        sum += (uint32_t)bytes[0] << 8;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

uint16_t checksum_finish(uint32_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint32_t checksum_pseudo_header(const uint8_t* source, const uint8_t* destination, size_t address_length,
    uint8_t protocol, size_t length)
{
    uint32_t sum = checksum_add(0, source, address_length);
    sum = checksum_add(sum, destination, address_length);
    return sum + protocol + (uint32_t)length;
}

/* Replaces one 16-bit word under a checksum (RFC 1624). */
static void checksum_replace(uint8_t* checksum, uint16_t before, uint16_t after)
{
    uint32_t sum = (uint16_t)~get16(checksum) + (uint32_t)(uint16_t)~before + after;
    put16(checksum, checksum_finish(sum));
}

static void swap_bytes(uint8_t* left, uint8_t* right, size_t length)
{
    uint8_t saved[16];
    memcpy(saved, left, length);
    memcpy(left, right, length);
    memcpy(right, saved, length);
}

static const void* address_bytes(const struct address* address)
{
    if (address->any.sa_family == AF_INET6)
        return &((const struct sockaddr_in6*)&address->storage)->sin6_addr;
    return &((const struct sockaddr_in*)&address->storage)->sin_addr;
}

void responder_init(struct responder* responder, const struct unit* unit)
{
    static const uint8_t far_mac[6] = { 0x02, 0x00, 0x5e, 0x10, 0x00, 0x02 };
    memset(responder, 0, sizeof(*responder));
    responder->kind = unit->kind;
    struct address local4 = unit_local(unit, AF_INET, 0), local6 = unit_local(unit, AF_INET6, 0);
    memcpy(responder->local4, address_bytes(&local4), 4);
    memcpy(responder->local6, address_bytes(&local6), 16);
    memcpy(responder->far_mac, far_mac, 6);
}

/* Answers for every IPv4 address but the interface's own; probes and announcements stay unanswered. */
static size_t respond_arp(struct responder* responder, uint8_t* arp, size_t length)
{
    static const uint8_t none[4];
    uint8_t *sender = arp + 8, *target = arp + 18;
    if (length < 28 || get16(arp + 6) != 1 || memcmp(sender + 6, none, 4) == 0
        || memcmp(sender + 6, target + 6, 4) == 0 || memcmp(target + 6, responder->local4, 4) == 0)
        return 0;
    put16(arp + 6, 2);
    swap_bytes(sender, target, 10);
    memcpy(sender, responder->far_mac, 6);
    return 28;
}

/* Answers a solicitation for every IPv6 address but the interface's own; duplicate detection stays unanswered. */
static size_t respond_solicitation(struct responder* responder, uint8_t* ip)
{
    static const uint8_t none[16];
    uint8_t *icmp = ip + IPV6_HEADER, *source = ip + 8, *destination = ip + 24, *target = icmp + 8;
    if (memcmp(source, none, 16) == 0 || memcmp(target, responder->local6, 16) == 0)
        return 0;
    memcpy(destination, source, 16);
    memcpy(source, target, 16);
    put16(ip + 4, 32);
    icmp[0] = ADVERTISEMENT;
    put16(icmp + 2, 0);
    put32(icmp + 4, 0x60000000); /* solicited, override */
    icmp[24] = TARGET_LINK_ADDRESS;
    icmp[25] = 1;
    memcpy(icmp + 26, responder->far_mac, 6);
    uint32_t sum = checksum_pseudo_header(source, destination, 16, IPPROTO_ICMPV6, 32);
    put16(icmp + 2, checksum_finish(checksum_add(sum, icmp, 32)));
    return IPV6_HEADER + 32;
}

/* Reflects the transport part; returns whether the packet has an answer. */
static bool reflect(struct responder* responder, uint8_t protocol, uint8_t* transport, size_t length)
{
    switch (protocol) {
        case IPPROTO_TCP:
            return length >= 20;
        case IPPROTO_UDP:
            if (length < UDP_HEADER)
                return false;
            if (get16(transport + 2) != DISCARD_PORT)
                return true;
            responder->discarded++;
            return false;
        case IPPROTO_ICMP:
            if (length < 8 || transport[0] != ECHO_REQUEST4)
                return false;
            transport[0] = ECHO_REPLY4;
            checksum_replace(transport + 2, ECHO_REQUEST4 << 8, ECHO_REPLY4 << 8);
            return true;
        case IPPROTO_ICMPV6:
            if (length < 8 || transport[0] != ECHO_REQUEST6)
                return false;
            transport[0] = ECHO_REPLY6;
            checksum_replace(transport + 2, ECHO_REQUEST6 << 8, ECHO_REPLY6 << 8);
            return true;
        default:
            return false;
    }
}

static size_t respond_ip(struct responder* responder, uint8_t* ip, size_t length)
{
    if (length >= IPV4_HEADER && ip[0] >> 4 == 4) {
        size_t header = (size_t)(ip[0] & 15) * 4, total = get16(ip + 2);
        if (header < IPV4_HEADER || total < header || total > length || ip[16] >= 224)
            return 0;
        if (!reflect(responder, ip[9], ip + header, total - header))
            return 0;
        swap_bytes(ip + 12, ip + 16, 4);
        responder->reflected++;
        return total;
    }
    if (length >= IPV6_HEADER && ip[0] >> 4 == 6) {
        size_t payload = get16(ip + 4);
        if (IPV6_HEADER + payload > length)
            return 0;
        if (ip[6] == IPPROTO_ICMPV6 && payload >= 24 && ip[IPV6_HEADER] == SOLICITATION) {
            responder->neighbours++;
            return respond_solicitation(responder, ip);
        }
        if (ip[24] == 0xff || !reflect(responder, ip[6], ip + IPV6_HEADER, payload))
            return 0;
        swap_bytes(ip + 8, ip + 24, 16);
        responder->reflected++;
        return IPV6_HEADER + payload;
    }
    return 0;
}

size_t respond(struct responder* responder, uint8_t* packet, size_t length)
{
    size_t reply;
    if (responder->kind == UNIT_TUN) {
        reply = respond_ip(responder, packet, length);
        responder->ignored += reply == 0;
        return reply;
    }
    if (length < FRAME_HEADER)
        return 0;
    memcpy(responder->station_mac, packet + 6, 6);
    uint16_t type = get16(packet + 12);
    if (type == ETHER_ARP) {
        responder->neighbours++;
        reply = respond_arp(responder, packet + FRAME_HEADER, length - FRAME_HEADER);
    } else
        reply = respond_ip(responder, packet + FRAME_HEADER, length - FRAME_HEADER);
    if (reply == 0) {
        responder->ignored++;
        return 0;
    }
    memcpy(packet, packet + 6, 6);
    memcpy(packet + 6, responder->far_mac, 6);
    return FRAME_HEADER + reply;
}

size_t build_headers(const struct responder* responder, uint8_t* packet, int family, const struct address* source,
    const struct address* destination, uint8_t protocol, size_t payload)
{
    size_t offset = 0;
    if (responder->kind == UNIT_TAP) {
        memcpy(packet, responder->station_mac, 6);
        memcpy(packet + 6, responder->far_mac, 6);
        put16(packet + 12, family == AF_INET6 ? ETHER_IPV6 : ETHER_IPV4);
        offset = FRAME_HEADER;
    }
    uint8_t* ip = packet + offset;
    if (family == AF_INET6) {
        memset(ip, 0, IPV6_HEADER);
        ip[0] = 0x60;
        put16(ip + 4, (uint16_t)payload);
        ip[6] = protocol;
        ip[7] = 64;
        memcpy(ip + 8, address_bytes(source), 16);
        memcpy(ip + 24, address_bytes(destination), 16);
        return offset + IPV6_HEADER;
    }
    memset(ip, 0, IPV4_HEADER);
    ip[0] = 0x45;
    put16(ip + 2, (uint16_t)(IPV4_HEADER + payload));
    ip[6] = 0x40; /* don't fragment */
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, address_bytes(source), 4);
    memcpy(ip + 16, address_bytes(destination), 4);
    put16(ip + 10, checksum_finish(checksum_add(0, ip, IPV4_HEADER)));
    return offset + IPV4_HEADER;
}

size_t build_udp(const struct responder* responder, const struct unit* unit, uint8_t* packet, int family,
    uint16_t source_port, uint16_t destination_port, size_t payload)
{
    struct address source = unit_far(unit, family, 0), destination = unit_local(unit, family, 0);
    size_t length = UDP_HEADER + payload;
    size_t offset = build_headers(responder, packet, family, &source, &destination, IPPROTO_UDP, length);
    uint8_t* udp = packet + offset;
    put16(udp, source_port);
    put16(udp + 2, destination_port);
    put16(udp + 4, (uint16_t)length);
    put16(udp + 6, 0);
    for (size_t i = 0; i < payload; i++)
        udp[UDP_HEADER + i] = (uint8_t)i;
    uint32_t sum = checksum_pseudo_header(address_bytes(&source), address_bytes(&destination),
        family == AF_INET6 ? 16 : 4, IPPROTO_UDP, length);
    put16(udp + 6, checksum_finish(checksum_add(sum, udp, length)));
    return offset + length;
}
