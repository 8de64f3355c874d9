// The random numbers of JAX: Threefry-2x32 of (key, position), LANES positions at once.
#pragma once
#include "vectors.h"

namespace sweep {

enum Law { gaussian, uniform };

typedef uint32_t Words __attribute__((vector_size(4 * LANES)));

INLINE Words rotate(Words x, int by) { return (x << by) | (x >> (32 - by)); }

// 32 random bits for each of the positions i, i + 1, ...: both words of the cipher's block,
// xor-ed, as `jax.random.bits` does where `jax_threefry_partitionable` is set.
// Salmon, Moraes, Dror & Shaw (2011), SC11: 20 rounds.
INLINE Ints random_bits(uint32_t key0, uint32_t key1, uint32_t i) {
  const uint32_t keys[] = {key0, key1, key0 ^ key1 ^ 0x1BD11BDAu};
  constexpr int rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  Words high{}, low;
  for (int lane = 0; lane < LANES; lane++) low[lane] = i + lane;
  high += keys[0];
  low += keys[1];
#pragma GCC unroll 5
  for (int group = 0; group < 5; group++) {
#pragma GCC unroll 4
    for (int round = 0; round < 4; round++) {
      high += low;
      low = high ^ rotate(low, rotations[group % 2][round]);
    }
    high += keys[(group + 1) % 3];
    low += keys[(group + 2) % 3] + (group + 1u);
  }
  return (Ints)(high ^ low);
}

// Uniform on [0, 1): the highest 23 bits.
INLINE Vec unit_of(Ints bits) {
  const Words mantissa = ((Words)bits >> 9) | 0x3f800000u;
  return (Vec)mantissa - 1.0f;
}

// Uniform on [-1, 1), bit for bit as `jax.random.uniform`.
INLINE Vec uniform_of(Ints bits) { return unit_of(bits) * 2.0f - 1.0f; }

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

// sqrt(2) erfinv(u), u uniform on (-1, 1), with the polynomials of `jax.random.normal`.
// Giles (2010), "Approximating the erfinv function".
INLINE Vec normal_of(Ints bits) {
  const float low = -0.99999994f;
  Vec u = unit_of(bits) * 2.0f + low;
  u = select(u < low, all(low), u);
  Vec square = u * u;
  asm("" : "+m"(square));  // rounded, as in JAX: not the inside of a fused 1 - u u
  const Vec w = -log_positive(1.0f - square);
  Vec v = w - 2.5f, p = all(2.81022636e-08f);
  p = p * v + 3.43273939e-07f;
  p = p * v - 3.5233877e-06f;
  p = p * v - 4.39150654e-06f;
  p = p * v + 0.00021858087f;
  p = p * v - 0.00125372503f;
  p = p * v - 0.00417768164f;
  p = p * v + 0.246640727f;
  p = p * v + 1.50140941f;
  const Ints far = w >= 5.0f;
  bool any = false;
  for (int i = 0; i < LANES; i++) any |= far[i] != 0;
  if (any) {
    Vec root;
    for (int i = 0; i < LANES; i++) root[i] = __builtin_sqrtf(far[i] ? w[i] : 9.0f);
    v = root - 3.0f;
    Vec q = all(-0.000200214257f);
    q = q * v + 0.000100950558f;
    q = q * v + 0.00134934322f;
    q = q * v - 0.00367342844f;
    q = q * v + 0.00573950773f;
    q = q * v - 0.0076224613f;
    q = q * v + 0.00943887047f;
    q = q * v + 1.00167406f;
    q = q * v + 2.83297682f;
    p = select(far, q, p);
  }
  return 1.41421356f * p * u;
}

}  // namespace sweep
