/*
 * interface.c: what Haiku's ifconfig and route do, by the same ioctls (BNetworkRoster, BNetworkInterface).
 */
#include "interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sockio.h>
#include <sys/time.h>
#include <unistd.h>

#include "report.h"

struct address address_of(const char* text, uint16_t port)
{
    struct address address;
    memset(&address, 0, sizeof(address));
    struct sockaddr_in* ipv4 = (struct sockaddr_in*)&address.storage;
    struct sockaddr_in6* ipv6 = (struct sockaddr_in6*)&address.storage;
    if (strchr(text, ':') == NULL) {
        ipv4->sin_len = address.length = sizeof(*ipv4);
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons(port);
        if (inet_pton(AF_INET, text, &ipv4->sin_addr) != 1)
            fail("not an address: %s", text);
    } else {
        ipv6->sin6_len = address.length = sizeof(*ipv6);
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons(port);
        if (inet_pton(AF_INET6, text, &ipv6->sin6_addr) != 1)
            fail("not an address: %s", text);
    }
    return address;
}

/* Haiku passes the length of an ioctl's argument only if it is given, and its stack insists on it. */
static bool control(int family, unsigned long option, void* argument, size_t length)
{
    int control_socket = socket(family, SOCK_DGRAM, 0);
    if (control_socket < 0)
        return false;
    int status = ioctl(control_socket, option, argument, length);
    int error = errno;
    close(control_socket);
    errno = error;
    return status >= 0;
}

static struct ifreq request_for(const char* name)
{
    struct ifreq request;
    memset(&request, 0, sizeof(request));
    strncpy(request.ifr_name, name, IF_NAMESIZE - 1);
    return request;
}

bool interface_exists(const char* name)
{
    struct ifreq request = request_for(name);
    return control(AF_INET, SIOCGIFINDEX, &request, sizeof(request));
}

bool interface_add(const char* name)
{
    struct ifaliasreq request;
    memset(&request, 0, sizeof(request));
    strncpy(request.ifra_name, name, IF_NAMESIZE - 1);
    return control(AF_INET, SIOCAIFADDR, &request, sizeof(request));
}

bool interface_delete(const char* name)
{
    struct ifreq request = request_for(name);
    request.ifr_addr.sa_family = AF_UNSPEC;
    return control(AF_INET, SIOCDIFADDR, &request, sizeof(request));
}

bool interface_set_address(const char* name, const char* address, const char* mask)
{
    struct address local = address_of(address, 0), netmask = address_of(mask, 0);
    struct ifaliasreq request;
    memset(&request, 0, sizeof(request));
    strncpy(request.ifra_name, name, IF_NAMESIZE - 1);
    request.ifra_index = -1;
    request.ifra_addr = local.storage;
    request.ifra_mask = netmask.storage;
    return control(local.any.sa_family, B_SOCKET_SET_ALIAS, &request, sizeof(request));
}

bool interface_set_mtu(const char* name, int mtu)
{
    struct ifreq request = request_for(name);
    request.ifr_mtu = mtu;
    return control(AF_INET, SIOCSIFMTU, &request, sizeof(request));
}

int interface_flags(const char* name)
{
    struct ifreq request = request_for(name);
    if (!control(AF_INET, SIOCGIFFLAGS, &request, sizeof(request)))
        return 0;
    return request.ifr_flags;
}

bool interface_set_up(const char* name, bool up)
{
    struct ifreq request = request_for(name);
    int flags = interface_flags(name) & ~(IFF_AUTO_CONFIGURED | IFF_CONFIGURING);
    request.ifr_flags = up ? flags | IFF_UP : flags & ~IFF_UP;
    return control(AF_INET, SIOCSIFFLAGS, &request, sizeof(request));
}

static bool control_route(const char* name, unsigned long option, const char* destination, const char* mask)
{
    struct address target = address_of(destination, 0), netmask = address_of(mask, 0);
    struct ifreq request = request_for(name);
    request.ifr_route.destination = &target.any;
    request.ifr_route.mask = &netmask.any;
    request.ifr_route.flags = RTF_STATIC;
    return control(target.any.sa_family, option, &request, sizeof(request));
}

bool interface_add_route(const char* name, const char* destination, const char* mask)
{
    return control_route(name, SIOCADDRT, destination, mask) || errno == EEXIST;
}

bool interface_remove_route(const char* name, const char* destination, const char* mask)
{
    return control_route(name, SIOCDELRT, destination, mask);
}

bool interface_get_statistics(const char* name, struct interface_statistics* statistics)
{
    struct ifreq request = request_for(name);
    if (!control(AF_INET, SIOCGIFSTATS, &request, sizeof(request)))
        return false;
    const struct ifreq_stats* stats = &request.ifr_stats;
    statistics->received = stats->receive.packets;
    statistics->receive_dropped = stats->receive.dropped;
    statistics->receive_errors = stats->receive.errors;
    statistics->sent = stats->send.packets;
    statistics->send_dropped = stats->send.dropped;
    statistics->send_errors = stats->send.errors;
    return true;
}

int interface_start_capture(const char* name)
{
    struct ifreq request = request_for(name);
    struct timeval timeout = { 0, 10000 };
    int capture = socket(AF_LINK, SOCK_DGRAM, 0), buffer = 1024 * 1024;
    if (capture < 0)
        return -1;
    setsockopt(capture, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    setsockopt(capture, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    if (ioctl(capture, SIOCSPACKETCAP, &request, sizeof(request)) >= 0)
        return capture;
    int error = errno;
    close(capture);
    errno = error;
    return -1;
}
