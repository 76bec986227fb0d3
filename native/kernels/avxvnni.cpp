// avxvnni.cpp - AVX2 and the dot product of bytes: Alder Lake (2021), Zen 5 (2024) and later.   (chapter 2)
#include <immintrin.h>

#include "kernels/kernels.h"

namespace gemlet::avxvnni {

static bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avxvnni");
}

#include "kernels/avx2.inl"

GEMLET_TABLE("avxvnni", 30, supported);

}  // namespace gemlet::avxvnni
