// tokenizer.cpp - class gemlet._core.Tokenizer.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "bind/bind.h"
#include "text/tokenizer_json.h"

namespace nb = nanobind;

namespace gemlet {
namespace {

// The text as UTF-8, which Python keeps inside the str: it lives as long as that.
std::string_view utf8_of(const nb::str& text) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (!data) throw nb::python_error();  // a lone surrogate
  return {data, static_cast<size_t>(size)};
}

std::vector<std::string_view> utf8_of(const std::vector<nb::str>& texts) {
  std::vector<std::string_view> utf8;
  for (const nb::str& text : texts) utf8.push_back(utf8_of(text));
  return utf8;
}

// An error says which text it is about.
template <typename Use>
void for_each(const std::vector<std::string_view>& texts, Use use) {
  for (size_t i = 0; i < texts.size(); ++i) {
    try {
      use(texts[i]);
    } catch (const Error& error) {
      throw Error(error.code(), "text " + std::to_string(i) + ": " + error.what());
    }
  }
}

ControlText control(bool parse) { return parse ? ControlText::kParse : ControlText::kLiteral; }

template <typename T, typename Vector>
Array<T> to_array(const Vector& values) {
  auto array = new_array<T>({values.size()});
  std::copy(values.begin(), values.end(), array.data());
  return array;
}

Tokenizer from_json(const std::string& path) {
  const nb::gil_scoped_release released;
  const MappedFile file(path);
  return read_tokenizer_json(file.bytes(), path);
}

nb::object encode(const Tokenizer& tokenizer, const std::vector<nb::str>& texts, bool parse_control) {
  const std::vector<std::string_view> utf8 = utf8_of(texts);
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets = {0};
  {
    const nb::gil_scoped_release released;
    for_each(utf8, [&](std::string_view text) {
      tokenizer.encode(text, control(parse_control), ids);
      offsets.push_back(static_cast<int64_t>(ids.size()));
    });
  }
  return nb::make_tuple(to_array<int32_t>(ids), to_array<int64_t>(offsets));
}

Array<int64_t> count(const Tokenizer& tokenizer, const std::vector<nb::str>& texts, bool parse_control) {
  const std::vector<std::string_view> utf8 = utf8_of(texts);
  std::vector<size_t> counts;
  {
    const nb::gil_scoped_release released;
    for_each(utf8, [&](std::string_view text) { counts.push_back(tokenizer.count(text, control(parse_control))); });
  }
  return to_array<int64_t>(counts);
}

// How many code points start before byte i, for i that never falls.
class CodePoints {
 public:
  explicit CodePoints(std::string_view text) : text_(text) {}
  int64_t before(size_t i) {
    for (; at_ < i; ++at_) count_ += (static_cast<uint8_t>(text_[at_]) & 0xc0) != 0x80;
    return count_;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
  int64_t count_ = 0;
};

nb::object encode_with_offsets(const Tokenizer& tokenizer, const nb::str& text, bool parse_control) {
  const std::string_view utf8 = utf8_of(text);
  std::vector<int32_t> ids;
  std::vector<Span> spans;
  {
    const nb::gil_scoped_release released;
    tokenizer.encode(utf8, control(parse_control), ids, &spans);
  }
  auto code_points = new_array<int64_t>({spans.size(), 2});
  CodePoints begins(utf8), ends(utf8);
  for (size_t i = 0; i < spans.size(); ++i) {
    code_points.data()[2 * i] = begins.before(spans[i].begin);
    code_points.data()[2 * i + 1] = ends.before(spans[i].end);
  }
  return nb::make_tuple(to_array<int32_t>(ids), code_points);
}

nb::str decode(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  return text_of(tokenizer.decode(ids.data(), ids.size()));
}

nb::str id_to_piece(const Tokenizer& tokenizer, int32_t id) {
  if (!tokenizer.pieces().has(id)) {
    throw Error(Code::kInput, "no piece has id " + std::to_string(id) + ", the vocabulary has " +
                                  std::to_string(tokenizer.pieces().size()));
  }
  return text_of(tokenizer.pieces().piece(id));
}

std::optional<int32_t> piece_to_id(const Tokenizer& tokenizer, std::string_view piece) {
  const int32_t id = tokenizer.pieces().find(piece);
  return id < 0 ? std::nullopt : std::optional(id);
}

}  // namespace

void bind_tokenizer(nb::module_& m) {
  nb::class_<Tokenizer>(m, "Tokenizer", "UTF-8 text to token ids and back. Any number of threads may use one at once.")
      .def_static("from_json", from_json, nb::arg("path"),
                  "Read a Hugging Face tokenizer.json. Raises WeightsError, UnsupportedModel.")
      .def("encode", encode, nb::arg("texts"), nb::arg("parse_control"),
           "Return (ids [tokens] int32, offsets [texts + 1] int64), without bos and eos. Raises InputError.")
      .def("encode_with_offsets", encode_with_offsets, nb::arg("text"), nb::arg("parse_control"),
           "Return (ids [tokens] int32, spans [tokens, 2] int64 in code points). Raises InputError.")
      .def("count", count, nb::arg("texts"), nb::arg("parse_control"),
           "Return how many tokens encode() would give: [texts] int64. Raises InputError.")
      .def("decode", decode, nb::arg("ids"), "Return the text; control pieces are left out. Raises InputError.")
      .def("id_to_piece", id_to_piece, nb::arg("id"), "Return the piece; \"▁\" is a space. Raises InputError.")
      .def("piece_to_id", piece_to_id, nb::arg("piece"), "Return the id, or None.")
      .def_prop_ro("vocab_size", [](const Tokenizer& t) { return t.pieces().size(); })
      .def_prop_ro("bos", [](const Tokenizer& t) { return t.tables().bos; })
      .def_prop_ro("eos", [](const Tokenizer& t) { return t.tables().eos; });
}

}  // namespace gemlet
