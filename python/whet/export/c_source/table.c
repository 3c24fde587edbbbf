/* What a table's row goes through before the network, in float64 whatever that computes in. */

/* As strcmp, of UTF-8. */
static int compare(const char *a, const char *b) {
  while (*a && *a == *b) ++a, ++b;
  return (unsigned char)*a - (unsigned char)*b;
}

/* Where a text stands among sorted ones; n for none of them. */
static size_t code_of(const char *text, const char *const *levels, size_t n) {
  size_t low = 0, high = n;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (compare(levels[middle], text) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low < n && compare(levels[low], text) == 0 ? low : n;
}

static double linearly_scaled(double x, double center, double scale) { return (x - center) / scale; }

static double bent(double x, double clip) { return x / hypot(1, x / clip); }

/* Of n even shares from 0 to 1. */
static double even_share(size_t i, size_t n) { return i + 1 == n ? 1 : (double)i * (1.0 / (double)(n - 1)); }

/* Between the edges next to x, as numpy.interp; with a sign of -1 from the other side. */
static double interpolated(double x, const double *edges, size_t n, int sign) {
  size_t low = 0, high = n - 1;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    if ((sign > 0 ? edges[middle] : -edges[n - 1 - middle]) <= x)
      low = middle;
    else
      high = middle;
  }
  const double left = sign > 0 ? edges[low] : -edges[n - 1 - low];
  const double right = sign > 0 ? edges[high] : -edges[n - 1 - high];
  const double below = sign > 0 ? even_share(low, n) : -even_share(n - 1 - low, n);
  const double above = sign > 0 ? even_share(high, n) : -even_share(n - 1 - high, n);
  if (left == x) return below;
  return (above - below) / (right - left) * (x - left) + below;
}

/* The share of training rows below x, from n quantiles. */
static double share_below(double x, const double *edges, size_t n) {
  if (edges[0] == edges[n - 1]) return x == edges[0] ? 0.5 : x > edges[0];
  if (x >= edges[n - 1]) return 1;
  if (x <= edges[0]) return 0;
  return 0.5 * (interpolated(x, edges, n, 1) - interpolated(-x, edges, n, -1));
}

static double log_of_share(double x) {
  int exponent;
  double fraction = frexp(x, &exponent);
  if (fraction < 0.7071067811865476) {
    fraction = 2 * fraction;
    --exponent;
  }
  const double s = (fraction - 1) / (fraction + 1), square = s * s;
  double series = 0;
  for (int k = 25; k > 0; k -= 2) series = series * square + 1.0 / k;
  return exponent * 0x1.62e42feep-1 + (2 * s * series + exponent * 0x1.a39ef35793c76p-33);
}

static const double QUANTILE_MIDDLE[16] = {
    2509.0809287301227, 5226.495278852854, 33430.57558358813, 28729.085735721943, 67265.7709270087, 39307.89580009271,
    45921.95393154987, 21213.794301586597, 13731.69376550946, 5394.196021424751, 1971.5909503065513, 687.1870074920579,
    133.14166789178438, 42.31333070160091, 3.3871328727963665, 1.0};

static const double QUANTILE_NEAR[16] = {
    0.0007745450142783414, 1.0507500716444169e-09, 0.022723844989269184, 0.0005475938084995345, 0.2417807251774506,
    0.015198666563616457, 1.2704582524523684, 0.14810397642748008, 3.6478483247632045, 0.6897673349851,
    5.769497221460691, 1.6763848301838038, 4.630337846156546, 2.053191626637759, 1.4234371107496835, 1.0};

static const double QUANTILE_FAR[16] = {
    2.0103343992922881e-07, 2.0442631033899397e-15, 2.7115555687434876e-05, 1.421511758316446e-07,
    0.0012426609473880784, 1.8463183175100548e-05, 0.026532189526576124, 0.0007868691311456133, 0.29656057182850487,
    0.014875361290850615, 1.7848265399172913, 0.1369298809227358, 5.463784911164114, 0.599832206555888,
    6.657904643501103, 1.0};

/* A quotient of polynomials: pairs of coefficients, the highest power first. */
static double rational(double x, const double *pairs) {
  double above = 0, below = 0;
  for (size_t i = 0; i < 16; i += 2) {
    above = above * x + pairs[i];
    below = below * x + pairs[i + 1];
  }
  return above / below;
}

/* The number that this share of a normal distribution lies below: Wichura's algorithm AS 241. */
static double normal_quantile(double share, double least) {
  share = share < least ? least : share > 1 - least ? 1 - least : share;
  const double q = share - 0.5;
  if (!(fabs(q) > 0.425)) return q * rational(0.180625 - q * q, QUANTILE_MIDDLE);
  const double r = sqrt(-log_of_share(q < 0 ? share : 1 - share));
  return copysign(r > 5 ? rational(r - 5, QUANTILE_FAR) : rational(r - 1.6, QUANTILE_NEAR), q);
}
