/*
 * retransmission.c: measures the retransmission time-out of a connection by losing one of its segments.
 */
#include "retransmission.h"

#include <netinet/in.h>
#include <string.h>

#include "report.h"

struct segment {
    uint16_t source, destination;
    uint32_t sequence, acknowledge, length;
    uint8_t flags;
};

/* Parses an IPv4 TCP segment. */
static bool parse(const struct segment_watch* watch, const uint8_t* packet, size_t length, struct segment* segment)
{
    size_t offset = watch->far->responder.kind == UNIT_TAP ? FRAME_HEADER : 0;
    if (length < offset + 40 || (offset != 0 && get16(packet + 12) != 0x0800))
        return false;
    const uint8_t* ip = packet + offset;
    size_t header = (size_t)(ip[0] & 15) * 4, total = get16(ip + 2);
    if (ip[0] >> 4 != 4 || ip[9] != IPPROTO_TCP || length < offset + header + 20)
        return false;
    const uint8_t* transport = ip + header;
    size_t transport_header = (size_t)(transport[12] >> 4) * 4;
    if (total + offset > length || total < header + transport_header)
        return false;
    segment->source = get16(transport);
    segment->destination = get16(transport + 2);
    segment->sequence = get32(transport + 4);
    segment->acknowledge = get32(transport + 8);
    segment->flags = transport[13];
    segment->length = (uint32_t)(total - header - transport_header);
    return true;
}

static void trace(const struct segment* segment, bool to_server, const char* fate)
{
    report("trace us=%lld to=%s sequence=%u length=%u acknowledge=%u flags=%02x %s", (long long)(now_ns() / 1000),
        to_server ? "server" : "client", segment->sequence, segment->length, segment->acknowledge, segment->flags,
        fate);
}

static size_t watch_handle(void* context, uint8_t* packet, size_t length)
{
    struct segment_watch* watch = context;
    struct segment segment;
    if (parse(watch, packet, length, &segment)
        && (segment.destination == watch->port || segment.source == watch->port)) {
        bool to_server = segment.destination == watch->port;
        bool data = to_server && segment.length != 0;
        bool drop = data && watch->armed;
        if (drop) {
            watch->armed = false;
            watch->sequence = segment.sequence;
            watch->dropped = now_ns();
            watch->waiting = true;
        } else if (data && watch->waiting && segment.sequence == watch->sequence) {
            watch->again = now_ns();
            watch->waiting = false;
        }
        if (watch->trace)
            trace(&segment, to_server, drop ? "dropped" : "reflected");
        if (drop)
            return 0;
    }
    return respond(&watch->far->responder, packet, length);
}

void watch_install(struct segment_watch* watch, struct far_side* far)
{
    watch->far = far;
    far->handler = watch_handle;
    far->context = watch;
}

int64_t watch_measure(struct segment_watch* watch, struct flow* flow, size_t size, int limit_ms)
{
    watch->armed = true;
    bool complete = flow_exchange(flow, size, limit_ms);
    if (!complete || watch->armed || watch->waiting)
        return -1;
    return (watch->again - watch->dropped) / MS;
}
