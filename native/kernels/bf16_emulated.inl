// bf16_emulated.inl - what AVX512-BF16 does, bit for bit, for AVX-512 CPUs without it.   (chapter 2)

static __m256i round_to_bf16(__m512 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 normal = _mm512_cmp_ps_mask(_mm512_abs_ps(v), _mm512_set1_ps(kSmallestBF16), _CMP_GE_OQ);
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i kept = _mm512_mask_mov_epi32(_mm512_maskz_mov_epi32(normal, rounded), nan, quiet);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
}

// The second of a pair first. The products are exact, fused or not.
static __m512 dot_pairs(__m512 acc, __m512i w, __m512i x) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000));
  acc = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(w, upper)),
                        _mm512_castsi512_ps(_mm512_and_si512(x, upper)), acc);
  return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(w, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                         acc);
}
