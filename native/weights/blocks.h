// blocks.h - ggml's other blocks of numbers: for each a struct, little-endian as files hold it, and its element i.
//
//
// Integers of a few bits times half-precision scales, in blocks of 32 or in super-blocks of 256 whose parts have small
// integers as scales of their own.   Source of the layouts: ggml, ggml-common.h and dequantize_row_*
// All products but those of IQ4_XS are exact in float32, and each number is rounded once: no order can differ.
#pragma once
#include <cstddef>
#include <cstdint>

#include "weights/f16.h"

namespace gemlet {

// Field `index` of `bits` bits in a number.
inline int field(unsigned number, size_t bits, size_t index) {
  return static_cast<int>(number >> (bits * index) & ((1u << bits) - 1));
}

// Bytes of halves: the first 16 numbers below, the next 16 above.
inline int nibble(const uint8_t* halves, size_t i) { return field(halves[i % 16], 4, i / 16); }

struct BlockQ4_1 {
  static constexpr size_t kSize = 32;
  uint16_t scale, least;  // f16
  uint8_t low[16];

  float at(size_t i) const { return f16_to_f32(scale) * static_cast<float>(nibble(low, i)) + f16_to_f32(least); }
};

struct BlockQ5_0 {
  static constexpr size_t kSize = 32;
  uint16_t scale;
  uint8_t high[4], low[16];  // high: bit 4 of number i is bit i

  float at(size_t i) const {
    return f16_to_f32(scale) * static_cast<float>(nibble(low, i) + 16 * field(high[i / 8], 1, i % 8) - 16);
  }
};

struct BlockQ5_1 {
  static constexpr size_t kSize = 32;
  uint16_t scale, least;
  uint8_t high[4], low[16];

  float at(size_t i) const {
    const int steps = nibble(low, i) + 16 * field(high[i / 8], 1, i % 8);
    return f16_to_f32(scale) * static_cast<float>(steps) + f16_to_f32(least);
  }
};

// In super-blocks two bits of 128 numbers share 32 bytes, and four bits of 64 numbers.
inline int two_bits(const uint8_t* bytes, size_t i) { return field(bytes[i / 128 * 32 + i % 32], 2, i % 128 / 32); }
inline int four_bits(const uint8_t* bytes, size_t i) { return field(bytes[i / 64 * 32 + i % 32], 4, i % 64 / 32); }

struct BlockQ2_K {
  static constexpr size_t kSize = 256;
  uint8_t scales[16];  // of 16 numbers each: below the scale, above the offset
  uint8_t low[64];
  uint16_t scale, offset;

  float at(size_t i) const {
    const int part = field(scales[i / 16], 4, 0), down = field(scales[i / 16], 4, 1);
    return f16_to_f32(scale) * static_cast<float>(part * two_bits(low, i)) -
           f16_to_f32(offset) * static_cast<float>(down);
  }
};

struct BlockQ3_K {
  static constexpr size_t kSize = 256;
  uint8_t high[32];  // bit 2 of number i is bit i / 32 of byte i % 32
  uint8_t low[64];
  uint8_t scales[12];  // 16 numbers of 6 bits: of 0..7 and 8..15 the lower four share 8 bytes, the upper two follow
  uint16_t scale;

  float at(size_t i) const {
    const size_t s = i / 16;
    const int part = field(scales[s % 8], 4, s / 8) + 16 * field(scales[8 + s % 4], 2, s / 4) - 32;
    return f16_to_f32(scale) * static_cast<float>(part * (two_bits(low, i) + 4 * field(high[i % 32], 1, i / 32) - 4));
  }
};

// Scales and offsets of 8 parts of 32 numbers, 6 bits each, in 12 bytes: of parts 0..3 whole, four bytes of scales and
// four of offsets; of parts 4..7 the lower four bits in the last four bytes, the upper two above those of parts 0..3.
struct PartsOf6Bits {
  uint8_t bytes[12];

  int scale(size_t part) const { return part < 4 ? bytes[part] & 63 : upper(part, 0, part - 4); }
  int offset(size_t part) const { return part < 4 ? bytes[part + 4] & 63 : upper(part, 1, part); }
  // Into zeros.
  void put(size_t part, unsigned scale, unsigned offset) {
    if (part >= 4) bytes[part + 4] = static_cast<uint8_t>((scale & 15) | (offset & 15) << 4);
    bytes[part % 4] |= static_cast<uint8_t>(part < 4 ? scale : scale >> 4 << 6);
    bytes[part % 4 + 4] |= static_cast<uint8_t>(part < 4 ? offset : offset >> 4 << 6);
  }

 private:
  int upper(size_t part, size_t half, size_t above) const {
    return field(bytes[part + 4], 4, half) + 16 * field(bytes[above], 2, 3);
  }
};

struct BlockQ4_K {
  static constexpr size_t kSize = 256;
  uint16_t scale, offset;
  PartsOf6Bits parts;
  uint8_t low[128];

  float at(size_t i) const {
    return f16_to_f32(scale) * static_cast<float>(parts.scale(i / 32) * four_bits(low, i)) -
           f16_to_f32(offset) * static_cast<float>(parts.offset(i / 32));
  }
};

struct BlockQ5_K {
  static constexpr size_t kSize = 256;
  uint16_t scale, offset;
  PartsOf6Bits parts;
  uint8_t high[32];  // bit 4 of number i is bit i / 32 of byte i % 32
  uint8_t low[128];

  float at(size_t i) const {
    const int steps = four_bits(low, i) + 16 * field(high[i % 32], 1, i / 32);
    return f16_to_f32(scale) * static_cast<float>(parts.scale(i / 32) * steps) -
           f16_to_f32(offset) * static_cast<float>(parts.offset(i / 32));
  }
  void put(size_t i, unsigned steps) {
    low[i / 64 * 32 + i % 32] |= static_cast<uint8_t>((steps & 15) << (i % 64 / 32 * 4));
    high[i % 32] |= static_cast<uint8_t>(steps >> 4 << (i / 32));
  }
};

// What four bits stand for, closer together near zero.   Source: ggml, kvalues_iq4nl
inline constexpr int kUneven[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct BlockIQ4_NL {
  static constexpr size_t kSize = 32;
  uint16_t scale;
  uint8_t low[16];

  float at(size_t i) const { return f16_to_f32(scale) * static_cast<float>(kUneven[nibble(low, i)]); }
};

struct BlockIQ4_XS {
  static constexpr size_t kSize = 256;
  uint16_t scale, scales_high;  // two bits of each part's scale
  uint8_t scales_low[4];        // the four below
  uint8_t low[128];

  float at(size_t i) const {
    const size_t part = i / 32;
    const int own = field(scales_low[part / 2], 4, part % 2) + 16 * field(scales_high, 2, part) - 32;
    return f16_to_f32(scale) * static_cast<float>(own * kUneven[nibble(low + 16 * part, i % 32)]);
  }
};

static_assert(sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockIQ4_NL) == 18 && sizeof(BlockIQ4_XS) == 136);

}  // namespace gemlet
