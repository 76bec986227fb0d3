// neon.cpp - 128-bit vectors: every 64-bit ARM, Cortex-A53 (2012) to A76.
#include <arm_neon.h>

#include "kernels/kernels.h"

namespace gemlet::neon {

static bool supported() { return true; }

#include "kernels/neon.inl"

GEMLET_TABLE("neon", 20, supported);

}  // namespace gemlet::neon
