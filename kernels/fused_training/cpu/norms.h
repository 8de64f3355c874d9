// Norms over the units of every example of a tile, and the gradient through them.
#pragma once
#include "residual_layers.h"

namespace sweep {

constexpr float EPSILON = 1e-5f;  // as in plain.py

// The mean over units; four sums, since each would wait for the one before.
template <int UNITS, class Term>
INLINE Vec mean_of(Term term) {
  Vec total[4]{};
  in_blocks<UNITS, 4>([&]<int R>(int begin) {
#pragma GCC unroll 4
    for (int i = 0; i < R; i++) total[i] += term(begin + i);
  });
  return ((total[0] + total[1]) + (total[2] + total[3])) * (1.0f / UNITS);
}

// Sums become normal values, and what the next layer is given. `gain` is less 1.
template <int UNITS, bool ACTIVATED>
void normalise(const float* sums, const float* gain, float* normal, float* inverse, float* to,
               float* slope) {
  const float* bias = gain + padded(UNITS);
  for (int n = 0; n < TILE; n += LANES) {
    const auto sum = [&](int h) { return load(sums + h * TILE + n); };
    Vec mean{};
    if constexpr (NORM == layer_norm) mean = mean_of<UNITS>(sum);
    const Vec square = mean_of<UNITS>([&](int h) { return (sum(h) - mean) * (sum(h) - mean); });
    const Vec scale = 1.0f / square_root(square + EPSILON);
    store(inverse + n, scale);
    for (int h = 0; h < UNITS; h++) {
      const int at = h * TILE + n;
      const Vec one = (sum(h) - mean) * scale;
      const Vec z = one * (1 + gain[h]) + (NORM == layer_norm ? bias[h] : 0);
      store(normal + at, one);
      store(to + at, ACTIVATED ? activate(z, slope + at) : z);
    }
  }
}

// From the gradient of what a norm gives to that of the sums that it was given, which is added to
// what is there where ADDS; and the gradient of its gains and biases.
template <int UNITS, bool ADDS>
void through_norm(const float* delta, const float* normal, const float* inverse, const float* gain,
                  float* gradient, bool add, float* to) {
  sum_examples<UNITS>(
      [&](int at) { return load(delta + at) * load(normal + at); }, add, gradient);
  if constexpr (NORM == layer_norm)
    sum_examples<UNITS>([&](int at) { return load(delta + at); }, add, gradient + padded(UNITS));
  for (int n = 0; n < TILE; n += LANES) {
    const auto scaled = [&](int h) { return load(delta + h * TILE + n) * (1 + gain[h]); };
    const Vec along = mean_of<UNITS>([&](int h) { return scaled(h) * load(normal + h * TILE + n); });
    Vec mean{};
    if constexpr (NORM == layer_norm) mean = mean_of<UNITS>(scaled);
    const Vec scale = load(inverse + n);
    for (int h = 0; h < UNITS; h++) {
      const int at = h * TILE + n;
      const Vec one = (scaled(h) - load(normal + at) * along - mean) * scale;
      store(to + at, ADDS ? load(to + at) + one : one);
    }
  }
}

}  // namespace sweep
