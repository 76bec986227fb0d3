// vocabulary.cpp - see vocabulary.h.
#include "text/vocabulary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/utf8.h"

namespace gemlet {
namespace {

constexpr size_t kMaxProbes = 1024;  // a longer row of taken slots is no accident: it would make loading quadratic
constexpr size_t kMaxMerges = size_t{1} << 22;

[[noreturn]] void fail(std::string_view piece, const char* fault) {
  throw Error(Code::kWeights, "the vocabulary's piece `" + std::string(front_utf8(piece, 40)) + "` " + fault);
}

uint32_t hash_of(std::string_view text) {
  uint64_t hash = text.size();
  auto mix = [&hash](uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  };
  const char* const p = text.data();
  const size_t n = text.size();
  auto load4 = [p](size_t i) { return load<uint32_t>(reinterpret_cast<const uint8_t*>(p + i)); };
  auto load8 = [p](size_t i) { return load<uint64_t>(reinterpret_cast<const uint8_t*>(p + i)); };
  if (n >= 8) {
    for (size_t i = 0; i + 8 < n; i += 8) mix(load8(i));
    mix(load8(n - 8));
  } else if (n >= 4) {
    mix(uint64_t{load4(0)} << 32 | load4(n - 4));
  } else if (n > 0) {
    auto byte = [&text](size_t i) { return uint64_t{static_cast<uint8_t>(text[i])}; };
    mix(byte(0) << 16 | byte(n / 2) << 8 | byte(n - 1));
  }
  return static_cast<uint32_t>(hash * 0xd6e8feb86659fd93 >> 32);
}

bool starts_character(char byte) { return (static_cast<uint8_t>(byte) & 0xc0) != 0x80; }

}  // namespace

size_t Vocabulary::find_slot(std::string_view text, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask, probes = 0;; i = (i + 1) & mask) {
    if (slots_[i] == kFree) return i;
    if (((slots_[i] ^ hash) & ~kIdMask) == 0 && piece(static_cast<int32_t>(slots_[i] & kIdMask)) == text) return i;
    if (++probes > kMaxProbes) fail(text, "shares its hash with too many others");
  }
}

int32_t Vocabulary::find(std::string_view text) const {
  const uint32_t taken = slots_[find_slot(text, hash_of(text))];
  return taken == kFree ? -1 : static_cast<int32_t>(taken & kIdMask);
}

void Vocabulary::grow() {
  slots_.assign(slots_.size() * 2, kFree);
  for (uint32_t id = 0; id < size(); ++id) {
    const std::string_view text = piece(static_cast<int32_t>(id));
    const uint32_t hash = hash_of(text);
    slots_[find_slot(text, hash)] = (hash & ~kIdMask) | id;
  }
}

void Vocabulary::add(std::string_view text, PieceKind kind, float score) {
  if (size() == kMaxPieces) fail(text, "is one too many");
  if (text.empty() || text.size() > kMaxPieceBytes) fail(text, "is empty or longer than 255 bytes");
  if (find_invalid_utf8(text) != text.size()) fail("number " + std::to_string(size()), "is not UTF-8");
  if (std::isnan(score)) fail(text, "has no score");
  if (slots_.size() < 2 * (size() + 1)) grow();
  const uint32_t hash = hash_of(text);
  uint32_t& slot = slots_[find_slot(text, hash)];
  if (slot != kFree) fail(text, "is there twice");
  slot = (hash & ~kIdMask) | static_cast<uint32_t>(size());
  bytes_.append(text);
  begins_.push_back(static_cast<uint32_t>(bytes_.size()));
  kinds_.push_back(kind);
  scores_.push_back(score);
}

void Vocabulary::add_outside(std::string_view text) {
  if (text.empty() || text.size() > kMaxPieceBytes) fail(text, "is empty or longer than 255 bytes");
  if (find(text) >= 0 || std::find(outside_.begin(), outside_.end(), text) != outside_.end())
    fail(text, "is there twice");
  outside_.emplace_back(text);
}

int byte_of(std::string_view piece) {
  auto digit = [piece](size_t i) { return std::string_view("0123456789ABCDEF").find(piece[i]); };
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  const size_t high = digit(3), low = digit(4);
  return high < 16 && low < 16 ? static_cast<int>(high * 16 + low) : -1;
}

namespace {

// Every prefix of a piece that is a piece is the longest such prefix, or a prefix of that; with suffixes likewise.
// So two links for each piece give all of them: 1.1 million look-ups for the published file, every split takes 2.1.
class Splits {
 public:
  explicit Splits(const Vocabulary& vocabulary);
  int length(int32_t id) const { return lengths_[static_cast<size_t>(id)]; }  // in code points
  void append_merges(int32_t whole, std::vector<Merge>& merges);              // the longest left part first

 private:
  std::vector<uint8_t> lengths_;
  std::vector<int32_t> prefixes_, suffixes_;  // of each piece: the longest that is a piece and not all of it, or -1
  std::array<int32_t, 256> by_length_;        // of the piece at hand: its suffixes
};

Splits::Splits(const Vocabulary& vocabulary) {
  by_length_.fill(-1);
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    const std::string_view piece = vocabulary.piece(id);
    lengths_.push_back(static_cast<uint8_t>(std::count_if(piece.begin(), piece.end(), starts_character)));
    int32_t prefix = -1, suffix = -1;
    for (size_t i = piece.size() - 1; i > 0 && prefix < 0; --i) {
      if (starts_character(piece[i])) prefix = vocabulary.find_merging(piece.substr(0, i));
    }
    for (size_t i = 1; i < piece.size() && suffix < 0; ++i) {
      if (starts_character(piece[i])) suffix = vocabulary.find_merging(piece.substr(i));
    }
    prefixes_.push_back(prefix);
    suffixes_.push_back(suffix);
  }
}

void Splits::append_merges(int32_t whole, std::vector<Merge>& merges) {
  auto after = [](const std::vector<int32_t>& links, int32_t id) { return links[static_cast<size_t>(id)]; };
  auto right_of = [&](int length) -> int32_t& { return by_length_[static_cast<size_t>(length)]; };
  for (int32_t id = after(suffixes_, whole); id >= 0; id = after(suffixes_, id)) right_of(length(id)) = id;
  for (int32_t left = after(prefixes_, whole); left >= 0; left = after(prefixes_, left)) {
    const int32_t right = right_of(length(whole) - length(left));
    if (right >= 0) merges.push_back({left, right, whole});
  }
  for (int32_t id = after(suffixes_, whole); id >= 0; id = after(suffixes_, id)) right_of(length(id)) = -1;
  if (merges.size() > kMaxMerges) throw Error(Code::kWeights, "the vocabulary has more than 2^22 merges");
}

}  // namespace

std::vector<Merge> derive_merges(const Vocabulary& vocabulary) {
  std::vector<int32_t> wholes;
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    if (vocabulary.merges(id)) wholes.push_back(id);
  }
  auto score = [&](size_t i) { return vocabulary.score(wholes[i]); };
  std::stable_sort(wholes.begin(), wholes.end(),
                   [&](int32_t a, int32_t b) { return vocabulary.score(a) > vocabulary.score(b); });

  Splits splits(vocabulary);
  std::vector<Merge> merges;
  for (size_t begin = 0, end = 0; begin < wholes.size(); begin = end) {
    const auto first = static_cast<std::ptrdiff_t>(merges.size());
    while (end < wholes.size() && score(end) == score(begin)) splits.append_merges(wholes[end++], merges);
    if (end == begin + 1) continue;  // those of one piece are in order
    std::stable_sort(merges.begin() + first, merges.end(), [&](const Merge& a, const Merge& b) {
      return std::pair(splits.length(a.left), splits.length(a.right)) >
             std::pair(splits.length(b.left), splits.length(b.right));
    });
  }
  return merges;
}

}  // namespace gemlet
