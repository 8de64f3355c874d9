// The multilayer perceptron of one case: how its arrays lie, its passes over a tile of examples.
//
// Rows are padded to whole vectors; what is padded is 0 and stays 0. The last layer of a network
// with one output is kept as a row, so that its vectors run over the hidden units.
#pragma once
#include "case.h"
#include "products.h"

namespace sweep {

constexpr bool is_row(int l) { return l == LAYERS - 1 && l > 0 && OUTPUTS == 1; }
constexpr int rows_of(int l) { return is_row(l) ? 1 : WIDTHS[l]; }
constexpr int columns_of(int l) { return is_row(l) ? WIDTHS[l] : WIDTHS[l + 1]; }
constexpr int stride_of(int l) { return padded(columns_of(l)); }
constexpr int weights_at(int l) {
  return l == 0 ? 0
                : weights_at(l - 1) + rows_of(l - 1) * stride_of(l - 1) + BIAS * padded(WIDTHS[l]);
}
constexpr int bias_at(int l) { return weights_at(l) + rows_of(l) * stride_of(l); }
constexpr int PADDED_PARAMS = weights_at(LAYERS);
constexpr int flat_at(int l) { return l == 0 ? 0 : flat_at(l - 1) + (WIDTHS[l - 1] + BIAS) * WIDTHS[l]; }
constexpr int PARAMS = flat_at(LAYERS);

constexpr int transposed_at(int l) {
  return l == 0 ? 0 : transposed_at(l - 1) + (l > 1 ? WIDTHS[l] * padded(WIDTHS[l - 1]) : 0);
}
constexpr int hidden_before(int l) { return l <= 1 ? 0 : hidden_before(l - 1) + padded(WIDTHS[l - 1]); }
constexpr int HIDDEN = hidden_before(LAYERS);  // floats an example

// Examples are taken in tiles whose activations take half of the first-level cache; each tile
// reads and writes the gradient once.
constexpr int TILE_FLOATS = 6144;
constexpr int MOST = HIDDEN == 0 ? 32 : TILE_FLOATS / HIDDEN < 8 ? 8 : TILE_FLOATS / HIDDEN;
constexpr int tile_of(int n) { return (n + (n + MOST - 1) / MOST - 1) / ((n + MOST - 1) / MOST); }
constexpr int TILE = tile_of(EXAMPLES) > tile_of(STEP_EXAMPLES) ? tile_of(EXAMPLES) : tile_of(STEP_EXAMPLES);

constexpr int OUTPUT_STRIDE = is_row(LAYERS - 1) ? 1 : padded(OUTPUTS);

struct alignas(64) Workspace {
  float params[PADDED_PARAMS], gradient[PADDED_PARAMS];
  float moments[NUM_MOMENTS][PADDED_PARAMS];
  float transposed[transposed_at(LAYERS) + LANES];
  float hidden[TILE * HIDDEN + LANES];
  float slope[ACTIVATION == gelu ? TILE * HIDDEN + LANES : LANES];  // gelu'(z)
  float outputs[padded(TILE) * OUTPUT_STRIDE + LANES];
  float targets[EXAMPLES + padded(TILE)];
  float batch_inputs[MINIBATCH * INPUTS + LANES], batch_targets[MINIBATCH + padded(TILE)];
};

// Between theta (flat) and the padded arrays.
template <bool TO_FLAT>
INLINE void copy_params(float* flat, float* params) {
  for (int l = 0; l < LAYERS; l++) {
    for (int row = 0; row < rows_of(l) + BIAS; row++) {
      const bool is_bias = row == rows_of(l);
      float* one = flat + flat_at(l) + (is_bias ? WIDTHS[l] * WIDTHS[l + 1] : row * columns_of(l));
      float* other = params + weights_at(l) + row * stride_of(l);
      const size_t size = sizeof(float) * (is_bias ? WIDTHS[l + 1] : columns_of(l));
      TO_FLAT ? memcpy(one, other, size) : memcpy(other, one, size);
    }
  }
}

template <int L = 1>
INLINE void transpose_weights(Workspace& w) {
  if constexpr (L < LAYERS) {
    constexpr int n = WIDTHS[L], m = WIDTHS[L + 1];
    const float* from = w.params + weights_at(L);
    float* to = w.transposed + transposed_at(L);
    for (int k = 0; k < n && !is_row(L); k += LANES) {
      for (int j = 0; j < m; j += LANES) {
        Vec tile[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
          tile[i] = k + i < n ? load(from + (k + i) * stride_of(L) + j) : Vec{};
        transpose(tile);
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
          if (j + i < m) store(to + (j + i) * padded(n) + k, tile[i]);
      }
    }
    transpose_weights<L + 1>(w);
  }
}

template <int L>
INLINE float* hidden(Workspace& w) {
  return w.hidden + TILE * hidden_before(L);
}
template <int L>
INLINE float* slope(Workspace& w) {
  return w.slope + (ACTIVATION == gelu ? TILE * hidden_before(L) : 0);
}

template <int ROWS, int L = 0>
INLINE void forward(Workspace& w, const float* x) {
  constexpr int in_stride = L == 0 ? INPUTS : padded(WIDTHS[L]);
  const float* in = L == 0 ? x : hidden<L>(w);
  const float *weights = w.params + weights_at(L), *bias = w.params + bias_at(L);
  if constexpr (is_row(L)) {
    in_blocks<ROWS, LANES>([&]<int R>(int begin) {
      Vec terms[LANES]{}, z = all(BIAS ? *bias : 0);
#pragma GCC unroll 16
      for (int n = 0; n < R; n++)
        for (int k = 0; k < in_stride; k += LANES)
          terms[n] += load(in + (begin + n) * in_stride + k) * load(weights + k);
      transpose(terms);
#pragma GCC unroll 16
      for (int i = 0; i < LANES; i++) z += terms[i];
      store(w.outputs + begin, z);
    });
  } else {
    constexpr int out_stride = padded(WIDTHS[L + 1]);
    product<ROWS, WIDTHS[L + 1], WIDTHS[L], in_stride, 1, out_stride>(
        in, weights, [&](int, int j) { return BIAS ? load(bias + j) : Vec{}; },
        [&](int n, int j, Vec z) {
          if constexpr (L == LAYERS - 1)
            store(w.outputs + n * out_stride + j, z);
          else
            store(hidden<L + 1>(w) + n * out_stride + j,
                  activate(z, slope<L + 1>(w) + n * out_stride + j));
        });
    if constexpr (L < LAYERS - 1) forward<ROWS, L + 1>(w, x);
  }
}

// The gradient of layers L, L - 1, ...; `delta` is that of the outputs of layer L.
template <int ROWS, int L = LAYERS - 1>
INLINE void backward(Workspace& w, const float* x, const float* delta, bool add) {
  constexpr int in_stride = L == 0 ? INPUTS : padded(WIDTHS[L]);
  constexpr int stride = L == LAYERS - 1 ? OUTPUT_STRIDE : padded(WIDTHS[L + 1]);
  const float* in = L == 0 ? x : hidden<L>(w);
  float* gradient = w.gradient + weights_at(L);
  if constexpr (is_row(L))
    sum_rows<ROWS, in_stride>(in, [&](int n) { return delta[n]; }, add, gradient);
  else
    product<rows_of(L), columns_of(L), ROWS, 1, in_stride, stride>(
        in, delta,
        [&](int k, int j) { return add ? load(gradient + k * stride_of(L) + j) : Vec{}; },
        [&](int k, int j, Vec g) { store(gradient + k * stride_of(L) + j, g); });
  if constexpr (BIAS && is_row(L)) {
    Vec total{};
    for (int n = 0; n < ROWS; n += LANES) total += first(ROWS - n, load(delta + n));
    w.gradient[bias_at(L)] = sum(total) + (add ? w.gradient[bias_at(L)] : 0);
  } else if constexpr (BIAS) {
    sum_rows<ROWS, stride>(delta, [](int) { return 1.0f; }, add, w.gradient + bias_at(L));
  }
  if constexpr (L > 0) {
    const float* weights = is_row(L) ? w.params + weights_at(L) : w.transposed + transposed_at(L);
    product<ROWS, WIDTHS[L], WIDTHS[L + 1], stride, 1, in_stride>(
        delta, weights, [](int, int) { return Vec{}; },
        [&](int n, int k, Vec d) {
          float* h = hidden<L>(w) + n * in_stride + k;  // its gradient takes its place
          store(h, times_slope(d, load(h), slope<L>(w) + n * in_stride + k));
        });
    backward<ROWS, L - 1>(w, x, hidden<L>(w), add);
  }
}

}  // namespace sweep
