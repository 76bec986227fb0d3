// rows.inl - the row kernels, once for all ISAs.
//
// Included by each ISA file inside its own namespace, after it has defined V: 16 virtual f32 lanes.

#define GEMLET_INLINE __attribute__((always_inline)) inline
#define GEMLET_LAMBDA __attribute__((always_inline))

static float sum_squares(const float* x, size_t n) {
  V acc = V::zero();
  for (size_t i = 0; i < n; i += V::kLanes) {
    const V v = V::load(x + i);
    acc = add(acc, mul(v, v));
  }
  return sum(acc);
}

static float rms_scale(const float* x, float eps, size_t n) {
  return 1.0f / square_root(sum_squares(x, n) / static_cast<float>(n) + eps);
}

static void rms_norm(const float* x, const float* weight, float eps, size_t n, float* y) {
  const V scale = V::broadcast(rms_scale(x, eps, n));
  for (size_t i = 0; i < n; i += V::kLanes) mul(mul(V::load(x + i), scale), V::load(weight + i)).store(y + i);
}

static void add_rms_norm(const float* x, const float* weight, float eps, size_t n, float* residual) {
  const V scale = V::broadcast(rms_scale(x, eps, n));
  for (size_t i = 0; i < n; i += V::kLanes) {
    const V normed = mul(mul(V::load(x + i), scale), V::load(weight + i));
    add(V::load(residual + i), normed).store(residual + i);
  }
}

static void rope(float* x, const float* cos, const float* sin, float scale, size_t n) {
  const size_t half = n / 2;
  const V s = V::broadcast(scale);
  for (size_t i = 0; i < half; i += V::kLanes) {
    const V a = V::load(x + i), b = V::load(x + half + i), c = V::load(cos + i), d = V::load(sin + i);
    mul(sub(mul(a, c), mul(b, d)), s).store(x + i);
    mul(add(mul(b, c), mul(a, d)), s).store(x + half + i);
  }
}

// e^x within 2 ulp for x in [-87, 88]; below, e^-87; above, e^88; NaN stays NaN.
// Cody-Waite reduction to |r| <= ln2 / 2, then the Taylor polynomial of degree 7 (its error there is 5e-9).
static V exponential(V x) {
  const V magic = V::broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  x = min(V::broadcast(88.0f), max(V::broadcast(-87.0f), x));
  const V n = sub(multiply_add(x, V::broadcast(1.44269504f), magic), magic);
  V r = multiply_add(n, V::broadcast(-0.693359375f), x);  // ln2's upper part has 10 bits: the product is exact
  r = multiply_add(n, V::broadcast(2.12194440e-4f), r);
  constexpr float kTaylor[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
  V p = V::broadcast(1.0f / 5040);
  for (const float c : kTaylor) p = multiply_add(p, r, V::broadcast(c));
  return mul(p, power_of_two(n));
}

// store(i, p): 16 numbers p = e^(score - the largest) from i on; 0 outside of [begin, end) and below e^-87.
template <typename Store>
GEMLET_INLINE float softmax(float* scores, size_t begin, size_t end, size_t n, Store store) {
  const size_t first = begin / V::kLanes * V::kLanes, last = (end + V::kLanes - 1) / V::kLanes * V::kLanes;
  for (size_t i = first; i < begin; ++i) scores[i] = -__builtin_inff();
  for (size_t i = end; i < last; ++i) scores[i] = -__builtin_inff();
  V top = V::load(scores + first);
  for (size_t i = first; i < last; i += V::kLanes) top = max(V::load(scores + i), top);
  const V highest = V::broadcast(largest(top));
  V acc = V::zero();
  for (size_t i = 0; i < first; i += V::kLanes) store(i, V::zero());
  for (size_t i = first; i < last; i += V::kLanes) {
    const V x = sub(V::load(scores + i), highest), p = zero_where_below(x, -87.0f, exponential(x));
    acc = add(acc, p);
    store(i, p);
  }
  for (size_t i = last; i < n; i += V::kLanes) store(i, V::zero());
  return 1.0f / sum(acc);
}

// gelu_tanh(g) = g / 2 * (1 + tanh(u)) = g / (1 + e^(-2u)), u = sqrt(2 / pi) * (g + 0.044715 g^3): no cancellation.
static void gelu_tanh_mul(const float* gate, const float* up, size_t n, float* y) {
  const V one = V::broadcast(1.0f), linear = V::broadcast(-1.59576912f), cubic = V::broadcast(-0.0713548163f);
  for (size_t i = 0; i < n; i += V::kLanes) {
    const V g = V::load(gate + i);
    const V minus_2u = mul(g, multiply_add(mul(g, g), cubic, linear));
    mul(div(g, add(one, exponential(minus_2u))), V::load(up + i)).store(y + i);
  }
}

static void scale(const float* x, float scale, size_t n, float* y) {
  const V s = V::broadcast(scale);
  for (size_t i = 0; i < n; i += V::kLanes) mul(V::load(x + i), s).store(y + i);
}

static void mean_rows(const float* x, size_t rows, size_t n, float* y) {
  const V count = V::broadcast(static_cast<float>(rows));
  for (size_t i = 0; i < n; i += V::kLanes) {
    V acc = V::zero();
    for (size_t r = 0; r < rows; ++r) acc = add(acc, V::load(x + r * n + i));
    div(acc, count).store(y + i);
  }
}
