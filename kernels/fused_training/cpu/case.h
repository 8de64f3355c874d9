// The static choices of a case, and the functions of one vector that they choose.
#pragma once
#include <cmath>

#include "vectors.h"

namespace sweep {

enum Activation { relu, tanh_, gelu, linear };
enum Loss { logistic, cross_entropy, squared, squared_labels };
enum Optimizer { sgd, nesterov, adam };

// What the Python side defines: see cpu/__init__.py.
constexpr int WIDTHS[] = {SWEEP_WIDTHS};
constexpr Activation ACTIVATION = SWEEP_ACTIVATION;
constexpr bool BIAS = SWEEP_BIAS;
constexpr Loss LOSS = SWEEP_LOSS;
constexpr Optimizer OPTIMIZER = SWEEP_OPTIMIZER;
constexpr int EXAMPLES = SWEEP_EXAMPLES, MINIBATCH = SWEEP_MINIBATCH;  // 0: full batch

constexpr int LAYERS = sizeof(WIDTHS) / sizeof(int) - 1;
constexpr int INPUTS = WIDTHS[0], OUTPUTS = WIDTHS[LAYERS];
constexpr int STEP_EXAMPLES = MINIBATCH ? MINIBATCH : EXAMPLES;
constexpr int NUM_MOMENTS = OPTIMIZER == adam ? 2 : 1;

struct Measured {
  float loss = 0, wrong = 0;
};

INLINE Vec activate(Vec z, float* slope) {
  if constexpr (ACTIVATION == relu) return select(z < 0.0f, Vec{}, z);  // keeps NaN
  if constexpr (ACTIVATION == tanh_) return tanh(z);
  if constexpr (ACTIVATION == gelu) {
    const float c = 0.79788456f, d = 0.044715f;
    const Vec t = tanh(c * (z + d * z * z * z));
    store(slope, 0.5f * (1 + t) + 0.5f * z * (1 - t * t) * c * (1 + 3 * d * z * z));
    return 0.5f * z * (1 + t);
  }
  return z;
}

// delta times the slope of the activation, of which h is the value.
INLINE Vec times_slope(Vec delta, Vec h, const float* slope) {
  if constexpr (ACTIVATION == relu) return select(h > 0.0f, delta, Vec{});
  if constexpr (ACTIVATION == tanh_) return delta * (1 - h * h);
  if constexpr (ACTIVATION == gelu) return delta * load(slope);
  return delta;
}

}  // namespace sweep
