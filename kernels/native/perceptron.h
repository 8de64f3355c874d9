// A multilayer perceptron's outputs on all inputs, and how its labels and margins are read.
//
// Vectors run over the inputs, so that nothing of a layer is padded and theta is read as it is.
#pragma once
#include "products.h"

namespace sweep {

enum Activation { relu, tanh_, gelu, linear };

// What the Python side defines: see __init__.py.
constexpr int WIDTHS[] = {SWEEP_WIDTHS};
constexpr Activation ACTIVATION = SWEEP_ACTIVATION;
constexpr bool BIAS = SWEEP_BIAS;
constexpr int INPUTS = SWEEP_INPUTS;

constexpr int LAYERS = sizeof(WIDTHS) / sizeof(int) - 1, ARRAYS = LAYERS * (1 + BIAS);
constexpr int weights_at(int l) {
  return l == 0 ? 0 : weights_at(l - 1) + (WIDTHS[l - 1] + BIAS) * WIDTHS[l];
}
constexpr int bias_at(int l) { return weights_at(l) + WIDTHS[l] * WIDTHS[l + 1]; }
constexpr int PARAMS = weights_at(LAYERS), OUTPUTS = WIDTHS[LAYERS];
constexpr int array_at(int a) {
  return BIAS && a % 2 ? bias_at(a / 2) : weights_at(a / (1 + BIAS));
}
constexpr int widest(int l) {
  return l == 0 ? 0 : WIDTHS[l] > widest(l - 1) ? WIDTHS[l] : widest(l - 1);
}

// Inputs are taken in tiles of a panel of vectors: two layers' activations stay in the cache.
constexpr int TILES = (INPUTS + PANEL * LANES - 1) / (PANEL * LANES);
constexpr int TILE = padded((INPUTS + TILES - 1) / TILES);
constexpr bool HAS_BITS = OUTPUTS <= 2;  // two labels: eight a byte

// What all networks are computed on.
struct Inputs {
  float x[TILES][WIDTHS[0]][TILE];  // 0 past the last input
  int32_t target[TILES * TILE];     // negative where none has to be met

  INLINE void load_from(const float* given, const int32_t* targets) {
    for (int n = 0; n < TILES * TILE; n++) {
      const bool is_input = n < INPUTS;
      for (int k = 0; is_input && k < WIDTHS[0]; k++)
        x[n / TILE][k][n % TILE] = given[int64_t(n) * WIDTHS[0] + k];
      target[n] = is_input ? targets[n] : -1;
    }
  }
};

// The activations of two layers.
typedef float Hidden[2][widest(LAYERS)][TILE];

INLINE Vec activate(Vec z) {
  if constexpr (ACTIVATION == relu) return select(z < 0.0f, Vec{}, z);  // keeps NaN
  if constexpr (ACTIVATION == tanh_) return tanh(z);
  if constexpr (ACTIVATION == gelu)
    return 0.5f * z * (1 + tanh(0.79788456f * (z + 0.044715f * z * z * z)));
  return z;
}

// The outputs of a tile, in the first row of what is returned.
template <int L = 0>
INLINE const float* forward(const float* theta, Hidden& hidden, const float* in) {
  constexpr int units = WIDTHS[L + 1];
  const float *weights = theta + weights_at(L), *bias = theta + bias_at(L);
  float* out = hidden[L % 2][0];
  product<units, TILE, WIDTHS[L], 1, units, TILE>(
      weights, in, [&](int j, int) { return BIAS ? all(bias[j]) : Vec{}; },
      [&](int j, int n, Vec z) {
        store(out + j * TILE + n, L == LAYERS - 1 ? z : activate(z));
      });
  if constexpr (L < LAYERS - 1) return forward<L + 1>(theta, hidden, out);
  return out;
}

// What LANES inputs are labelled; a label's margin over the others, positive where it is right.
struct Reading {
  Ints label, wrong;
  Vec margin;
};

// The label of one output is 1 where it is > 0, that of several the largest, the first of equals;
// NaN counts as largest, and as wrong.
INLINE Reading read(const float* outputs, Ints target) {
  const Vec f = load(outputs);
  const Ints is_target = target >= 0;
  Reading found{};
  Ints is_right;
  if constexpr (OUTPUTS == 1) {
    found.label = f > 0.0f;
    is_right = (found.label == (target > 0)) & (f == f);
    found.margin = select(target > 0, f, -f);
  } else {
    const Vec none = all(-__builtin_inff());
    Vec best = f, right = none, other = none;
    Ints has_nan = f != f;
    for (int c = 0; c < OUTPUTS; c++) {
      const Vec z = load(outputs + c * TILE);
      const Ints is_best = (z > best) | ((z != z) & (best == best)), is_its = target == c;
      best = select(is_best, z, best);
      found.label = (Ints)select(is_best, (Vec)(Ints{} + c), (Vec)found.label);
      right = select(is_its, z, right);
      other = select(~is_its & (z > other), z, other);
      has_nan |= z != z;
    }
    is_right = (found.label == target) & ~has_nan;
    found.margin = select(has_nan, all(__builtin_nanf("")), right - other);
    if constexpr (HAS_BITS) found.label = found.label > 0;
  }
  found.wrong = ~is_right & is_target;
  const Vec whole = select(is_right, all(__builtin_inff()), all(-__builtin_inff()));
  const Ints is_decided = (found.margin > 0.0f) | (found.margin < 0.0f);
  found.margin = select(is_decided, found.margin, whole);
  found.margin = select(is_target, found.margin, all(__builtin_inff()));
  return found;
}

}  // namespace sweep
