// What follows the sums of a layer: pooling, and the gradient through it and the activation.
#pragma once
#include "layers.h"

namespace sweep {

// Calls f(y, x) for the places of a window of ROWS x COLUMNS, which is the (y, x)-th of its kind.
template <int ROWS, int COLUMNS, class F>
INLINE void in_window(int y, int x, F f) {
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) f(y * ROWS + i, x * COLUMNS + j);
}

template <int L>
constexpr int unit_at(int y, int x) {
  return (y * NET[L].made.x + x) * NET[L].made.channels;
}

// The largest value of a window; NaN if one is.
template <int L>
INLINE Vec largest(const float* units, int y, int x) {
  Vec found = all(-INFINITY);
  in_window<NET[L].window.max_y, NET[L].window.max_x>(y, x, [&](int i, int j) {
    const Vec one = load(units + unit_at<L>(i, j) * TILE);
    found = select((found >= one) | (found != found), found, one);
  });
  return found;
}

// Means of largest values become what the next layer is given.
template <int L>
void pool(Workspace& w) {
  constexpr Layer own = NET[L];
  constexpr int my = own.window.mean_y, mx = own.window.mean_x;
  for (int y = 0; y < own.left.y; y++) {
    for (int x = 0; x < own.left.x; x++) {
      float* to = next_framed<L>(w) + next_place<L>(y, x) * TILE;
      for (int n = 0; n < own.made.channels * TILE; n += LANES) {
        const float* units = w.unpooled + pooled_at(L) * TILE + n;
        Vec total{};
        in_window<my, mx>(y, x, [&](int i, int j) { total += largest<L>(units, i, j); });
        store(to + n, total * (1.0f / (my * mx)));
      }
    }
  }
}

// From `framed_delta`, of what layer L + 1 is given, to `delta` of what layer L sums. Equal
// largest values share the gradient.
template <int L>
void through_pooling(Workspace& w) {
  constexpr Layer own = NET[L];
  constexpr Window window = own.window;
  memset(w.delta, 0, sizeof(float) * own.units() * TILE);  // some positions are in no window
  for (int y = 0; y < own.left.y; y++) {
    for (int x = 0; x < own.left.x; x++) {
      const float* given = w.framed_delta + next_place<L>(y, x) * TILE;
      for (int n = 0; n < own.made.channels * TILE; n += LANES) {
        const float* units = w.unpooled + pooled_at(L) * TILE + n;
        const Vec each = load(given + n) * (1.0f / (window.mean_y * window.mean_x));
        in_window<window.mean_y, window.mean_x>(y, x, [&](int i, int j) {
          const Vec top = largest<L>(units, i, j);
          Vec number{};
          in_window<window.max_y, window.max_x>(i, j, [&](int a, int b) {
            number += select(load(units + unit_at<L>(a, b) * TILE) == top, all(1), Vec{});
          });
          in_window<window.max_y, window.max_x>(i, j, [&](int a, int b) {
            const int at = unit_at<L>(a, b) * TILE;
            const Vec h = load(units + at), share = select(h == top, each / number, Vec{});
            store(w.delta + at + n, times_slope(share, h, slope_of<L>(w) + at + n));
          });
        });
      }
    }
  }
}

template <int L>
void through_activation(Workspace& w) {
  constexpr Layer own = NET[L];
  if constexpr (own.pools()) {
    through_pooling<L>(w);
  } else {
    for (int y = 0; y < own.made.y; y++) {
      for (int x = 0; x < own.made.x; x++) {
        const int at = unit_at<L>(y, x) * TILE, next = next_place<L>(y, x) * TILE;
        for (int n = 0; n < own.made.channels * TILE; n += LANES)
          store(w.delta + at + n,
                times_slope(load(w.framed_delta + next + n), load(next_framed<L>(w) + next + n),
                            slope_of<L>(w) + at + n));
      }
    }
  }
}

}  // namespace sweep
