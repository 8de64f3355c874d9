// Passes of a perceptron with norms or residual connections over a tile of examples in lanes.
//
// Layers of the same widths, as those of blocks are, share their code.
#pragma once
#include "norms.h"

namespace sweep {

// What a layer sums of what it is given: weights as scalars. Where ADDS, the sums are added to
// the stream.
template <int N, int M, bool ACTIVATED, bool ADDS>
void sum_layer(const float* weights, const float* bias, const float* given, const float* stream,
               float* to, float* slope) {
  product<M, TILE, N, 1, step_of(M), TILE>(
      weights, given,
      [&](int h, int n) {
        const Vec z = all(BIAS ? bias[h] : 0);
        return ADDS ? z + load(stream + h * TILE + n) : z;
      },
      [&](int h, int n, Vec z) {
        const int at = h * TILE + n;
        store(to + at, ACTIVATED ? activate(z, slope + at) : z);
      });
}

template <int N, int M>
void weights_gradient(Workspace& w, const float* given, const float* delta, float* weights,
                      float* bias, bool add) {
  constexpr int stride = padded(M);
  if constexpr (M == 1) {
    sum_examples<N>([&](int at) { return load(given + at) * load(delta + at % TILE); }, add,
                    weights);
    if constexpr (BIAS) sum_examples<1>([&](int at) { return load(delta + at); }, add, bias);
  } else {
    to_rows<M>(delta, w.turned);
    product<N, M, TILE, TILE, 1, stride>(
        given, w.turned, [&](int k, int h) { return add ? load(weights + k * stride + h) : Vec{}; },
        [&](int k, int h, Vec g) { store(weights + k * stride + h, g); });
    if constexpr (BIAS) sum_rows<TILE, stride>(w.turned, [](int) { return 1.0f; }, add, bias);
  }
}

// The gradient of what a layer is given; where ACTIVATED, of what was activated to that; where
// ADDS, it is added to what is there.
template <int N, int M, bool ACTIVATED, bool ADDS>
void inputs_gradient(const float* weights, const float* delta, const float* given,
                     const float* slope, float* to) {
  product<N, TILE, M, step_of(M), 1, TILE>(
      weights, delta, [&](int k, int n) { return ADDS ? load(to + k * TILE + n) : Vec{}; },
      [&](int k, int n, Vec d) {
        const int at = k * TILE + n;
        store(to + at, ACTIVATED ? times_slope(d, load(given + at), slope + at) : d);
      });
}

INLINE void load_inputs(Workspace& w, const float* x, int count) {
  to_lanes<INPUTS>(x, count, w.given);
}

template <int L = 0>
INLINE void forward_all(Workspace& w) {
  constexpr int units = WIDTHS[L + 1];
  // Where nothing is normalised, what blocks are given is the stream, and is kept for all.
  float* next = w.given + given_at(L + 1) * TILE;
  float *slope = w.slope + slope_at(L) * TILE, *normal = w.normal + normal_at(L) * TILE;
  const float* stream = is_normalised(L) ? w.stream : w.given + given_at(std::max(L - 1, 0)) * TILE;
  float* sums = is_last(L)         ? w.delta
                : !is_normalised(L) ? next
                : is_stream(L)      ? w.stream
                                    : normal;
  sum_layer<WIDTHS[L], units, is_activated(L) && !is_normalised(L), is_stream(L) && (L > 0)>(
      w.params + weights_at(L), w.params + bias_at(L), w.given + given_at(L) * TILE, stream, sums,
      slope);
  if constexpr (is_normalised(L))
    normalise<units, is_activated(L)>(sums, w.params + norm_at(L), normal, w.inverse + L * TILE,
                                      next, slope);
  if constexpr (!is_last(L)) forward_all<L + 1>(w);
}

template <int L = LAYERS - 1>
INLINE void backward_all(Workspace& w, bool add) {
  constexpr int units = WIDTHS[L];
  const float *given = w.given + given_at(L) * TILE, *weights = w.params + weights_at(L);
  const float* delta = is_stream(L) ? w.stream_delta : w.delta;
  weights_gradient<units, WIDTHS[L + 1]>(w, given, delta, w.gradient + weights_at(L),
                                         w.gradient + bias_at(L), add);
  if constexpr (L > 0) {
    // The stream's gradient comes by every block, at first by the last layer.
    constexpr bool adds = is_stream(L - 1) && !is_last(L);
    float* to = is_stream(L - 1) ? w.stream_delta : w.delta;
    float* by_layer = is_normalised(L - 1) ? w.given_delta : to;
    inputs_gradient<units, WIDTHS[L + 1], is_activated(L - 1), adds && !is_normalised(L - 1)>(
        weights, delta, given, w.slope + slope_at(L - 1) * TILE, by_layer);
    if constexpr (is_normalised(L - 1))
      through_norm<units, adds>(by_layer, w.normal + normal_at(L - 1) * TILE,
                                w.inverse + (L - 1) * TILE, w.params + norm_at(L - 1),
                                w.gradient + norm_at(L - 1), add, to);
    backward_all<L - 1>(w, add);
  }
}

}  // namespace sweep
