/*
 * check_faults.c: buffers and arguments that are not, or not wholly, in the program's memory.
 */
#include "check.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, FROM_PORT = 7631, TO_PORT = 7630 };

static uint8_t s_packet[PACKET_SPACE];

/* Returns the address behind a page that can be used; what follows it is not mapped. */
static uint8_t* make_cliff(void)
{
    uint8_t* pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || munmap(pages + PAGE, PAGE) < 0)
        fail("mmap");
    return pages + PAGE;
}

/* A read into such a buffer fails, its packet is counted, and the next one is read as ever. */
static void check_read(struct unit* unit, void* buffer, bool counted, const char* name)
{
    int64_t number = -1;
    unit_drain(unit);
    uint64_t before = dropped(unit, TUN_DROP_BAD_ADDRESS);
    send_numbered(unit, AF_INET, 1, 2, 500);
    expect_error(read(unit->fd, buffer, PAGE), EFAULT, name);
    uint64_t lost = dropped(unit, TUN_DROP_BAD_ADDRESS) - before;
    if (counted)
        expect_equal(lost, 1, "its packet is counted as bad-address");
    read_numbered(unit, s_packet, sizeof(s_packet), &number, WAKE_MS);
    expect_equal((uint64_t)number, 1 + lost, "the next packet is read as ever");
}

static void check_writes(struct unit* unit, const struct responder* responder, uint8_t* cliff)
{
    size_t length = build_udp(responder, unit, s_packet, AF_INET, FROM_PORT, TO_PORT, 500);
    struct tun_statistics before, after;
    unit_statistics(unit, &before);
    memcpy(cliff - 100, s_packet, 100);
    expect_error(write(unit->fd, (void*)16, length), EFAULT, "a write from where nothing is mapped");
    expect_error(write(unit->fd, cliff - 100, length), EFAULT, "a write of a packet whose end is not mapped");
    expect_error(write(unit->fd, (void*)0xffffffff80200000, length), EFAULT, "a write from the kernel's memory");
    unit_statistics(unit, &after);
    expect_equal(after.to_stack.accepted - before.to_stack.accepted, 0, "none of them is counted as accepted");
    expect_equal((uint64_t)write(unit->fd, s_packet, length), length, "a good write follows");
}

static void check_control(struct unit* unit, unsigned long control, const char* name)
{
    expect_error(ioctl(unit->fd, control, NULL), EFAULT, name);
    expect_error(ioctl(unit->fd, control, (void*)0xffffffff80200000), EFAULT, "with the kernel's memory");
}

static void check_batches_at(struct unit* unit, uint8_t* cliff)
{
    struct tun_batch header = { TUN_VERSION, 3 * PAGE, 8, 0 };
    size_t record = (4 + packet_length(unit, AF_INET, 500) + 3) & ~(size_t)3;
    unit_drain(unit);
    send_numbered(unit, AF_INET, 1, 3, 500);
    uint64_t before = dropped(unit, TUN_DROP_BAD_ADDRESS);
    uint8_t* start = cliff - sizeof(header) - 2 * record - 50;
    memcpy(start, &header, sizeof(header));
    expect_success(ioctl(unit->fd, TUNREADBATCH, start), "a batch whose end is not mapped is read in part");
    memcpy(&header, start, sizeof(header));
    expect_equal(header.packets, 2, "it gets what there is room for");
    expect_equal(dropped(unit, TUN_DROP_BAD_ADDRESS) - before, 1, "the packet at the end is counted as bad-address");
    struct tun_batch alone = { TUN_VERSION, 3 * PAGE, 8, 0 };
    memcpy(cliff - sizeof(alone), &alone, sizeof(alone));
    expect_error(ioctl(unit->fd, TUNWRITEBATCH, cliff - sizeof(alone)), EFAULT, "a batch without its records");
}

void check_faults(struct unit* unit)
{
    struct responder responder;
    settle_neighbours(unit, &responder);
    uint8_t* cliff = make_cliff();
    uint8_t* constant = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_read(unit, (void*)16, false, "a read to where nothing is mapped");
    check_read(unit, cliff - 100, true, "a read to a buffer whose end is not mapped");
    check_read(unit, (void*)0xffffffff80200000, false, "a read to the kernel's memory");
    if (constant != MAP_FAILED)
        check_read(unit, constant, true, "a read to memory that is read only");
    check_writes(unit, &responder, cliff);
    check_control(unit, TUNGETIFF, "TUNGETIFF with the null pointer");
    check_control(unit, TUNSETIFF, "TUNSETIFF with the null pointer");
    check_control(unit, TUNGETSTATISTICS, "TUNGETSTATISTICS with the null pointer");
    check_control(unit, TUNSETLIMITS, "TUNSETLIMITS with the null pointer");
    check_control(unit, TUNREADBATCH, "TUNREADBATCH with the null pointer");
    check_control(unit, TUNWRITEBATCH, "TUNWRITEBATCH with the null pointer");
    check_batches_at(unit, cliff);
}
