// popcount.inl - differing bits counted where the CPU has no vector instruction for it: x86 and portable.

#ifdef __AVX2__
// A half of a byte picks its number of bits from a table of 16.   Source: Mula, Kurz, Lemire 2016 (arXiv 1611.07612)
struct Count {
  static constexpr size_t kBytes = 32;
  __m256i sums = _mm256_setzero_si256();

  static __m256i load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

  void add(const uint8_t* a, const uint8_t* b) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                           0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i differing = _mm256_xor_si256(load(a), load(b)), half = _mm256_set1_epi8(15);
    const __m256i low = _mm256_and_si256(differing, half);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(differing, 4), half);
    const __m256i bytes = _mm256_add_epi8(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
  }
  int32_t total() const {
    const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)));
  }
};
#else
struct Count {
  static constexpr size_t kBytes = 8;
  int32_t sum = 0;

  void add(const uint8_t* a, const uint8_t* b) {
    uint64_t x, y;
    __builtin_memcpy(&x, a, sizeof x);
    __builtin_memcpy(&y, b, sizeof y);
    sum += __builtin_popcountll(x ^ y);
  }
  int32_t total() const { return sum; }
};
#endif
