// tokenizer_json.cpp - see tokenizer_json.h.
#include "text/tokenizer_json.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"

namespace gemlet {
namespace {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false;
};

// The steps that Tokenizer takes, as the file spells them.
constexpr std::string_view kNormalizer = R"({"content":"▁","pattern":{"String":" "},"type":"Replace"})";
// Splits at spaces, of which the normalizer has left none.
constexpr std::string_view kPreTokenizer =
    R"({"behavior":"MergedWithPrevious","invert":false,"pattern":{"String":" "},"type":"Split"})";
constexpr std::string_view kDecoder = R"({"decoders":[{"content":" ","pattern":{"String":"▁"},"type":"Replace"},)"
                                      R"({"type":"ByteFallback"},{"type":"Fuse"}],"type":"Sequence"})";
constexpr std::string_view kSingle =
    R"([{"SpecialToken":{"id":"<bos>","type_id":0}},{"Sequence":{"id":"A","type_id":0}},)"
    R"({"SpecialToken":{"id":"<eos>","type_id":0}}])";
constexpr std::string_view kSpecialTokens =
    R"({"<bos>":{"id":"<bos>","ids":[2],"tokens":["<bos>"]},"<eos>":{"id":"<eos>","ids":[1],"tokens":["<eos>"]}})";
constexpr int32_t kBos = 2, kEos = 1;

// One field of an object; `read` is emptied when it has come.
struct Field {
  std::string_view name;
  bool required;
  std::function<void()> read;
};

class TokenizerFile {
 public:
  explicit TokenizerFile(Bytes file) : reader_(file, "JSON") {}
  Tokenizer read();

 private:
  void read_object(const std::string& prefix, std::vector<Field> fields);
  std::function<void()> expect(const std::string& field, std::string_view wanted);
  void read_added_tokens();
  void read_added_token();
  int32_t read_id();
  void read_vocab();
  void add_piece(std::string_view piece, int32_t id);
  void read_merges();

  JsonReader reader_;
  std::vector<AddedToken> added_;  // ids rise
  size_t next_added_ = 0;          // the first one that read_vocab has not met
  Vocabulary vocabulary_;
  int32_t first_normal_ = -1;
  std::optional<std::vector<Merge>> merges_;
};

[[noreturn]] void refuse(const std::string& field, const std::string& fault) {
  throw Error(Code::kUnsupported, "`" + field + "` " + fault);
}

// Each field must be known and come once.
void TokenizerFile::read_object(const std::string& prefix, std::vector<Field> fields) {
  reader_.enter_object();
  while (reader_.next_key()) {
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == reader_.key(); });
    if (field == fields.end()) refuse(prefix + std::string(reader_.key()), "is not a field that this engine knows");
    if (!field->read) reader_.fail("the key `" + std::string(reader_.key()) + "` comes twice");
    std::exchange(field->read, nullptr)();
  }
  for (const Field& field : fields) {
    if (field.required && field.read) refuse(prefix + std::string(field.name), "is missing");
  }
}

// A reader of a value that must be this one, given as JsonReader::read_compact spells it.
std::function<void()> TokenizerFile::expect(const std::string& field, std::string_view wanted) {
  return [this, field, wanted] {
    const std::string found = reader_.read_compact();
    if (found == wanted) return;
    refuse(field, "is " + std::string(front_utf8(found, 200)) + ", this engine runs only " + std::string(wanted));
  };
}

Tokenizer TokenizerFile::read() {
  auto ignore = [this] { reader_.read_compact(); };
  auto read_model = [&] {
    read_object("model.", {{"type", true, expect("model.type", R"("BPE")")},
                           {"dropout", false, expect("model.dropout", "null")},
                           {"unk_token", true, expect("model.unk_token", R"("<unk>")")},
                           {"continuing_subword_prefix", false, expect("model.continuing_subword_prefix", "null")},
                           {"end_of_word_suffix", false, expect("model.end_of_word_suffix", "null")},
                           {"fuse_unk", false, ignore},  // with all bytes in the vocabulary nothing is unknown
                           {"byte_fallback", true, expect("model.byte_fallback", "true")},
                           {"ignore_merges", false, expect("model.ignore_merges", "false")},
                           {"vocab", true, [this] { read_vocab(); }},
                           {"merges", true, [this] { read_merges(); }}});
  };
  auto read_post_processor = [&] {
    read_object("post_processor.", {{"type", true, expect("post_processor.type", R"("TemplateProcessing")")},
                                    {"single", true, expect("post_processor.single", kSingle)},
                                    {"pair", false, ignore},  // nothing here tokenises pairs
                                    {"special_tokens", true, expect("post_processor.special_tokens", kSpecialTokens)}});
  };
  read_object("", {{"version", true, expect("version", R"("1.0")")},
                   {"truncation", false, ignore},  // what the last caller of another library asked for
                   {"padding", false, ignore},
                   {"added_tokens", true, [this] { read_added_tokens(); }},
                   {"normalizer", true, expect("normalizer", kNormalizer)},
                   {"pre_tokenizer", true, expect("pre_tokenizer", kPreTokenizer)},
                   {"post_processor", true, read_post_processor},
                   {"decoder", true, expect("decoder", kDecoder)},
                   {"model", true, read_model}});
  reader_.finish();
  return Tokenizer(vocabulary_, *merges_);
}

void TokenizerFile::read_added_tokens() {
  reader_.enter_array();
  while (reader_.next_element()) read_added_token();
}

void TokenizerFile::read_added_token() {
  const std::string prefix = "added_tokens[" + std::to_string(added_.size()) + "].";
  AddedToken token;
  read_object(prefix, {{"id", true, [&] { token.id = read_id(); }},
                       {"content", true, [&] { token.content = reader_.read_string(); }},
                       {"single_word", true, expect(prefix + "single_word", "false")},
                       {"lstrip", true, expect(prefix + "lstrip", "false")},
                       {"rstrip", true, expect(prefix + "rstrip", "false")},
                       {"normalized", true, expect(prefix + "normalized", "false")},
                       {"special", true, [&] { token.special = reader_.read_compact() == "true"; }}});
  if (!added_.empty() && token.id <= added_.back().id) refuse(prefix + "id", "does not rise");
  added_.push_back(std::move(token));
}

int32_t TokenizerFile::read_id() {
  const JsonNumber number = reader_.read_number();
  if (!number.is_integer || number.negative || number.magnitude > INT32_MAX) reader_.fail("not an id");
  return static_cast<int32_t>(number.magnitude);
}

void TokenizerFile::read_vocab() {
  if (added_.empty()) refuse("model.vocab", "comes before `added_tokens`");
  reader_.enter_object();
  while (reader_.next_key()) add_piece(reader_.key(), read_id());
  for (; next_added_ < added_.size(); ++next_added_) {
    const AddedToken& token = added_[next_added_];
    const size_t id = vocabulary_.size() + vocabulary_.outside().size();
    if (!token.special || static_cast<size_t>(token.id) != id) {
      refuse("added_tokens",
             "has `" + token.content + "` with id " + std::to_string(token.id) + ", outside of the vocabulary");
    }
    vocabulary_.add_outside(token.content);
  }
  vocabulary_.bos = kBos;
  vocabulary_.eos = kEos;
}

// SentencePiece numbers the pieces in the order in which it made them; their scores are 0, -1, -2, ...
// What the user defined has score 0.
void TokenizerFile::add_piece(std::string_view piece, int32_t id) {
  if (static_cast<size_t>(id) != vocabulary_.size()) refuse("model.vocab", "does not list its ids as 0, 1, 2, ...");
  PieceKind kind = byte_of(piece) >= 0 ? PieceKind::kByte : PieceKind::kNormal;
  if (next_added_ < added_.size() && added_[next_added_].id == id) {
    const AddedToken& token = added_[next_added_++];
    if (token.content != piece) refuse("added_tokens", "and `model.vocab` differ about id " + std::to_string(id));
    kind = token.special ? PieceKind::kControl : PieceKind::kUserDefined;
  }
  if (kind == PieceKind::kNormal && first_normal_ < 0) first_normal_ = id;
  vocabulary_.add(piece, kind, kind == PieceKind::kNormal ? static_cast<float>(first_normal_ - id) : 0);
}

// The file lists the merges; the engine derives them from the vocabulary. Both must be the same list.
void TokenizerFile::read_merges() {
  if (!vocabulary_.size()) refuse("model.merges", "comes before `model.vocab`");
  merges_ = derive_merges(vocabulary_);
  reader_.enter_array();
  auto reads_as = [this](std::string_view part) { return reader_.next_element() && reader_.read_string() == part; };
  auto merge = merges_->begin();
  while (reader_.next_element()) {
    bool same = merge != merges_->end();
    if (same) {
      const std::string_view whole = vocabulary_.piece(merge->whole);
      const size_t left = vocabulary_.piece(merge->left).size();
      reader_.enter_array();
      same = reads_as(whole.substr(0, left)) && reads_as(whole.substr(left)) && !reader_.next_element();
    }
    if (!same) {
      refuse("model.merges",
             "differs from what the vocabulary implies at merge " + std::to_string(merge - merges_->begin()));
    }
    ++merge;
  }
  if (merge != merges_->end()) refuse("model.merges", "lacks some that the vocabulary implies");
}

}  // namespace

Tokenizer read_tokenizer_json(Bytes file, const std::string& path) {
  try {
    return TokenizerFile(file).read();
  } catch (const Error& error) {
    throw Error(error.code(), path + ": " + error.what());
  }
}

}  // namespace gemlet
