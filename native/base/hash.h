// hash.h - 64 bits that tell long inputs apart, at the speed of memory.
#pragma once
#include <cstring>

#include "base/bytes.h"

namespace gemlet {

// The same on every machine. Finds accidents: whoever wants two inputs with one hash can make them.
class Hash {
 public:
  // Where one part ends counts: "ab", "c" is not "a", "bc".
  Hash& add(Bytes part) {
    const uint8_t* p = part.data;
    size_t left = part.size;
    for (; left >= kBlock; left -= kBlock, p += kBlock) add_block(p);
    uint8_t tail[kBlock] = {};
    if (left) std::memcpy(tail, p, left);
    add_block(tail);
    return add(part.size);
  }

  Hash& add(uint64_t number) {
    lanes_[0] = mix(lanes_[0] ^ number);
    return *this;
  }

  uint64_t value() const {
    uint64_t value = 0;
    for (const uint64_t lane : lanes_) value = mix(value ^ lane);
    return value;
  }

 private:
  static constexpr size_t kLanes = 4, kBlock = kLanes * sizeof(uint64_t);  // chains that a CPU works on at once

  static uint64_t mix(uint64_t word) {
    word *= 0x9e3779b97f4a7c15;
    return word ^ word >> 32;
  }
  void add_block(const uint8_t* p) {
    for (size_t i = 0; i < kLanes; ++i) lanes_[i] = mix(lanes_[i] ^ load<uint64_t>(p + i * sizeof(uint64_t)));
  }

  uint64_t lanes_[kLanes] = {1, 2, 3, 4};
};

}  // namespace gemlet
