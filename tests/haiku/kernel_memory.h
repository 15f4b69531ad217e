/*
 * kernel_memory.h: how much memory the kernel uses.
 */
#ifndef KERNEL_MEMORY_H
#define KERNEL_MEMORY_H

#include <stdint.h>

/* Returns the KiB of memory in use, caches of files left out. */
int64_t used_memory_kib(void);

#endif
