// Draws of a prior: parameters made on chip, the function they compute, what it misses.
//
// Vectors run over the inputs, so that nothing of a layer is padded and theta is read as it is.
#include "call.h"
#include "products.h"
#include "queue.h"
#include "random.h"

namespace sweep {

enum Activation { relu, tanh_, gelu, linear };

// What the Python side defines: see __init__.py.
constexpr int WIDTHS[] = {SWEEP_WIDTHS};
constexpr Activation ACTIVATION = SWEEP_ACTIVATION;
constexpr bool BIAS = SWEEP_BIAS;
constexpr Law LAW = SWEEP_LAW;
constexpr int INPUTS = SWEEP_INPUTS;

constexpr int LAYERS = sizeof(WIDTHS) / sizeof(int) - 1, ARRAYS = LAYERS * (1 + BIAS);
constexpr int weights_at(int l) {
  return l == 0 ? 0 : weights_at(l - 1) + (WIDTHS[l - 1] + BIAS) * WIDTHS[l];
}
constexpr int bias_at(int l) { return weights_at(l) + WIDTHS[l] * WIDTHS[l + 1]; }
constexpr int PARAMS = weights_at(LAYERS);
constexpr int widest(int l) {
  return l == 0 ? 0 : WIDTHS[l] > widest(l - 1) ? WIDTHS[l] : widest(l - 1);
}

// Inputs are taken in tiles of a panel of vectors: two layers' activations stay in the cache.
constexpr int TILES = (INPUTS + PANEL * LANES - 1) / (PANEL * LANES);
constexpr int TILE = padded((INPUTS + TILES - 1) / TILES);
constexpr int BYTES = (INPUTS + 7) / 8;

struct ScanArguments {
  const uint32_t* keys;        // two a draw
  const float *scales, *x;     // ARRAYS a draw; (INPUTS, D)
  const int32_t* targets;
  uint8_t* functions;
  int32_t* wrong;
  int64_t num_items;
};

struct alignas(64) Workspace {
  float x[TILES][WIDTHS[0]][TILE];  // 0 past the last input
  int32_t bit[TILES * TILE];        // that an input's label sets in its byte
  int32_t target[TILES * TILE];
  int32_t labels[TILES * TILE + 8];
  int32_t words[PARAMS + 2 * LANES];
  float theta[PARAMS + LANES];
  float hidden[2][widest(LAYERS)][TILE];
};

INLINE void begin(const ScanArguments& a, Workspace& w) {
  for (int n = 0; n < TILES * TILE; n++) {
    const bool is_input = n < INPUTS;
    for (int k = 0; is_input && k < WIDTHS[0]; k++)
      w.x[n / TILE][k][n % TILE] = a.x[int64_t(n) * WIDTHS[0] + k];
    w.bit[n] = is_input ? 128 >> n % 8 : 0;
    w.target[n] = is_input ? a.targets[n] : -1;
  }
}

INLINE Vec activate(Vec z) {
  if constexpr (ACTIVATION == relu) return select(z < 0.0f, Vec{}, z);  // keeps NaN
  if constexpr (ACTIVATION == tanh_) return tanh(z);
  if constexpr (ACTIVATION == gelu)
    return 0.5f * z * (1 + tanh(0.79788456f * (z + 0.044715f * z * z * z)));
  return z;
}

// theta, array by array. It follows the words in a loop of its own: the processor then has the
// chains of several vectors under way. What is stored past an array's end is overwritten after.
INLINE void draw(const uint32_t* key, const float* scales, int32_t* words, float* theta) {
  draw_words<PARAMS>(key, words);
  const auto scaled = [&](int begin, int end, float scale) {
    for (int i = begin; i < end; i += LANES)
      store(theta + i, scale * number_of<LAW>(load_ints(words + i)));
  };
  for (int l = 0; l < LAYERS; l++) {
    const float* scale = scales + l * (1 + BIAS);
    scaled(weights_at(l), bias_at(l), scale[0]);
    if (BIAS) scaled(bias_at(l), weights_at(l + 1), scale[1]);
  }
}

// The outputs of a tile, in the first row of what is returned.
template <int L = 0>
INLINE const float* forward(Workspace& w, const float* in) {
  constexpr int units = WIDTHS[L + 1];
  const float *weights = w.theta + weights_at(L), *bias = w.theta + bias_at(L);
  float* out = w.hidden[L % 2][0];
  product<units, TILE, WIDTHS[L], 1, units, TILE>(
      weights, in, [&](int j, int) { return BIAS ? all(bias[j]) : Vec{}; },
      [&](int j, int n, Vec z) {
        store(out + j * TILE + n, L == LAYERS - 1 ? z : activate(z));
      });
  if constexpr (L < LAYERS - 1) return forward<L + 1>(w, out);
  return out;
}

inline void do_item(const ScanArguments& a, int64_t r, Workspace& w) {
  draw(a.keys + 2 * r, a.scales + r * ARRAYS, w.words, w.theta);
  Ints wrong{};
  for (int tile = 0; tile < TILES; tile++) {
    const float* outputs = forward(w, w.x[tile][0]);
    for (int i = 0; i < TILE; i += LANES) {
      const int n = tile * TILE + i;
      const Vec f = load(outputs + i);
      const Ints target = load_ints(w.target + n), label = f > 0.0f;
      const Ints is_wrong = ((label != (target > 0)) | (f != f)) & (target >= 0);
      wrong -= is_wrong;  // true is -1
      store_ints(w.labels + n, label & load_ints(w.bit + n));
    }
  }
  a.wrong[r] = 0;
  for (int i = 0; i < LANES; i++) a.wrong[r] += wrong[i];
  for (int byte = 0; byte < BYTES; byte++) {
    int packed = 0;
    for (int bit = 0; bit < 8; bit++) packed += w.labels[8 * byte + bit];
    a.functions[r * BYTES + byte] = packed;
  }
}

}  // namespace sweep

extern "C" XLA_FFI_Error* scan(XLA_FFI_CallFrame* frame) {
  sweep::Call call(frame);
  return call.answer(
      4, 2,
      [](sweep::Call& of) {
        return sweep::ScanArguments{of.argument<uint32_t>(0), of.argument<float>(1),
                                    of.argument<float>(2), of.argument<int32_t>(3),
                                    of.result<uint8_t>(0), of.result<int32_t>(1),
                                    of.result_shape(1)[0]};
      },
      [&](const sweep::ScanArguments& all) {
        sweep::do_all<sweep::Workspace>(all, call.pool());
      });
}

// theta of one key, for the tests.
extern "C" void draw_theta(const uint32_t* key, const float* scales, float* out) {
  int32_t words[sweep::PARAMS + 2 * sweep::LANES];
  float theta[sweep::PARAMS + sweep::LANES];
  sweep::draw(key, scales, words, theta);
  memcpy(out, theta, sizeof(float) * sweep::PARAMS);
}
