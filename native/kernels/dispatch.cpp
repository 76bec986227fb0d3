// dispatch.cpp - one table for the process. CMake writes the list (gemlet_add_isa).
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "kernels/kernels.h"

#define GEMLET_ISA(isa)       \
  namespace gemlet::isa {     \
  extern const Kernels table; \
  }
#include "isa_list.inc"
#undef GEMLET_ISA

namespace gemlet {
namespace {

const Kernels* const kAll[] = {
#define GEMLET_ISA(isa) &isa::table,
#include "isa_list.inc"
#undef GEMLET_ISA
};

const Kernels* best() {
  const Kernels* best = nullptr;
  for (const Kernels* k : kAll)
    if (k->supported() && (!best || k->rank > best->rank)) best = k;
  return best;
}

}  // namespace

const Kernels* find_kernels(const char* name) {
  for (const Kernels* k : kAll)
    if (!std::strcmp(k->name, name) && k->supported()) return k;
  return nullptr;
}

size_t list_kernels(const Kernels** out, size_t max) {
  size_t n = 0;
  for (const Kernels* k : kAll)
    if (k->supported() && n < max) out[n++] = k;
  return n;
}

const Kernels& default_kernels() {
  const char* forced = std::getenv("GEMLET_ISA");
  if (!forced || !*forced) return *best();
  if (const Kernels* k = find_kernels(forced)) return *k;
  throw Error(Code::kInput,
              std::string("GEMLET_ISA is `") + forced + "`: this CPU cannot run it, or it has no such name");
}

}  // namespace gemlet
