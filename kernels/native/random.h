// The numbers of `sweep_engine.threefry`: Threefry-2x32 of (key, counter), LANES counters at once.
#pragma once
#include "vectors.h"

namespace sweep {

// What parameters are before they are scaled: see case.py.
enum Numbers { normal, truncated_normal, uniform, laplace, sign, direction, ones };

typedef uint32_t Words __attribute__((vector_size(4 * LANES)));

INLINE Words rotate(Words x, int by) { return (x << by) | (x >> (32 - by)); }

struct Blocks {
  Words first, second;
};

INLINE Words from(uint32_t i) {  // i, i + 1, ...
  constexpr uint32_t lanes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Words counters;
  memcpy(&counters, lanes, sizeof counters);
  return counters + i;
}

// The blocks of the counters (x, y), a lane each.
// Salmon, Moraes, Dror & Shaw (2011), SC11: 20 rounds.
INLINE Blocks threefry(const uint32_t* key, Words x, Words y) {
  const uint32_t keys[] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  x += keys[0];
  y += keys[1];
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

// Words i, i + 1, ... as jax.random makes them: both words of a block at once.
INLINE Ints joint_words(const uint32_t* key, uint32_t i) {
  const Blocks words = threefry(key, Words{}, from(i));
  return (Ints)(words.first ^ words.second);
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

// sqrt(2) erfinv(u) of u in (-1, 1), with the polynomials of `threefry.erfinv`.
// Giles (2012), "Approximating the erfinv function".
INLINE Vec normal_at(Vec u) {
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

// A normal number within two deviations of 0: as `truncated_normals`.
INLINE Vec truncated_normal_of(Ints word) {
  constexpr float low = -0x1.e8b42ep-1f, width = 0x1.e8b43p+0f;
  const Ints highest = (Ints)((Words)word >> 9);
  const Vec u = __builtin_convertvector(highest, Vec) * 0x1p-23f * width + low;
  const Vec z = normal_at(select(u < low, all(low), u));
  return select(z > 2.0f, all(2.0f), select(z < -2.0f, all(-2.0f), z));
}

// Of density exp(-|x|) / 2, as `laplaces`: 1 - |u| is exact.
INLINE Vec laplace_of(Ints word) {
  const Vec u = uniform_of(word), size = -log_positive(1.0f - absolute(u));
  return select(u < 0.0f, -size, size);
}

// A number of a word; that of a direction before it is divided by the length of all.
template <Numbers NUMBERS>
INLINE Vec number_of(Ints word) {
  if constexpr (NUMBERS == ones) return all(1.0f);
  if constexpr (NUMBERS == uniform) return uniform_of(word);
  if constexpr (NUMBERS == laplace) return laplace_of(word);
  if constexpr (NUMBERS == sign) return select(word < 0, all(1.0f), all(-1.0f));
  if constexpr (NUMBERS == truncated_normal) return truncated_normal_of(word);
  return normal_at(uniform_of(word));
}

// Draws COUNT words: the first ones of the blocks, then the second ones, but for a direction both
// at once, as jax.random does. What is stored past an end is overwritten after, or lies in the
// 2 LANES words that `out` has to spare.
template <Numbers NUMBERS, int COUNT>
INLINE void draw_words(const uint32_t* key, int32_t* out) {
  if constexpr (NUMBERS == direction) {
    for (int i = 0; i < COUNT; i += LANES) store_ints(out + i, joint_words(key, i));
  } else if constexpr (NUMBERS != ones) {
    constexpr int half = (COUNT + 1) / 2;
    for (int i = padded(half) - LANES; i >= 0; i -= LANES) {
      const Blocks words = threefry(key, from(i), Words{});
      store_ints(out + i, (Ints)words.first);
      store_ints(out + half + i, (Ints)words.second);
    }
  }
}

}  // namespace sweep
