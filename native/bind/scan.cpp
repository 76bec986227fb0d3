// scan.cpp - the scan as a Python class.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "base/error.h"
#include "base/hash.h"
#include "bind/bind.h"
#include "scan/scanner.h"

namespace nb = nanobind;

namespace gemlet {
namespace {

using Codes = Input<int8_t, 2>;
using Bits = Input<uint8_t, 2>;
using Numbers = Input<float, 1>;
using Octets = Input<uint8_t, 1>;
using Bitmap = std::optional<Octets>;

void construct(Scanner* self, size_t threads, const std::string& isa) {
  const Kernels* kernels = isa.empty() ? &default_kernels() : find_kernels(isa.c_str());
  if (!kernels) throw Error(Code::kInput, "this CPU cannot run the instruction set `" + isa + "`");
  new (self) Scanner(threads, *kernels);
}

void expect(bool fits, const std::string& what) {
  if (!fits) throw Error(Code::kInput, what);
}

std::string count_of(size_t n, const char* what) { return std::to_string(n) + " " + what; }

// Without arrays: those that do not say how many rows and numbers there are come after.
Vectors shape(size_t rows, size_t dim, const Bitmap& allowed) {
  expect(dim > 0 && dim % kWidthUnit == 0 && dim <= kMaxWidth,
         "vectors have " + count_of(dim, "numbers; a multiple of 32 up to 4096 can be searched"));
  expect(!allowed || allowed->shape(0) == (rows + 7) / 8,
         "`allowed` has " + count_of(allowed ? allowed->shape(0) : 0, "bytes, one bit for each of ") +
             count_of(rows, "rows takes ") + std::to_string((rows + 7) / 8));
  return {rows, dim, nullptr, nullptr, nullptr, allowed ? allowed->data() : nullptr};
}

void add_codes(Vectors& vectors, const Codes& codes, const Numbers& scales) {
  expect(codes.shape(0) == vectors.rows && codes.shape(1) == vectors.dim, "codes and bits are not of the same vectors");
  expect(scales.shape(0) == vectors.rows,
         count_of(vectors.rows, "rows of codes have ") + count_of(scales.shape(0), "scales"));
  vectors.codes = codes.data();
  vectors.scales = scales.data();
}

void expect_query(size_t numbers, size_t dim) {
  expect(numbers == dim, "the query has " + count_of(numbers, "numbers, the vectors have ") + std::to_string(dim));
}

nb::tuple to_arrays(const std::vector<Hit>& hits) {
  auto rows = new_array<int64_t>({hits.size()});
  auto scores = new_array<float>({hits.size()});
  for (size_t i = 0; i < hits.size(); ++i) {
    rows.data()[i] = hits[i].row;
    scores.data()[i] = hits[i].score;
  }
  return nb::make_tuple(rows, scores);
}

nb::tuple int8(const Scanner& scanner, const Codes& codes, const Numbers& scales, const Numbers& query, size_t k,
               const Bitmap& allowed) {
  Vectors vectors = shape(codes.shape(0), codes.shape(1), allowed);
  add_codes(vectors, codes, scales);
  expect_query(query.shape(0), vectors.dim);
  std::vector<Hit> hits;
  {
    nb::gil_scoped_release nogil;
    hits = scanner.int8(vectors, query.data(), k);
  }
  return to_arrays(hits);
}

nb::tuple binary(const Scanner& scanner, const Bits& bits, const Octets& query, size_t k, const Bitmap& allowed) {
  Vectors vectors = shape(bits.shape(0), bits.shape(1) * 8, allowed);
  vectors.bits = bits.data();
  expect_query(query.shape(0) * 8, vectors.dim);
  std::vector<Near> near;
  {
    nb::gil_scoped_release nogil;
    near = scanner.binary(vectors, query.data(), k);
  }
  auto rows = new_array<int64_t>({near.size()});
  auto distances = new_array<int32_t>({near.size()});
  for (size_t i = 0; i < near.size(); ++i) {
    rows.data()[i] = near[i].row;
    distances.data()[i] = near[i].distance;
  }
  return nb::make_tuple(rows, distances);
}

nb::tuple rescored(const Scanner& scanner, const Bits& bits, const Codes& codes, const Numbers& scales,
                   const Octets& query_bits, const Numbers& query, size_t k, size_t candidates, const Bitmap& allowed) {
  Vectors vectors = shape(bits.shape(0), bits.shape(1) * 8, allowed);
  vectors.bits = bits.data();
  add_codes(vectors, codes, scales);
  expect_query(query.shape(0), vectors.dim);
  expect_query(query_bits.shape(0) * 8, vectors.dim);
  std::vector<Hit> hits;
  {
    nb::gil_scoped_release nogil;
    hits = scanner.rescored(vectors, query_bits.data(), query.data(), k, candidates);
  }
  return to_arrays(hits);
}

Block block_of(const Codes& codes, const Numbers& scales) {
  expect(scales.shape(0) == codes.shape(0),
         count_of(codes.shape(0), "rows of codes have ") + count_of(scales.shape(0), "scales"));
  expect(codes.shape(0) <= INT32_MAX, "a block has more than 2147483647 rows");
  return {codes.shape(0), codes.data(), scales.data()};
}

Which which_of(const std::string& name) {
  if (name == "all") return Which::kAll;
  if (name == "other") return Which::kOther;
  expect(name == "later", "pairs are `all`, `other` or `later`, not `" + name + "`");
  return Which::kLater;
}

nb::tuple pairs(const Scanner& scanner, const Codes& left, const Numbers& left_scales, const Codes& right,
                const Numbers& right_scales, const Numbers& floors, size_t k, const std::string& which) {
  const size_t dim = shape(left.shape(0), left.shape(1), {}).dim;
  expect(right.shape(1) == dim, "the vectors have " + count_of(dim, "numbers on one side and ") +
                                    std::to_string(right.shape(1)) + " on the other");
  expect(floors.shape(0) == left.shape(0), count_of(left.shape(0), "rows have ") + count_of(floors.shape(0), "floors"));
  const Block a = block_of(left, left_scales), b = block_of(right, right_scales);
  const PairQuery query{dim, floors.data(), k, which_of(which)};
  std::vector<Pair> found;
  {
    nb::gil_scoped_release nogil;
    found = scanner.pairs(a, b, query);
  }
  auto rows = new_array<int32_t>({found.size()}), columns = new_array<int32_t>({found.size()});
  auto scores = new_array<float>({found.size()});
  for (size_t i = 0; i < found.size(); ++i) {
    rows.data()[i] = found[i].left;
    columns.data()[i] = found[i].right;
    scores.data()[i] = found[i].score;
  }
  return nb::make_tuple(rows, columns, scores);
}

uint64_t checksum(const Octets& bytes) {
  nb::gil_scoped_release nogil;
  return Hash().add({bytes.data(), bytes.shape(0)}).value();
}

}  // namespace

// noconvert: an array of another type or order is refused, as converting it would copy it at every search.
void bind_scan(nb::module_& m) {
  nb::class_<Scanner>(m, "Scanner")
      .def("__init__", construct, nb::arg("threads"), nb::arg("isa") = "")
      .def_prop_ro("threads", &Scanner::threads)
      .def_prop_ro("isa", [](const Scanner& scanner) { return std::string(scanner.kernels().name); })
      .def("int8", int8, nb::arg("codes").noconvert(), nb::arg("scales").noconvert(), nb::arg("query"), nb::arg("k"),
           nb::arg("allowed").noconvert() = nb::none(),
           "Return (rows int64, scores float32) of the k best rows, best first; of equal ones the lower row.\n\n"
           "codes [n, dim] int8, scales [n], query [dim]; allowed [ceil(n / 8)] uint8: row i at bit i % 8 of byte "
           "i // 8. Raises InputError when they do not fit together, or for a query that is not finite.")
      .def("binary", binary, nb::arg("bits").noconvert(), nb::arg("query"), nb::arg("k"),
           nb::arg("allowed").noconvert() = nb::none(),
           "Return (rows int64, distances int32) of the k rows with the fewest bits that differ: bits [n, dim / 8].")
      .def("rescored", rescored, nb::arg("bits").noconvert(), nb::arg("codes").noconvert(),
           nb::arg("scales").noconvert(), nb::arg("query_bits"), nb::arg("query"), nb::arg("k"), nb::arg("candidates"),
           nb::arg("allowed").noconvert() = nb::none(),
           "Return what int8() returns, found among the `candidates` rows that binary() finds.")
      .def(
          "pairs", pairs, nb::arg("left").noconvert(), nb::arg("left_scales").noconvert(), nb::arg("right").noconvert(),
          nb::arg("right_scales").noconvert(), nb::arg("floors").noconvert(), nb::arg("k") = 0,
          nb::arg("which") = "all",
          "Return (left int32, right int32, scores float32): the pairs of a row of each side whose score is at least "
          "the left row's floor, by left, then right.\n\n"
          "left [n, dim] int8, left_scales [n], right [m, dim] int8, right_scales [m], floors [n]; no code is -128. k: "
          "not 0: pairs may be left out that are not among the k best of their left row. which: `all`, or, of one "
          "block "
          "on both sides, `other` (right != left) or `later` (right > left).");
  m.def("checksum", checksum, nb::arg("bytes").noconvert(),
        "Return 64 bits that tell a damaged array of bytes from a whole one, at the speed of memory.");
}

}  // namespace gemlet
