/* What differs between the precisions, of float64: numbers of cpp/device/cpu/kernels/mathfun.h. */

#define MANTISSA_BITS 52
#define SIGN_BIT 63
#define LOG_BIAS 2048
/* Of the normal numbers. */
#define SMALLEST 0x1p-1022
/* Adding it leaves the nearest whole number in the low bits. */
#define MAGIC 0x1.8p52
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define EXP_HIGHEST 0x1.62e42fefa39efp9
#define EXP_LOWEST -0x1.6232bdd7abcd2p9
#define EXPM1_LOWEST -38.0
#define TINY 0x1p-54
#define ERF_BOUND 1.0
#define ERF_ONE 6.0
#define HALF_PI_1 0x1.921fb54442d18p0
#define HALF_PI_2 0x1.1a62633145c07p-54
#define HALF_PI_3 -0x1.f1976b7ed8fbcp-110
#define SINE_FURTHEST 0x1p49

/* (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2. */
static double exp_tail(double r) {
  static const double c[] = {
    1.60866279567803695e-10, 2.09181377376427364e-09, 2.50520710942935484e-08, 2.75572632790884977e-07,
    2.75573192472187315e-06, 2.48015873364422364e-05, 1.98412698412632981e-04, 1.38888888888790731e-03,
    8.33333333333333322e-03, 4.16666666666666782e-02, 1.66666666666666657e-01, 0.5};
  return polynomial(c, 12, r);
}

/* log(1 + f) for -1/4 <= f <= 1/2. */
static double log1p_reduced(double f) {
  static const double c[] = {
    1.36090302629077342e-01, 1.32097082420520651e-01, 1.53888678056141620e-01, 1.81817376263029240e-01,
    2.22222230483515887e-01, 2.85714285672759361e-01, 4.00000000000079403e-01, 6.66666666666666630e-01};
  const double s = f / (2.0 + f), z = s * s, half_square = 0.5 * f * f;
  const double r = z * polynomial(c, 8, z);
  return f - (half_square - s * (half_square + r));
}

/* (tanh(x) / x - 1) / x^2 of s = x^2. */
static double tanh_tail(double s) {
  static const double c[] = {
    -2.06027653763217456e-05, 8.51131368557057872e-05, -2.34634741088675375e-04, 5.88936052007387302e-04,
    -1.45566183010071171e-03, 3.59211037868902320e-03, -8.86323439781435546e-03, 2.18694884936669436e-02,
    -5.39682539674340156e-02, 1.33333333333327142e-01, -3.33333333333333315e-01};
  return polynomial(c, 11, s);
}

/* erf(x) / x - 1 of s = x^2. */
static double erf_near(double s) {
  static const double c[] = {
    -7.79589882699850390e-10, 1.37200645467755917e-08, -1.62084838018711811e-07, 1.64474247033172882e-06,
    -1.49247369074196538e-05, 1.20552949048397074e-04, -8.54832597538969182e-04, 5.22397760711642255e-03,
    -2.68661706432377703e-02, 1.12837916709450065e-01, -3.76126389031835429e-01, 1.28379167095512559e-01};
  return polynomial(c, 12, s);
}

/* log(1 - erf(a)). */
static double erf_far(double a) {
  static const double c[] = {
    1.76895657860440645e-11, -6.51282947038288356e-10, 1.08944747457720729e-08, -1.08130636005504265e-07,
    6.87124721980742551e-07, -2.66984162613479921e-06, 3.59927121277017801e-06, 2.80306420292076684e-05,
    -2.30717427878557557e-04, 9.20058845933977129e-04, -2.09892604729883248e-03, 5.84217709061734939e-04,
    1.88652651019291275e-02, -1.02637582017132287e-01, -6.36667605292663530e-01, -1.12836870583308380e+00,
    -1.06429869949338966e-06};
  return polynomial(c, 17, a);
}

/* (sin(r) / r - 1) / r^2 of s = r^2. */
static double sin_tail(double s) {
  static const double c[] = {
    1.58969099521155010e-10, -2.50507602534068634e-08, 2.75573137070700677e-06, -1.98412698298579493e-04,
    8.33333333332248947e-03, -1.66666666666666324e-01};
  return polynomial(c, 6, s);
}

/* (cos(r) - 1 + r^2 / 2) / r^4 of s = r^2. */
static double cos_tail(double s) {
  static const double c[] = {
    -1.13596475577881948e-11, 2.08757232129817483e-09, -2.75573143513906633e-07, 2.48015872894767294e-05,
    -1.38888888888741096e-03, 4.16666666666666019e-02};
  return polynomial(c, 6, s);
}
