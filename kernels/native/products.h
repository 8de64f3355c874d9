// Products of matrices of compile-time shape that lie in the cache: blocks in registers.
#pragma once
#if defined(__AVX512F__)
#include <immintrin.h>
#endif
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

// Halves of vectors, where they are wide enough that half of one is worth sharing.
#if defined(__AVX512F__)
constexpr bool SHARES = true;
INLINE Vec twice(const float* from) {
  return (Vec)_mm512_broadcast_f64x4(_mm256_castps_pd(_mm256_loadu_ps(from)));
}
INLINE Vec halves(Vec low, Vec high) { return (Vec)_mm512_mask_blend_ps(0xff00, (__m512)low, (__m512)high); }
INLINE Vec swapped(Vec v) { return (Vec)_mm512_shuffle_f32x4((__m512)v, (__m512)v, 0x4e); }
#else
constexpr bool SHARES = false;
INLINE Vec twice(const float* from) { return load(from); }
INLINE Vec halves(Vec low, Vec) { return low; }
INLINE Vec swapped(Vec v) { return v; }
#endif

// A loop around the sum over k: its turns, and how far a turn moves in a and in b.
struct Loop {
  int turns = 1, a = 0, b = 0;
};

// One block in registers: c[r, v] = start(r, v) + sum_k a[r * row_step + k * k_step] b[k, v],
// summed over the turns of both loops too.
// With HALF only the lower half of a row's last vector is there: two rows share a vector.
template <int R, int V, bool HALF, int K, int ROW_STEP, int K_STEP, int LDB, Loop OUTER, Loop INNER,
          class Start, class End>
INLINE void block(const float* a, const float* b, Start start, End end) {
  const float *from_a = a, *from_b = b;
  constexpr int W = HALF ? V - 1 : V, PAIRS = HALF ? (R + 1) / 2 : 0;
  Vec c[R][W + 1], shared[PAIRS + 1];
#pragma GCC unroll 64
  for (int r = 0; r < R; r++)
#pragma GCC unroll 64
    for (int v = 0; v < W; v++) c[r][v] = start(r, v);
#pragma GCC unroll 64
  for (int p = 0; p < PAIRS; p++)
    shared[p] = halves(start(2 * p, W), swapped(start(2 * p + 1 < R ? 2 * p + 1 : 2 * p, W)));
  for (int i = 0; i < OUTER.turns * INNER.turns; i++) {
    if constexpr (OUTER.turns * INNER.turns > 1) {
      a = from_a + i / INNER.turns * OUTER.a + i % INNER.turns * INNER.a;
      b = from_b + i / INNER.turns * OUTER.b + i % INNER.turns * INNER.b;
    }
    for (int k = 0; k < K; k++) {
      Vec row[W + 1], scalar[R];
#pragma GCC unroll 64
      for (int v = 0; v < W; v++) row[v] = load(b + k * LDB + v * LANES);
      if constexpr (HALF) row[W] = twice(b + k * LDB + W * LANES);
#pragma GCC unroll 64
      for (int r = 0; r < R; r++) {
        scalar[r] = all(a[r * ROW_STEP + k * K_STEP]);
#pragma GCC unroll 64
        for (int v = 0; v < W; v++) c[r][v] += scalar[r] * row[v];
        if constexpr (HALF) {
          if (r % 2 == 1) shared[r / 2] += halves(scalar[r - 1], scalar[r]) * row[W];
          if (r % 2 == 0 && r == R - 1) shared[r / 2] += scalar[r] * row[W];
        }
      }
    }
  }
#pragma GCC unroll 64
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 64
    for (int v = 0; v < W; v++) end(r, v, c[r][v]);
    if constexpr (HALF)
      end(r, W, halves(r % 2 ? swapped(shared[r / 2]) : shared[r / 2], Vec{}));
  }
}

// C (ROWS x COLS) = A B in panels and blocks. start(row, column) gives what it is added to,
// end(row, column, value) takes it; columns are multiples of LANES. Of a last vector of which
// no more than half are columns, `end` is given 0 for the rest.
template <int ROWS, int COLS, int K, int ROW_STEP, int K_STEP, int LDB, Loop OUTER = Loop{},
          Loop INNER = Loop{}, class Start, class End>
INLINE void product(const float* a, const float* b, Start start, End end) {
  constexpr int vectors = padded(COLS) / LANES;
  constexpr bool ends_half = SHARES && padded(COLS) - COLS >= LANES / 2;
  in_pieces<vectors, PANEL>([&]<int V0, int V>() {
    in_blocks<ROWS, ACCUMULATORS / V>([&]<int R>(int row) {
      block<R, V, (ends_half && V0 + V == vectors && R > 1), K, ROW_STEP, K_STEP, LDB, OUTER,
            INNER>(
          a + row * ROW_STEP, b + V0 * LANES,
          [&](int r, int v) { return start(row + r, (V0 + v) * LANES); },
          [&](int r, int v, Vec value) { end(row + r, (V0 + v) * LANES, value); });
    });
  });
}

// to[column] (added to what is there) = sum over n of scale(n) rows[n, column]. Eight rows are
// summed before they are added: one after another, each would wait for the one before.
template <int ROWS, int COLUMNS, class Scale>
INLINE void sum_rows(const float* rows, Scale scale, bool add, float* to) {
  Vec total[COLUMNS / LANES];
  for (int j = 0; j < COLUMNS; j += LANES) total[j / LANES] = add ? load(to + j) : Vec{};
  in_blocks<ROWS, 8>([&]<int R>(int begin) {
    for (int j = 0; j < COLUMNS; j += LANES) {
      Vec part{};
#pragma GCC unroll 8
      for (int n = begin; n < begin + R; n++) part += scale(n) * load(rows + n * COLUMNS + j);
      total[j / LANES] += part;
    }
  });
  for (int j = 0; j < COLUMNS; j += LANES) store(to + j, total[j / LANES]);
}

}  // namespace sweep
