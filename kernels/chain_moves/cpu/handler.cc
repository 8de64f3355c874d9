// What JAX calls. Arrays stand in the order of cpu/__init__.py.
#include "call.h"
#include "gradient.h"
#include "leapfrog.h"
#include "queue.h"
#include "tree.h"

namespace sweep {

INLINE Rows rows_of(Call& of, int64_t i, int64_t size) {
  return rows_of(of.argument<float>(i), of.argument_shape(i)[0], size);
}

}  // namespace sweep

extern "C" XLA_FFI_Error* loss_gradient(XLA_FFI_CallFrame* frame) {
  sweep::Call call(frame);
  return call.answer(
      3, 2,
      [](sweep::Call& of) {
        const int64_t networks = of.argument_shape(0)[0];
        return sweep::Gradients{of.argument<float>(0),
                                rows_of(of, 1, sweep::EXAMPLES * sweep::INPUTS),
                                rows_of(of, 2, sweep::EXAMPLES),
                                of.result<float>(0),
                                of.result<float>(1),
                                networks,
                                sweep::num_items(networks)};
      },
      [&](const sweep::Gradients& all) { sweep::do_all<sweep::Workspace>(all, call.pool()); });
}

extern "C" XLA_FFI_Error* leapfrog(XLA_FFI_CallFrame* frame) {
  sweep::Call call(frame);
  return call.answer(
      8, 4,
      [](sweep::Call& of) {
        const int64_t networks = of.argument_shape(0)[0];
        return sweep::Trajectories{of.argument<float>(0),
                                   of.argument<float>(1),
                                   of.argument<float>(2),
                                   rows_of(of, 3, sweep::PARAMS),
                                   of.argument<float>(4),
                                   of.argument<int32_t>(5),
                                   rows_of(of, 6, sweep::EXAMPLES * sweep::INPUTS),
                                   rows_of(of, 7, sweep::EXAMPLES),
                                   of.result<float>(0),
                                   of.result<float>(1),
                                   of.result<float>(2),
                                   of.result<float>(3),
                                   networks,
                                   sweep::num_items(networks)};
      },
      [&](const sweep::Trajectories& all) { sweep::do_all<sweep::Moving>(all, call.pool()); });
}

extern "C" XLA_FFI_Error* transition(XLA_FFI_CallFrame* frame) {
  sweep::Call call(frame);
  return call.answer(
      9, 5,
      [](sweep::Call& of) {
        const int64_t networks = of.argument_shape(0)[0];
        return sweep::Transitions{of.argument<float>(0),
                                  of.argument<float>(1),
                                  of.argument<float>(2),
                                  of.argument<float>(3),
                                  rows_of(of, 4, sweep::PARAMS),
                                  of.argument<float>(5),
                                  of.argument<uint32_t>(6),
                                  rows_of(of, 7, sweep::EXAMPLES * sweep::INPUTS),
                                  rows_of(of, 8, sweep::EXAMPLES),
                                  of.result<float>(0),
                                  of.result<float>(1),
                                  of.result<float>(2),
                                  of.result<float>(3),
                                  of.result<int32_t>(4),
                                  networks,
                                  networks,
                                  of.attribute("most_doublings")};
      },
      [&](const sweep::Transitions& all) { sweep::do_all<sweep::Tree>(all, call.pool()); });
}

// The same without JAX and in one thread, for the tests.
extern "C" void gradients_here(const sweep::Gradients* arguments) {
  sweep::Gradients all = *arguments;
  all.num_items = sweep::num_items(all.num_networks);
  sweep::Queue<sweep::Gradients, sweep::Workspace>(all).work();
}

extern "C" void trajectories_here(const sweep::Trajectories* arguments) {
  sweep::Trajectories all = *arguments;
  all.num_items = sweep::num_items(all.num_networks);
  sweep::Queue<sweep::Trajectories, sweep::Moving>(all).work();
}

extern "C" void transitions_here(const sweep::Transitions* arguments) {
  sweep::Transitions all = *arguments;
  all.num_items = all.num_networks;
  sweep::Queue<sweep::Transitions, sweep::Tree>(all).work();
}
