// json.cpp - see json.h.
#include "base/json.h"

#include <charconv>
#include <map>

#include "base/error.h"
#include "base/utf8.h"

namespace gemlet {
namespace {

std::string quote(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (static_cast<uint8_t>(c) < 0x20) {
      out.append("\\u00").append({kHex[c >> 4], kHex[c & 15]});
    } else {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
  }
  return out.append("\"");
}

}  // namespace

void JsonReader::fail(std::string_view fault) const {
  throw Error(Code::kWeights, std::string(what_) + ", byte " + std::to_string(offset()) + ": " + std::string(fault));
}

void JsonReader::skip_space() {
  while (at(' ') || at('\n') || at('\r') || at('\t')) ++at_;
}

void JsonReader::take(std::string_view word) {
  if (static_cast<size_t>(end_ - at_) < word.size() || std::string_view(at_, word.size()) != word) {
    fail("expected `" + std::string(word) + "`");
  }
  at_ += word.size();
}

void JsonReader::enter(char open) {
  skip_space();
  take({&open, 1});
  if (++depth_ > kMaxDepth) fail("more than " + std::to_string(kMaxDepth) + " levels");
  first_ = true;
}

bool JsonReader::next(char close) {
  skip_space();
  const bool ended = at(close);
  if (ended) {
    ++at_;
    --depth_;
  } else if (!first_) {
    take(",");
    skip_space();
    if (at(close)) fail("a comma before the end");
  }
  first_ = false;
  return !ended;
}

void JsonReader::enter_object() { enter('{'); }
void JsonReader::enter_array() { enter('['); }
bool JsonReader::next_element() { return next(']'); }

bool JsonReader::next_key() {
  if (!next('}')) return false;
  key_ = take_string(key_scratch_);
  skip_space();
  take(":");
  return true;
}

std::string_view JsonReader::read_string() {
  skip_space();
  return take_string(string_scratch_);
}

std::string_view JsonReader::take_string(std::string& scratch) {
  take("\"");
  scratch.clear();
  bool escaped = false;
  for (const char* run = at_;;) {
    while (at_ != end_ && *at_ >= 0x20 && *at_ != '"' && *at_ != '\\' && static_cast<uint8_t>(*at_) < 0x80) ++at_;
    if (at_ == end_) fail("the text ends inside a string");
    const std::string_view plain(run, static_cast<size_t>(at_ - run));
    if (*at_ == '"') {
      ++at_;
      return escaped ? std::string_view(scratch.append(plain)) : plain;
    }
    if (*at_ == '\\') {
      escaped = true;
      scratch.append(plain);
      take_escape(scratch);
      run = at_;
      continue;
    }
    const Utf8Char c = decode_utf8(at_, end_);
    if (!c.valid) fail("invalid UTF-8");
    if (c.code < 0x20) fail("a control character inside a string");
    at_ += c.length;
  }
}

void JsonReader::take_escape(std::string& out) {
  static constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  take("\\");
  if (at_ == end_) fail("the text ends inside a string");
  if (const size_t i = kNames.find(*at_); i != kNames.npos) {
    ++at_;
    out.push_back(kMeanings[i]);
    return;
  }
  take("u");
  uint32_t code = take_hex4();
  if (code >= 0xdc00 && code < 0xe000) fail("a lone surrogate");
  if (code >= 0xd800 && code < 0xdc00) {
    take("\\u");
    const uint32_t low = take_hex4();
    if (low < 0xdc00 || low >= 0xe000) fail("a lone surrogate");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(out, code);
}

uint32_t JsonReader::take_hex4() {
  uint32_t code = 0;
  const char* const stop = end_ - at_ < 4 ? end_ : at_ + 4;
  const auto [behind, fault] = std::from_chars(at_, stop, code, 16);
  if (fault != std::errc() || behind != at_ + 4) fail("expected four hexadecimal digits");
  at_ = behind;
  return code;
}

void JsonReader::take_digits() {
  if (!at_digit()) fail("expected a digit");
  while (at_digit()) ++at_;
}

JsonNumber JsonReader::read_number() {
  skip_space();
  JsonNumber number;
  number.negative = at('-');
  if (number.negative) ++at_;
  const char* const digits = at_;
  if (at('0')) {
    ++at_;
    if (at_digit()) fail("a number starts with a spare 0");
  } else {
    take_digits();
  }
  number.is_integer = std::from_chars(digits, at_, number.magnitude).ec == std::errc();
  if (at('.')) {
    number.is_integer = false;
    ++at_;
    take_digits();
  }
  if (at('e') || at('E')) {
    number.is_integer = false;
    ++at_;
    if (at('+') || at('-')) ++at_;
    take_digits();
  }
  if (at_ == end_ && depth_ > 0) fail("the text ends inside a number");
  return number;
}

std::string JsonReader::read_compact() {
  skip_space();
  const char* const begin = at_;
  std::string out;
  if (at('"')) return quote(read_string());
  if (at('[')) {
    enter_array();
    while (next_element()) out.append(out.empty() ? "" : ",").append(read_compact());
    return "[" + out + "]";
  }
  if (at('{')) {
    std::map<std::string, std::string> members;
    enter_object();
    while (next_key()) {
      const std::string name = quote(key());
      if (!members.emplace(name, read_compact()).second) fail("the key " + name + " comes twice");
    }
    for (const auto& [name, value] : members) out.append(out.empty() ? "" : ",").append(name + ":" + value);
    return "{" + out + "}";
  }
  if (at('-') || at_digit()) {
    read_number();
  } else {
    take(at('n') ? "null" : at('t') ? "true" : "false");
  }
  return std::string(begin, at_);
}

void JsonReader::finish() {
  skip_space();
  if (at_ != end_) fail("text after the end");
}

}  // namespace gemlet
