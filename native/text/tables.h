// tables.h - what the tokenizer looks up for each character and each pair of pieces.   (chapter 4)
#pragma once
#include <array>
#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace gemlet {

inline constexpr std::string_view kSpaceMark = "▁";  // U+2581, a space in pieces

// Two pieces → the piece that they make, and its turn.
class MergeTable {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // Throws Error(kWeights) when too many pairs share a hash.
  explicit MergeTable(const std::vector<Merge>& merges);

  // The place of the merge in the list, the lowest being done first; kNone: these two do not merge.
  uint32_t rank(int32_t left, int32_t right) const;
  int32_t whole(uint32_t rank) const { return wholes_[rank]; }

 private:
  static constexpr uint64_t kFree = UINT64_MAX;
  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 20 | static_cast<uint32_t>(right);
  }
  size_t first_slot(uint64_t key) const { return key * 0x9e3779b97f4a7c15 >> shift_; }

  std::vector<uint64_t> slots_;  // key << 24 | rank; open addressing, at most half full
  int shift_ = 60;
  std::vector<int32_t> wholes_;
};

// One character → its piece.
class CharacterTable {
 public:
  explicit CharacterTable(const Vocabulary& vocabulary);
  int32_t find(uint32_t code) const { return ids_[pages_[code >> 8] + (code & 0xff)]; }  // -1: there is none

 private:
  void set(uint32_t code, int32_t id);

  std::vector<uint32_t> pages_;  // of 256 characters each: where they start in ids_; page 0 is empty and shared
  std::vector<int32_t> ids_;
};

// Which characters stand next to each other in some piece. Two that never do are never merged, so a text may be cut
// between them; an English text falls into words. A character counts by its first or last byte, a space mark as a
// space, so the answer "they do" may be wrong.
class NeighbourTable {
 public:
  explicit NeighbourTable(const Vocabulary& vocabulary);

  // How one character is seen from its left and from its right.
  static uint8_t front(std::string_view character) {
    return character == kSpaceMark ? ' ' : static_cast<uint8_t>(character.front());
  }
  static uint8_t back(std::string_view character) {
    return character == kSpaceMark ? ' ' : static_cast<uint8_t>(character.back());
  }
  bool meet(uint8_t back, uint8_t front) const { return meets_[back][front]; }

 private:
  std::array<std::bitset<256>, 256> meets_;
};

// The pieces that are found in the raw text: user-defined ones and control pieces.
class RawPieces {
 public:
  struct Match {
    int32_t id = -1;  // from vocabulary.size() on: a control piece outside of it
    uint32_t length = 0;
  };

  explicit RawPieces(const Vocabulary& vocabulary);
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
