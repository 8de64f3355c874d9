// Passes of a multilayer perceptron over examples: their losses, and the gradient.
#pragma once
#include "losses.h"
#include "network.h"

namespace sweep {

// Losses with one output, for which rows of outputs are gathered where they are padded.
template <int ROWS>
INLINE void scalar_loss(Workspace& w, const float* y, bool measure, Measured& found) {
  float gathered[padded(ROWS)] = {};
  for (int n = 0; n < ROWS; n++) gathered[n] = w.outputs[n * OUTPUT_STRIDE];
  Vec loss{}, wrong{};
  for (int n = 0; n < ROWS; n += LANES) {
    const Vec f = load(gathered + n), target = load(y + n);
    const auto [value, gradient] = scalar_loss_of(f, target);
    store(gathered + n, gradient * (1.0f / STEP_EXAMPLES));
    if (measure) {
      const Ints right = (f > 0.0f) == (target > 0.0f) & (f == f);
      loss += first(ROWS - n, value);
      wrong += first(ROWS - n, select(right, Vec{}, all(1)));
    }
  }
  for (int n = 0; n < ROWS; n++) w.outputs[n * OUTPUT_STRIDE] = gathered[n];
  if (measure) {
    found.loss += sum(loss);
    found.wrong += sum(wrong);
  }
}

INLINE bool is_largest(const float* f, int chosen) {  // the first of equals, without NaN
  bool right = true;
  for (int c = 0; c < OUTPUTS; c++) right &= c < chosen ? f[c] < f[chosen] : f[c] <= f[chosen];
  return right;
}

template <int ROWS>
INLINE void class_loss(Workspace& w, const float* y, bool measure, Measured& found) {
  constexpr int tail = OUTPUTS % LANES ? OUTPUTS % LANES : LANES;
  for (int n = 0; n < ROWS; n++) {
    float* f = w.outputs + n * OUTPUT_STRIDE;
    const int chosen = int(y[n]);
    float largest = f[0];
    for (int c = 1; c < OUTPUTS; c++) largest = f[c] > largest ? f[c] : largest;
    if (measure) found.wrong += !is_largest(f, chosen);
    const float margin = largest - f[chosen];
    Vec total{};
    for (int c = 0; c < OUTPUT_STRIDE; c += LANES) {
      const Vec e = exp_nonpositive(load(f + c) - largest);
      const Vec real = c + LANES < OUTPUT_STRIDE ? e : first(tail, e);
      store(f + c, real);
      total += real;
    }
    const float divisor = sum(total);
    for (int c = 0; c < OUTPUT_STRIDE; c += LANES)
      store(f + c, load(f + c) * (1.0f / (divisor * STEP_EXAMPLES)));
    f[chosen] -= 1.0f / STEP_EXAMPLES;
    if (measure) found.loss += std::log(divisor) + margin;
  }
}

// All examples forward, and back where there is a gradient to find.
template <int N, bool BACK>
INLINE Measured pass(Workspace& w, const float* x, const float* y, bool measure) {
  Measured found;
  if (BACK) transpose_weights(w);
  in_blocks<N, MOST>([&]<int ROWS>(int begin) {
    const float* inputs = x + int64_t(begin) * INPUTS;
    forward<ROWS>(w, inputs);
    if constexpr (LOSS == cross_entropy)
      class_loss<ROWS>(w, y + begin, measure, found);
    else
      scalar_loss<ROWS>(w, y + begin, measure, found);
    if constexpr (BACK) backward<ROWS>(w, inputs, w.outputs, begin > 0);
  });
  found.loss /= N;
  return found;
}

}  // namespace sweep
