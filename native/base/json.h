// json.h - the JSON we read: bytes → values, strictly.
//
// The reader is pulled through a file from front to back and keeps nothing of it, so 33 MB cost no memory.
// Strict means RFC 8259 and nothing more: valid UTF-8, no lone surrogate, nothing after the end, at most
// JsonReader::kMaxDepth containers inside each other. Every fault is an Error(kWeights) with its byte offset.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace gemlet {

// A number as it is spelled; what we read holds no other numbers than integers.
struct JsonNumber {
  uint64_t magnitude = 0;  // of an integer
  bool negative = false;
  bool is_integer = false;  // no fraction, no exponent, and magnitude < 2^64
};

//   reader.enter_object();
//   while (reader.next_key()) { if (reader.key() == "n") n = reader.read_number(); else reader.read_compact(); }
//   reader.finish();
// Each value must be read exactly once. Only read_compact refuses duplicate keys: elsewhere the caller knows the names.
class JsonReader {
 public:
  static constexpr size_t kMaxDepth = 64;

  // `what` names the document in messages; it must outlive the reader, as the text must.
  JsonReader(Bytes text, std::string_view what)
      : begin_(text.text().data()), at_(begin_), end_(begin_ + text.size), what_(what) {}

  void enter_object();
  bool next_key();                               // false: the object has ended
  std::string_view key() const { return key_; }  // until the next call of next_key
  void enter_array();
  bool next_element();  // false: the array has ended

  // The text, unescaped; it lies in the document or in the reader, and lasts until the next call of any member.
  std::string_view read_string();
  JsonNumber read_number();
  // Any value as text in one spelling - no white space, an object's keys sorted - so that equal values are equal texts.
  std::string read_compact();

  void finish();  // throws unless only white space is left

  size_t offset() const { return static_cast<size_t>(at_ - begin_); }
  [[noreturn]] void fail(std::string_view fault) const;

 private:
  void skip_space();
  bool at(char c) const { return at_ != end_ && *at_ == c; }
  bool at_digit() const { return at_ != end_ && *at_ >= '0' && *at_ <= '9'; }
  void take(std::string_view word);
  void enter(char open);
  bool next(char close);
  std::string_view take_string(std::string& scratch);
  void take_escape(std::string& out);
  uint32_t take_hex4();
  void take_digits();

  const char* begin_;
  const char* at_;
  const char* end_;
  std::string_view what_;
  size_t depth_ = 0;
  bool first_ = false;  // the innermost container has just been entered
  std::string_view key_;
  std::string key_scratch_, string_scratch_;
};

}  // namespace gemlet
