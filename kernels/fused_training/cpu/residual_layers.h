// The layers of a perceptron with norms or residual connections: what follows the sums of each,
// and how its arrays lie. See `Case` in case.py for its equations.
#pragma once
#include "lanes.h"

namespace sweep {

enum Norm { no_norm, layer_norm, rms_norm };
constexpr Norm NORM = SWEEP_NORM;
constexpr bool RESIDUAL = SWEEP_RESIDUAL;
static_assert(RESIDUAL || NORM != no_norm);  // else dense.h

// What is done with the sums of layer l before the next layer is given them, in this order: they
// are added to the stream of residual blocks, which the first layer begins; normalised; activated.
constexpr bool is_last(int l) { return l == LAYERS - 1; }
constexpr bool is_stream(int l) { return RESIDUAL && l % 2 == 0; }
constexpr bool is_normalised(int l) {
  return NORM != no_norm && !is_last(l) && (!RESIDUAL || is_stream(l));
}
constexpr bool is_activated(int l) { return !is_last(l) && !is_stream(l); }

// Rows of weights are padded, but for a single output: then they are one row.
constexpr int step_of(int units) { return units == 1 ? 1 : padded(units); }
constexpr int weights_of(int l) { return padded(WIDTHS[l] * step_of(WIDTHS[l + 1])); }
constexpr int NORM_ROWS = NORM == layer_norm ? 2 : 1;  // gains, biases

// Adds up something of layers 0 .. l - 1.
template <class Size>
constexpr int before(int l, Size size) {
  int total = 0;
  for (int i = 0; i < l; i++) total += size(i);
  return total;
}
constexpr int weights_at(int l) {
  return before(l, [](int i) { return weights_of(i) + BIAS * padded(WIDTHS[i + 1]); });
}
constexpr int bias_at(int l) { return weights_at(l) + weights_of(l); }
constexpr int norm_at(int l) {  // norms stand behind all layers, as in theta
  return weights_at(LAYERS) + before(l, [](int i) {
           return is_normalised(i) ? NORM_ROWS * padded(WIDTHS[i + 1]) : 0;
         });
}
constexpr int PADDED_PARAMS = norm_at(LAYERS);
constexpr int PARAMS = before(LAYERS, [](int i) {
  return (WIDTHS[i] + BIAS + is_normalised(i) * NORM_ROWS) * WIDTHS[i + 1];
});

constexpr int given_at(int l) {
  return before(l, [](int i) { return WIDTHS[i]; });
}
constexpr int normal_at(int l) {
  return before(l, [](int i) { return is_normalised(i) ? WIDTHS[i + 1] : 0; });
}
constexpr int slope_at(int l) {
  return before(l, [](int i) { return ACTIVATION == gelu && is_activated(i) ? WIDTHS[i + 1] : 0; });
}
constexpr int most_units() {
  int most = 0;
  for (int l = 1; l <= LAYERS; l++) most = std::max(most, WIDTHS[l]);
  return most;
}

struct alignas(64) Workspace {
  float params[PADDED_PARAMS], gradient[PADDED_PARAMS];
  float moments[NUM_MOMENTS][PADDED_PARAMS];
  float given[given_at(LAYERS) * TILE];  // what layers are given
  float normal[normal_at(LAYERS) * TILE + LANES];  // of mean square 1, before gain and bias
  float inverse[LAYERS * TILE];                    // 1 / root mean square of what became that
  float slope[slope_at(LAYERS) * TILE + LANES];    // gelu'(z)
  float stream[WIDTHS[1] * TILE];
  // The gradient of what a layer sums, of the stream, and of what a layer is given.
  float delta[most_units() * TILE], stream_delta[WIDTHS[1] * TILE];
  float given_delta[most_units() * TILE];
  float turned[padded(most_units()) * TILE];
  float targets[EXAMPLES + TILE];
  float batch_inputs[MINIBATCH * INPUTS + LANES], batch_targets[MINIBATCH + TILE];
};

// Between theta (flat) and the padded arrays.
template <bool TO_FLAT>
INLINE void copy_params(float* flat, float* params) {
  const auto copy = [&](float* row, int size) {
    TO_FLAT ? memcpy(flat, row, sizeof(float) * size) : memcpy(row, flat, sizeof(float) * size);
    flat += size;
  };
  for (int l = 0; l < LAYERS; l++) {
    const int units = WIDTHS[l + 1];
    for (int k = 0; k < WIDTHS[l]; k++) copy(params + weights_at(l) + k * step_of(units), units);
    if (BIAS) copy(params + bias_at(l), units);
  }
  for (int l = 0; l < LAYERS; l++)
    for (int row = 0; is_normalised(l) && row < NORM_ROWS; row++)
      copy(params + norm_at(l) + row * padded(WIDTHS[l + 1]), WIDTHS[l + 1]);
}

}  // namespace sweep
