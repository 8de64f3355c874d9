// Passes of a convolutional network over a tile of examples, each of which has a lane.
//
// A unit is a row of its values for the tile's examples, and the units of a position are
// neighbours. So the window of a convolution is some runs of whole rows, and is not copied. The
// weights are scalars; sums over examples alone need the rows turned.
#pragma once
#include "pooling.h"

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

inline void load_inputs(Workspace& w, const float* x, int count) {
  constexpr Layer own = NET[0];
  constexpr int run = own.given.x * own.given.channels;
  for (int y = 0; y < own.given.y; y++)
    to_lanes<run>(x + y * run, count, w.framed + place(own, y, 0) * TILE);
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
  for (int p = 0; p < own.positions(); p++)
    to_rows<channels>(w.delta + p * channels * TILE, w.turned + p * TILE * stride);
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

}  // namespace sweep
