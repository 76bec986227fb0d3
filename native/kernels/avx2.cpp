// avx2.cpp - 256-bit vectors with fused multiply-add: Haswell (2013), Zen (2017) and later.
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avx2 {

static bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

#include "kernels/avx2.inl"

GEMLET_TABLE("avx2", 20, supported);

}  // namespace gemlet::avx2
