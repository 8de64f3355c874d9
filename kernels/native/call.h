// What XLA hands to a kernel, by its C interface: to compile its C++ one takes as long as a kernel.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

#include "xla/ffi/api/c_api.h"

namespace sweep {

template <class T> constexpr XLA_FFI_DataType type_of = XLA_FFI_DataType_INVALID;
template <> inline constexpr XLA_FFI_DataType type_of<float> = XLA_FFI_DataType_F32;
template <> inline constexpr XLA_FFI_DataType type_of<int32_t> = XLA_FFI_DataType_S32;
template <> inline constexpr XLA_FFI_DataType type_of<uint32_t> = XLA_FFI_DataType_U32;
template <> inline constexpr XLA_FFI_DataType type_of<uint8_t> = XLA_FFI_DataType_U8;

// The threads that XLA computes with.
class Pool {
  const XLA_FFI_Api* api_;
  XLA_FFI_ExecutionContext* context_;

  bool succeeds(XLA_FFI_Error* error) const {
    if (!error) return true;
    XLA_FFI_Error_Destroy_Args destroy{XLA_FFI_Error_Destroy_Args_STRUCT_SIZE, nullptr, error};
    api_->XLA_FFI_Error_Destroy(&destroy);
    return false;
  }

 public:
  explicit Pool(const XLA_FFI_CallFrame& frame) : api_(frame.api), context_(frame.ctx) {}

  // 0 where there is no pool: then the caller does all the work.
  int64_t num_threads() const {
    int64_t number = 0;
    XLA_FFI_ThreadPool_NumThreads_Args ask{XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE, nullptr,
                                           context_, &number};
    return succeeds(api_->XLA_FFI_ThreadPool_NumThreads(&ask)) ? number : 0;
  }

  template <class Task> void schedule(Task task) const {
    XLA_FFI_Task* const run = [](void* data) {
      Task* given = static_cast<Task*>(data);
      (*given)();
      delete given;
    };
    Task* given = new Task(std::move(task));
    XLA_FFI_ThreadPool_Schedule_Args ask{XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE, nullptr,
                                         context_, run, given};
    if (!succeeds(api_->XLA_FFI_ThreadPool_Schedule(&ask))) run(given);
  }
};

// The arrays of a call in the order of the Python side, and its attributes by name. What is not
// as the kernel expects it is remembered, and nothing may be read of the arrays then.
class Call {
  XLA_FFI_CallFrame& frame_;
  const char* wrong_ = nullptr;

  XLA_FFI_Error* refuse(const char* why) const {
    XLA_FFI_Error_Create_Args create{XLA_FFI_Error_Create_Args_STRUCT_SIZE, nullptr, why,
                                     XLA_FFI_Error_Code_INVALID_ARGUMENT};
    return frame_.api->XLA_FFI_Error_Create(&create);
  }

  template <class T> T* data(void* array) {
    const auto* buffer = static_cast<XLA_FFI_Buffer*>(array);
    if (buffer->dtype != type_of<T>) wrong_ = "an array has another type than the kernel's";
    return static_cast<T*>(buffer->data);
  }

 public:
  explicit Call(XLA_FFI_CallFrame* frame) : frame_(*frame) {}

  Pool pool() const { return Pool(frame_); }

  template <class T> const T* argument(int64_t i) { return data<T>(frame_.args.args[i]); }
  template <class T> T* result(int64_t i) { return data<T>(frame_.rets.rets[i]); }

  const int64_t* argument_shape(int64_t i) const {
    return static_cast<XLA_FFI_Buffer*>(frame_.args.args[i])->dims;
  }
  const int64_t* result_shape(int64_t i) const {
    return static_cast<XLA_FFI_Buffer*>(frame_.rets.rets[i])->dims;
  }

  // A result as rows, one for each lane that the call was mapped over, along its last axis.
  int64_t result_columns(int64_t i) const {
    const auto& buffer = *static_cast<XLA_FFI_Buffer*>(frame_.rets.rets[i]);
    return buffer.rank ? buffer.dims[buffer.rank - 1] : 1;
  }
  int64_t result_rows(int64_t i) const {
    const auto& buffer = *static_cast<XLA_FFI_Buffer*>(frame_.rets.rets[i]);
    int64_t rows = 1;
    for (int64_t axis = 0; axis + 1 < buffer.rank; axis++) rows *= buffer.dims[axis];
    return rows;
  }

  int32_t attribute(const char* name) {
    for (int64_t i = 0; i < frame_.attrs.size; i++) {
      const XLA_FFI_ByteSpan& found = *frame_.attrs.names[i];
      if (found.len != strlen(name) || memcmp(found.ptr, name, found.len)) continue;
      if (frame_.attrs.types[i] != XLA_FFI_AttrType_SCALAR) break;
      const auto& scalar = *static_cast<XLA_FFI_Scalar*>(frame_.attrs.attrs[i]);
      if (scalar.dtype == type_of<int32_t>) return *static_cast<int32_t*>(scalar.value);
    }
    wrong_ = "the kernel lacks an attribute of 32 bits";
    return 0;
  }

  // The answer to XLA: asked as it compiles for which version this is; then made to work, by
  // `read(call)`, which reads the call, and `work(what was read)`.
  template <class Read, class Work>
  XLA_FFI_Error* answer(int64_t num_arguments, int64_t num_results, Read read, Work work) {
    const auto* asked = frame_.extension_start;
    if (asked && asked->type == XLA_FFI_Extension_Metadata) {
      auto& metadata = *reinterpret_cast<const XLA_FFI_Metadata_Extension*>(asked)->metadata;
      metadata.api_version = {XLA_FFI_Api_Version_STRUCT_SIZE, nullptr, XLA_FFI_API_MAJOR,
                              XLA_FFI_API_MINOR};
      metadata.traits = 0;
      metadata.state_type_id = XLA_FFI_UNKNOWN_TYPE_ID;
      return nullptr;
    }
    if (frame_.args.size != num_arguments || frame_.rets.size != num_results)
      return refuse("the kernel takes or gives another number of arrays");
    const auto all = read(*this);
    if (wrong_) return refuse(wrong_);
    work(all);
    return nullptr;
  }
};

}  // namespace sweep
