// Draws of a prior: parameters made on chip, the function they compute, what it misses and by how
// much it does not.
#include "call.h"
#include "norms.h"
#include "perceptron.h"
#include "queue.h"
#include "random.h"

namespace sweep {

struct Block {
  Numbers numbers;
  int arrays;
};
constexpr Block LAW[] = {SWEEP_LAW};
constexpr int NUM_BLOCKS = sizeof(LAW) / sizeof(Block);
constexpr int first_array(int b) { return b == 0 ? 0 : first_array(b - 1) + LAW[b - 1].arrays; }

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
  Inputs inputs;
  int32_t bit[TILES * TILE];         // that an input's label sets in its byte
  int32_t labels[TILES * TILE + 8];  // where there are two, the bits that they set
  int32_t words[PARAMS + 2 * LANES];
  float theta[PARAMS + LANES];
  Hidden hidden;
};

INLINE void begin(const ScanArguments& a, Workspace& w) {
  w.inputs.load_from(a.x, a.targets);
  for (int n = 0; n < TILES * TILE; n++) w.bit[n] = n < INPUTS ? 128 >> n % 8 : 0;
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

inline void do_item(const ScanArguments& a, int64_t r, Workspace& w) {
  draw(a.keys + 2 * NUM_BLOCKS * r, a.scales + r * ARRAYS, w.words, w.theta);
  Ints wrong{};
  Vec margin = all(__builtin_inff());
  for (int tile = 0; tile < TILES; tile++) {
    const float* outputs = forward(w.theta, w.hidden, w.inputs.x[tile][0]);
    for (int i = 0; i < TILE; i += LANES) {
      const int n = tile * TILE + i;
      const Reading found = read(outputs + i, load_ints(w.inputs.target + n));
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
  a.margins[r] = divided(a.margins[r], w.theta);
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
