// The numbers of `sweep_engine.threefry`: Threefry-2x32 of (key, counter), LANES counters at once.
#pragma once
#include "vectors.h"

namespace sweep {

enum Law { normal, uniform };

typedef uint32_t Words __attribute__((vector_size(4 * LANES)));

INLINE Words rotate(Words x, int by) { return (x << by) | (x >> (32 - by)); }

struct Blocks {
  Words first, second;
};

// The blocks of the counters (i, 0), (i + 1, 0), ...
// Salmon, Moraes, Dror & Shaw (2011), SC11: 20 rounds.
INLINE Blocks threefry(const uint32_t* key, uint32_t i) {
  const uint32_t keys[] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  constexpr uint32_t lanes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Words x, y = Words{} + keys[1];
  memcpy(&x, lanes, sizeof x);
  x += i + keys[0];
#pragma GCC unroll 5
  for (int group = 0; group < 5; group++) {
#pragma GCC unroll 4
    for (int round = 0; round < 4; round++) {
      x += y;
      y = x ^ rotate(y, rotations[group % 2][round]);
    }
    x += keys[(group + 1) % 3];
    y += keys[(group + 2) % 3] + (group + 1u);
  }
  return {x, y};
}

// Uniform on (-1, 1), bit for bit as `uniforms`: all but the last sum is exact.
INLINE Vec uniform_of(Ints word) {
  const Ints highest = (Ints)((Words)word >> 9);
  return __builtin_convertvector(highest, Vec) * 0x1p-22f - 0.99999994f;
}

// ln(x) of a positive normal number (Cephes): x = 2^e m with sqrt(1/2) <= m < sqrt(2).
INLINE Vec log_positive(Vec x) {
  const Ints bits = (Ints)x, shifted = bits - 0x3f3504f3;
  const Ints exponent = shifted >> 23;
  const Vec m = (Vec)(bits - (exponent << 23)) - 1.0f, e = __builtin_convertvector(exponent, Vec);
  Vec p = all(7.0376836292e-2f);
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  const Vec q = m * m;
  return (m * q * p - 2.12194440e-4f * e - 0.5f * q + m) + 0.693359375f * e;
}

// sqrt(2) erfinv(u), u uniform on (-1, 1), with the polynomials of `normals`.
// Giles (2012), "Approximating the erfinv function".
INLINE Vec normal_of(Ints word) {
  const Vec u = uniform_of(word);
  const Vec w = -log_positive((1.0f - u) * (1.0f + u));
  Vec v = w - 2.5f, p = all(2.81022636e-08f);
  p = p * v + 3.43273939e-07f;
  p = p * v - 3.5233877e-06f;
  p = p * v - 4.39150654e-06f;
  p = p * v + 0.00021858087f;
  p = p * v - 0.00125372503f;
  p = p * v - 0.00417768164f;
  p = p * v + 0.246640727f;
  p = p * v + 1.50140941f;
  const Ints is_tail = w >= 5.0f;
  if (any(is_tail)) {
    float root[LANES];
    store(root, select(is_tail, w, all(9.0f)));
    for (int i = 0; i < LANES; i++) root[i] = __builtin_sqrtf(root[i]);
    v = load(root) - 3.0f;
    Vec q = all(-0.000200214257f);
    q = q * v + 0.000100950558f;
    q = q * v + 0.00134934322f;
    q = q * v - 0.00367342844f;
    q = q * v + 0.00573950773f;
    q = q * v - 0.0076224613f;
    q = q * v + 0.00943887047f;
    q = q * v + 1.00167406f;
    q = q * v + 2.83297682f;
    p = select(is_tail, q, p);
  }
  return 1.41421356f * (p * u);
}

template <Law LAW>
INLINE Vec number_of(Ints word) {
  return LAW == uniform ? uniform_of(word) : normal_of(word);
}

// Draws COUNT words: the first ones of the blocks, then the second ones. What is stored past an
// end is overwritten after, or lies in the 2 LANES words that `out` has to spare.
template <int COUNT>
INLINE void draw_words(const uint32_t* key, int32_t* out) {
  constexpr int half = (COUNT + 1) / 2;
  for (int i = padded(half) - LANES; i >= 0; i -= LANES) {
    const Blocks words = threefry(key, i);
    store_ints(out + i, (Ints)words.first);
    store_ints(out + half + i, (Ints)words.second);
  }
}

}  // namespace sweep
