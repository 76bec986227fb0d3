// avxvnni.cpp - AVX2 and the dot product of bytes: Alder Lake (2021), Zen 5 (2024) and later.
#include <cpuid.h>
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avxvnni {

// Not by name: clang 14 does not know it.   Source: Intel SDM, CPUID leaf 7, subleaf 1, bit 4 of EAX
static bool has_avxvnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1);
}

static bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_avxvnni(); }

#include "kernels/avx2.inl"

GEMLET_TABLE("avxvnni", 30, supported);

}  // namespace gemlet::avxvnni
