// Passes of a convolutional network over a tile of examples, each of which has a lane.
//
// A unit is a row of its values for the tile's examples, and the units of a position are
// neighbours. So the window of a convolution is some runs of whole rows, and is not copied. The
// weights are scalars; sums over examples alone need the rows turned.
#pragma once
#include "pooling.h"
#include "products.h"

namespace sweep {

// Between theta (flat) and the padded arrays.
template <bool TO_FLAT>
INLINE void copy_params(float* flat, float* params) {
  for (int l = 0; l < DEPTH; l++) {
    const int channels = NET[l].made.channels;
    for (int row = 0; row < NET[l].fan_in() + BIAS; row++) {
      float* one = flat + flat_at(l) + row * channels;
      float* other = params + weights_at(l) + row * NET[l].stride();
      TO_FLAT ? memcpy(one, other, sizeof(float) * channels)
              : memcpy(other, one, sizeof(float) * channels);
    }
  }
}

// Examples become lanes. Those that are missing in the last tile are copies of its last one: a
// lane must not hold what is not finite where the examples are.
inline void load_inputs(Workspace& w, const float* x, int count) {
  constexpr Layer own = NET[0];
  constexpr int run = own.given.x * own.given.channels;
  for (int y = 0; y < own.given.y; y++) {
    float* to = w.framed + place(own, y, 0) * TILE;
    for (int n = 0; n < TILE; n += LANES) {
      for (int k = 0; k < run; k += LANES) {
        const int size = std::min(LANES, run - k);
        Vec rows[LANES];
        for (int i = 0; i < LANES; i++) {
          const float* from = x + int64_t(std::min(n + i, count - 1)) * INPUTS + y * run + k;
          rows[i] = Vec{};
          memcpy(&rows[i], from, sizeof(float) * size);
        }
        transpose(rows);
        for (int i = 0; i < size; i++) store(to + (k + i) * TILE + n, rows[i]);
      }
    }
  }
}

template <int L>
void forward(Workspace& w) {
  constexpr Layer own = NET[L];
  constexpr int channels = own.made.channels, run = own.window.kernel_x * own.given.channels;
  constexpr Loop rows_of_window = {own.window.kernel_y, run * own.stride(),
                                   own.framed.x * own.given.channels * TILE};
  const float *weights = w.params + weights_at(L), *bias = w.params + bias_at(L);
  const float* framed = w.framed + framed_at(L) * TILE;
  for (int y = 0; y < own.made.y; y++) {
    for (int x = 0; x < own.made.x; x++) {
      const int unit = (y * own.made.x + x) * channels;
      float* slope = slope_of<L>(w) + (ACTIVATION == gelu ? unit * TILE : 0);
      float* to;
      if constexpr (L == DEPTH - 1)
        to = w.delta;
      else if constexpr (own.pools())
        to = w.unpooled + (pooled_at(L) + unit) * TILE;
      else
        to = next_framed<L>(w) + next_place<L>(y, x) * TILE;
      product<channels, TILE, run, 1, own.stride(), TILE, rows_of_window>(
          weights, framed + window_at(own, y, x) * TILE,
          [&](int h, int) { return all(BIAS ? bias[h] : 0); },
          [&](int h, int n, Vec z) {
            store(to + h * TILE + n, L == DEPTH - 1 ? z : activate(z, slope + h * TILE + n));
          });
    }
  }
  if constexpr (own.pools()) pool<L>(w);
}

// The gradient of a layer's parameters, by `turned`.
template <int L>
void weights_gradient(Workspace& w, bool add) {
  constexpr Layer own = NET[L];
  constexpr int stride = own.stride(), row = own.framed.x * own.given.channels;
  constexpr int run = own.window.kernel_x * own.given.channels;
  constexpr Loop over_y = {own.made.y, own.window.stride_y * row * TILE, own.made.x * TILE * stride};
  constexpr Loop over_x = {own.made.x, own.window.stride_x * own.given.channels * TILE,
                           TILE * stride};
  for (int y = 0; y < own.window.kernel_y; y++) {
    float* gradient = w.gradient + weights_at(L) + y * run * stride;
    product<run, own.made.channels, TILE, TILE, 1, stride, over_y, over_x>(
        w.framed + (framed_at(L) + y * row) * TILE, w.turned,
        [&](int k, int h) { return add ? load(gradient + k * stride + h) : Vec{}; },
        [&](int k, int h, Vec g) { store(gradient + k * stride + h, g); });
  }
  if constexpr (BIAS)
    sum_rows<own.positions() * TILE, stride>(w.turned, [](int) { return 1.0f; }, add,
                                             w.gradient + bias_at(L));
}

// The gradient of what a layer is given, by `delta`: each window adds to its units.
template <int L>
void inputs_gradient(Workspace& w) {
  constexpr Layer own = NET[L];
  constexpr int channels = own.made.channels, stride = own.stride();
  constexpr int run = own.window.kernel_x * own.given.channels;
  memset(w.framed_delta, 0, sizeof(float) * own.framed_units() * TILE);
  for (int y = 0; y < own.made.y; y++) {
    for (int x = 0; x < own.made.x; x++) {
      const float* delta = w.delta + (y * own.made.x + x) * channels * TILE;
      for (int i = 0; i < own.window.kernel_y; i++) {
        const float* weights = w.params + weights_at(L) + i * run * stride;
        float* to = w.framed_delta +
                    (window_at(own, y, x) + i * own.framed.x * own.given.channels) * TILE;
        product<run, TILE, channels, stride, 1, TILE>(
            weights, delta, [&](int k, int n) { return load(to + k * TILE + n); },
            [&](int k, int n, Vec d) { store(to + k * TILE + n, d); });
      }
    }
  }
}

// `turned` becomes `delta` with examples in rows.
template <int L>
void turn(Workspace& w) {
  constexpr Layer own = NET[L];
  constexpr int channels = own.made.channels, stride = own.stride();
  for (int p = 0; p < own.positions(); p++) {
    const float* from = w.delta + p * channels * TILE;
    float* to = w.turned + p * TILE * stride;
    for (int h = 0; h < channels; h += LANES) {
      for (int n = 0; n < TILE; n += LANES) {
        Vec rows[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
          rows[i] = h + i < channels ? load(from + (h + i) * TILE + n) : Vec{};
        transpose(rows);
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) store(to + (n + i) * stride + h, rows[i]);
      }
    }
  }
}

template <int L = 0>
INLINE void forward_all(Workspace& w) {
  forward<L>(w);
  if constexpr (L < DEPTH - 1) forward_all<L + 1>(w);
}

template <int L = DEPTH - 1>
INLINE void backward_all(Workspace& w, bool add) {
  turn<L>(w);
  weights_gradient<L>(w, add);
  if constexpr (L > 0) {
    inputs_gradient<L>(w);
    through_activation<L - 1>(w);
    backward_all<L - 1>(w, add);
  }
}

// The loss of LANES examples, of which the first `count` are real; their gradient takes the place
// of the outputs f. Rows are TILE apart.
INLINE void class_loss(float* f, Vec target, int count, bool measure, Measured& found) {
  Vec largest = load(f), at_target{}, total{};
  for (int c = 1; c < OUTPUTS; c++) {
    const Vec one = load(f + c * TILE);
    largest = select(one > largest, one, largest);
  }
  for (int c = 0; c < OUTPUTS; c++)
    at_target = select(target == float(c), load(f + c * TILE), at_target);
  if (measure) {  // the first of equals is the largest, without NaN
    Ints right = at_target == at_target;
    for (int c = 0; c < OUTPUTS; c++) {
      const Vec one = load(f + c * TILE);
      right &= (Ints)(float(c) < target) & (one < at_target) |
               (Ints)(float(c) >= target) & (one <= at_target);
    }
    found.wrong += sum(first(count, select(right, Vec{}, all(1))));
  }
  for (int c = 0; c < OUTPUTS; c++) {
    const Vec e = exp_nonpositive(load(f + c * TILE) - largest);
    store(f + c * TILE, e);
    total += e;
  }
  const Vec scale = 1.0f / (total * float(STEP_EXAMPLES));
  for (int c = 0; c < OUTPUTS; c++) {
    const Vec label = select(target == float(c), all(1.0f / STEP_EXAMPLES), Vec{});
    store(f + c * TILE, first(count, load(f + c * TILE) * scale - label));
  }
  if (measure)
    for (int i = 0; i < std::min(count, LANES); i++)
      found.loss += std::log(total[i]) + (largest[i] - at_target[i]);
}

INLINE void scalar_loss(float* f, Vec target, int count, bool measure, Measured& found) {
  const Vec output = load(f);
  const ScalarLoss one = scalar_loss_of(output, target);
  store(f, first(count, one.gradient * (1.0f / STEP_EXAMPLES)));
  if (measure) {
    const Ints right = ((output > 0.0f) == (target > 0.0f)) & (output == output);
    found.loss += sum(first(count, one.value));
    found.wrong += sum(first(count, select(right, Vec{}, all(1))));
  }
}

// N examples forward, and back where there is a gradient to find.
template <int N, bool BACK>
inline Measured pass(Workspace& w, const float* x, const float* y, bool measure) {
  Measured found;
  for (int begin = 0; begin < N; begin += TILE) {
    const int count = std::min(TILE, N - begin);
    load_inputs(w, x + int64_t(begin) * INPUTS, count);
    forward_all(w);
    for (int n = 0; n < TILE; n += LANES) {
      const Vec target = load(y + begin + n);
      if constexpr (LOSS == cross_entropy)
        class_loss(w.delta + n, target, count - n, measure, found);
      else
        scalar_loss(w.delta + n, target, count - n, measure, found);
    }
    if constexpr (BACK) backward_all(w, begin > 0);
  }
  found.loss /= N;
  return found;
}

}  // namespace sweep
