//! Constants of Haiku's headers, grouped by the header they come from.

macro_rules! constants {
    ($($name:ident = $value:expr;)*) => {
        $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: u32 = $value;)*
        /// Every constant of this file with its name, for the check against the headers.
        pub const CONSTANTS: &[(&str, u32)] = &[$((stringify!($name), $name),)*];
    };
}

/// `B_INFINITE_TIMEOUT`: wait for ever, in microseconds.
pub const B_INFINITE_TIMEOUT: i64 = i64::MAX;

/// `B_NET_FRAME_TYPE(super, sub)`: the type of a frame that has no generic one, such as ARP.
#[must_use]
#[expect(non_snake_case, reason = "a macro of Haiku's, under its own name")]
pub const fn B_NET_FRAME_TYPE(interface_type: u32, ether_type: u32) -> u32 {
    (interface_type << 16) | ether_type
}

constants! {
    // Interface flags: `headers/posix/net/if.h`
    IFF_UP = 1;
    IFF_BROADCAST = 2;
    IFF_LOOPBACK = 8;
    IFF_POINTOPOINT = 0x10;
    IFF_NOARP = 0x40;
    IFF_AUTOUP = 0x80;
    IFF_PROMISC = 0x100;
    IFF_ALLMULTI = 0x200;
    IFF_SIMPLEX = 0x800;
    IFF_LINK = 0x1000;
    IFF_AUTO_CONFIGURED = 0x2000;
    IFF_CONFIGURING = 0x4000;
    IFF_MULTICAST = 0x8000;

    // Interface types: `headers/posix/net/if_types.h`
    IFT_ETHER = 6;
    IFT_LOOP = 24;
    IFT_TUNNEL = 131;
    IFT_PPP = 23;
    IFT_OTHER = 1;

    // Media: `headers/posix/net/if_media.h`
    IFM_ETHER = 0x20;
    IFM_ACTIVE = 0x800000;
    IFM_AUTO = 0;
    IFM_FULL_DUPLEX = 0x100000;
    IFM_1000_T = 0x10;

    // Ethernet: `headers/private/net/ethernet.h`
    ETHER_ADDRESS_LENGTH = 6;
    ETHER_CRC_LENGTH = 4;
    ETHER_HEADER_LENGTH = 14;
    ETHER_MIN_FRAME_SIZE = 64;
    ETHER_MAX_FRAME_SIZE = 1514;
    ETHER_TYPE_IP = 2048;
    ETHER_TYPE_ARP = 2054;
    ETHER_TYPE_IPV6 = 34525;

    // Frame types, device events and buffer flags: `headers/private/net/net_stack.h`, `net_device.h`, `net_buffer.h`
    B_NET_FRAME_TYPE_IPV4 = 1;
    B_NET_FRAME_TYPE_IPV6 = 2;
    B_DEVICE_GOING_UP = 1;
    B_DEVICE_GOING_DOWN = 2;
    B_DEVICE_BEING_REMOVED = 3;
    NET_BUFFER_L3_CHECKSUM_VALID = 1;
    NET_BUFFER_L4_CHECKSUM_VALID = 2;
    MSG_BCAST = 256;
    MSG_MCAST = 512;
    MSG_DONTWAIT = 128;
    MSG_PEEK = 2;

    // Sockets: `headers/posix/sys/socket.h`, `netinet/in.h`
    AF_UNSPEC = 0;
    AF_INET = 1;
    AF_LINK = 4;
    AF_INET6 = 5;
    SOCK_STREAM = 1;
    SOCK_DGRAM = 2;
    SOCK_RAW = 3;
    IPPROTO_ICMP = 1;
    IPPROTO_ICMPV6 = 58;

    // Select events: `headers/os/drivers/Select.h`
    B_SELECT_READ = 1;
    B_SELECT_WRITE = 2;
    B_SELECT_ERROR = 3;
    B_SELECT_PRI_READ = 4;
    B_SELECT_PRI_WRITE = 5;
    B_SELECT_HIGH_PRI_READ = 6;
    B_SELECT_HIGH_PRI_WRITE = 7;
    B_SELECT_DISCONNECTED = 8;

    // Device control: `headers/os/drivers/Drivers.h`, `headers/posix/sys/ioctl.h`
    B_SET_NONBLOCKING_IO = 3;
    B_SET_BLOCKING_IO = 4;
    B_GET_READ_STATUS = 5;
    B_GET_WRITE_STATUS = 6;
    B_SET_INTERRUPTABLE_IO = 0x13;
    B_GET_PATH_FOR_DEVICE = 0x15;
    B_GET_DEVICE_NAME = 0x18;
    B_DEVICE_OP_CODES_END = 0x270f;
    B_CUR_DRIVER_API_VERSION = 2;
    FIONBIO = 0xbe000000;
    FIONREAD = 0xbe000001;

    // Open modes: `headers/posix/fcntl.h`
    O_RDONLY = 0;
    O_WRONLY = 1;
    O_RDWR = 2;
    O_NONBLOCK = 0x80;
    O_CLOEXEC = 0x40;
    O_ACCMODE = 3;
    O_RWMASK = 3;

    // Semaphores and waiting: `headers/os/kernel/OS.h`
    B_CAN_INTERRUPT = 1;
    B_DO_NOT_RESCHEDULE = 2;
    B_CHECK_PERMISSION = 4;
    B_TIMEOUT = 8;
    B_RELATIVE_TIMEOUT = 8;
    B_ABSOLUTE_TIMEOUT = 0x10;
    B_RELEASE_ALL = 8;
    B_RELEASE_IF_WAITING_ONLY = 0x10;
    B_KILL_CAN_INTERRUPT = 0x20;

    // Thread priorities: `headers/os/kernel/OS.h`
    B_LOW_PRIORITY = 5;
    B_NORMAL_PRIORITY = 10;
    B_DISPLAY_PRIORITY = 15;
    B_URGENT_DISPLAY_PRIORITY = 20;
    B_REAL_TIME_DISPLAY_PRIORITY = 100;
    B_URGENT_PRIORITY = 110;
    B_REAL_TIME_PRIORITY = 120;

    // Modules: `headers/os/drivers/module.h`
    B_MODULE_INIT = 1;
    B_MODULE_UNINIT = 2;
    B_KEEP_LOADED = 1;

    // Areas and pages: `headers/os/kernel/OS.h`
    B_PAGE_SIZE = 0x1000;
    B_ANY_ADDRESS = 0;
    B_ANY_KERNEL_ADDRESS = 4;
    B_FULL_LOCK = 2;
    B_CONTIGUOUS = 3;
    B_READ_AREA = 1;
    B_WRITE_AREA = 2;
    B_KERNEL_READ_AREA = 0x10;
    B_KERNEL_WRITE_AREA = 0x20;
    B_CLONEABLE_AREA = 0x100;

    // Routes and addresses: `headers/posix/net/route.h`, `net/if.h`
    RTF_UP = 1;
    RTF_GATEWAY = 2;
    RTF_HOST = 4;
    RTF_REJECT = 8;
    RTF_DYNAMIC = 0x10;
    RTF_MODIFIED = 0x20;
    RTF_STATIC = 0x800;
    RTF_LOCAL = 0x200000;
    RTF_DEFAULT = 0x80;
    IFAF_AUTO_CONFIGURED = 1;
    IFAF_CONFIGURING = 2;

    // Socket controls: `headers/posix/sys/sockio.h`
    SIOCADDRT = 8900;
    SIOCDELRT = 8901;
    SIOCSIFADDR = 8902;
    SIOCGIFADDR = 8903;
    SIOCSIFDSTADDR = 8904;
    SIOCGIFDSTADDR = 8905;
    SIOCSIFFLAGS = 8906;
    SIOCGIFFLAGS = 8907;
    SIOCGIFBRDADDR = 8908;
    SIOCSIFBRDADDR = 8909;
    SIOCGIFCOUNT = 8910;
    SIOCGIFCONF = 8911;
    SIOCGIFINDEX = 8912;
    SIOCGIFNAME = 8913;
    SIOCGIFNETMASK = 8914;
    SIOCSIFNETMASK = 8915;
    SIOCGIFMETRIC = 8916;
    SIOCSIFMETRIC = 8917;
    SIOCDIFADDR = 8918;
    SIOCAIFADDR = 8919;
    SIOCADDMULTI = 8920;
    SIOCDELMULTI = 8921;
    SIOCGIFMTU = 8922;
    SIOCSIFMTU = 8923;
    SIOCSIFMEDIA = 8924;
    SIOCGIFMEDIA = 8925;
    SIOCGRTSIZE = 8926;
    SIOCGRTTABLE = 8927;
    SIOCGETRT = 8928;
    SIOCGIFSTATS = 8929;
    SIOCGIFTYPE = 8931;
    SIOCSPACKETCAP = 8932;
    SIOCCPACKETCAP = 8933;
    SIOCEND = 9000;
    B_SOCKET_ADD_ALIAS = 8919;
    B_SOCKET_REMOVE_ALIAS = 8918;
    B_SOCKET_SET_ALIAS = 8947;
    B_SOCKET_GET_ALIAS = 8948;
    B_SOCKET_COUNT_ALIASES = 8949;

    // Lengths
    IF_NAMESIZE = 32;
    B_FILE_NAME_LENGTH = 256;
    B_PATH_NAME_LENGTH = 1024;
    B_OS_NAME_LENGTH = 32;
}
