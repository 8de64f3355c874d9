// Vectors as wide as the processor's, and the functions of them that training needs.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

namespace sweep {

#if defined(__AVX512F__)
constexpr int LANES = 16, ACCUMULATORS = 24, PANEL = 4;
#elif defined(__AVX__)
constexpr int LANES = 8, ACCUMULATORS = 12, PANEL = 3;
#elif defined(__aarch64__)
constexpr int LANES = 4, ACCUMULATORS = 24, PANEL = 4;
#else
constexpr int LANES = 4, ACCUMULATORS = 12, PANEL = 3;
#endif

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));

#define INLINE inline __attribute__((always_inline))

constexpr int padded(int n) { return (n + LANES - 1) / LANES * LANES; }

// memcpy, so that the pointer need not be aligned: it is one instruction.
INLINE Vec load(const float* from) {
  Vec v;
  memcpy(&v, from, sizeof v);
  return v;
}
INLINE void store(float* to, Vec v) { memcpy(to, &v, sizeof v); }
INLINE Ints load_ints(const int32_t* from) {
  Ints v;
  memcpy(&v, from, sizeof v);
  return v;
}
INLINE void store_ints(int32_t* to, Ints v) { memcpy(to, &v, sizeof v); }
// x - 0 is x, so that this is one broadcast; 0 + x is not where x is -0, and would be added.
INLINE Vec all(float value) { return value - Vec{}; }
INLINE Vec select(Ints where, Vec yes, Vec no) {
  return (Vec)(((Ints)yes & where) | ((Ints)no & ~where));
}
// Whether a mask has a lane set.
INLINE bool any(Ints mask) {
  int64_t words[LANES / 2], found = 0;
  memcpy(words, &mask, sizeof mask);
  for (int i = 0; i < LANES / 2; i++) found |= words[i];
  return found != 0;
}
INLINE Vec absolute(Vec x) { return (Vec)((Ints)x & 0x7fffffff); }
INLINE Vec square_root(Vec v) {
  for (int i = 0; i < LANES; i++) v[i] = __builtin_sqrtf(v[i]);
  return v;
}

// The sum of all lanes, by halves.
template <int N>
struct Lanes {
  typedef float type __attribute__((vector_size(4 * N)));
};
template <int N>
INLINE float sum_of(typename Lanes<N>::type v) {
  if constexpr (N == 4) {
    return (v[0] + v[2]) + (v[1] + v[3]);
  } else {
    typename Lanes<N / 2>::type halves[2];
    memcpy(halves, &v, sizeof v);
    return sum_of<N / 2>(halves[0] + halves[1]);
  }
}
INLINE float sum(Vec v) { return sum_of<LANES>(v); }

// Lanes of a and b in turn, from lane BEGIN of each.
template <int BEGIN, int... I>
INLINE Vec interleaved(Vec a, Vec b, std::integer_sequence<int, I...>) {
  return Vec{(I % 2 ? b : a)[BEGIN + I / 2]...};
}

// Rows of a square tile become its columns: log2(LANES) times its halves are interleaved.
INLINE void transpose(Vec (&rows)[LANES]) {
  constexpr std::make_integer_sequence<int, LANES> lanes;
#pragma GCC unroll 4
  for (int round = 1; round < LANES; round *= 2) {
    Vec before[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++) before[i] = rows[i];
#pragma GCC unroll 8
    for (int i = 0; i < LANES / 2; i++) {
      rows[2 * i] = interleaved<0>(before[i], before[i + LANES / 2], lanes);
      rows[2 * i + 1] = interleaved<LANES / 2>(before[i], before[i + LANES / 2], lanes);
    }
  }
}

// The first `count` lanes of v, 0 in the others.
INLINE Vec first(int count, Vec v) {
  Ints lane;
  for (int i = 0; i < LANES; i++) lane[i] = i;
  return select(lane < count, v, Vec{});
}

// exp(x) for x <= 0, to 2 ulp; at least exp(-87), where float32 has no normal number below.
// 2^n e^r with |r| <= ln 2 / 2, and the Taylor polynomial's coefficients refitted (Cephes).
INLINE Vec exp_nonpositive(Vec x) {
  x = select(x < -87.0f, all(-87.0f), x);  // keeps NaN
  const Vec n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // rounds to an integer
  const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vec p = all(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * (Vec)((__builtin_convertvector(n, Ints) + 127) << 23);
}

// ln(1 + u) for 0 <= u <= 1, to 2 ulp of the result: 2 artanh(u / (2 + u)).
INLINE Vec log1p_unit(Vec u) {
  const Vec s = u / (u + 2.0f), q = s * s;
  Vec p = all(1.0f / 15);
  p = p * q + 1.0f / 13;
  p = p * q + 1.0f / 11;
  p = p * q + 1.0f / 9;
  p = p * q + 1.0f / 7;
  p = p * q + 1.0f / 5;
  p = p * q + 1.0f / 3;
  return 2 * (s + s * q * p);
}

// tanh(x) to 6 ulp: the rational function of Eigen (and XLA), clamped where it is +-1.
INLINE Vec tanh(Vec x) {
  const float bound = 7.90531110763549805f;
  x = select(x > bound, all(bound), select(x < -bound, all(-bound), x));
  const Vec q = x * x;
  Vec p = all(-2.76076847742355e-16f);
  p = p * q + 2.00018790482477e-13f;
  p = p * q + -8.60467152213735e-11f;
  p = p * q + 5.12229709037114e-08f;
  p = p * q + 1.48572235717979e-05f;
  p = p * q + 6.37261928875436e-04f;
  p = p * q + 4.89352455891786e-03f;
  Vec d = all(1.19825839466702e-06f);
  d = d * q + 1.18534705686654e-04f;
  d = d * q + 2.26843463243900e-03f;
  d = d * q + 4.89352518554385e-03f;
  return x * p / d;
}

// erf(x) to a few ulp: the rational function of Eigen (and XLA), clamped where it is +-1.
INLINE Vec erf(Vec x) {
  x = select(x > 4.0f, all(4.0f), select(x < -4.0f, all(-4.0f), x));
  const Vec q = x * x;
  Vec p = all(-2.72614225801306e-10f);
  p = p * q + 2.77068142495902e-08f;
  p = p * q + -2.10102402082508e-06f;
  p = p * q + -5.69250639462346e-05f;
  p = p * q + -7.34990630326855e-04f;
  p = p * q + -2.95459980854025e-03f;
  p = p * q + -1.60960333262415e-02f;
  Vec d = all(-1.45660718464996e-05f);
  d = d * q + -2.13374055278905e-04f;
  d = d * q + -1.68282697438203e-03f;
  d = d * q + -7.37332916720468e-03f;
  d = d * q + -1.42647390514189e-02f;
  return x * p / d;
}

// cos(angle) and sin(angle) to the last place, in float64: quarter turns, and Taylor's polynomials.
struct Direction {
  float cosine, sine;
};
inline Direction direction_of(float angle) {
  const double quarters = __builtin_floor(angle * 0.63661977236758134 + 0.5);
  const double r = angle - quarters * 1.5707963267948966, q = r * r;
  const double sine =
      r * (1 + q * (-1. / 6 + q * (1. / 120 + q * (-1. / 5040 + q * (1. / 362880 - q / 39916800)))));
  const double cosine =
      1 + q * (-1. / 2 + q * (1. / 24 + q * (-1. / 720 + q * (1. / 40320 - q / 3628800))));
  switch (int64_t(quarters) & 3) {
    case 0: return {float(cosine), float(sine)};
    case 1: return {float(-sine), float(cosine)};
    case 2: return {float(-cosine), float(-sine)};
    default: return {float(sine), float(-cosine)};
  }
}

}  // namespace sweep
