// arm.cpp - see arm.h. An application may not ask an ARM itself.
#include "kernels/arm.h"

#if defined(__APPLE__)
#include <sys/sysctl.h>

#include <cstddef>
#elif defined(_WIN32)
#include <windows.h>
#else
#include <sys/auxv.h>
#endif

namespace gemlet {

#if defined(__APPLE__)

static bool has(const char* feature) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(feature, &value, &size, nullptr, 0) == 0 && value != 0;
}
bool arm_has_dotprod() { return has("hw.optional.arm.FEAT_DotProd"); }
bool arm_has_i8mm() { return has("hw.optional.arm.FEAT_I8MM"); }

#elif defined(_WIN32)

// By number: older headers lack the names PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE, PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE.
bool arm_has_dotprod() { return IsProcessorFeaturePresent(43); }
bool arm_has_i8mm() { return IsProcessorFeaturePresent(66); }

#else

// Source: Linux, arch/arm64/include/uapi/asm/hwcap.h, HWCAP_ASIMDDP and HWCAP2_I8MM
bool arm_has_dotprod() { return getauxval(AT_HWCAP) >> 20 & 1; }
bool arm_has_i8mm() { return getauxval(AT_HWCAP2) >> 13 & 1; }

#endif

}  // namespace gemlet
