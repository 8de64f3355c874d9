// Draws of a prior: parameters made on chip, the function they compute, what it misses and by how
// much it does not.
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
constexpr int INPUTS = SWEEP_INPUTS;

struct Block {
  Numbers numbers;
  int arrays;
};
constexpr Block LAW[] = {SWEEP_LAW};
constexpr int NUM_BLOCKS = sizeof(LAW) / sizeof(Block);
constexpr int first_array(int b) { return b == 0 ? 0 : first_array(b - 1) + LAW[b - 1].arrays; }

constexpr int LAYERS = sizeof(WIDTHS) / sizeof(int) - 1, ARRAYS = LAYERS * (1 + BIAS);
constexpr int weights_at(int l) {
  return l == 0 ? 0 : weights_at(l - 1) + (WIDTHS[l - 1] + BIAS) * WIDTHS[l];
}
constexpr int bias_at(int l) { return weights_at(l) + WIDTHS[l] * WIDTHS[l + 1]; }
constexpr int PARAMS = weights_at(LAYERS), OUTPUTS = WIDTHS[LAYERS];
constexpr int array_at(int a) {
  return BIAS && a % 2 ? bias_at(a / 2) : weights_at(a / (1 + BIAS));
}
constexpr int widest(int l) {
  return l == 0 ? 0 : WIDTHS[l] > widest(l - 1) ? WIDTHS[l] : widest(l - 1);
}

// Inputs are taken in tiles of a panel of vectors: two layers' activations stay in the cache.
constexpr int TILES = (INPUTS + PANEL * LANES - 1) / (PANEL * LANES);
constexpr int TILE = padded((INPUTS + TILES - 1) / TILES);
constexpr bool HAS_BITS = OUTPUTS <= 2;  // two labels: eight a byte
constexpr int BYTES = HAS_BITS ? (INPUTS + 7) / 8 : INPUTS;

struct ScanArguments {
  const uint32_t* keys;        // two a block of a draw
  const float *scales, *x;     // ARRAYS a draw; (INPUTS, D)
  const int32_t* targets;
  uint8_t* functions;
  int32_t* wrong;
  float* margins;
  int64_t num_items;
};

struct alignas(64) Workspace {
  float x[TILES][WIDTHS[0]][TILE];  // 0 past the last input
  int32_t bit[TILES * TILE];        // that an input's label sets in its byte
  int32_t target[TILES * TILE];
  int32_t labels[TILES * TILE + 8];  // where there are two, the bits that they set
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

// Arrays A to END of theta, of the words of a block that begins with parameter BEGIN. What is stored
// past an array's end is overwritten after.
template <Numbers NUMBERS, int A, int END, int BEGIN>
INLINE void scale_arrays(const int32_t* words, const float* scales, float factor, float* theta) {
  if constexpr (A < END) {
    const float scale = scales[A] * factor;
    for (int i = array_at(A); i < array_at(A + 1); i += LANES) {
      const Ints word = load_ints(words + i - BEGIN);
      store(theta + i, scale * (NUMBERS == direction ? (Vec)word : number_of<NUMBERS>(word)));
    }
    scale_arrays<NUMBERS, A + 1, END, BEGIN>(words, scales, factor, theta);
  }
}

// Numbers in the place of their words; what their length has to be divided by.
template <int COUNT>
INLINE float measure(int32_t* words) {
  Vec squares{};
  for (int i = 0; i < COUNT; i += LANES) {
    const Vec z = number_of<direction>(load_ints(words + i)), mine = first(COUNT - i, z);
    store_ints(words + i, (Ints)z);
    squares += mine * mine;
  }
  return __builtin_sqrtf(sum(squares));
}

// theta, block by block. Numbers follow the words in a loop of their own: the processor then has
// the chains of several vectors under way.
template <int B = 0>
INLINE void draw(const uint32_t* keys, const float* scales, int32_t* words, float* theta) {
  if constexpr (B < NUM_BLOCKS) {
    constexpr Numbers numbers = LAW[B].numbers;
    constexpr int from = first_array(B), to = from + LAW[B].arrays, begin = array_at(from);
    constexpr int size = array_at(to) - begin;
    draw_words<numbers, size>(keys + 2 * B, words);
    float factor = 1;
    if constexpr (numbers == direction) factor /= measure<size>(words);
    scale_arrays<numbers, from, to, begin>(words, scales, factor, theta);
    draw<B + 1>(keys, scales, words, theta);
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

// What LANES inputs are labelled; a label's margin over the others, positive where it is right.
struct Reading {
  Ints label, wrong;
  Vec margin;
};

// The label of one output is 1 where it is > 0, that of several the largest, the first of equals;
// NaN counts as largest, and as wrong.
INLINE Reading read(const float* outputs, Ints target) {
  const Vec f = load(outputs);
  const Ints is_target = target >= 0;
  Reading found{};
  Ints is_right;
  if constexpr (OUTPUTS == 1) {
    found.label = f > 0.0f;
    is_right = (found.label == (target > 0)) & (f == f);
    found.margin = select(target > 0, f, -f);
  } else {
    const Vec none = all(-__builtin_inff());
    Vec best = f, right = none, other = none;
    Ints has_nan = f != f;
    for (int c = 0; c < OUTPUTS; c++) {
      const Vec z = load(outputs + c * TILE);
      const Ints is_best = (z > best) | ((z != z) & (best == best)), is_its = target == c;
      best = select(is_best, z, best);
      found.label = (Ints)select(is_best, (Vec)(Ints{} + c), (Vec)found.label);
      right = select(is_its, z, right);
      other = select(~is_its & (z > other), z, other);
      has_nan |= z != z;
    }
    is_right = (found.label == target) & ~has_nan;
    found.margin = select(has_nan, all(__builtin_nanf("")), right - other);
    if constexpr (HAS_BITS) found.label = found.label > 0;
  }
  found.wrong = ~is_right & is_target;
  const Vec whole = select(is_right, all(__builtin_inff()), all(-__builtin_inff()));
  const Ints is_decided = (found.margin > 0.0f) | (found.margin < 0.0f);
  found.margin = select(is_decided, found.margin, whole);
  found.margin = select(is_target, found.margin, all(__builtin_inff()));
  return found;
}

inline void do_item(const ScanArguments& a, int64_t r, Workspace& w) {
  draw(a.keys + 2 * NUM_BLOCKS * r, a.scales + r * ARRAYS, w.words, w.theta);
  Ints wrong{};
  Vec margin = all(__builtin_inff());
  for (int tile = 0; tile < TILES; tile++) {
    const float* outputs = forward(w, w.x[tile][0]);
    for (int i = 0; i < TILE; i += LANES) {
      const int n = tile * TILE + i;
      const Reading found = read(outputs + i, load_ints(w.target + n));
      wrong -= found.wrong;  // true is -1
      margin = select(found.margin < margin, found.margin, margin);
      store_ints(w.labels + n, HAS_BITS ? found.label & load_ints(w.bit + n) : found.label);
    }
  }
  a.wrong[r] = 0;
  a.margins[r] = __builtin_inff();
  for (int i = 0; i < LANES; i++) {
    a.wrong[r] += wrong[i];
    if (margin[i] < a.margins[r]) a.margins[r] = margin[i];
  }
  for (int byte = 0; byte < BYTES; byte++) {
    int packed = HAS_BITS ? 0 : w.labels[byte];
    for (int bit = 0; HAS_BITS && bit < 8; bit++) packed += w.labels[8 * byte + bit];
    a.functions[r * BYTES + byte] = packed;
  }
}

}  // namespace sweep

extern "C" XLA_FFI_Error* scan(XLA_FFI_CallFrame* frame) {
  sweep::Call call(frame);
  return call.answer(
      5, 3,
      [](sweep::Call& of) {
        return sweep::ScanArguments{of.argument<uint32_t>(0), of.argument<float>(1),
                                    of.argument<float>(2), of.argument<int32_t>(3),
                                    of.result<uint8_t>(0), of.result<int32_t>(1),
                                    of.result<float>(2), *of.argument<int32_t>(4)};
      },
      [&](const sweep::ScanArguments& all) {
        sweep::do_all<sweep::Workspace>(all, call.pool());
      });
}

// theta of one draw, for the tests.
extern "C" void draw_theta(const uint32_t* keys, const float* scales, float* out) {
  int32_t words[sweep::PARAMS + 2 * sweep::LANES];
  float theta[sweep::PARAMS + sweep::LANES];
  sweep::draw(keys, scales, words, theta);
  memcpy(out, theta, sizeof(float) * sweep::PARAMS);
}
