// allowed.h - which rows a search may find, one bit for each.
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gemlet {

// A view of the caller's bits, row i at bit i % 8 of byte i / 8; without any, every row is allowed.
class Allowed {
 public:
  Allowed(const uint8_t* bits, size_t rows) : bits_(bits), rows_(rows) {}

  // f(from, to) for each run of allowed rows in [begin, end), in order.
  template <typename F>
  void each_run(size_t begin, size_t end, F f) const {
    if (!bits_) return f(begin, end);
    for (size_t at = begin; (at = next(at, end, 0)) < end;) {
      const size_t from = at;
      at = next(at, end, ~uint64_t{0});
      f(from, at);
    }
  }

  size_t count() const {
    size_t total = 0;
    each_run(0, rows_, [&](size_t from, size_t to) { total += to - from; });
    return total;
  }

 private:
  // The first row from `at` on whose bit is set, or clear where `flip` is all ones; `end` if there is none before.
  size_t next(size_t at, size_t end, uint64_t flip) const {
    constexpr size_t kBits = 64;
    while (at < end) {
      const uint64_t word = (load(at / kBits) ^ flip) >> at % kBits;
      if (word) return std::min(end, at + static_cast<size_t>(std::countr_zero(word)));
      at = (at / kBits + 1) * kBits;
    }
    return end;
  }

  uint64_t load(size_t word) const {
    const size_t begin = word * sizeof(uint64_t), bytes = (rows_ + 7) / 8;
    uint64_t value = 0;
    std::memcpy(&value, bits_ + begin, std::min(sizeof value, bytes - begin));
    return value;
  }

  const uint8_t* bits_;
  size_t rows_;
};

}  // namespace gemlet
