// What JAX calls.
#include "queue.h"
#if SWEEP_TINY
#include "tiny.h"
#else
#include "training.h"
#endif
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using sweep::Arguments;
#if SWEEP_TINY
using Workspace = sweep::Networks;
#else
using sweep::Workspace;
#endif

namespace {

using Floats = ffi::Buffer<ffi::F32>;
using Integers = ffi::Buffer<ffi::S32>;

ffi::Error Train(ffi::ThreadPool pool, Floats theta, Floats moments, Integers counters,
                 Floats measured, Floats hyper, Integers turns, Floats x, Floats y,
                 Integers indices, ffi::Result<Floats> theta_out, ffi::Result<Floats> moments_out,
                 ffi::Result<Integers> counters_out, ffi::Result<Floats> measured_out,
                 ffi::Result<Floats> records, int32_t every, int32_t rule, int32_t stop_at_fit) {
  sweep::do_all<Workspace>(
      Arguments{theta.typed_data(), moments.typed_data(), counters.typed_data(),
                measured.typed_data(), hyper.typed_data(), turns.typed_data(), x.typed_data(),
                y.typed_data(), indices.typed_data(), theta_out->typed_data(),
                moments_out->typed_data(), counters_out->typed_data(),
                measured_out->typed_data(), records->typed_data(), theta.dimensions()[0],
                sweep::num_items(theta.dimensions()[0]), indices.dimensions()[1], records->dimensions()[1], every, rule, stop_at_fit},
      pool);
  return ffi::Error::Success();
}

}  // namespace

// The same without JAX and in one thread, for the tests.
extern "C" void train_networks(const Arguments* arguments) {
  Arguments all = *arguments;
  all.num_items = sweep::num_items(all.num_networks);
  sweep::Queue<Arguments, Workspace>(all).work();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    train_segment, Train,
    ffi::Ffi::Bind()
        .Ctx<ffi::ThreadPool>()
        .Arg<Floats>().Arg<Floats>().Arg<Integers>().Arg<Floats>().Arg<Floats>()
        .Arg<Integers>().Arg<Floats>().Arg<Floats>().Arg<Integers>()
        .Ret<Floats>().Ret<Floats>().Ret<Integers>().Ret<Floats>().Ret<Floats>()
        .Attr<int32_t>("every").Attr<int32_t>("rule").Attr<int32_t>("stop_at_fit"));
