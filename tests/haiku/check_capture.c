/*
 * check_capture.c: a packet capture, as libpcap makes it on Haiku, that starts and ends amid traffic. Without one, `write`
 * may hand a packet to its protocol itself; a capture sees only what goes through the queue.
 */
#include "check.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { CAPTURE_PORT = 7660, DIRECT_PORT = 7661, LARGEST_BURST = 64, MOST = 131072, FRAME = 2048 };
enum { ROUNDS = 3, MANY = 200, BESIDE_MS = 50, CAPTURE_MS = 200, LATE_MS = 20, REPLY_MS = 5000 };
enum { SHORT_CAPTURES = 10, SHORT_MS = 15, DOWNS = 50 };

/* How long the driver waits after the last packet that was queued before it delivers directly again, and some more. */
enum { PAUSE_MS = 1100 };

/* Numbered echoes, sent in bursts, which the far side reflects. */
struct stream {
    struct unit* unit;
    int family;
    atomic_bool stop;
    atomic_uint sent, replied;
    uint64_t wrong; /* a reply that did not come, or not in its turn */
    int64_t sent_at[MOST];
};

/* What a capture saw of one direction. */
struct direction {
    int64_t first, last; /* numbers; -1: none */
    uint64_t seen, missing, wrong;
};

static bool receive_reply(int echo_socket, uint32_t number)
{
    uint8_t data[4];
    int64_t limit = now_ns() + REPLY_MS * MS;
    ssize_t length;
    do
        length = receive(echo_socket, data, sizeof(data));
    while (length < 0 && now_ns() < limit);
    return length == sizeof(data) && get32(data) == number;
}

static void* send_stream(void* argument)
{
    struct stream* stream = argument;
    int echo_socket = unit_udp_socket(stream->unit, stream->family, CAPTURE_PORT);
    struct timeval timeout = { 0, 200000 };
    setsockopt(echo_socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    unsigned seed = (unsigned)now_ns();
    while (!stream->stop && stream->sent + LARGEST_BURST <= MOST) {
        /* Of any length, so that a burst is under way when the driver looks for captures. */
        int burst = 1 + rand_r(&seed) % LARGEST_BURST;
        int64_t start = now_ns();
        for (int i = 0; i < burst; i++) {
            uint8_t data[4];
            put32(data, stream->sent);
            stream->sent_at[stream->sent] = now_ns();
            stream->wrong += send(echo_socket, data, sizeof(data), 0) != sizeof(data);
            stream->sent++;
        }
        for (int i = 0; i < burst; i++) {
            stream->wrong += !receive_reply(echo_socket, stream->replied);
            stream->replied++;
        }
        if (now_ns() - start < MS)
            sleep_ms(1);
    }
    close(echo_socket);
    return NULL;
}

/* Enters a captured frame if it is of the stream. The far addresses end with 2. */
static void see_frame(const struct stream* stream, struct direction directions[2], const uint8_t* frame, size_t length)
{
    bool ipv6 = stream->family == AF_INET6;
    const uint8_t* ip = frame + FRAME_HEADER;
    size_t header = ipv6 ? 40 : 20;
    if (length < FRAME_HEADER + header + 12 || get16(frame + 12) != (ipv6 ? 0x86dd : 0x0800)
        || ip[ipv6 ? 6 : 9] != IPPROTO_UDP || get16(ip + header + 2) != CAPTURE_PORT)
        return;
    struct direction* seen = &directions[ip[header - 1] == 2 ? 0 : 1];
    int64_t number = get32(ip + header + 8);
    seen->seen++;
    if (seen->first < 0)
        seen->first = number;
    else if (number <= seen->last)
        seen->wrong++;
    else
        seen->missing += (uint64_t)(number - seen->last - 1);
    seen->last = number;
}

/* Enters what is captured within a time, or until both directions have reached a number. */
static void see_frames(const struct stream* stream, struct direction directions[2], int capture, int milliseconds,
    int64_t number)
{
    uint8_t frame[FRAME];
    int64_t end = now_ns() + milliseconds * MS;
    while (now_ns() < end && (directions[0].last < number || directions[1].last < number)) {
        ssize_t length = receive(capture, frame, sizeof(frame));
        if (length >= 0)
            see_frame(stream, directions, frame, (size_t)length);
    }
}

/* Returns the first number that was sent at this time or later. */
static int64_t first_since(const struct stream* stream, int64_t time)
{
    int64_t number = 0;
    while (number < stream->sent && stream->sent_at[number] < time)
        number++;
    return number;
}

/* Counts what a direction lacks of the numbers from `first` to `last`. */
static void count_ends(struct direction* seen, int64_t first, int64_t last)
{
    if (seen->first < 0 || last < first) {
        seen->missing += last < first ? 1 : (uint64_t)(last - first + 1);
        return;
    }
    seen->missing += seen->first > first ? (uint64_t)(seen->first - first) : 0;
    seen->missing += seen->last < last ? (uint64_t)(last - seen->last) : 0;
}

/* Lets a capture start and end while the stream runs; adds to what is missing and wrong. */
static void capture_round(struct stream* stream, struct direction total[2])
{
    struct direction seen[2] = { { .first = -1 }, { .first = -1 } };
    stream->stop = false;
    stream->sent = stream->replied = 0;
    pthread_t sender = start_thread(send_stream, stream);
    sleep_ms(BESIDE_MS);
    int capture = interface_start_capture(stream->unit->name);
    int64_t start = now_ns();
    if (capture < 0)
        fail("%s: no capture could be started", stream->unit->name);
    do
        see_frames(stream, seen, capture, CAPTURE_MS, MOST);
    while (stream->replied <= first_since(stream, start + LATE_MS * MS) && now_ns() < start + REPLY_MS * MS);
    int64_t last = (int64_t)stream->replied - 1;
    see_frames(stream, seen, capture, REPLY_MS, last);
    close(capture);
    /* More of them, so that one ends while packets are queued. */
    for (int i = 0; i < SHORT_CAPTURES; i++) {
        sleep_ms(SHORT_MS);
        capture = interface_start_capture(stream->unit->name);
        sleep_ms(SHORT_MS);
        close(capture);
    }
    sleep_ms(BESIDE_MS);
    stream->stop = true;
    pthread_join(sender, NULL);
    note("%s %s: a capture saw %llu packets out and %llu in, the first of these %lld us after its start",
        stream->unit->name, family_name(stream->family), (unsigned long long)seen[0].seen,
        (unsigned long long)seen[1].seen,
        seen[1].first < 0 ? -1LL : (long long)(stream->sent_at[seen[1].first] - start) / 1000);
    count_ends(&seen[0], first_since(stream, start), last);
    count_ends(&seen[1], first_since(stream, start + LATE_MS * MS), last);
    for (int i = 0; i < 2; i++) {
        total[i].missing += seen[i].missing;
        total[i].wrong += seen[i].wrong;
    }
}

/* Returns how many of MANY packets a socket has as soon as they are written; one before them lets the driver look. */
static int count_direct(const struct unit* unit, const struct responder* responder, int family)
{
    static uint8_t packet[PACKET_SPACE], data[64];
    int receiver = open_receiver(unit, family, DIRECT_PORT), direct = 0;
    size_t length = build_udp(responder, unit, packet, family, CAPTURE_PORT, DIRECT_PORT, sizeof(data));
    sleep_ms(PAUSE_MS);
    for (int i = 0; i <= MANY; i++) {
        if (write(unit->fd, packet, length) < 0)
            fail("write");
        bool here = recv(receiver, data, sizeof(data), MSG_DONTWAIT) == sizeof(data);
        direct += here && i > 0;
    }
    sleep_ms(BLOCKED_MS);
    close(receiver);
    return direct;
}

static void check_family(struct unit* unit, const struct responder* responder, int family)
{
    static struct stream stream;
    struct direction total[2] = { { 0 }, { 0 } };
    char name[96];
    memset(&stream, 0, sizeof(stream));
    stream.unit = unit;
    stream.family = family;
    int before = count_direct(unit, responder, family);
    if (sysconf(_SC_NPROCESSORS_ONLN) == 1) {
        snprintf(name, sizeof(name), "with one CPU each write of %s delivers its packet itself", family_name(family));
        expect_equal((uint64_t)before, MANY, name);
    }
    struct far_side far;
    far_side_init(&far, unit, READ_BLOCKING);
    far_side_start(&far);
    for (int round = 0; round < ROUNDS; round++) {
        capture_round(&stream, total);
        sleep_ms(PAUSE_MS);
    }
    far_side_stop(&far);
    snprintf(name, sizeof(name), "a capture has every %s packet that was sent since its start", family_name(family));
    expect_equal(total[0].missing, 0, name);
    snprintf(name, sizeof(name), "and every one that was written since %d ms after its start", LATE_MS);
    expect_equal(total[1].missing, 0, name);
    expect_equal(total[0].wrong + total[1].wrong, 0, "none twice, and in order");
    expect_equal(stream.wrong, 0, "every echo comes back in its turn while captures start and end");
    int after = count_direct(unit, responder, family);
    expect(after == before || (after < MANY && before < MANY), "after a capture packets go the way they went before",
        "of %d packets %d were delivered by their write before, %d after", MANY, before, after);
}

struct writer {
    int fd;
    uint8_t packet[128];
    size_t length;
    atomic_bool stop;
};

static void* write_on(void* argument)
{
    struct writer* writer = argument;
    while (!writer->stop) {
        if (write(writer->fd, writer->packet, writer->length) < 0)
            sleep_ms(1);
    }
    return NULL;
}

/* A capture unregisters when the interface goes down, while a writer looks for captures. */
static void check_going_down_captured(struct unit* unit, const struct responder* responder)
{
    static struct writer writer;
    int receiver = open_receiver(unit, AF_INET, DIRECT_PORT), downs = 0;
    writer.fd = unit->fd;
    writer.length = build_udp(responder, unit, writer.packet, AF_INET, CAPTURE_PORT, DIRECT_PORT, 64);
    pthread_t thread = start_thread(write_on, &writer);
    for (int i = 0; i < DOWNS; i++) {
        int capture = interface_start_capture(unit->name);
        sleep_ms(SHORT_MS);
        downs += bring_down(unit);
        close(capture);
        bring_up(unit);
    }
    writer.stop = true;
    pthread_join(thread, NULL);
    close(receiver);
    expect_equal((uint64_t)downs, DOWNS, "the interface goes down and up while packets are written and captured");
}

void check_capture(struct unit* unit)
{
    struct responder responder;
    settle_neighbours(unit, &responder);
    for (int n = 0; n < families(unit); n++)
        check_family(unit, &responder, family_of(n));
    check_going_down_captured(unit, &responder);
}
