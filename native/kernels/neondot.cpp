// neondot.cpp - and the dot product of bytes: Neoverse N1 (2019), Raspberry Pi 5, Apple M1 (2020).
#include <arm_neon.h>

#include "kernels/arm.h"
#include "kernels/kernels.h"

namespace gemlet::neondot {

static bool supported() { return arm_has_dotprod(); }

#include "kernels/neon.inl"

GEMLET_TABLE("neondot", 30, supported);

}  // namespace gemlet::neondot
