// neoni8mm.cpp - and that of unsigned by signed bytes: Neoverse V1 and N2, Apple M2 (2022) and later.
#include <arm_neon.h>

#include "kernels/arm.h"
#include "kernels/kernels.h"

namespace gemlet::neoni8mm {

static bool supported() { return arm_has_dotprod() && arm_has_i8mm(); }

#include "kernels/neon.inl"

GEMLET_TABLE("neoni8mm", 40, supported);

}  // namespace gemlet::neoni8mm
