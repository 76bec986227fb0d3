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
           "Return what int8() returns, found among the `candidates` rows that binary() finds.");
  m.def("checksum", checksum, nb::arg("bytes").noconvert(),
        "Return 64 bits that tell a damaged array of bytes from a whole one, at the speed of memory.");
}

}  // namespace gemlet
