// The layers of a convolutional network: convolutions, each with its pooling, then dense layers.
//
// A dense layer is a convolution of one position, whose window is all that it is given. Signals
// are images of one row.
#pragma once
#include <algorithm>
#include <array>

#include "lanes.h"

namespace sweep {

// As the Python side lists it: see `window` in arrays.py.
struct Window {
  int channels, kernel_y, kernel_x, stride_y, stride_x, low_y, high_y, low_x, high_x;
  int max_y, max_x, mean_y, mean_x;
};
struct Image {
  int y, x, channels;
};

constexpr Window WINDOWS[] = {SWEEP_CONVOLUTIONS};
constexpr Image INPUT = {SWEEP_IMAGE};
constexpr int CONVOLUTIONS = sizeof(WINDOWS) / sizeof(Window), DEPTH = CONVOLUTIONS + LAYERS;

// What a layer is given, with zeros around it; what it gives; and what pooling leaves of that.
struct Layer {
  Window window;
  Image given, framed, made, left;

  constexpr int fan_in() const { return window.kernel_y * window.kernel_x * given.channels; }
  constexpr int positions() const { return made.y * made.x; }
  constexpr int units() const { return positions() * made.channels; }
  constexpr int framed_units() const { return framed.y * framed.x * framed.channels; }
  constexpr int stride() const { return padded(made.channels); }
  constexpr int weights() const { return fan_in() * stride(); }
  constexpr bool pools() const {
    return window.max_y * window.max_x * window.mean_y * window.mean_x > 1;
  }
};

constexpr Layer layer_of(Image given, Window w) {
  const Image framed = {given.y + w.low_y + w.high_y, given.x + w.low_x + w.high_x, given.channels};
  const Image made = {(framed.y - w.kernel_y) / w.stride_y + 1,
                      (framed.x - w.kernel_x) / w.stride_x + 1, w.channels};
  return {w, given, framed, made,
          {made.y / w.max_y / w.mean_y, made.x / w.max_x / w.mean_x, w.channels}};
}

constexpr std::array<Layer, DEPTH> all_layers() {
  std::array<Layer, DEPTH> found{};
  Image given = INPUT;
  for (int l = 0; l < DEPTH; l++) {
    if (l >= CONVOLUTIONS) given = {1, 1, given.y * given.x * given.channels};
    const int width = WIDTHS[std::max(l - CONVOLUTIONS + 1, 0)];
    found[l] = layer_of(given, l < CONVOLUTIONS ? WINDOWS[l]
                                                : Window{width, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1});
    given = found[l].left;
  }
  return found;
}
constexpr std::array<Layer, DEPTH> NET = all_layers();

// Adds up, or takes the largest, of layers 0 .. l - 1.
template <class Size>
constexpr int before(int l, Size size) {
  int total = 0;
  for (int i = 0; i < l; i++) total += size(NET[i]);
  return total;
}
template <class Size>
constexpr int most(int begin, Size size) {
  int found = 0;
  for (int i = begin; i < DEPTH; i++) found = std::max(found, size(NET[i]));
  return found;
}

constexpr int weights_at(int l) {
  return before(l, [](const Layer& one) { return one.weights() + BIAS * one.stride(); });
}
constexpr int bias_at(int l) { return weights_at(l) + NET[l].weights(); }
constexpr int PADDED_PARAMS = weights_at(DEPTH);
constexpr int flat_at(int l) {
  return before(l, [](const Layer& one) { return (one.fan_in() + BIAS) * one.made.channels; });
}
constexpr int PARAMS = flat_at(DEPTH);

constexpr int framed_at(int l) {
  return before(l, [](const Layer& one) { return one.framed_units(); });
}
constexpr int pooled_at(int l) {
  return before(l, [](const Layer& one) { return one.pools() ? one.units() : 0; });
}
constexpr int units_at(int l) {
  return before(l, [](const Layer& one) { return one.units(); });
}

struct alignas(64) Workspace {
  float params[PADDED_PARAMS], gradient[PADDED_PARAMS];
  float moments[NUM_MOMENTS][PADDED_PARAMS];
  float framed[framed_at(DEPTH) * TILE];  // what layers are given; the zeros around it stay 0
  float unpooled[pooled_at(DEPTH) * TILE + LANES];
  float slope[ACTIVATION == gelu ? units_at(DEPTH) * TILE : LANES];  // gelu'(z)
  // The gradient of what a layer makes, with examples in lanes and in rows; of what it is given.
  float delta[most(0, [](const Layer& one) { return one.units(); }) * TILE];
  float turned[most(0, [](const Layer& one) { return one.positions() * one.stride(); }) * TILE];
  float framed_delta[most(1, [](const Layer& one) { return one.framed_units(); }) * TILE];
  float targets[EXAMPLES + TILE];
  float batch_inputs[MINIBATCH * INPUTS + LANES], batch_targets[MINIBATCH + TILE];
};

// Where in what a layer is given a position begins, and the window of a position that it makes.
constexpr int place(const Layer& own, int y, int x) {
  return ((y + own.window.low_y) * own.framed.x + x + own.window.low_x) * own.given.channels;
}
constexpr int window_at(const Layer& own, int y, int x) {
  return (y * own.window.stride_y * own.framed.x + x * own.window.stride_x) * own.given.channels;
}
// Where a position that is left of layer L lies in what the next one is given.
template <int L>
constexpr int next_place(int y, int x) {
  return L + 1 < CONVOLUTIONS ? place(NET[L + 1], y, x)
                              : (y * NET[L].left.x + x) * NET[L].left.channels;
}
template <int L>
INLINE float* next_framed(Workspace& w) {
  return w.framed + framed_at(L + 1) * TILE;
}
template <int L>
INLINE float* slope_of(Workspace& w) {
  return w.slope + (ACTIVATION == gelu ? units_at(L) * TILE : 0);
}

}  // namespace sweep
