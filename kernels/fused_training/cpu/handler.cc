// What JAX calls.
#include "call.h"
#include "queue.h"
#if SWEEP_TINY
#include "tiny.h"
#else
#include "training.h"
#endif

using sweep::Arguments;
#if SWEEP_TINY
using Workspace = sweep::Networks;
#else
using sweep::Workspace;
#endif

extern "C" XLA_FFI_Error* train_segment(XLA_FFI_CallFrame* frame) {
  sweep::Call call(frame);
  return call.answer(
      9, 5,
      [](sweep::Call& of) {
        const int64_t num_networks = of.argument_shape(0)[0];
        return Arguments{of.argument<float>(0), of.argument<float>(1), of.argument<int32_t>(2),
                         of.argument<float>(3), of.argument<float>(4), of.argument<int32_t>(5),
                         of.argument<float>(6), of.argument<float>(7), of.argument<int32_t>(8),
                         of.result<float>(0), of.result<float>(1), of.result<int32_t>(2),
                         of.result<float>(3), of.result<float>(4), num_networks,
                         sweep::num_items(num_networks), of.argument_shape(8)[1],
                         of.result_shape(4)[1], of.attribute("every"), of.attribute("rule"),
                         of.attribute("stop_at_fit")};
      },
      [&](const Arguments& all) { sweep::do_all<Workspace>(all, call.pool()); });
}

// The same without JAX and in one thread, for the tests.
extern "C" void train_networks(const Arguments* arguments) {
  Arguments all = *arguments;
  all.num_items = sweep::num_items(all.num_networks);
  sweep::Queue<Arguments, Workspace>(all).work();
}
