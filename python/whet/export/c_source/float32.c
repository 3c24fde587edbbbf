/* What differs between the precisions, of float32: numbers of cpp/device/cpu/kernels/mathfun.h. */

#define MANTISSA_BITS 23
#define SIGN_BIT 31
#define LOG_BIAS 256
/* Of the normal numbers. */
#define SMALLEST 0x1p-126f
/* Adding it leaves the nearest whole number in the low bits. */
#define MAGIC 0x1.8p23f
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define EXP_HIGHEST 0x1.62e42ep6f
#define EXP_LOWEST -0x1.5d589ep6f
#define EXPM1_LOWEST -18.0f
#define TINY 0x1p-25f
#define ERF_BOUND 0.927734375f
#define ERF_ONE 4.0f
#define HALF_PI_1 0x1.921fb6p0f
#define HALF_PI_2 -0x1.777a5cp-25f
#define HALF_PI_3 -0x1.ee59dap-50f
#define SINE_FURTHEST 0x1p22f

/* (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2. */
static float exp_tail(float r) {
  static const float c[] = {
    1.989099110e-04f, 1.393364975e-03f, 8.333310485e-03f, 4.166646674e-02f, 1.666666716e-01f, 0.5f};
  return polynomial(c, 6, r);
}

/* log(1 + f) for -1/4 <= f <= 1/2. */
static float log1p_reduced(float f) {
  static const float c[] = {
    -4.738242552e-02f, 1.062562913e-01f, -1.312287748e-01f, 1.443845630e-01f, -1.664764434e-01f, 1.999359280e-01f,
    -2.500015497e-01f, 3.333339691e-01f, -0.5f};
  return FMA(f * f, polynomial(c, 9, f), f);
}

/* (tanh(x) / x - 1) / x^2 of s = x^2. */
static float tanh_tail(float s) {
  static const float c[] = {
    -6.610227749e-03f, 2.130938880e-02f, -5.390942842e-02f, 1.333311349e-01f, -3.333333135e-01f};
  return polynomial(c, 5, s);
}

/* erf(x) / x - 1 of s = x^2. */
static float erf_near(float s) {
  static const float c[] = {
    -5.96761703e-4f, 4.99119423e-3f, -2.67681349e-2f, 1.12819925e-1f, -3.76125336e-1f, 1.28379166e-1f};
  return polynomial(c, 6, s);
}

/* log(1 - erf(a)). */
static float erf_far(float a) {
  static const float c[] = {
    -1.72853470e-5f, 3.83197126e-4f, -3.88396438e-3f, 2.42546219e-2f, -1.06777877e-1f, -6.34846687e-1f,
    -1.28717512e-1f};
  return FMA(polynomial(c, 7, a), a, 0 - a);
}

/* (sin(r) / r - 1) / r^2 of s = r^2. */
static float sin_tail(float s) {
  static const float c[] = {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f};
  return polynomial(c, 3, s);
}

/* (cos(r) - 1 + r^2 / 2) / r^4 of s = r^2. */
static float cos_tail(float s) {
  static const float c[] = {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f};
  return polynomial(c, 3, s);
}
