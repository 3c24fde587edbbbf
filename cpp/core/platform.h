#pragma once

#include <cstddef>

/// Everything that only POSIX offers stands behind these functions, in platform.cpp.
namespace whet::platform {

/// Processors this process may use: the affinity mask, cut by the cgroup's quota (rounded up). At least 1.
int available_processors();

void advise_huge_pages(void* memory, size_t bytes);

/// Calls `in_child` in the child after every fork. The handlers stay registered for the life of the process.
void after_fork_in_child(void (*in_child)());

/// Tells the processor that this is a spin loop.
void relax();

}  // namespace whet::platform
