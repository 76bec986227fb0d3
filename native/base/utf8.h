// utf8.h - one character of UTF-8 at a time.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace gemlet {

struct Utf8Char {
  uint32_t code;    // U+FFFD when invalid
  uint32_t length;  // bytes it takes; of an invalid one: the longest prefix of a valid character, at least 1
  bool valid;
};

// The character that starts at p; p < end. Well-formed as Unicode 15, table 3-7 says: no surrogate, no overlong form.
inline Utf8Char decode_utf8(const char* p, const char* end) {
  auto byte = [p](size_t i) { return static_cast<uint8_t>(p[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  if (lead < 0xc2 || lead > 0xf4) return {0xfffd, 1, false};
  const uint32_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The lead byte narrows what the second may be.
  const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  uint32_t code = lead & (0x7fu >> length);
  for (uint32_t i = 1; i < length; ++i) {
    if (p + i == end || byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xbf)) return {0xfffd, i, false};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  return {code, length, true};
}

inline void append_utf8(std::string& out, uint32_t code) {
  auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xe0 | code >> 12);
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
    }
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

// The first byte that is not part of well-formed UTF-8; text.size() when all is well.
inline size_t find_invalid_utf8(std::string_view text) {
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p != end;) {
    const Utf8Char c = decode_utf8(p, end);
    if (!c.valid) return static_cast<size_t>(p - text.data());
    p += c.length;
  }
  return text.size();
}

// At most `size` bytes from the front of well-formed UTF-8, and no part of a character.
inline std::string_view front_utf8(std::string_view text, size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<uint8_t>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace gemlet
