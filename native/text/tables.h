// tables.h - what the tokenizer looks up for each character and each pair of pieces.
//
// All of it lies in one block of memory, built from a vocabulary or mapped from a file, and is read in place. A damaged
// block may give wrong ids, but nothing reads outside of it: read_tables checks once what is cheap to check, a look-up
// checks the rest, and the tokenizer checks the ids that it gives out.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "text/vocabulary.h"

namespace gemlet {

inline constexpr std::string_view kSpaceMark = "▁";  // U+2581, a space in pieces

// Two pieces → the piece that they make, and its turn.
class MergeTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  MergeTable(const uint8_t* slots, int bits, View<int32_t> wholes)
      : slots_(slots, size_t{1} << bits), shift_(64 - bits), wholes_(wholes) {}

  // The place of the merge in the list, the lowest being done first; kNone: these two do not merge.
  uint32_t rank(int32_t left, int32_t right) const {
    const uint64_t k = key(left, right);
    size_t i = k * kSpread >> shift_;
    for (size_t probes = 0; probes <= kMaxProbes; ++probes, i = (i + 1) & (slots_.size() - 1)) {
      const uint64_t slot = slots_[i];
      if (slot >> 24 == k) return slot & 0xffffff;
      if (slot == kFree) break;
    }
    return kNone;
  }
  int32_t whole(uint32_t rank) const { return rank < wholes_.size() ? wholes_[rank] : -1; }

  // How many slots `merges` need, as a power of two, and the slots. Throws Error(kWeights) when too many pairs share a
  // hash.
  static int bits_for(size_t merges);
  static void write(const std::vector<Merge>& merges, int bits, uint64_t* slots);

 private:
  static constexpr uint64_t kFree = UINT64_MAX, kSpread = 0x9e3779b97f4a7c15;
  static constexpr size_t kMaxProbes = 1024;
  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 20 | static_cast<uint32_t>(right);
  }

  View<uint64_t> slots_;  // key << 24 | rank; open addressing, at most half full
  int shift_;
  View<int32_t> wholes_;
};

// One character → its piece.
class CharacterTable {
 public:
  static constexpr size_t kPages = 0x1100, kPage = 256;

  CharacterTable(View<uint32_t> pages, View<int32_t> ids) : pages_(pages), ids_(ids) {}
  bool is_sound() const;
  int32_t find(uint32_t code) const { return ids_[pages_[code / kPage] + code % kPage]; }  // -1: there is none

  static void write(const Vocabulary& vocabulary, std::vector<uint32_t>& pages, std::vector<int32_t>& ids);

 private:
  View<uint32_t> pages_;  // of 256 characters each: where they start in ids_; those without a piece share the first
  View<int32_t> ids_;
};

// Which characters stand next to each other in some piece. Two that never do are never merged, so a text may be cut
// between them; an English text falls into words. A character counts by its first or last byte, a space mark as a
// space, so the answer "they do" may be wrong.
class NeighbourTable {
 public:
  static constexpr size_t kBytes = 256 * 256 / 8;

  explicit NeighbourTable(const uint8_t* bits) : bits_(bits) {}

  // How one character is seen from its left and from its right.
  static uint8_t front(std::string_view character) {
    return character == kSpaceMark ? ' ' : static_cast<uint8_t>(character.front());
  }
  static uint8_t back(std::string_view character) {
    return character == kSpaceMark ? ' ' : static_cast<uint8_t>(character.back());
  }
  bool meet(uint8_t back, uint8_t front) const { return bits_[back * 32 + front / 8] >> front % 8 & 1; }

  static void write(const Vocabulary& vocabulary, uint8_t* bits);

 private:
  const uint8_t* bits_;
};

// Id → its piece. The control pieces that have no embedding have the ids from size() on.
class Pieces {
 public:
  Pieces(size_t size, View<uint32_t> begins, const uint8_t* kinds, std::string_view text)
      : size_(size), begins_(begins), kinds_(kinds), text_(text) {}
  bool is_sound() const;

  size_t size() const { return size_; }
  size_t size_with_outside() const { return begins_.size() - 1; }
  bool has(int32_t id) const { return static_cast<size_t>(id) < size_; }  // a negative id is a huge one
  std::string_view piece(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return {text_.data() + begins_[i], begins_[i + 1] - begins_[i]};
  }
  PieceKind kind(int32_t id) const { return static_cast<PieceKind>(kinds_[id]); }
  int32_t find(std::string_view piece) const;  // -1: there is none; looks at all of them

 private:
  size_t size_;
  View<uint32_t> begins_;  // one more than there are pieces
  const uint8_t* kinds_;
  std::string_view text_;  // all pieces end to end
};

// The whole block, and the tables in it.
struct Tables {
  Bytes block;
  MergeTable merges;
  CharacterTable characters;
  NeighbourTable neighbours;
  Pieces pieces;
  int32_t bos, eos;
};

// Throws Error(kWeights) when the block is too short for what it says of itself, or a piece or a page lies outside of
// it. What follows the block is ignored.
Tables read_tables(Bytes block);

// The block for a vocabulary and derive_merges() of it, little-endian. Throws Error(kWeights) as MergeTable::write
// does.
Buffer<uint8_t> build_tables(const Vocabulary& vocabulary, const std::vector<Merge>& merges);

// A block in a file says of what it was built, by a hash. False: of something else, or by another version of gemlet.
void stamp_tables(uint8_t* block, uint64_t source);
bool are_tables_of(Bytes block, uint64_t source);

// The pieces that are found in the raw text: user-defined ones and control pieces.
class RawPieces {
 public:
  struct Match {
    int32_t id = -1;  // from pieces.size() on: a control piece outside of the vocabulary
    uint32_t length = 0;
  };

  explicit RawPieces(const Pieces& pieces);
  bool may_start(char byte) const { return roots_[static_cast<uint8_t>(byte)] != 0; }
  Match longest(const char* p, const char* end, bool control) const;  // that starts at p

 private:
  struct Node {
    uint32_t sibling = 0, child = 0;  // 0: none
    int32_t id = -1;
    char byte = 0;
    bool control = false;
  };
  void add(std::string_view piece, int32_t id, bool control);

  std::array<uint32_t, 256> roots_{};
  std::vector<Node> nodes_ = std::vector<Node>(1);  // the first stands for "none"
};

}  // namespace gemlet
