/*
 * tun_tap.h: what a program can ask of /dev/tun/N, /dev/tap/N and /dev/misc/tun_tap on Haiku.
 *
 * Linux's controls have Linux's numbers and layouts. Its struct ifreq and flags have names of their own here, because
 * Haiku's struct ifreq has another layout. FreeBSD's controls have FreeBSD's numbers, except TAPGIFNAME, which takes a
 * struct tun_ifreq. Distributed under the terms of the MIT license.
 */
#ifndef TUN_TAP_H
#define TUN_TAP_H

#include <stdint.h>

/*
 * Linux's controls. An argument without a star is the number itself: pass (void*)(uintptr_t)number, because R1/beta5's
 * ioctl takes a pointer only, and UINT32_MAX for -1, because Haiku's ioctl refuses an address of the kernel.
 */
#define TUNSETNOCSUM     0x400454c8 /* int: accepted, changes nothing */
#define TUNSETIFF        0x400454ca /* struct tun_ifreq*: kind of interface, framing */
#define TUNSETPERSIST    0x400454cb /* int: accepted: interfaces stay until ifconfig --delete */
#define TUNSETOWNER      0x400454cc /* uid_t: the user that may open and change the unit beside root; UINT32_MAX: none */
#define TUNSETLINK       0x400454cd /* int: link type: 1 or 0xfffe, while down */
#define TUNSETGROUP      0x400454ce /* gid_t: the group that may open it; with an owner, both must match; likewise */
#define TUNGETFEATURES   0x800454cf /* unsigned int*: the flags that TUNSETIFF understands */
#define TUNGETIFF        0x800454d2 /* struct tun_ifreq*: name and flags of this unit */
#define TUNGETSNDBUF     0x800454d3 /* int*: bytes that the queue to the stack may hold */
#define TUNSETSNDBUF     0x400454d4 /* int*: set it, up to 64 MiB */
#define TUNSETCARRIER    0x400454e2 /* int*: whether the link works */
#ifndef SIOCSIFHWADDR /* programs that are also compiled on Linux have them */
#define SIOCSIFHWADDR    0x00008924 /* struct tun_ifreq*: set the interface's Ethernet address, while down */
#define SIOCGIFHWADDR    0x00008927 /* struct tun_ifreq*: the interface's Ethernet address */
#endif

/* Flags of TUNSETIFF. Anything else is refused. */
#define TUN_IFF_TUN       0x0001
#define TUN_IFF_TAP       0x0002
#define TUN_IFF_NO_PI     0x1000 /* no struct tun_pi in front of packets */
#define TUN_IFF_ONE_QUEUE 0x2000
#define TUN_IFF_TUN_EXCL  0x8000

/* Linux's struct ifreq, under another name: Haiku's is laid out differently. */
struct tun_ifreq {
    char name[16];       /* "tun/0"; empty, "tun" and "tun%d" leave the choice to the driver */
    uint16_t flags;      /* TUN_IFF_*; of an address, its family: 1 */
    uint8_t address[6];
    uint8_t rest[16];
};

/* In front of each packet after TUNSETIFF without TUN_IFF_NO_PI. */
struct tun_pi {
    uint16_t flags;      /* TUN_PKT_STRIP: the buffer was too short for the packet */
    uint16_t proto;      /* Ethernet type, in network order */
};
#define TUN_PKT_STRIP     0x0001

/* FreeBSD's controls. */
#define TUNSDEBUG        0x8004745a /* int*: accepted, changes nothing */
#define TUNSIFINFO       0x8008745b /* struct tuninfo*: set the MTU */
#define TUNGIFINFO       0x4008745c /* struct tuninfo*: MTU and type */
#define TUNSIFMODE       0x8004745e /* int*: the kind of link that it is */
#define TUNSIFHEAD       0x80047460 /* int*: address family in front of packets, or not */
#define TUNGIFHEAD       0x40047461 /* int*: whether it is there */
#define TAPGIFNAME       0x4028745d /* struct tun_ifreq*: name and flags of this unit */

struct tuninfo {
    int32_t baudrate;    /* 0 */
    uint16_t mtu;        /* in bytes of IP */
    uint8_t type;        /* 0x17 of a TUN, 0x06 of a TAP */
    uint8_t dummy;
};

/*
 * This driver's own controls. A request begins with a version and its size in bytes. The version is TUN_VERSION, or
 * TUN_STATISTICS_VERSION for TUNGETSTATISTICS and TUNGETUNITSTATISTICS. The size of a batch includes its records.
 */
#define TUN_VERSION       1
#define TUN_STATISTICS_VERSION 2
#define TUNGETSTATISTICS 0xc29854f0 /* struct tun_statistics*: what became of every packet so far */
#define TUNGETLIMITS     0xc01854f1 /* struct tun_limits*: how much the queues may hold */
#define TUNSETLIMITS     0x401854f2 /* struct tun_limits*: set it */
#define TUNREADBATCH     0xc01054f3 /* struct tun_batch*: read many packets */
#define TUNWRITEBATCH    0xc01054f4 /* struct tun_batch*: write many packets */
#define TUNSETPEER       0x401c54f5 /* struct tun_peer*: add the routes to a peer */
#define TUNGETUNITSTATISTICS 0xc2a054f6 /* struct tun_unit_statistics*: any unit's, on /dev/misc/tun_tap only */

/* Indices of tun_direction.dropped. The stack is never told of a dropped packet. */
enum {
    TUN_DROP_FULL = 0,                     /* the queue to the program was full */
    TUN_DROP_NO_PROGRAM = 1,               /* no program had the unit open */
    TUN_DROP_DOWN = 2,                     /* the interface was down */
    TUN_DROP_BAD_ADDRESS = 3,              /* the buffer of the read was not mapped */
    TUN_DROP_ANSWER_LOST = 4,              /* TUN: no memory or no place for the device's answer */
    TUN_DROP_NOT_FOR_US = 5,               /* TAP: to another station, or a group that was not joined */
    TUN_DROP_MALFORMED = 6,                /* no whole header, or one that contradicts the frame's type */
    TUN_DROP_NOT_IP = 7,                   /* neither IPv4, IPv6 nor ARP; this and the following: TUN only */
    TUN_DROP_ARP_MALFORMED = 8,            /* not ARP for IPv4 on Ethernet, or one that no host may send */
    TUN_DROP_ARP_ANNOUNCEMENT = 9,         /* sender and target are the same */
    TUN_DROP_ARP_REPLY = 10,               /* the device asks nothing */
    TUN_DROP_NEIGHBOUR_MALFORMED = 11,     /* a solicitation that fails a check of RFC 4861 */
    TUN_DROP_DUPLICATE_DETECTION = 12,     /* a solicitation from :: */
    TUN_DROP_NEIGHBOUR_ADVERTISEMENT = 13, /* the device asks nothing */
    TUN_DROP_SUPERSEDED = 14,              /* a TCP acknowledgement that a later one replaced: no loss */
    TUN_DROP_REASONS = 32                  /* room for reasons to come, which are 0 until then */
};

/* One direction. At rest: accepted = delivered + answered + purged + all dropped + queued. */
struct tun_direction {
    uint64_t accepted;       /* from the stack: every packet that it sends */
    uint64_t accepted_bytes; /* all bytes include link headers */
    uint64_t delivered;
    uint64_t delivered_bytes;
    uint64_t answered;       /* by the device: ARP requests and neighbour solicitations */
    uint64_t purged;         /* with the whole queue: on close, down or deletion of the interface */
    uint64_t truncated;      /* delivered, but longer than the buffer of the read */
    uint64_t queued;
    uint64_t queued_bytes;
    uint64_t dropped[TUN_DROP_REASONS];
};

/* Begins with TUN_STATISTICS_VERSION. */
struct tun_statistics {
    uint32_t version;
    uint32_t size;
    struct tun_direction to_user;
    struct tun_direction to_stack;
};

/*
 * Any unit's statistics, from /dev/misc/tun_tap, which any user may open and which opens no unit. Begins with
 * TUN_STATISTICS_VERSION. Fails with ENXIO if the unit has neither an interface nor an opener.
 */
struct tun_unit_statistics {
    uint32_t version;
    uint32_t size;
    uint32_t mode;           /* TUN_IFF_TUN or TUN_IFF_TAP */
    uint32_t unit;           /* from 0 to 255 */
    struct tun_direction to_user;
    struct tun_direction to_stack;
};

/*
 * A queue takes a packet while it holds fewer packets and fewer bytes than its limits, so the last packet may exceed the
 * limit in bytes. At most 65,536 packets and 64 MiB.
 */
struct tun_limits {
    uint32_t version;
    uint32_t size;
    uint32_t to_user_packets;
    uint32_t to_user_bytes;
    uint32_t to_stack_packets;
    uint32_t to_stack_bytes;
};

/*
 * Many packets in one call. Records follow this header: a length word of four bytes, that many bytes of packet, and
 * padding to the next multiple of four. A part of a batch is a success: packets says how many were transferred.
 */
struct tun_batch {
    uint32_t version;
    uint32_t size;           /* of this header and the records */
    uint32_t packets;        /* in: the most to transfer; out: how many were transferred */
    uint32_t bytes;          /* out: the length of their records */
};

/*
 * Adds a route to a peer, which Haiku does not, and for IPv6 one to the peer's solicited-node group. The interface must
 * be up and have an address of the same family. When it goes down, its routes are removed.
 */
struct tun_peer {
    uint32_t version;
    uint32_t size;
    uint32_t ip_version;     /* 4 or 6 */
    uint8_t address[16];     /* in network order; of IPv4, the first four */
};

#endif /* TUN_TAP_H */
