// heap.h - memory that was freed goes back to the system.
#pragma once
#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace gemlet {

// glibc keeps large blocks once one was freed, as its thresholds grow; others give them back by themselves.
inline void give_back_freed_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace gemlet
