/* What a written model may call, of float32: pieces.py takes what it needs, and makes that of float64 word by word. Each
   repeats a kernel of cpp/device/cpu/kernels, operation by operation, so that its bits are the same. Blank lines part the
   pieces. */

/* The low bits of `shifted` become n of x = n ln 2 + r; returns r. */
static float exp_rest(float x, float *shifted) {
  *shifted = FMA(x, (float)0x1.71547652b82fep0, MAGIC);
  const float n = *shifted - MAGIC;
  return FMA(n, -LN2_LOW, FMA(n, -LN2_HIGH, x));
}

static float exp_of(float x) {
  float shifted;
  const float r = exp_rest(x, &shifted);
  const float p = FMA(r * r, exp_tail(r), r) + 1;
  const float y = x < EXP_LOWEST ? 0 : number_of(bits_of(p) + (bits_of(shifted) << MANTISSA_BITS));
  return x <= EXP_HIGHEST ? y : x + INFINITY;
}

static float expm1_of(float x) {
  float shifted;
  const float r = exp_rest(larger(x, EXPM1_LOWEST), &shifted);
  const float p = FMA(r * r, exp_tail(r), r);
  const float half = 0.5f, scale = number_of(bits_of(half) + (bits_of(shifted) << MANTISSA_BITS));
  const float y = 2 * FMA(scale, p, scale - half);
  return fabsf(x) < TINY ? x : x <= EXP_HIGHEST ? y : x + INFINITY;
}

static float sigmoid_of(float x) {
  float shifted;
  const float r = exp_rest(larger(0 - x, EXP_LOWEST), &shifted);
  const float p = FMA(r * r, exp_tail(r), r);
  const float one = 1, scale = number_of(bits_of(one) + (bits_of(shifted) << MANTISSA_BITS));
  const float sum = scale + one, lost = one - (sum - scale);
  return x < EXP_LOWEST ? 0 : one / (FMA(scale, p, lost) + sum);
}

/* k, in the bits of the exponent, of the 2^k by which x comes between 3/4 and 3/2. */
static uint32_t log_exponent(float x) {
  const uint32_t mantissa = ((uint32_t)1 << MANTISSA_BITS) - 1;
  return (bits_of(x) - bits_of(0.75f)) & ~mantissa;
}

static float add_exponent(float sum, uint32_t exponent) {
  const uint32_t biased = (exponent + ((uint32_t)LOG_BIAS << MANTISSA_BITS)) >> MANTISSA_BITS;
  const float k = number_of(bits_of(MAGIC) + biased) - (MAGIC + LOG_BIAS);
  return FMA(k, LN2_HIGH, FMA(k, LN2_LOW, sum));
}

static float log_of(float x) {
  const uint32_t exponent = log_exponent(x);
  const float y = add_exponent(log1p_reduced(number_of(bits_of(x) - exponent) - 1), exponent);
  const float limit = fabsf(x) < SMALLEST ? -INFINITY : x < 0 ? NAN : x;
  return x >= SMALLEST ? (x < INFINITY ? y : x) : limit;
}

static float log1p_of(float x) {
  const uint32_t exponent = log_exponent(1 + x);
  const float scaled = number_of(bits_of(x) - exponent), four_scaled = number_of(bits_of(4.0f) - exponent);
  const float y = add_exponent(log1p_reduced(FMA(0.25f, four_scaled, -1) + scaled), exponent);
  const float limit = x == -1 ? -INFINITY : x < -1 ? NAN : x;
  return x > -1 ? (fabsf(x) < TINY ? x : x < INFINITY ? y : x) : limit;
}

static float tanh_of(float x) {
  const float a = fabsf(x), s = x * x;
  const float near = FMA(a * s, tanh_tail(s), a);
  const float far = 1 - 2 / (exp_of(2 * smaller(a, 20)) + 1);
  return copysignf(a <= (float)0.55 ? near : far, x);
}

static float erf_of(float x) {
  const float a = fabsf(x), s = x * x;
  const float near = FMA(a, erf_near(s), a);
  const float far = 1 - exp_of(erf_far(smaller(a, ERF_ONE)));
  return copysignf(a <= ERF_BOUND ? near : far, x);
}

/* The sine of |x| and `turn` right angles. Its differences need an FMA that rounds once, wherever it comes from. */
static float turned_sine(float x, uint32_t turn) {
  const float a = fabsf(x), bounded = smaller(a, SINE_FURTHEST);
  const float shifted = FMA(bounded, (float)0x1.45f306dc9c883p-1, MAGIC);
  const float n = shifted - MAGIC;
  float r = fmaf(0 - n, HALF_PI_1, bounded);
  r = fmaf(0 - n, HALF_PI_2, r);
  r = fmaf(0 - n, HALF_PI_3, r);
  const float s = r * r;
  const float sine = FMA(r * s, sin_tail(s), r), cosine = FMA(s * s, cos_tail(s), FMA(-0.5f, s, 1));
  const uint32_t quadrant = bits_of(shifted) + turn;
  const float y = quadrant & 1 ? cosine : sine;
  return a < INFINITY ? number_of(bits_of(y) ^ ((quadrant & 2) << (SIGN_BIT - 1))) : a - a;
}

static float sin_of(float x) { return number_of(bits_of(turned_sine(x, 0)) ^ (bits_of(x) & (uint32_t)1 << SIGN_BIT)); }

static float cos_of(float x) { return turned_sine(x, 1); }

static float relu_of(float x) { return x <= 0 ? 0 : x; }

static float leaky_relu_of(float x, float slope) { return x > 0 ? x : x * slope; }

static float elu_of(float x, float alpha) { return x > 0 ? x : alpha * expm1_of(x); }

static float gelu_of(float x) {
  const float half = 0.5f * x;
  return FMA(half, erf_of(x * (float)0.70710678118654752440), half);
}

static float gelu_tanh_of(float x) {
  const float half = 0.5f * x, cubic = FMA((float)0.044715 * x * x, x, x);
  return FMA(half, tanh_of((float)0.79788456080286535588 * cubic), half);
}

static float silu_of(float x) { return x * sigmoid_of(x); }

static float softplus_of(float x, float beta, float threshold) {
  const float z = x * beta;
  return z > threshold ? x : (larger(z, 0) + log1p_of(exp_of(0 - fabsf(z)))) / beta;
}

static float celu_of(float x, float alpha) { return x > 0 ? x : alpha * expm1_of(x / alpha); }

static float selu_of(float x) {
  const double alpha = 1.67326324235437728482, scale = 1.05070098735548049342;
  return x > 0 ? (float)scale * x : (float)(scale * alpha) * expm1_of(x);
}

static float mish_of(float x) {
  const float e = exp_of(smaller(x, 20)), w = e * (e + 2);
  return x * (w / (w + 2));
}

static float log_sigmoid_of(float x) { return smaller(x, 0) - log1p_of(exp_of(0 - fabsf(x))); }

static float softsign_of(float x) { return x / (1 + fabsf(x)); }

static float tanhshrink_of(float x) { return x - tanh_of(x); }

static float hardshrink_of(float x, float lambd) { return fabsf(x) <= lambd ? 0 : x; }

static float softshrink_of(float x, float lambd) { return fabsf(x) <= lambd ? 0 : x - copysignf(lambd, x); }

static float hardtanh_of(float x, float low, float high) { return smaller(larger(x, low), high); }

static float hardsigmoid_of(float x) { return smaller(larger(x + 3, 0), 6) * (float)(1.0 / 6); }

static float hardswish_of(float x) { return x * hardsigmoid_of(x); }

static float threshold_of(float x, float threshold, float value) { return x <= threshold ? value : x; }

static float sqrt_of(float x) { return sqrtf(x); }

static float abs_of(float x) { return fabsf(x); }

static float square_of(float x) { return x * x; }

static float reciprocal_of(float x) { return 1 / x; }

static float affine_of(float x, float scale, float shift) { return FMA(x, scale, shift); }

static float maximum_of(float a, float b) { return b == b ? larger(a, b) : b; }

static float minimum_of(float a, float b) { return b == b ? smaller(a, b) : b; }

/* y (rows, out) = x (rows, in) w (in, out) + b, which may be missing. Each output is one chain over in, of which four
   steps at a time spare loads and stores of y: 784 x 512 in 76 us, 94 us without. */
static void linear(float *restrict y, const float *restrict x, const float *restrict w, const float *restrict b,
                   size_t rows, size_t in, size_t out) {
  const size_t whole = in - in % 4;
  for (size_t r = 0; r < rows; ++r, x += in, y += out) {
    for (size_t j = 0; j < out; ++j) y[j] = 0;
    for (size_t k = 0; k < whole; k += 4)
      for (size_t j = 0; j < out; ++j) {
        const float *v = w + k * out + j;
        const float two = FMA(x[k + 1], v[out], FMA(x[k], v[0], y[j]));
        y[j] = FMA(x[k + 3], v[3 * out], FMA(x[k + 2], v[2 * out], two));
      }
    for (size_t k = whole; k < in; ++k)
      for (size_t j = 0; j < out; ++j) y[j] = FMA(x[k], w[k * out + j], y[j]);
    for (size_t j = 0; b && j < out; ++j) y[j] = y[j] + b[j];
  }
}

/* y = (x - mean) factor + shift, an element of each for every column of x (rows, n); mean and shift may be missing. */
static void standardize(float *y, const float *x, const float *mean, const float *factor, const float *shift,
                        size_t rows, size_t n) {
  for (size_t r = 0; r < rows; ++r)
    for (size_t j = 0; j < n; ++j) {
      const float centred = mean ? x[r * n + j] - mean[j] : x[r * n + j];
      y[r * n + j] = FMA(centred, factor[j], shift ? shift[j] : -0.0f);
    }
}

/* Sums run in 16 lanes, element i in lane i mod 16, which this joins. */
static float joined(float *lanes) {
  for (size_t half = 8; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i) lanes[i] = lanes[i] + lanes[i + half];
  return lanes[0];
}

static float sum_of(const float *x, size_t n) {
  float lanes[16] = {0};
  for (size_t i = 0; i < n; ++i) lanes[i % 16] += x[i];
  return joined(lanes);
}

/* y = scale times the sums of the rows of x (rows, n). */
static void sum_last(float *y, const float *x, size_t rows, size_t n, float scale) {
  for (size_t r = 0; r < rows; ++r) y[r] = scale * sum_of(x + r * n, n);
}

/* y (n) = scale times the sum of the rows of x (rows, n). */
static void sum_first(float *y, const float *x, size_t rows, size_t n, float scale) {
  for (size_t j = 0; j < n; ++j) {
    float sum = x[j];
    for (size_t r = 1; r < rows; ++r) sum += x[r * n + j];
    y[j] = sum * scale;
  }
}

/* y = (x - mean) / sqrt(variance + eps) scale + shift for each row of x (rows, n); scale and shift may be missing. */
static void normalize(float *y, const float *x, const float *scale, const float *shift, size_t rows, size_t groups,
                      size_t n, float eps, int centred) {
  for (size_t r = 0; r < rows * groups; ++r, y += n, x += n) {
    const float width = (float)n, mean = centred ? sum_of(x, n) / width : 0;
    float lanes[16] = {0};
    for (size_t i = 0; i < n; ++i) lanes[i % 16] += (x[i] - mean) * (x[i] - mean);
    const float factor = 1 / sqrtf(joined(lanes) / width + eps);
    const size_t first = r % groups * n;
    for (size_t i = 0; i < n; ++i) {
      float value = (x[i] - mean) * factor;
      if (scale) value = value * scale[first + i];
      if (shift) value = value + shift[first + i];
      y[i] = value;
    }
  }
}

static float largest(const float *x, size_t n) {
  float found = x[0];
  for (size_t i = 1; i < n; ++i) found = larger(found, x[i]);
  return found;
}

/* y = log(sum(exp(x))) for each row of x (rows, n). */
static void logsumexp(float *y, const float *x, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; ++r, x += n) {
    const float most = largest(x, n), shift = most - most == 0 ? most : 0;
    float lanes[16] = {0};
    for (size_t i = 0; i < n; ++i) lanes[i % 16] += exp_of(x[i] - shift);
    y[r] = log_of(joined(lanes)) + shift;
  }
}

/* y = exp(x) / sum(exp(x)) for each row of x (rows, n). */
static void softmax(float *y, const float *x, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; ++r, x += n, y += n) {
    const float most = largest(x, n);
    for (size_t i = 0; i < n; ++i) y[i] = exp_of(x[i] - most);
    const float sum = sum_of(y, n);
    for (size_t i = 0; i < n; ++i) y[i] = y[i] / sum;
  }
}

/* Of n-th elements, so many; in float64. */
static float mean_of(const float *x, size_t n, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += x[i * n];
  return (float)(sum / (double)count);
}

/* y (m, d) = the rows of a table (rows, d) that x (m) names; NaN where there is none. */
static void look_up(float *y, const float *x, const float *table, size_t m, size_t rows, size_t d) {
  for (size_t i = 0; i < m; ++i) {
    const size_t row = x[i] >= 0 && x[i] < rows ? (size_t)x[i] : rows;
    const int found = row < rows && row == x[i];
    for (size_t j = 0; j < d; ++j) y[i * d + j] = found ? table[row * d + j] : NAN;
  }
}

/* A block (rows, n) of one array into another. */
static void copy(float *y, size_t y_width, const float *x, size_t x_width, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; ++r)
    for (size_t j = 0; j < n; ++j) y[r * y_width + j] = x[r * x_width + j];
}
