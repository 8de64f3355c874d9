// Moves of splitting's particles. Normals are drawn where a window has them, parameters that do not
// move stay what they are, and the first angle above the threshold is the last that is tried.
#include "call.h"
#include "level.h"
#include "perceptron.h"
#include "queue.h"
#include "random.h"

namespace sweep {

// What each array of theta is before it is scaled: see case.py.
constexpr Numbers IMAGES[] = {SWEEP_IMAGES};
constexpr int PROPOSALS = SWEEP_PROPOSALS;
constexpr int normals_at(int a) {
  return a == 0 ? 0
                : normals_at(a - 1) + (IMAGES[a - 1] == ones ? 0 : array_at(a) - array_at(a - 1));
}
constexpr int NORMALS = normals_at(ARRAYS);

struct MoveArguments {
  float *normals, *levels;  // NORMALS a particle; one a particle
  const uint32_t* keys;           // two a particle
  const float* shares;            // of the bracket, and PROPOSALS angles
  const int32_t* windows;         // first and count
  const float *scales, *x;        // ARRAYS; (INPUTS, D)
  const int32_t* targets;
  float threshold, width;
  Rule rule;
  uint8_t* found;
  int64_t num_items;
};

struct alignas(64) Workspace {
  Inputs inputs;
  int32_t words[NORMALS + LANES];
  float z[NORMALS + LANES], nu[NORMALS + LANES], turned[NORMALS + LANES];
  float theta[PARAMS + LANES];
  float margins[TILES * TILE];
  Hidden hidden;
};

struct Range {
  int begin, end;
};

// Stores COUNT lanes at most.
INLINE void put(float* to, Vec v, int count) {
  if (count >= LANES)
    store(to, v);
  else
    memcpy(to, &v, sizeof(float) * count);
}

// Parameters of the normals of a range, in the arrays from A on.
template <int A = 0>
INLINE void map_to_theta(const float* z, const float* scales, Range range, float* theta) {
  if constexpr (A < ARRAYS) {
    if constexpr (IMAGES[A] != ones) {
      constexpr int from = normals_at(A), to = normals_at(A + 1), shift = array_at(A) - from;
      const int end = std::min(range.end, to);
      for (int i = std::max(range.begin, from); i < end; i += LANES) {
        const Vec v = load(z + i);
        put(theta + shift + i, scales[A] * (IMAGES[A] == uniform ? erf(0.70710678f * v) : v),
            end - i);
      }
    }
    map_to_theta<A + 1>(z, scales, range, theta);
  }
}

// Parameters that are no image of normals, once for all particles.
template <int A = 0>
INLINE void set_constants(const float* scales, float* theta) {
  if constexpr (A < ARRAYS) {
    if constexpr (IMAGES[A] == ones)
      for (int i = array_at(A); i < array_at(A + 1); i++) theta[i] = scales[A];
    set_constants<A + 1>(scales, theta);
  }
}

INLINE void begin(const MoveArguments& a, Workspace& w) {
  w.inputs.load_from(a.x, a.targets);
  set_constants(a.scales, w.theta);
}

INLINE float level(const Rule& rule, Workspace& w) {
  for (int tile = 0; tile < TILES; tile++) {
    const float* outputs = forward(w.theta, w.hidden, w.inputs.x[tile][0]);
    for (int i = 0; i < TILE; i += LANES) {
      const int n = tile * TILE + i;
      store(w.margins + n, read(outputs + i, load_ints(w.inputs.target + n)).margin);
    }
  }
  return level_of(w.margins, rule, w.theta);
}

// nu where the window is. Numbers follow the words in a loop of their own: the processor then has
// the chains of several vectors under way. What is written past an end are numbers of nu, too.
INLINE void draw(const uint32_t* key, Range range, Workspace& w) {
  for (int i = range.begin; i < range.end; i += LANES) store_ints(w.words + i, joint_words(key, i));
  for (int i = range.begin; i < range.end; i += LANES)
    store(w.nu + i, number_of<normal>(load_ints(w.words + i)));
}

INLINE void turn(float angle, Range range, Workspace& w) {
  const Direction to = direction_of(angle);
  for (int i = range.begin; i < range.end; i += LANES)
    put(w.turned + i, load(w.z + i) * to.cosine + load(w.nu + i) * to.sine, range.end - i);
}

// What is moved lies where it lay before: of a population that fills no cache the window alone is
// written.
inline void do_item(const MoveArguments& a, int64_t r, Workspace& w) {
  const int first = a.windows[2 * r], end = first + a.windows[2 * r + 1];
  const Range window[] = {{first, std::min(end, NORMALS)}, {0, std::max(end - NORMALS, 0)}};
  const float* shares = a.shares + (1 + PROPOSALS) * r;
  float* normals = a.normals + r * NORMALS;
  memcpy(w.z, normals, sizeof(float) * NORMALS);
  memcpy(w.turned, w.z, sizeof(float) * NORMALS);
  map_to_theta(w.z, a.scales, {0, NORMALS}, w.theta);
  for (const Range& range : window) draw(a.keys + 2 * r, range, w);
  float low = -a.width * shares[0], high = low + a.width;
  a.found[r] = 0;
  for (int i = 1; i <= PROPOSALS && !a.found[r]; i++) {
    const float angle = low + (high - low) * shares[i];
    for (const Range& range : window) {
      turn(angle, range, w);
      map_to_theta(w.turned, a.scales, range, w.theta);
    }
    const float reached = level(a.rule, w);
    if (reached > a.threshold) {
      a.levels[r] = reached;
      a.found[r] = 1;
    }
    (angle < 0 ? low : high) = angle;
  }
  if (!a.found[r]) return;
  for (const Range& range : window)
    memcpy(normals + range.begin, w.turned + range.begin,
           sizeof(float) * (range.end - range.begin));
}

}  // namespace sweep

extern "C" XLA_FFI_Error* move(XLA_FFI_CallFrame* frame) {
  sweep::Call call(frame);
  return call.answer(
      9, 3,
      [](sweep::Call& of) {
        const float* limits = of.argument<float>(8);
        const sweep::Rule rule{of.attribute("allowed"), of.attribute("climbs_errors") != 0,
                               of.attribute("has_margin") != 0, limits[2], limits[3]};
        const bool in_place = of.argument<float>(0) == of.result<float>(0) &&
                              of.argument<float>(1) == of.result<float>(1);
        if (!in_place) of.refuse_because("the kernel moves particles where they lie");
        return sweep::MoveArguments{
            of.result<float>(0),     of.result<float>(1),      of.argument<uint32_t>(2),
            of.argument<float>(3),   of.argument<int32_t>(4),  of.argument<float>(5),
            of.argument<float>(6),   of.argument<int32_t>(7),  limits[0],
            limits[1],               rule,                     of.result<uint8_t>(2),
            of.argument_shape(0)[0]};
      },
      [&](const sweep::MoveArguments& all) {
        sweep::do_all<sweep::Workspace>(all, call.pool());
      });
}
