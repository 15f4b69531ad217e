/*
 * kernel_memory.c: how much memory the kernel uses.
 */
#include "kernel_memory.h"

#ifdef __HAIKU__
#include <OS.h>

int64_t used_memory_kib(void)
{
    system_info info;
    if (get_system_info(&info) != B_OK)
        return 0;
    return (int64_t)info.used_pages * (B_PAGE_SIZE / 1024);
}
#else
int64_t used_memory_kib(void)
{
    return 0;
}
#endif
