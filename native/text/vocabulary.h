// vocabulary.h - the pieces a text is cut into, and which two of them make a third: what the tables are built from.
//
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gemlet {

enum class PieceKind : uint8_t {
  kNormal,       // made by merging
  kUserDefined,  // found in the raw text before anything else, such as "<h1>" or ten line breaks
  kControl,      // no text, such as <eos>; found in the raw text when asked for
  kByte,         // "<0x41>": one byte of a character that has no piece
};

// Pieces under their ids 0, 1, 2, ... in the order they were added, and control pieces that have no embedding.
class Vocabulary {
 public:
  static constexpr size_t kMaxPieces = (size_t{1} << 20) - 1;
  static constexpr size_t kMaxPieceBytes = 255;

  int32_t bos = -1, eos = -1;

  // The next piece; of two candidates the one with the higher score is merged first.
  // Throws Error(kWeights) when it is there already, empty, too long or not UTF-8.
  void add(std::string_view piece, PieceKind kind, float score);
  // A control piece whose id, size() and up, has no row in the embedding table. Call after the last add().
  void add_outside(std::string_view piece);

  size_t size() const { return kinds_.size(); }
  std::string_view piece(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return {bytes_.data() + begins_[i], begins_[i + 1] - begins_[i]};
  }
  PieceKind kind(int32_t id) const { return kinds_[static_cast<size_t>(id)]; }
  float score(int32_t id) const { return scores_[static_cast<size_t>(id)]; }
  int32_t find(std::string_view piece) const;  // -1: there is none
  const std::vector<std::string>& outside() const { return outside_; }

  // Takes part in merging.
  bool merges(int32_t id) const { return kind(id) == PieceKind::kNormal || kind(id) == PieceKind::kUserDefined; }
  int32_t find_merging(std::string_view piece) const {
    const int32_t id = find(piece);
    return id >= 0 && merges(id) ? id : -1;
  }

 private:
  // A slot holds an id in its low 20 bits and part of the piece's hash above.
  static constexpr uint32_t kFree = UINT32_MAX, kIdMask = 0xfffff;
  size_t find_slot(std::string_view piece, uint32_t hash) const;  // the piece's slot, or the free one to put it in
  void grow();

  std::string bytes_;  // all pieces end to end
  std::vector<uint32_t> begins_ = {0};
  std::vector<PieceKind> kinds_;
  std::vector<float> scores_;
  std::vector<uint32_t> slots_ = std::vector<uint32_t>(16, kFree);  // open addressing, at most half full
  std::vector<std::string> outside_;
};

// Which byte a byte piece stands for: "<0x41>" → 0x41; -1: it does not spell one.
int byte_of(std::string_view piece);

struct Merge {
  int32_t left, right, whole;
};

// Every way to make a piece out of two, the one to be done first in front:
// by the score of the whole (high first), then the length of the left part, then of the right part in code points
// (long first), then the whole's id. This is the order that Hugging Face's conversion gives a SentencePiece model.
// Throws Error(kWeights) when there are more than 2^22.
std::vector<Merge> derive_merges(const Vocabulary& vocabulary);

}  // namespace gemlet
