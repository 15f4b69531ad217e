/*
 * far_tcp.c: the smallest TCP peers that load one direction only.
 */
#include "far_tcp.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum { EAGER_SEGMENTS = 64, DUPLICATES_OF_A_LOSS = 3, LOSS_TIMEOUT_MS = 300 };

struct segment {
    uint16_t port;
    uint32_t sequence, acknowledge, length;
    uint16_t window;
    uint8_t flags;
};

/* Parses an IPv4 TCP segment to the far port. */
static bool parse_segment(const struct far_tcp* tcp, const uint8_t* packet, size_t length, struct segment* segment)
{
    size_t offset = tcp->side.responder.kind == UNIT_TAP ? FRAME_HEADER : 0;
    const uint8_t* ip = packet + offset;
    if (length < offset + 40 || ip[0] >> 4 != 4 || ip[9] != IPPROTO_TCP)
        return false;
    if (offset != 0 && get16(packet + 12) != 0x0800)
        return false;
    size_t header = (size_t)(ip[0] & 15) * 4, total = get16(ip + 2);
    const uint8_t* transport = ip + header;
    size_t transport_header = (size_t)(transport[12] >> 4) * 4;
    if (get16(transport + 2) != FAR_TCP_PORT || total + offset > length || total < header + transport_header)
        return false;
    segment->port = get16(transport);
    segment->sequence = get32(transport + 4);
    segment->acknowledge = get32(transport + 8);
    segment->flags = transport[13];
    segment->window = get16(transport + 14);
    segment->length = (uint32_t)(total - header - transport_header);
    return true;
}

/* Builds a segment; the payload is taken to be zero already. Returns the packet's length. */
static size_t build_segment(struct far_tcp* tcp, uint8_t* packet, uint32_t sequence, uint8_t flags, size_t payload)
{
    size_t header = flags & SYN ? 24 : 20, length = header + payload;
    size_t offset = build_headers(&tcp->side.responder, packet, AF_INET, &tcp->far, &tcp->near, IPPROTO_TCP, length);
    uint8_t* transport = packet + offset;
    put16(transport, FAR_TCP_PORT);
    put16(transport + 2, tcp->near_port);
    put32(transport + 4, sequence);
    put32(transport + 8, tcp->receive_next);
    transport[12] = (uint8_t)(header / 4 << 4);
    transport[13] = flags;
    put16(transport + 14, (uint16_t)tcp->window);
    put32(transport + 16, 0);
    if (flags & SYN) {
        transport[20] = 2;
        transport[21] = 4;
        put16(transport + 22, FAR_TCP_SEGMENT);
    }
    const uint8_t* ip = transport - 20;
    uint32_t sum = checksum_pseudo_header(ip + 12, ip + 16, 4, IPPROTO_TCP, length);
    put16(transport + 16, checksum_finish(checksum_add(sum, transport, header)));
    return offset + length;
}

static void begin_connection(struct far_tcp* tcp, const struct segment* segment)
{
    tcp->near_port = segment->port;
    tcp->state = TCP_HANDSHAKE;
    tcp->receive_next = segment->sequence + 1;
    tcp->first += 0x10000001;
    tcp->send_next = tcp->send_unacknowledged = tcp->first;
    tcp->peer_window = segment->window;
    tcp->received = 0;
    tcp->unacknowledged_segments = tcp->duplicates = 0;
    tcp->eager = EAGER_SEGMENTS;
}

static void far_tcp_init(struct far_tcp* tcp, struct unit* unit, enum read_mode mode, uint32_t window)
{
    memset(tcp, 0, sizeof(*tcp));
    far_side_init(&tcp->side, unit, mode);
    tcp->side.context = tcp;
    tcp->window = window > 65535 ? 65535 : window;
    tcp->near = unit_local(unit, AF_INET, 0);
    tcp->far = unit_far(unit, AF_INET, 0);
}

/* Handles a segment of an established connection; returns the length of an immediate answer. */
typedef size_t (*established)(struct far_tcp* tcp, uint8_t* packet, const struct segment* segment);

/* Handles a packet: other protocols', and segments that open or end a connection, itself. */
static size_t handle(struct far_tcp* tcp, uint8_t* packet, size_t length, established handle_segment)
{
    struct segment segment;
    if (!parse_segment(tcp, packet, length, &segment))
        return respond(&tcp->side.responder, packet, length);
    if (segment.flags & RST) {
        tcp->state = TCP_CLOSED;
        return 0;
    }
    if (segment.flags & SYN) {
        begin_connection(tcp, &segment);
        return build_segment(tcp, packet, tcp->first, SYN | ACK, 0);
    }
    if (tcp->state == TCP_CLOSED || segment.port != tcp->near_port)
        return 0;
    return handle_segment(tcp, packet, &segment);
}

static size_t sink_established(struct far_tcp* tcp, uint8_t* packet, const struct segment* segment)
{
    tcp->state = TCP_ESTABLISHED;
    bool now = false;
    if (segment->flags & FIN && segment->sequence + segment->length + 1 == tcp->receive_next)
        return build_segment(tcp, packet, tcp->first + 1, FIN | ACK, 0);
    if (segment->sequence != tcp->receive_next) {
        if (segment->length == 0 && (segment->flags & FIN) == 0)
            return 0;
        /* A loss: the sender may be down to one segment at a time. */
        tcp->out_of_order++;
        tcp->eager = EAGER_SEGMENTS;
        now = true;
    } else {
        tcp->receive_next += segment->length;
        tcp->received += segment->length;
        if (segment->flags & FIN) {
            tcp->receive_next++;
            return build_segment(tcp, packet, tcp->first + 1, FIN | ACK, 0);
        }
    }
    if (segment->length == 0)
        return 0;
    if (tcp->eager > 0) {
        tcp->eager--;
        now = true;
    }
    if (!now && (segment->flags & PSH) == 0 && ++tcp->unacknowledged_segments < 2)
        return 0;
    tcp->unacknowledged_segments = 0;
    return build_segment(tcp, packet, tcp->first + 1, ACK, 0);
}

static size_t sink_handle(void* context, uint8_t* packet, size_t length)
{
    return handle(context, packet, length, sink_established);
}

void far_sink_init(struct far_tcp* tcp, struct unit* unit, enum read_mode mode, uint32_t window)
{
    far_tcp_init(tcp, unit, mode, window);
    tcp->side.handler = sink_handle;
}

/* Sends as much as the window allows. */
static void source_send(struct far_tcp* tcp, int fd)
{
    uint32_t window = tcp->peer_window < tcp->window ? tcp->peer_window : tcp->window;
    uint32_t end = tcp->first + 1 + (uint32_t)tcp->total;
    while ((int32_t)(end - tcp->send_next) > 0) {
        uint32_t left = end - tcp->send_next, room = tcp->send_unacknowledged + window - tcp->send_next;
        uint32_t payload = left < FAR_TCP_SEGMENT ? left : FAR_TCP_SEGMENT;
        if ((int32_t)room < (int32_t)payload)
            return;
        uint8_t flags = payload == left ? ACK | PSH | FIN : ACK;
        size_t length = build_segment(tcp, tcp->data, tcp->send_next, flags, payload);
        if (write(fd, tcp->data, length) < 0) {
            tcp->refused++;
            if (tcp->send_next == tcp->send_unacknowledged)
                sleep_ms(1);
            return;
        }
        tcp->send_next += payload + (flags & FIN ? 1 : 0);
    }
}

static void source_go_back(struct far_tcp* tcp)
{
    tcp->retransmitted += tcp->send_next - tcp->send_unacknowledged;
    tcp->send_next = tcp->send_unacknowledged;
    tcp->duplicates = 0;
}

static size_t source_established(struct far_tcp* tcp, uint8_t* packet, const struct segment* segment)
{
    if (tcp->state == TCP_HANDSHAKE) {
        tcp->state = TCP_ESTABLISHED;
        tcp->send_next = tcp->send_unacknowledged = tcp->first + 1;
    }
    tcp->peer_window = segment->window;
    if ((int32_t)(segment->acknowledge - tcp->send_unacknowledged) > 0) {
        tcp->send_unacknowledged = segment->acknowledge;
        if ((int32_t)(tcp->send_next - tcp->send_unacknowledged) < 0)
            tcp->send_next = tcp->send_unacknowledged;
        tcp->duplicates = 0;
    } else if (tcp->send_next != tcp->send_unacknowledged && segment->length == 0 && (segment->flags & FIN) == 0
        && ++tcp->duplicates == DUPLICATES_OF_A_LOSS)
        source_go_back(tcp);
    if ((segment->flags & FIN) == 0)
        return 0;
    if (tcp->state == TCP_ESTABLISHED)
        tcp->receive_next = segment->sequence + segment->length + 1;
    tcp->state = TCP_FINISHED;
    return build_segment(tcp, packet, tcp->send_next, ACK, 0);
}

static size_t source_handle(void* context, uint8_t* packet, size_t length)
{
    return handle(context, packet, length, source_established);
}

static void source_after_packet(void* context, int fd)
{
    struct far_tcp* tcp = context;
    if (tcp->state == TCP_ESTABLISHED)
        source_send(tcp, fd);
}

/* Nothing was acknowledged for a while: sends again what is on the way. */
static void source_on_timeout(void* context, int fd)
{
    struct far_tcp* tcp = context;
    if (tcp->state != TCP_ESTABLISHED)
        return;
    source_go_back(tcp);
    source_send(tcp, fd);
}

void far_source_init(struct far_tcp* tcp, struct unit* unit, enum read_mode mode, uint32_t window, uint64_t total)
{
    far_tcp_init(tcp, unit, mode, window);
    tcp->total = total;
    tcp->side.handler = source_handle;
    tcp->side.after_packet = source_after_packet;
    tcp->side.on_timeout = source_on_timeout;
    tcp->side.wait_ms = LOSS_TIMEOUT_MS;
}
