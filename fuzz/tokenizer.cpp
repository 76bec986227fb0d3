// tokenizer.cpp - a tokenizer.json with a few bytes changed, and any bytes as a text.
//
// The input: a byte n, then n / 32 changes of three bytes (the place, in two, and what to put there), then the text.
#include <cstdint>

#include "base/error.h"
#include "base/utf8.h"
#include "text/tokenizer_json.h"

using namespace gemlet;

namespace {

constexpr const char* kHead = R"({"version":"1.0","added_tokens":[)";
constexpr const char* kSteps =
    R"(],"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"pre_tokenizer":{"type":"Split",
"pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false},"post_processor":{"type":"TemplateProcessing",
"single":[{"SpecialToken":{"id":"<bos>","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"<eos>",
"type_id":0}}],"special_tokens":{"<bos>":{"id":"<bos>","ids":[2],"tokens":["<bos>"]},"<eos>":{"id":"<eos>","ids":[1],
"tokens":["<eos>"]}}},"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
{"type":"ByteFallback"},{"type":"Fuse"}]},"model":{"type":"BPE","unk_token":"<unk>","byte_fallback":true,"vocab":{)";
constexpr const char* kTail = R"(},"merges":[["▁","▁"],["a","a"],["▁","a"],["aa","b"],["é","\ufffd"]]}})";
constexpr const char* kAdded[] = {"<pad>", "<eos>", "<bos>", "<unk>", "\\n", "▁▁", "<b>"};  // the first 4 are control
constexpr const char* kNormal[] = {"aa", "▁a", "aab", "é\\ufffd", "a", "b", "▁", "é", "\\ufffd"};

std::string small_file() {
  std::string added, vocab;
  int id = 0;
  auto add = [&](const std::string& piece) {
    vocab += (id ? ",\"" : "\"") + piece + "\":" + std::to_string(id);
    ++id;
  };
  for (const char* piece : kAdded) {
    added += std::string(id ? "," : "") + R"({"id":)" + std::to_string(id) + R"(,"content":")" + piece +
             R"(","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":)" +
             (id < 4 ? "true}" : "false}");
    add(piece);
  }
  for (int byte = 0; byte < 256; ++byte) {
    add(std::string("<0x") + "0123456789ABCDEF"[byte / 16] + "0123456789ABCDEF"[byte % 16] + ">");
  }
  for (const char* piece : kNormal) add(piece);
  return kHead + added + kSteps + vocab + kTail;
}

void require(bool holds) {
  if (!holds) __builtin_trap();
}

void check(const Tokenizer& tokenizer, std::string_view text, ControlText control) {
  std::vector<int32_t> ids, repaired_ids;
  std::vector<Span> spans;
  tokenizer.encode(text, control, ids, &spans);
  require(tokenizer.count(text, control) == ids.size() && spans.size() == ids.size());
  uint32_t end = 0;
  for (size_t i = 0; i < spans.size(); ++i) {  // end to end, apart from the bytes of one character
    require(spans[i].begin == end || (i > 0 && spans[i].begin == spans[i - 1].begin && spans[i].end == end));
    require(spans[i].begin < spans[i].end);
    end = spans[i].end;
  }
  require(end == text.size());
  tokenizer.decode(ids.data(), ids.size());

  std::string repaired;
  for (const char* p = text.begin(); p != text.end();) {
    const Utf8Char c = decode_utf8(p, text.end());
    append_utf8(repaired, c.code);
    p += c.length;
  }
  tokenizer.encode(repaired, control, repaired_ids);
  require(ids == repaired_ids);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string file = small_file();
  static const Tokenizer sound = read_tokenizer_json(bytes_of(file), "small");
  std::string changed = file;
  const uint8_t* const end = data + size;
  for (int changes = size ? *data++ / 32 : 0; changes > 0 && end - data >= 3; --changes, data += 3) {
    changed[load<uint16_t>(data) % changed.size()] = static_cast<char>(data[2]);
  }
  const std::string_view text = Bytes{data, static_cast<size_t>(end - data)}.text();
  check(sound, text, ControlText::kLiteral);
  check(sound, text, ControlText::kParse);
  if (changed == file) return 0;
  try {
    check(read_tokenizer_json(bytes_of(changed), "changed"), text, ControlText::kParse);
  } catch (const Error&) {
  }
  return 0;
}
