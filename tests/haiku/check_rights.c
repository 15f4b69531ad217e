/*
 * check_rights.c: who may open a unit, and who may change its interface.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USER = 1000, OTHER_USER = 1001, GROUP = 500, OTHER_GROUP = 501 };

#define NONE UINT32_MAX

/* Makes a control whose argument is the number itself. R1/beta5's ioctl takes a pointer only. A -1 must not be
 * sign-extended: Haiku's ioctl refuses an address of the kernel before it asks the driver. */
static int control_number(const struct unit* unit, unsigned long control, uint32_t number)
{
    return ioctl(unit->fd, control, (void*)(uintptr_t)number);
}

enum { COULD_NOT_CHANGE_USER = 254 };

/* Runs a function as another user in a process of its own. Returns the errno that it returns, 0 for success. */
static int as_user(uid_t user, gid_t group, gid_t supplementary, int (*function)(const struct unit*),
    const struct unit* unit)
{
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        if (setgroups(1, &supplementary) < 0 || setgid(group) < 0 || setuid(user) < 0)
            _exit(COULD_NOT_CHANGE_USER);
        int error = function(unit);
        /* Haiku's errors are negative; an exit status has eight bits. */
        _exit(error == 0 ? 0 : error == EPERM ? 1 : error == EBUSY ? 2 : error == EACCES ? 3 : 4);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    static const int errors[] = { 0, EPERM, EBUSY, EACCES, EIO };
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 4;
    if (code == COULD_NOT_CHANGE_USER) {
        errno = EPERM;
        fail("could not become another user; run this as root");
    }
    return errors[code < 5 ? code : 4];
}

static int open_unit(const struct unit* unit)
{
    int fd = open(unit->path, O_RDWR | O_NONBLOCK);
    int error = errno;
    if (fd < 0)
        return error;
    close(fd);
    return 0;
}

static int set_carrier(const struct unit* unit)
{
    int up = 1;
    return ioctl(unit->fd, TUNSETCARRIER, &up) < 0 ? errno : 0;
}

static int set_limits(const struct unit* unit)
{
    struct tun_limits limits = { .version = TUN_VERSION, .size = sizeof(limits) };
    if (ioctl(unit->fd, TUNGETLIMITS, &limits) < 0)
        return EIO;
    return ioctl(unit->fd, TUNSETLIMITS, &limits) < 0 ? errno : 0;
}

static int take_ownership(const struct unit* unit)
{
    return control_number(unit, TUNSETOWNER, OTHER_USER) < 0 ? errno : 0;
}

static int set_address(const struct unit* unit)
{
    struct tun_ifreq request;
    memset(&request, 0, sizeof(request));
    if (ioctl(unit->fd, SIOCGIFHWADDR, &request) < 0)
        return EIO;
    return ioctl(unit->fd, SIOCSIFHWADDR, &request) < 0 ? errno : 0;
}

static int read_counters(const struct unit* unit)
{
    struct tun_statistics statistics;
    return unit_statistics(unit, &statistics) ? 0 : errno;
}

static void expect_as(int seen, int expected, const char* name)
{
    expect(seen == expected, name, "expected \"%s\", saw \"%s\"", expected == 0 ? "success" : strerror(expected),
        seen == 0 ? "success" : strerror(seen));
}

static void check_owner(struct unit* unit)
{
    unit_close(unit);
    expect_as(as_user(USER, GROUP, OTHER_GROUP, open_unit, unit), EPERM,
        "a unit without owner and group is not opened by a user (unless the setting \"open everyone\" is in use)");
    unit_open(unit, 0);
    expect_success(control_number(unit, TUNSETOWNER, USER), "TUNSETOWNER works");
    expect_as(as_user(USER, GROUP, OTHER_GROUP, open_unit, unit), EBUSY, "its owner may open it, but it is open");
    unit_close(unit);
    expect_as(as_user(USER, GROUP, OTHER_GROUP, open_unit, unit), 0, "its owner opens it");
    expect_as(as_user(OTHER_USER, GROUP, OTHER_GROUP, open_unit, unit), EPERM, "another user does not");
    unit_open(unit, 0);
    expect_as(as_user(USER, GROUP, OTHER_GROUP, set_limits, unit), 0, "its owner sets its limits");
    expect_as(as_user(OTHER_USER, GROUP, OTHER_GROUP, set_limits, unit), EPERM, "another user does not");
    expect_as(as_user(OTHER_USER, GROUP, OTHER_GROUP, set_carrier, unit), EPERM, "nor its carrier");
    expect_as(as_user(OTHER_USER, GROUP, OTHER_GROUP, set_address, unit), EPERM, "nor its Ethernet address");
    expect_as(as_user(OTHER_USER, GROUP, OTHER_GROUP, take_ownership, unit), EPERM, "nor its owner");
    expect_as(as_user(OTHER_USER, GROUP, OTHER_GROUP, read_counters, unit), 0, "but reads its counters");
    expect_success(control_number(unit, TUNSETOWNER, NONE), "the owner can be removed");
}

static void check_group(struct unit* unit)
{
    expect_success(control_number(unit, TUNSETGROUP, GROUP), "TUNSETGROUP works");
    unit_close(unit);
    expect_as(as_user(USER, GROUP, OTHER_GROUP, open_unit, unit), 0, "a member of its group opens it");
    expect_as(as_user(USER, OTHER_GROUP, GROUP, open_unit, unit), 0, "and one by a supplementary group");
    expect_as(as_user(USER, OTHER_GROUP, OTHER_GROUP, open_unit, unit), EPERM, "another user does not");
    unit_open(unit, 0);
    expect_as(as_user(USER, GROUP, OTHER_GROUP, set_limits, unit), EPERM, "a member does not set its limits");
    expect_success(control_number(unit, TUNSETGROUP, NONE), "the group can be removed");
}

void check_rights(struct unit* unit)
{
    if (geteuid() != 0) {
        skip("rights", "only root can become another user");
        return;
    }
    check_owner(unit);
    check_group(unit);
}
