// Products of matrices of compile-time shape that lie in the cache: blocks in registers.
#pragma once
#include "vectors.h"

namespace sweep {

// Calls f<begin, size>() for pieces of 0 .. TOTAL as equal as can be, of at most MOST.
template <int TOTAL, int MOST, int BEGIN = 0, class F>
INLINE void in_pieces(F f) {
  constexpr int count = (TOTAL - BEGIN + MOST - 1) / MOST;
  if constexpr (count > 0) {
    constexpr int size = (TOTAL - BEGIN + count - 1) / count;
    f.template operator()<BEGIN, size>();
    in_pieces<TOTAL, MOST, BEGIN + size>(f);
  }
}

// Calls f<size>(begin) for the same pieces, in loops where there are many.
template <int TOTAL, int MOST, class F>
INLINE void in_blocks(F f) {
  constexpr int count = (TOTAL + MOST - 1) / MOST, size = (TOTAL + count - 1) / count;
  for (int i = 0; i < TOTAL / size; i++) f.template operator()<size>(i * size);
  if constexpr (TOTAL % size > 0) f.template operator()<TOTAL % size>(TOTAL / size * size);
}

// One block in registers: c[r, v] = start(r, v) + sum_k a[r * row_step + k * k_step] b[k, v].
template <int R, int V, int K, int ROW_STEP, int K_STEP, int LDB, class Start, class End>
INLINE void block(const float* a, const float* b, Start start, End end) {
  Vec c[R][V];
#pragma GCC unroll 64
  for (int r = 0; r < R; r++)
#pragma GCC unroll 64
    for (int v = 0; v < V; v++) c[r][v] = start(r, v);
  for (int k = 0; k < K; k++) {
    Vec row[V];
#pragma GCC unroll 64
    for (int v = 0; v < V; v++) row[v] = load(b + k * LDB + v * LANES);
#pragma GCC unroll 64
    for (int r = 0; r < R; r++) {
      const Vec scalar = all(a[r * ROW_STEP + k * K_STEP]);
#pragma GCC unroll 64
      for (int v = 0; v < V; v++) c[r][v] += scalar * row[v];
    }
  }
#pragma GCC unroll 64
  for (int r = 0; r < R; r++)
#pragma GCC unroll 64
    for (int v = 0; v < V; v++) end(r, v, c[r][v]);
}

// C (ROWS x COLS) = A B in panels and blocks. start(row, column) gives what it is added to,
// end(row, column, value) takes it; columns are multiples of LANES.
template <int ROWS, int COLS, int K, int ROW_STEP, int K_STEP, int LDB, class Start, class End>
INLINE void product(const float* a, const float* b, Start start, End end) {
  in_pieces<padded(COLS) / LANES, PANEL>([&]<int V0, int V>() {
    in_blocks<ROWS, ACCUMULATORS / V>([&]<int R>(int row) {
      block<R, V, K, ROW_STEP, K_STEP, LDB>(
          a + row * ROW_STEP, b + V0 * LANES,
          [&](int r, int v) { return start(row + r, (V0 + v) * LANES); },
          [&](int r, int v, Vec value) { end(row + r, (V0 + v) * LANES, value); });
    });
  });
}

}  // namespace sweep
