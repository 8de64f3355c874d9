// The norms of a multilayer perceptron by which its margins may be divided: `norm_of` of plain.py.
#pragma once
#include "perceptron.h"

namespace sweep {

enum Norm { none, frobenius, path };
constexpr Norm NORM = SWEEP_NORM;

// The product of the layers' Frobenius norms; biases are left out.
template <int L = 0>
INLINE float frobenius_product(const float* theta) {
  constexpr int begin = weights_at(L), size = bias_at(L) - begin;
  Vec squares{};
  for (int i = 0; i < size; i += LANES) {
    const Vec w = first(size - i, load(theta + begin + i));
    squares += w * w;
  }
  const float norm = __builtin_sqrtf(sum(squares));
  if constexpr (L < LAYERS - 1) return norm * frobenius_product<L + 1>(theta);
  return norm;
}

// The sum of |product of the weights| over all paths that start at an input or a bias; `reached` is
// that of the paths to each unit of layer L, 1 of the inputs.
template <int L = 0>
INLINE float path_norm(const float* theta, const float* reached = nullptr) {
  constexpr int n = WIDTHS[L], m = WIDTHS[L + 1];
  const float *weights = theta + weights_at(L), *bias = theta + bias_at(L);
  float next[padded(m)];
  Vec whole{};
  for (int j = 0; j < m; j += LANES) {
    Vec total = BIAS ? absolute(load(bias + j)) : Vec{};
    for (int k = 0; k < n; k++)
      total += (L ? reached[k] : 1.0f) * absolute(load(weights + k * m + j));
    total = first(m - j, total);
    whole += total;
    store(next + j, total);
  }
  if constexpr (L < LAYERS - 1) return path_norm<L + 1>(theta, next);
  return sum(whole);
}

// A margin of the outputs divided by their norm; -inf where that is no positive number.
INLINE float divided(float margin, const float* theta) {
  if constexpr (NORM == none) return margin;
  const float norm = NORM == path ? path_norm(theta) : frobenius_product(theta);
  return norm > 0 && norm < __builtin_inff() ? margin / norm : -__builtin_inff();
}

}  // namespace sweep
