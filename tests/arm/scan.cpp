// scan.cpp - searches in seeded vectors → the rows and the bits of their scores, without Python: for emulated CPUs.
//
//   scan     prints the instruction set, then a line for each search
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"
#include "scan/scanner.h"

namespace gemlet {
namespace {

constexpr size_t kThreads = 2, kRows = 3000, kEqual = 7;  // every seventh row is equal to the first

// Knuth's MMIX generator; its upper bits are the good ones.
struct Random {
  uint64_t state = 1;
  int32_t next() {
    state = state * 6364136223846793005 + 1442695040888963407;
    return static_cast<int32_t>(static_cast<uint32_t>(state >> 32));
  }
};

struct Data {
  std::vector<int8_t> codes;
  std::vector<float> scales, query;
  std::vector<uint8_t> bits, query_bits, allowed;

  explicit Data(size_t dim) : codes(kRows * dim), scales(kRows), query(dim), bits(kRows * dim / 8) {
    Random random;
    for (int8_t& code : codes) code = static_cast<int8_t>(random.next() >> 24);
    for (size_t row = 0; row < kRows; row += kEqual) std::memcpy(&codes[row * dim], codes.data(), dim);
    for (float& scale : scales) scale = 1.0f + static_cast<float>(random.next() & 3);
    for (float& x : query) x = static_cast<float>(random.next()) * 0x1p-31f;
    for (uint8_t& byte : bits) byte = static_cast<uint8_t>(random.next() >> 24);
    query_bits.assign(bits.begin(), bits.begin() + static_cast<ptrdiff_t>(dim / 8));
    for (size_t i = 0; i < (kRows + 7) / 8; ++i) allowed.push_back(static_cast<uint8_t>(random.next() >> 24));
  }
};

void print(const std::vector<Hit>& hits) {
  for (const Hit& hit : hits) {
    uint32_t bits;
    std::memcpy(&bits, &hit.score, sizeof bits);
    std::printf("%lld:%08x ", static_cast<long long>(hit.row), bits);
  }
  std::printf("\n");
}

void print(const std::vector<Near>& rows) {
  for (const Near& near : rows) std::printf("%lld:%d ", static_cast<long long>(near.row), near.distance);
  std::printf("\n");
}

void search(const Scanner& scanner, size_t dim) {
  const Data data(dim);
  for (const uint8_t* allowed : {static_cast<const uint8_t*>(nullptr), data.allowed.data()}) {
    const Vectors vectors{kRows, dim, data.codes.data(), data.scales.data(), data.bits.data(), allowed};
    for (const size_t k : {size_t{1}, size_t{10}, kRows}) {
      print(scanner.int8(vectors, data.query.data(), k));
      print(scanner.binary(vectors, data.query_bits.data(), k));
      print(scanner.rescored(vectors, data.query_bits.data(), data.query.data(), k, 2 * k));
    }
  }
}

}  // namespace
}  // namespace gemlet

int main() {
  const gemlet::Scanner scanner(gemlet::kThreads, gemlet::default_kernels());
  std::printf("%s\n", scanner.kernels().name);
  for (const size_t dim : {32, 96, 128, 768, 4096}) gemlet::search(scanner, dim);
}
