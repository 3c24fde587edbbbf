/* What series and functions are made of, of float32; see functions.c. */

typedef union {
  float number;
  uint32_t bits;
} pattern;

static uint32_t bits_of(float x) {
  pattern p;
  p.number = x;
  return p.bits;
}

static float number_of(uint32_t bits) {
  pattern p;
  p.bits = bits;
  return p.number;
}

/* Horner's rule; coefficients from the highest power down. */
static float polynomial(const float *c, size_t n, float x) {
  float sum = c[0];
  for (size_t i = 1; i < n; ++i) sum = FMA(sum, x, c[i]);
  return sum;
}

static float larger(float a, float b) { return a < b ? b : a; }

static float smaller(float a, float b) { return b < a ? b : a; }
