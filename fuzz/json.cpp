// json.cpp - any bytes as JSON: refused, or read to one spelling that reads back as itself.
#include "base/json.h"

#include <cstdint>

#include "base/error.h"

namespace {

std::string compact(std::string_view text) {
  gemlet::JsonReader reader({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, "fuzz");
  std::string spelling = reader.read_compact();
  reader.finish();
  return spelling;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string spelling;
  try {
    spelling = compact(gemlet::Bytes{data, size}.text());
  } catch (const gemlet::Error&) {
    return 0;
  }
  if (compact(spelling) != spelling) __builtin_trap();
  return 0;
}
