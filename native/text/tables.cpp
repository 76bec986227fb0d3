// tables.cpp - see tables.h.
#include "text/tables.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace gemlet {
namespace {

// In front of the tables. A change of anything that a block holds changes kFormat.
struct Header {
  uint64_t format;
  uint64_t source;  // a hash of what the tables were built from
  uint32_t pieces, outside;
  int32_t bos, eos;
  uint32_t slot_bits, merges, characters, text;
  uint64_t unused[2];
};
static_assert(sizeof(Header) == 64);
constexpr uint64_t kFormat = 0x31656c6261746b74;  // "tktable1"
constexpr uint32_t kMaxSlotBits = 32;

// Where each table begins in the block; the widest numbers come first, so that all lie aligned in an aligned block.
struct Layout {
  explicit Layout(const Header& h) {
    slots = place(size_t{1} << h.slot_bits, sizeof(uint64_t));
    wholes = place(h.merges, sizeof(int32_t));
    begins = place(pieces_of(h) + 1, sizeof(uint32_t));
    pages = place(CharacterTable::kPages, sizeof(uint32_t));
    characters = place(h.characters, sizeof(int32_t));
    neighbours = place(NeighbourTable::kBytes, 1);
    kinds = place(pieces_of(h), 1);
    text = place(h.text, 1);
  }
  static size_t pieces_of(const Header& h) { return size_t{h.pieces} + h.outside; }

  size_t slots, wholes, begins, pages, characters, neighbours, kinds, text;
  size_t end = sizeof(Header);

 private:
  size_t place(size_t count, size_t size) { return std::exchange(end, end + count * size); }
};

[[noreturn]] void fail() { throw Error(Code::kWeights, "the tokenizer's tables are damaged: write the file again"); }

// Number i of those that begin at `numbers`.
template <typename T>
void store(uint8_t* numbers, size_t i, T value) {
  std::memcpy(numbers + i * sizeof value, &value, sizeof value);
}

// use(piece, kind), those outside of the vocabulary last.
template <typename Use>
void for_each_piece(const Vocabulary& vocabulary, Use use) {
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    use(vocabulary.piece(id), vocabulary.kind(id));
  }
  for (const std::string& piece : vocabulary.outside()) use(piece, PieceKind::kControl);
}

Header header_of(Bytes block) {
  if (block.size < sizeof(Header)) fail();
  const auto header = load<Header>(block.data);
  if (header.format != kFormat || header.slot_bits < 1 || header.slot_bits > kMaxSlotBits ||
      header.pieces > Vocabulary::kMaxPieces || header.outside > Vocabulary::kMaxPieces ||
      Layout(header).end > block.size) {
    fail();
  }
  return header;
}

}  // namespace

int MergeTable::bits_for(size_t merges) {
  int bits = 4;
  while (size_t{1} << bits < 2 * merges) ++bits;
  return bits;
}

void MergeTable::write(const std::vector<Merge>& merges, int bits, uint64_t* slots) {
  const size_t mask = (size_t{1} << bits) - 1;
  std::fill_n(slots, mask + 1, kFree);
  for (uint64_t rank = 0; rank < merges.size(); ++rank) {
    const uint64_t k = key(merges[rank].left, merges[rank].right);
    size_t i = k * kSpread >> (64 - bits), probes = 0;
    for (; slots[i] != kFree; i = (i + 1) & mask) {
      if (++probes > kMaxProbes) throw Error(Code::kWeights, "too many merges share a hash");
    }
    slots[i] = k << 24 | rank;
  }
}

bool CharacterTable::is_sound() const {
  bool sound = ids_.size() >= kPage;
  for (size_t i = 0; i < pages_.size(); ++i) sound &= size_t{pages_[i]} + kPage <= ids_.size();
  return sound;
}

void CharacterTable::write(const Vocabulary& vocabulary, std::vector<uint32_t>& pages, std::vector<int32_t>& ids) {
  pages.assign(kPages, 0);
  ids.assign(kPage, -1);
  auto set = [&](uint32_t code, int32_t id) {
    uint32_t& page = pages[code / kPage];
    if (page == 0) {
      page = static_cast<uint32_t>(ids.size());
      ids.resize(ids.size() + kPage, -1);
    }
    ids[page + code % kPage] = id;
  };
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    const std::string_view piece = vocabulary.piece(id);
    const Utf8Char c = decode_utf8(piece.data(), piece.data() + piece.size());
    if (c.length == piece.size() && vocabulary.merges(id)) set(c.code, id);
  }
  set(' ', vocabulary.find_merging(kSpaceMark));
}

void NeighbourTable::write(const Vocabulary& vocabulary, uint8_t* bits) {
  std::fill_n(bits, kBytes, uint8_t{0});
  for (int32_t id = 0; id < static_cast<int32_t>(vocabulary.size()); ++id) {
    if (!vocabulary.merges(id)) continue;
    const std::string_view piece = vocabulary.piece(id);
    std::string_view last;
    for (size_t i = 0; i < piece.size(); i += last.size()) {
      const std::string_view next = piece.substr(i, decode_utf8(&piece[i], piece.data() + piece.size()).length);
      if (i > 0) bits[back(last) * 32 + front(next) / 8] |= static_cast<uint8_t>(1 << front(next) % 8);
      last = next;
    }
  }
}

bool Pieces::is_sound() const {
  const size_t count = size_with_outside();
  bool sound = begins_[0] == 0 && begins_[count] == text_.size();
  for (size_t i = 0; i < count; ++i) sound &= begins_[i] < begins_[i + 1];
  for (size_t i = 0; i < count; ++i) sound &= kinds_[i] <= static_cast<uint8_t>(PieceKind::kByte);
  return sound;
}

int32_t Pieces::find(std::string_view piece) const {
  for (int32_t id = 0; has(id); ++id) {
    if (this->piece(id) == piece) return id;
  }
  return -1;
}

Tables read_tables(Bytes block) {
  const Header h = header_of(block);
  const Layout at(h);
  const uint8_t* const p = block.data;
  const Tables tables{
      {p, at.end},
      MergeTable(p + at.slots, static_cast<int>(h.slot_bits), {p + at.wholes, h.merges}),
      CharacterTable({p + at.pages, CharacterTable::kPages}, {p + at.characters, h.characters}),
      NeighbourTable(p + at.neighbours),
      Pieces(h.pieces, {p + at.begins, Layout::pieces_of(h) + 1}, p + at.kinds, Bytes{p + at.text, h.text}.text()),
      h.bos,
      h.eos,
  };
  if (!tables.characters.is_sound() || !tables.pieces.is_sound()) fail();
  return tables;
}

Buffer<uint8_t> build_tables(const Vocabulary& vocabulary, const std::vector<Merge>& merges) {
  std::vector<uint32_t> pages;
  std::vector<int32_t> characters;
  CharacterTable::write(vocabulary, pages, characters);

  auto count = [](const auto& values) { return static_cast<uint32_t>(values.size()); };
  Header h{kFormat, 0, count(vocabulary), count(vocabulary.outside()), vocabulary.bos, vocabulary.eos, 0, 0, 0, 0, {}};
  h.slot_bits = static_cast<uint32_t>(MergeTable::bits_for(merges.size()));
  h.merges = count(merges);
  h.characters = count(characters);
  for_each_piece(vocabulary,
                 [&h](std::string_view piece, PieceKind) { h.text += static_cast<uint32_t>(piece.size()); });

  const Layout at(h);
  Buffer<uint8_t> block(at.end);
  uint8_t* const p = block.data();
  std::memcpy(p, &h, sizeof h);
  MergeTable::write(merges, static_cast<int>(h.slot_bits), reinterpret_cast<uint64_t*>(p + at.slots));
  for (size_t rank = 0; rank < merges.size(); ++rank) store(p + at.wholes, rank, merges[rank].whole);
  std::memcpy(p + at.pages, pages.data(), pages.size() * sizeof pages[0]);
  std::memcpy(p + at.characters, characters.data(), characters.size() * sizeof characters[0]);
  NeighbourTable::write(vocabulary, p + at.neighbours);
  uint32_t id = 0, begin = 0;
  store(p + at.begins, 0, begin);
  for_each_piece(vocabulary, [&](std::string_view piece, PieceKind kind) {
    std::memcpy(p + at.text + begin, piece.data(), piece.size());
    begin += static_cast<uint32_t>(piece.size());
    store(p + at.kinds, id, kind);
    store(p + at.begins, ++id, begin);
  });
  return block;
}

void stamp_tables(uint8_t* block, uint64_t source) {
  std::memcpy(block + offsetof(Header, source), &source, sizeof source);
}

bool are_tables_of(Bytes block, uint64_t source) {
  if (block.size < sizeof(Header)) return false;
  const auto header = load<Header>(block.data);
  return header.format == kFormat && header.source == source;
}

RawPieces::RawPieces(const Pieces& pieces) {
  auto add_if_raw = [&](int32_t id) {
    const PieceKind kind = pieces.kind(id);
    if (kind != PieceKind::kUserDefined && kind != PieceKind::kControl) return;
    if (find_invalid_utf8(pieces.piece(id)) != pieces.piece(id).size()) fail();
    add(pieces.piece(id), id, kind == PieceKind::kControl);
  };
  for (size_t id = 0; id < pieces.size_with_outside(); ++id) add_if_raw(static_cast<int32_t>(id));
}

void RawPieces::add(std::string_view piece, int32_t id, bool control) {
  uint32_t parent = 0, node = roots_[static_cast<uint8_t>(piece[0])];
  for (const char byte : piece) {
    while (node && nodes_[node].byte != byte) node = nodes_[node].sibling;
    if (!node) {
      node = static_cast<uint32_t>(nodes_.size());
      uint32_t& head = parent ? nodes_[parent].child : roots_[static_cast<uint8_t>(byte)];
      nodes_.push_back({std::exchange(head, node), 0, -1, byte, false});
    }
    parent = node;
    node = nodes_[node].child;
  }
  nodes_[parent].id = id;
  nodes_[parent].control = control;
}

RawPieces::Match RawPieces::longest(const char* p, const char* end, bool control) const {
  Match match;
  const char* at = p;
  for (uint32_t node = roots_[static_cast<uint8_t>(*p)]; at != end; node = nodes_[node].child) {
    while (node && nodes_[node].byte != *at) node = nodes_[node].sibling;
    if (!node) break;
    ++at;
    if (nodes_[node].id >= 0 && (control || !nodes_[node].control)) {
      match = {nodes_[node].id, static_cast<uint32_t>(at - p)};
    }
  }
  return match;
}

}  // namespace gemlet
