// Standard normals of many keys: those of jax.random.normal, to rounding.
#include "call.h"
#include "queue.h"
#include "random.h"

namespace sweep {

constexpr int64_t PIECE = 512;  // so many words stay in the cache until they are numbers

struct NormalsArguments {
  const uint32_t* keys;  // two an item
  float* out;
  int64_t count, num_items;
};

struct alignas(64) Workspace {
  int32_t words[PIECE];
};

INLINE void begin(const NormalsArguments&, Workspace&) {}

// Words BEGIN to END of a key, END - BEGIN at most PIECE; what is stored past END is no word.
inline void words_of_piece(const uint32_t* key, int64_t begin, int64_t end, int32_t* words) {
  for (int64_t i = begin; i < end; i += LANES) store_ints(words + (i - begin), joint_words(key, i));
}

// Numbers follow the words in a loop of their own: the processor then has the chains of several
// vectors under way.
inline void numbers_of_piece(const int32_t* words, int64_t count, float* out) {
  const int64_t whole = count - count % LANES;
  for (int64_t i = 0; i < whole; i += LANES) store(out + i, number_of<normal>(load_ints(words + i)));
  if (whole == count) return;
  const Vec last = number_of<normal>(load_ints(words + whole));
  memcpy(out + whole, &last, sizeof(float) * (count - whole));
}

inline void do_item(const NormalsArguments& a, int64_t r, Workspace& w) {
  for (int64_t begin = 0; begin < a.count; begin += PIECE) {
    const int64_t end = std::min(begin + PIECE, a.count);
    words_of_piece(a.keys + 2 * r, begin, end, w.words);
    numbers_of_piece(w.words, end - begin, a.out + r * a.count + begin);
  }
}

}  // namespace sweep

extern "C" XLA_FFI_Error* normals(XLA_FFI_CallFrame* frame) {
  sweep::Call call(frame);
  return call.answer(
      1, 1,
      [](sweep::Call& of) {
        return sweep::NormalsArguments{of.argument<uint32_t>(0), of.result<float>(0),
                                       of.result_columns(0), of.result_rows(0)};
      },
      [&](const sweep::NormalsArguments& all) {
        sweep::do_all<sweep::Workspace>(all, call.pool());
      });
}

// The words of one key, and what is made of given ones, for the tests; of at most PIECE.
extern "C" void draw_words(const uint32_t* key, int32_t count, int32_t* out) {
  sweep::Workspace w;
  sweep::words_of_piece(key, 0, count, w.words);
  memcpy(out, w.words, sizeof(int32_t) * count);
}
extern "C" void numbers_of(const int32_t* words, int32_t count, float* out) {
  sweep::Workspace w;
  memcpy(w.words, words, sizeof(int32_t) * count);
  sweep::numbers_of_piece(w.words, count, out);
}
